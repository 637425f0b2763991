"""The items of the conversation and the entries of the timeline: what the two long panes show.

Each is folded from the events of one position in its pane. The journal numbers the positions when it
commits, so that a pane can page any part of a long session without reading the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from tui_agent.budget.limits import limits_text, stop_text, warning_text
from tui_agent.context.stops import AnswerStop
from tui_agent.events import (
    BudgetBooked,
    BudgetStopped,
    BudgetWarned,
    ContextCompacted,
    ContextLoaded,
    ContextNoted,
    ContextPutBack,
    ContextRepaired,
    ContextStale,
    Crash,
    Event,
    JsonObject,
    MentionRead,
    Notice,
    PermissionDecided,
    PermissionRequested,
    PoolAssembled,
    PromptAccepted,
    PromptQueued,
    PromptWithdrawn,
    QuestionAnswered,
    QuestionAsked,
    Receipt,
    RunFinished,
    RunOutcome,
    RunStarted,
    SandboxProbed,
    SessionConfigured,
    StepEdited,
    StepFinished,
    StepOutput,
    StepPlanned,
    StepRecovered,
    StepResolved,
    StepStarted,
    TodoChanged,
    TodoItem,
    TurnDelta,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from tui_agent.events.base import EventBase

StepState = Literal["planned", "waiting", "running", "uncertain", "ok", "error", "denied", "cancelled", "skipped"]


@dataclass(frozen=True, slots=True)
class PromptItem:
    """What the user typed, and what became of its @-mentions. Queued prompts wait for the agent's next turn."""

    time: float
    text: str
    state: Literal["sent", "queued", "withdrawn"] = "sent"
    id: str = ""
    mentions: tuple[MentionRead, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerBlock:
    """A block of the answer. `tool_input` blocks are the tool calls being written: shown while they stream."""

    kind: Literal["text", "thinking", "tool_input"]
    text: str
    tool: str = ""


@dataclass(frozen=True, slots=True)
class AnswerItem:
    """The model's response of one turn; while it streams, `blocks` only ever grow at their end.

    `note` says what went wrong (a failed attempt, an interruption, a refusal), empty otherwise.
    """

    time: float
    turn: str
    blocks: tuple[AnswerBlock, ...] = ()
    state: Literal["waiting", "streaming", "finished", "retrying", "interrupted", "failed"] = "waiting"
    note: str = ""


@dataclass(frozen=True, slots=True)
class StepItem:
    """One tool call.

    `view` is its output, `diff` the unified diff of what it changed, `evidence` what recovery found. `preview` is
    what the permission request showed of the call before it ran: a unified diff or other plain text, empty for a
    call that was never asked about.
    """

    time: float
    step: str
    tool: str
    title: str
    state: StepState
    input: JsonObject
    summary: str = ""
    view: str = ""
    diff: str = ""
    preview: str = ""
    evidence: str = ""
    question: str = ""
    answer: str = ""
    todo: tuple[TodoItem, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RunEndItem:
    """The end of a run.

    `told` says that the item before already says `reason`; `hint` is what the user can do. `estimated` says that a
    part of tokens and cost is not the server's figure. Of the `seconds` it `waited` that many for the user.
    """

    time: float
    outcome: RunOutcome
    reason: str
    turns: int
    seconds: float
    tokens: int
    cost: float | None
    simulated: bool = False
    hint: str = ""
    told: bool = False
    estimated: bool = False
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class CompactionItem:
    """The transcript was compacted for the model."""

    time: float
    summary: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class NoticeItem:
    """A notice, a crash, a limit, or an event of an unknown type."""

    time: float
    level: Literal["info", "warning", "error"]
    message: str


Item = PromptItem | AnswerItem | StepItem | RunEndItem | CompactionItem | NoticeItem

MOST_BLOCKS = 1_000
"""Blocks of one answer that are shown while it streams; real answers have a few, a broken server any number."""

STREAMED_OUTPUT_LIMIT = 20_000
"""Characters of a running command's output that an item keeps, from the end; the spool file has all."""


def fold_item(item: Item | None, event: EventBase) -> Item:
    """Return the item after `event`, which is of the item's position. Pure. `None` begins one."""
    match event, item:
        case RunStarted(), _:
            return PromptItem(event.time, event.prompt, "sent", event.run, tuple(event.mentions))
        case PromptQueued(), _:
            return PromptItem(event.time, event.prompt, "queued", event.prompt_id, tuple(event.mentions))
        case PromptAccepted(), PromptItem():
            return replace(item, state="sent")
        case PromptWithdrawn(), PromptItem():
            return replace(item, state="withdrawn")
        case TurnStarted(), _:
            return AnswerItem(event.time, event.turn)
        case TurnDelta(), AnswerItem():
            return replace(item, blocks=_grown(item.blocks, event), state="streaming")
        case TurnFinished(), _:
            return AnswerItem(
                item.time if isinstance(item, AnswerItem) else event.time,
                event.turn,
                answer_blocks(event.content),
                "finished",
                AnswerStop(event.stop_reason, event.stop_detail, event.max_tokens, event.clamped_by).note,
            )
        case TurnFailed(), _:
            state: Literal["retrying", "interrupted", "failed"] = "failed"
            if event.retry_seconds is not None:
                state = "retrying"
            elif event.kind in {"interrupted", "crash", "closed"}:
                state = "interrupted"
            time = item.time if isinstance(item, AnswerItem) else event.time
            return AnswerItem(time, event.turn, answer_blocks(event.partial), state, event.message)
        case StepPlanned(), _:
            return StepItem(event.time, event.step, event.tool, event.title, "planned", event.input)
        case RunFinished(), _:
            return RunEndItem(
                event.time,
                event.outcome,
                event.reason,
                event.turns,
                event.seconds,
                event.usage.total_tokens,
                event.cost,
                event.usage.simulated,
                event.hint,
                event.told,
                event.usage.estimated,
                event.waited,
            )
        case ContextCompacted(), _:
            return CompactionItem(event.time, event.summary, event.receipt)
        case ContextRepaired(), _:
            return NoticeItem(event.time, "warning", event.words)
        case ContextPutBack(), _:
            return NoticeItem(event.time, "info", f"Put back for the model, from event {event.source}: {event.title}")
        case _, StepItem():
            return _fold_step(item, event)
        case Notice(), _:
            return NoticeItem(event.time, event.level, event.message)
        case Crash(), _:
            return NoticeItem(event.time, "warning", event.reason)
        case BudgetStopped(), _:
            return NoticeItem(event.time, "error", stop_text(event))
        case BudgetWarned(), _:
            return NoticeItem(event.time, "warning", warning_text(event))
    return item if item is not None else NoticeItem(event.time, "info", f"{event.type} {event.model_dump_json()}")


def _fold_step(item: StepItem, event: EventBase) -> StepItem:
    match event:
        case PermissionRequested():
            return replace(item, state="waiting", preview=event.preview)
        case StepEdited():
            return replace(item, state="planned", input=event.input, title=event.title, preview="")
        case PermissionDecided():
            if event.verdict == "deny":
                reason = event.comment or event.reason
                return replace(item, state="denied", summary=reason or item.summary)
            return replace(item, state="planned")
        case StepStarted():
            return replace(item, state="running", time=item.time)
        case StepOutput():
            return replace(item, view=(item.view + event.text)[-STREAMED_OUTPUT_LIMIT:])
        case StepFinished():
            return replace(
                item,
                state=event.outcome,
                summary=event.summary or item.summary,
                view=event.view,
                diff=event.diff,
                seconds=event.seconds,
            )
        case StepRecovered():
            if event.finding == "uncertain":
                return replace(item, state="uncertain", evidence=event.evidence)
            return replace(item, view="", evidence=event.evidence)  # its output comes again from the beginning
        case StepResolved():
            return replace(item, state="running", view="") if event.resolution == "run_again" else item
        case QuestionAsked():
            return replace(item, question=event.text)
        case QuestionAnswered():
            return replace(item, answer=event.answer)
        case TodoChanged():
            return replace(item, todo=tuple(event.items))
    return item


def _grown(blocks: tuple[AnswerBlock, ...], delta: TurnDelta) -> tuple[AnswerBlock, ...]:
    if delta.block >= MOST_BLOCKS:
        return blocks
    if delta.block < len(blocks):
        last = blocks[delta.block]
        grown = replace(last, text=last.text + delta.text)
        return (*blocks[: delta.block], grown, *blocks[delta.block + 1 :])
    padding = tuple(AnswerBlock("text", "") for _ in range(delta.block - len(blocks)))
    return (*blocks, *padding, AnswerBlock(delta.kind, delta.text, delta.tool))


def answer_blocks(content: Iterable[JsonObject]) -> tuple[AnswerBlock, ...]:
    """Return what a user sees of API content blocks; tool calls are items of their own."""
    blocks = []
    for block in content:
        match block.get("type"):
            case "text":
                blocks.append(AnswerBlock("text", str(block.get("text", ""))))
            case "thinking":
                blocks.append(AnswerBlock("thinking", str(block.get("thinking", ""))))
            case "redacted_thinking":
                blocks.append(AnswerBlock("thinking", "(redacted)"))
    return tuple(blocks)


EntryState = Literal["running", "waiting", "ok", "error", "info", "warning"]


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of the timeline. `seconds` is the duration, 0 while unknown; `agent` is empty for the main one.

    `started` is when what runs began to run, in seconds since the epoch: what waits for the user first has a later
    one than `time`.
    """

    time: float
    state: EntryState
    name: str
    detail: str
    seconds: float = 0.0
    agent: str = ""
    subject: str = ""
    started: float = 0.0


def fold_entry(entry: TimelineEntry | None, event: EventBase) -> TimelineEntry:
    """Return the timeline entry after `event`, which is of the entry's position. Pure. `None` begins one."""
    agent = "" if event.agent == "main" else event.agent
    time = entry.time if entry else event.time
    base = entry or TimelineEntry(time, "info", event.type, "", agent=agent, subject=event.subject)
    match event:
        case TurnStarted():
            detail = event.model if event.attempt == 1 else f"{event.model} · attempt {event.attempt}"
            return replace(base, state="running", name=f"turn {event.number}", detail=detail, started=event.time)
        case TurnFinished():
            usage = event.usage
            about = "≈ " if usage.estimated else ""
            detail = (
                f"{about}{usage.prompt_tokens:,} in ({usage.cache_read_tokens:,} cached), {usage.output_tokens:,} out"
            )
            if event.cache_miss_reason:
                detail += f" · cache miss: {event.cache_miss_reason}"
            return replace(base, state="ok", detail=detail, seconds=event.seconds)
        case TurnFailed():
            retry = f" · again in {event.retry_seconds:.1f} s" if event.retry_seconds is not None else ""
            state: EntryState = "warning" if event.retry_seconds is not None else "error"
            return replace(base, state=state, detail=f"{event.kind}: {event.message}{retry}")
        case StepPlanned():
            return replace(base, state="waiting", name=event.tool, detail=event.title)
        case StepEdited():
            return replace(base, detail=event.title)
        case PermissionDecided() if event.verdict == "deny":
            return replace(base, state="error", detail=f"{base.detail} · denied")
        case StepStarted():
            return replace(base, state="running", started=event.time)
        case StepFinished():
            state = "ok" if event.outcome == "ok" else "error"
            return replace(base, state=state, seconds=event.seconds)
        case StepRecovered():
            state = "warning" if event.finding == "uncertain" else base.state
            return replace(base, state=state, detail=f"{base.detail} · {event.finding} after a crash")
        case RunFinished():
            state = "ok" if event.outcome == "completed" else "warning"
            detail = event.outcome.replace("_", " ") + (f": {event.reason}" if event.reason else "")
            return replace(base, state=state, name="run", detail=detail, seconds=event.seconds - event.waited)
        case Notice():
            levels: dict[str, EntryState] = {"info": "info", "warning": "warning", "error": "error"}
            return replace(base, state=levels[event.level], name=event.code, detail=event.message)
        case Crash():
            return replace(base, state="error", name="crash", detail=event.reason)
        case PoolAssembled():
            offered = sum(e.offered for e in event.entries)
            detail = f"{offered} of {len(event.entries)} tools for {event.agent_type}"
            return replace(base, name="pool", detail=detail)
        case ContextLoaded():
            detail = f"{sum(s.tokens for s in event.sources):,} tokens from {len(event.sources)} sources"
            if event.reason:
                detail += f" · {event.reason}"
            return replace(base, name="context", detail=detail)
        case ContextNoted():
            told = ", ".join(event.facts) or " ".join(event.text.split())
            return replace(base, name="told", detail=f"the model was told: {told}")
        case ContextCompacted():
            receipt = event.receipt
            detail = f"{receipt.tokens_before:,} → {receipt.tokens_after:,} tokens"
            if event.reason:
                detail += f" · {event.reason}"
            return replace(base, state="ok", name="compact", detail=detail)
        case ContextRepaired():
            return replace(base, state="warning", name="repair", detail=event.words)
        case ContextPutBack():
            return replace(base, name="put back", detail=f"event {event.source}: {event.title}")
        case ContextStale():
            return replace(base, state="warning", name="changed", detail=", ".join(f.path for f in event.files))
        case SandboxProbed():
            held = event.kind != "none" and not event.reduced
            return replace(base, state=base.state if held else "warning", name="sandbox", detail=event.detail)
        case SessionConfigured():
            changes = event.model_dump(
                include={"workspace", "title", "model", "mode", "effort", "max_turns"}, exclude_none=True
            )
            changes |= {f"limits ({name})": limits_text(layer) for name, layer in event.limits.items() if layer}
            changes |= {f"folders ({name})": " ".join(paths) or "none" for name, paths in event.folders.items()}
            return replace(base, name="config", detail=", ".join(f"{k} {v}" for k, v in changes.items()))
        case BudgetStopped() | BudgetWarned():
            detail = stop_text(event) if isinstance(event, BudgetStopped) else warning_text(event)
            return replace(base, state="warning", name="budget", detail=detail)
        case BudgetBooked():
            return replace(base, state="warning", name="budget", detail=f"booked, estimated: {event.reason}")
    return base


def fold_items(events: Iterable[tuple[int, Event]]) -> dict[int, Item]:
    """Fold events, each with its position, oldest first, into items by position."""
    items: dict[int, Item] = {}
    for position, event in events:
        items[position] = fold_item(items.get(position), event)
    return items


def fold_entries(events: Iterable[tuple[int, Event]]) -> dict[int, TimelineEntry]:
    """Fold events, each with its position, oldest first, into timeline entries by position."""
    entries: dict[int, TimelineEntry] = {}
    for position, event in events:
        entries[position] = fold_entry(entries.get(position), event)
    return entries
