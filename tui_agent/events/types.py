"""Every type of event. Names are `subject.happened`; see `base.EventBase` for the fields all share."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tui_agent.events.base import EventBase, JsonObject, Part
from tui_agent.events.usage import Amounts, Usage

EffectClass = Literal["pure", "checkable", "supervised", "keyed", "irreversible"]
"""What a step does to the world, which decides how it is recovered after a crash."""

RunOutcome = Literal["completed", "truncated", "refused", "window_full", "interrupted", "failed", "stopped"]
"""How a run ended. `completed`: the model ended its answer by itself. `truncated`: the answer reached its output
limit. `refused`: the model declined. `window_full`: the context window left no room. `interrupted`: the user stopped
it. `failed`: an error. `stopped`: a limit of the user's."""

TrustTier = Literal["built-in", "plugin", "skill"]
"""Where a tool or command comes from; can only narrow what it may do."""


class FileState(Part):
    """A file as it is, or is to be: SHA-256 of its bytes, None where there is no file."""

    path: str
    sha256: str | None


# --- session -------------------------------------------------------------------------------------


class ForkPoint(Part):
    """Where a forked session left its origin: the origin's id and the last event taken over."""

    session: str
    seq: int


class SessionCreated(EventBase):
    """The first event of every journal."""

    type: Literal["session.created"] = "session.created"
    workspace: str
    model: str
    mode: str
    title: str = ""
    app_version: str = ""
    offline: bool = False
    forked_from: ForkPoint | None = None


class SessionConfigured(EventBase):
    """A setting of the session changed; None means: as before.

    `effort` is a level of the API, or `default` for what the settings say.

    `limits` are the layers of limits that changed, each of them whole: `default` (set by nobody), `settings` (of this
    start), `start` (its flags) and `person`; in each, `scope.kind` and its number, None where the limit is lifted.
    `max_turns` is the user's `run.turns`, 0 for no limit. `workspace` is the folder that the session was
    moved to. `folders` are the sources of additional folders that changed, each whole: `session` (flag and
    command), `settings` (of this start) and `files` (`.claude/settings.json`).
    """

    type: Literal["session.configured"] = "session.configured"
    in_timeline: ClassVar[bool] = True
    workspace: str | None = None
    title: str | None = None
    model: str | None = None
    mode: str | None = None
    effort: str | None = None
    max_turns: int | None = None
    offline: bool | None = None
    limits: dict[str, dict[str, float | None]] = Field(default_factory=dict)
    folders: dict[str, list[str]] = Field(default_factory=dict)


class SandboxProbed(EventBase):
    """What commands run in from here on: found out at a start, recorded when it is not as before.

    `kind` is `bubblewrap`, `landlock`, `sandbox-exec` or `none`; `reduced` says that it holds less than it
    should, `detail` why, for the user.
    """

    type: Literal["sandbox.probed"] = "sandbox.probed"
    in_timeline: ClassVar[bool] = True
    kind: str
    detail: str
    reduced: bool = False


# --- run -----------------------------------------------------------------------------------------


class MentionRead(Part):
    """What became of one @-mention of a prompt.

    `state` says whether its content came along: `read`, `cut` (a part of it), `missing` (there is no such file),
    `failed` or `left out` (one too many); `detail` is a line for the user.
    """

    path: str
    state: Literal["read", "cut", "missing", "failed", "left out"]
    detail: str = ""


class RunStarted(EventBase):
    """A prompt was taken up. `content` is the user message as the API takes it, `prompt` what was typed.

    `files` are the files whose content the prompt brought along, as they were read; `memory` are instruction files of
    their folders, one each for the last blocks of `content`; `mentions` what became of each @-mention.
    A subagent's run names the step that asked for it; the session's own agent's run does not.
    """

    type: Literal["run.started"] = "run.started"
    in_conversation: ClassVar[bool] = True
    prompt: str
    content: list[JsonObject] = Field(default_factory=list)
    files: list[FileState] = Field(default_factory=list)
    memory: list[str] = Field(default_factory=list)
    mentions: list[MentionRead] = Field(default_factory=list)
    agent_type: str = "general"
    parent_step: str = ""
    parent_agent: str = ""

    @property
    def subject(self) -> str:
        return self.run


class RunFinished(EventBase):
    """The run is over. `reason` says why in words whenever the outcome is not `completed`.

    `hint` says what the user can do about it. `told` says that the event before this one already shows `reason` on
    screen. `stop_reason` is the API's word for how the last answer ended, empty where there was none. `note` is what
    the model reads of an interruption with its next message. Of the `seconds` from its start to its end, the run
    `waited` that many for the user, with nothing else at work.
    """

    type: Literal["run.finished"] = "run.finished"
    in_conversation: ClassVar[bool] = True
    in_timeline: ClassVar[bool] = True
    outcome: RunOutcome
    reason: str = ""
    hint: str = ""
    told: bool = False
    stop_reason: str = ""
    note: str = ""
    turns: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    usage: Usage = Usage()
    cost: float | None = None

    @property
    def subject(self) -> str:
        return f"{self.run}/end" if self.run else ""


class RunInterrupted(EventBase):
    """The end of the run was asked for; it comes once what it was doing has been ended.

    `reason` says by what, e.g. a signal, empty where it was the user.
    """

    type: Literal["run.interrupted"] = "run.interrupted"
    reason: str = ""

    @property
    def subject(self) -> str:
        return self.run


class PromptQueued(EventBase):
    """A prompt was typed while a run was going; the agent sees it at its next turn. `content`, `files`,
    `memory` and `mentions` are as in `RunStarted`."""

    type: Literal["prompt.queued"] = "prompt.queued"
    in_conversation: ClassVar[bool] = True
    prompt_id: str
    prompt: str
    content: list[JsonObject] = Field(default_factory=list)
    files: list[FileState] = Field(default_factory=list)
    memory: list[str] = Field(default_factory=list)
    mentions: list[MentionRead] = Field(default_factory=list)

    @property
    def subject(self) -> str:
        return self.prompt_id


class PromptAccepted(EventBase):
    """A queued prompt became part of the message history."""

    type: Literal["prompt.accepted"] = "prompt.accepted"
    in_conversation: ClassVar[bool] = True
    prompt_id: str

    @property
    def subject(self) -> str:
        return self.prompt_id


class PromptWithdrawn(EventBase):
    """A queued prompt was taken back before the agent saw it."""

    type: Literal["prompt.withdrawn"] = "prompt.withdrawn"
    in_conversation: ClassVar[bool] = True
    prompt_id: str

    @property
    def subject(self) -> str:
        return self.prompt_id


# --- turn ----------------------------------------------------------------------------------------


class TurnEvent(EventBase):
    """What the events of one model request and its response share."""

    turn: str

    @property
    def subject(self) -> str:
        return self.turn


class TurnProjected(TurnEvent):
    """What the next request will cost at most, computed and reserved before it is sent.

    Costs in dollars, None if the price is unknown. `input_tokens`, `max_output_tokens` and `max_cost` are the
    worst case, which stays reserved until the usage is booked; `expected_input_tokens`, of which `cached_tokens`
    from the cache, and `expected_cost` are what is likely. `counted` says that the server counted the input;
    `estimated_tokens` is what the local estimate made of its `request_bytes`. `clamped` says that a limit left
    the answer less room than it would have had, `clamped_by` which: `scope.kind`, or `window`. `day` is the UTC date
    whose limits it draws on; `day_used` and `day_reserved` are what all sessions had on it before this.
    """

    type: Literal["turn.projected"] = "turn.projected"
    attempt: int = 1
    purpose: Literal["turn", "compaction"] = "turn"
    model: str = ""
    input_tokens: int
    max_output_tokens: int
    max_cost: float | None = None
    counted: bool = False
    expected_input_tokens: int = 0
    cached_tokens: int = 0
    expected_cost: float | None = None
    estimated_tokens: int = 0
    request_bytes: int = 0
    clamped: bool = False
    clamped_by: str = ""
    day: str = ""
    day_used: Amounts | None = None
    day_reserved: Amounts | None = None


class TurnStarted(TurnEvent):
    """A request is about to be sent. `attempt` counts from 1; `prefix` is the hash of all it repeats.

    `until` is the last event that the request knows, 0 where that is not recorded: every one before this.
    """

    type: Literal["turn.started"] = "turn.started"
    in_conversation: ClassVar[bool] = True
    in_timeline: ClassVar[bool] = True
    model: str
    number: int
    attempt: int = 1
    message_count: int = 0
    prefix: str = ""
    until: int = 0


class TurnDelta(TurnEvent):
    """Some of the response arrived. For `tool_input`, `block` is the index and `text` raw JSON."""

    type: Literal["turn.delta"] = "turn.delta"
    durable: ClassVar[bool] = False
    in_conversation: ClassVar[bool] = True
    block: int
    kind: Literal["text", "thinking", "tool_input"]
    text: str
    tool: str = ""


class TurnFinished(TurnEvent):
    """The whole response, blocks verbatim as the API sent them. `cost` in dollars, None if unknown.

    `max_tokens` is the output limit that the request set, in tokens. Where that was less than the usual, `clamped_by`
    says what made it so: a limit as `scope.kind`, or `window`.
    `stop_detail` says in words more about a refusal or a stop sequence; `stop_details` is the API's own object:
    of a refusal its category and explanation.
    """

    type: Literal["turn.finished"] = "turn.finished"
    in_conversation: ClassVar[bool] = True
    in_timeline: ClassVar[bool] = True
    attempt: int = 1
    model: str
    content: list[JsonObject]
    stop_reason: str
    stop_detail: str = ""
    max_tokens: int = 0
    clamped_by: str = ""
    stop_details: JsonObject = Field(default_factory=dict)
    usage: Usage
    cost: float | None = None
    seconds: float = 0.0
    message_id: str = ""
    cache_miss_reason: str = ""


class TurnFailed(TurnEvent):
    """An attempt ended without a whole response.

    `partial` is the text that had arrived, by block; it stays visible. `retry_seconds` is the wait before
    the next attempt, None when there is none. `kind` is the typed error's name, e.g. `overloaded`,
    `rate_limited`, `interrupted`, `crash`. `note` is what the model reads of an interruption with its next message.
    """

    type: Literal["turn.failed"] = "turn.failed"
    in_conversation: ClassVar[bool] = True
    in_timeline: ClassVar[bool] = True
    attempt: int = 1
    kind: str
    message: str
    partial: list[JsonObject] = Field(default_factory=list)
    usage: Usage = Usage()
    cost: float | None = None
    retry_seconds: float | None = None
    note: str = ""


# --- step ----------------------------------------------------------------------------------------


class StepEvent(EventBase):
    """What the events of one tool call share."""

    in_conversation: ClassVar[bool] = True
    in_timeline: ClassVar[bool] = True

    step: str

    @property
    def subject(self) -> str:
        return self.step


class Intent(Part):
    """What a step is about to do, committed before it does it.

    `key` is the idempotency key; `before` and `after` are the files it will touch, as found and as
    expected; `spool` is the folder where a command's runner leaves its records.
    """

    effect: EffectClass
    key: str
    before: list[FileState] = Field(default_factory=list)
    after: list[FileState] = Field(default_factory=list)
    spool: str = ""


class StepPlanned(StepEvent):
    """The model asked for a tool. `call_id` is the API's tool_use id; `title` is one line for the screen.

    `withheld` says that the journal took a secret out of `input`: only the process that planned it can run it.
    `problem` says why the call must not be run, e.g. that the answer was cut in the middle of it; it is what the
    model is told.
    """

    type: Literal["step.planned"] = "step.planned"
    turn: str
    call_id: str
    tool: str
    input: JsonObject
    effect: EffectClass
    title: str = ""
    withheld: bool = False
    problem: str = ""


class StepStarted(StepEvent):
    """The intent: on disk before the tool runs. `attempt` counts from 1."""

    type: Literal["step.started"] = "step.started"
    tool: str
    intent: Intent
    attempt: int = 1


class StepOutput(StepEvent):
    """Some output of a running tool."""

    type: Literal["step.output"] = "step.output"
    durable: ClassVar[bool] = False
    in_timeline: ClassVar[bool] = False
    text: str


class StepFinished(StepEvent):
    """The outcome: on disk before the model or the screen is told.

    `result` is the content of the tool_result block that the model sees. `summary` is one line and
    `view` a longer plain text for the screen; `diff` a unified diff. `effects` are the files as they
    are afterwards, read back from disk; `memory` are instruction files that came with the result.
    """

    type: Literal["step.finished"] = "step.finished"
    tool: str
    outcome: Literal["ok", "error", "denied", "cancelled", "skipped"]
    result: list[JsonObject]
    summary: str = ""
    view: str = ""
    diff: str = ""
    exit_code: int | None = None
    effects: list[FileState] = Field(default_factory=list)
    memory: list[str] = Field(default_factory=list)
    seconds: float = 0.0
    recovered: bool = False


class StepRecovered(StepEvent):
    """What looking found out about a step that a crash had cut off.

    `finding` says how far it got, `action` what is done about it; `evidence` is for the user.
    An `uncertain` step waits for `step.resolved`.
    """

    type: Literal["step.recovered"] = "step.recovered"
    finding: Literal["not_started", "running", "finished", "uncertain"]
    action: Literal["run", "attach", "adopt", "ask"]
    evidence: str


class StepResolved(StepEvent):
    """The user decided about an uncertain step."""

    type: Literal["step.resolved"] = "step.resolved"
    resolution: Literal["happened", "run_again", "skip"]
    comment: str = ""


# --- permission ----------------------------------------------------------------------------------


class RuleMatch(Part):
    """A rule that matched a call, with where it stands; `line` is None for one that is not from a file."""

    rule: str
    verdict: Literal["allow", "ask", "deny"]
    source: str
    file: str = ""
    line: int | None = None


class ModuleVerdict(Part):
    """What one module of the guard said of a call; modules that passed it are left out."""

    name: str
    verdict: Literal["allow", "ask", "deny"]
    reason: str


class Judgement(Part):
    """What the policy said of a call, and every reason for it. `winner` is the rule, module or mode that decided.

    `agent_types` are the types of the agent that called and of those above it, the outermost first. `read_only` says
    that the call was allowed because it changes nothing: such calls of one answer run side by side.
    """

    verdict: Literal["allow", "ask", "deny"]
    reason: str
    winner: str
    mode: str = ""
    tier: TrustTier = "built-in"
    agent_types: list[str] = Field(default_factory=list)
    read_only: bool = False
    rules: list[RuleMatch] = Field(default_factory=list)
    modules: list[ModuleVerdict] = Field(default_factory=list)


class PermissionRequested(StepEvent):
    """A step needs a decision. `call_hash` is the SHA-256 of tool, input and workspace: what is decided on.

    `session_scope` is the rule that a grant for the session would be; empty: it would be for exactly this call.
    `bound` is the digest of what was planned: the real place, hashes before and after, and the diff that is shown.
    """

    type: Literal["permission.requested"] = "permission.requested"
    request: str
    tool: str
    tier: TrustTier
    effect: EffectClass
    input: JsonObject
    call_hash: str
    title: str
    why: str
    preview: str = ""
    session_scope: str = ""
    bound: str = ""
    judgement: Judgement | None = None


class PermissionDecided(StepEvent):
    """The decision on one exact call. `by` is `person`, `mode`, `grant` or `policy`; `scope` how long it holds.

    A decision without a request (`request` empty) was made by a rule or the mode alone. `grant` is the rule
    that a session-long decision adds. `environment` are variables that the run must have, `hidden` files and
    folders that it must not see: the allowance rests on them. `mode` is the session's mode after an approved plan,
    as the user chose it; empty for every other decision. `bound` is the digest of the plan that was decided on.
    """

    type: Literal["permission.decided"] = "permission.decided"
    request: str = ""
    tool: str
    call_hash: str
    verdict: Literal["allow", "deny"]
    by: Literal["person", "mode", "grant", "policy", "unattended"]
    scope: Literal["once", "session"] = "once"
    grant: str = ""
    reason: str = ""
    comment: str = ""
    seconds: float = 0.0
    judgement: Judgement | None = None
    environment: dict[str, str] = Field(default_factory=dict)
    hidden: list[str] = Field(default_factory=list)
    mode: str = ""
    bound: str = ""


class PermissionRevoked(EventBase):
    """A grant of this session was taken back: from now on what it covered asks again."""

    type: Literal["permission.revoked"] = "permission.revoked"
    in_timeline: ClassVar[bool] = True
    grant: str


class StepEdited(StepEvent):
    """The user changed a call that waited for their permission; it is decided anew, as if planned so.

    `input` is the whole input as it is now, `call_hash` the hash of that call. `note` tells the model what was
    changed.
    """

    type: Literal["step.edited"] = "step.edited"
    request: str
    tool: str
    input: JsonObject
    call_hash: str
    title: str
    note: str


# --- question ------------------------------------------------------------------------------------


class QuestionAsked(StepEvent):
    """The model asks the user something through the `ask` tool."""

    type: Literal["question.asked"] = "question.asked"
    question: str
    text: str
    options: list[str] = Field(default_factory=list)


class QuestionAnswered(StepEvent):
    """The user answered."""

    type: Literal["question.answered"] = "question.answered"
    question: str
    answer: str


# --- pool, context, budget, workspace ------------------------------------------------------------


class PoolEntry(Part):
    """A tool of the registry and whether this session offers it, with the reason."""

    name: str
    offered: bool
    reason: str


class PoolAssembled(EventBase):
    """The tools that this agent offers the model."""

    type: Literal["pool.assembled"] = "pool.assembled"
    in_timeline: ClassVar[bool] = True
    agent_type: str
    entries: list[PoolEntry]


class ContextSource(Part):
    """Something that is in the model's window: its kind, where it is from, its size in tokens (estimated).

    `imported_by` is the memory file that brought a memory file along.
    """

    kind: Literal["system", "memory", "tools", "file"]
    name: str
    tokens: int
    sha256: str = ""
    imported_by: str = ""


class ContextLoaded(EventBase):
    """The fixed head of the agent's requests: system prompt and tools, exactly as sent from here on.

    `facts` are the session's facts that the head states, by name, each as the sentence that the model reads.
    `reason` says why it replaces an earlier head of the same history; empty for the first one. Thinking and
    server-made summaries in the messages before it are bound to the earlier head and are sent no more.
    """

    type: Literal["context.loaded"] = "context.loaded"
    in_timeline: ClassVar[bool] = True
    system: list[JsonObject]
    tools: list[JsonObject]
    sources: list[ContextSource]
    facts: dict[str, str] = Field(default_factory=dict)
    reason: str = ""


class BackgroundEnded(EventBase):
    """A command that ran in the background ended; `step` is the one that started it, `summary` says how it ended."""

    type: Literal["background.ended"] = "background.ended"
    in_timeline: ClassVar[bool] = True
    step: str
    title: str = ""
    summary: str = ""
    exit_code: int | None = None


class ContextNoted(EventBase):
    """What the program tells the model on its own account; it goes with the next message, exactly as `text`.

    `facts` are the session's facts that it states, by name: the mode, the sandbox, whether the user is there.
    """

    type: Literal["context.noted"] = "context.noted"
    in_timeline: ClassVar[bool] = True
    text: str
    facts: dict[str, str] = Field(default_factory=dict)


class ReceiptLine(Part):
    """One thing that was in the model's window: what kind, its first words, and its event in the journal."""

    kind: str
    text: str
    seq: int = 0


class Receipt(Part):
    """What a compaction kept word for word and what only the journal still holds.

    `until` is the last event summarised. `unresolved` are steps and questions that are open, and calls that
    failed and were not repeated with success. `doubts` are claims of the summary that the journal does not
    bear out.
    """

    until: int
    kept: list[ReceiptLine]
    dropped: list[ReceiptLine]
    unresolved: list[str] = Field(default_factory=list)
    doubts: list[str] = Field(default_factory=list)
    tokens_before: int
    tokens_after: int


class ContextCompacted(EventBase):
    """The transcript was replaced by a summary for the model; the journal keeps all of it.

    `messages` are all that the new history begins with. `reason` says why it was done, `author` who wrote the
    summary: the model, the server's own compaction, or the journal where neither could. `files` are the files
    that the agent knows, though their content is no longer in the window.
    """

    type: Literal["context.compacted"] = "context.compacted"
    in_conversation: ClassVar[bool] = True
    in_timeline: ClassVar[bool] = True
    messages: list[JsonObject]
    summary: str
    receipt: Receipt
    trigger: Literal["manual", "automatic"] = "manual"
    reason: str = ""
    author: Literal["model", "server", "journal"] = "model"
    files: list[FileState] = Field(default_factory=list)
    turn: str = ""
    usage: Usage = Usage()
    cost: float | None = None


class BlockReplaced(Part):
    """A block of the message history that was replaced by a note, by position.

    `inner` is the position within a tool result, None for the block itself. With `kind` `content` the note takes the
    place of a tool result's whole content. An empty `note` takes the block out.
    """

    message: int
    block: int
    inner: int | None = None
    kind: Literal["block", "content"] = "block"
    note: str


class ContextRepaired(EventBase):
    """Blocks that the server refuses were taken out of the history for the model; the journal keeps them.

    `reason` is what the server said.
    """

    type: Literal["context.repaired"] = "context.repaired"
    in_conversation: ClassVar[bool] = True
    in_timeline: ClassVar[bool] = True
    reason: str
    replaced: list[BlockReplaced]

    @property
    def words(self) -> str:
        """What was done, in a sentence for the user."""
        number = len(self.replaced)
        what = "1 block" if number == 1 else f"{number} blocks"
        return f"The server refused the request, so {what} of the conversation gave way to a note: {self.reason}"


class ContextPutBack(EventBase):
    """The user put something that a compaction had dropped back; it goes with the next message to the model."""

    type: Literal["context.put_back"] = "context.put_back"
    in_conversation: ClassVar[bool] = True
    in_timeline: ClassVar[bool] = True
    source: int
    title: str
    content: list[JsonObject]


class ContextStale(EventBase):
    """Files changed on disk since the model saw them; it is told with its next message, once a change."""

    type: Literal["context.stale"] = "context.stale"
    in_timeline: ClassVar[bool] = True
    files: list[FileState]


Scope = Literal["run", "session", "day"]
"""What a limit bounds: one run with its subagents, one session, or a day (UTC) of all sessions."""


class BudgetWarned(EventBase):
    """A limit is near: `fraction` of it is reached. Told once for each limit and fraction."""

    type: Literal["budget.warned"] = "budget.warned"
    in_conversation: ClassVar[bool] = True
    in_timeline: ClassVar[bool] = True
    limit: str
    used: float
    maximum: float
    scope: Scope = "run"
    fraction: float = 0.0


class BudgetStopped(EventBase):
    """The run stops before a turn that a limit does not allow. `hint` says what the user can do.

    `limit` is the kind of amount; `projected` is what the turn needs at least, `left` what the limit of
    `maximum` leaves beside what is `used` and `reserved` for requests under way. `reason` `unknown_price`: a
    limit on cost is set and the model's price is not known. `answer_cut`: the limit left an answer so little room
    that it was cut; then `projected` is the output tokens it had.
    """

    type: Literal["budget.stopped"] = "budget.stopped"
    in_conversation: ClassVar[bool] = True
    in_timeline: ClassVar[bool] = True
    limit: str
    used: float
    projected: float
    maximum: float
    hint: str
    scope: Scope = "run"
    reserved: float = 0.0
    left: float = 0.0
    reason: Literal["limit", "unknown_price", "answer_cut"] = "limit"


class BudgetBooked(TurnEvent):
    """A request that is no turn ended without a result, or was cut off by a crash: what it cost, estimated."""

    type: Literal["budget.booked"] = "budget.booked"
    in_timeline: ClassVar[bool] = True
    usage: Usage = Usage()
    cost: float | None = 0.0
    reason: str = ""


class BudgetClocked(EventBase):
    """Wall-clock time of the run was booked: the `seconds` since the booking before, on the UTC date `day`."""

    type: Literal["budget.clocked"] = "budget.clocked"
    seconds: float
    day: str


class WorkspaceChanged(EventBase):
    """A file changed under the agent's hands; `step` is empty when it was not the agent's doing."""

    type: Literal["workspace.changed"] = "workspace.changed"
    step: str = ""
    before: FileState
    after: FileState


class TodoItem(Part):
    """One line of the agent's todo list."""

    text: str
    state: Literal["pending", "active", "done"] = "pending"


class TodoChanged(StepEvent):
    """The agent's todo list, whole."""

    type: Literal["todo.changed"] = "todo.changed"
    items: list[TodoItem]


# --- crash, notice -------------------------------------------------------------------------------


class Crash(EventBase):
    """An earlier boot of this session ended without saying so, or the program failed.

    `boot` is the number of that boot, `last_seq` the last event it committed.
    """

    type: Literal["crash"] = "crash"
    in_conversation: ClassVar[bool] = True
    in_timeline: ClassVar[bool] = True
    boot: int
    reason: str
    last_seq: int
    traceback: str = ""


class Notice(EventBase):
    """Something the user should know. `code` is stable and for programs, `message` for people."""

    type: Literal["notice"] = "notice"
    in_conversation: ClassVar[bool] = True
    in_timeline: ClassVar[bool] = True
    level: Literal["info", "warning", "error"]
    code: str
    message: str
