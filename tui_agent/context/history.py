"""The message history that the model sees, folded from one agent's events. It only ever grows at its end.

System prompt, tools and earlier messages are never rewritten between requests: the server's prompt cache and
the signatures of thinking blocks both bind to what came before. A compaction begins a new history.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

from tui_agent.context.mending import SALVAGED, lost_result, mended
from tui_agent.context.repair import replace_blocks
from tui_agent.context.stops import AnswerStop
from tui_agent.events import (
    ContextCompacted,
    ContextLoaded,
    ContextNoted,
    ContextPutBack,
    ContextRepaired,
    ContextStale,
    EventBase,
    FileState,
    JsonObject,
    Notice,
    PoolAssembled,
    PoolEntry,
    PromptAccepted,
    PromptQueued,
    RunFinished,
    RunStarted,
    StepFinished,
    StepPlanned,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from tui_agent.text import well_formed

CONTINUE_AFTER_CRASH = (
    "[The program stopped while you were writing. What had arrived is above. Continue from where it broke off.]"
)
CONTINUE_AFTER_CUT = "[The connection broke while you were writing. What had arrived is above. Continue from there.]"
INTERRUPTED = "[The user interrupted you here.]"
"""What the model reads after an interruption: `note` of the event that ends the turn or the run."""

_INTERRUPTED_0_1_0 = "[The person interrupted you here.]"
"""What it reads where the event has no note: version 0.1.0 wrote none, and what it sent is not rewritten."""
LEFT_OUT = "[What came before is left out here, because it does not fit.]"


BYTES_PER_TOKEN = 4
"""A rough ratio for English and code, for sizes that no server has counted."""

MEDIA_TOKENS = 1_500
"""What an image or a document counts, about what the API bills for a full-size image; its bytes say nothing."""


SHORT_CACHE_SECONDS = 300.0
LONG_CACHE_SECONDS = 3_600.0
"""How long the API keeps a prefix, from its last use: the two kinds (documentation of prompt caching)."""


def encode(value: object) -> bytes:
    """Return compact JSON, the same bytes for the same value; U+FFFD for what is not UTF-8 in a file's name."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return well_formed(text).encode()


@dataclass(slots=True)
class Message:
    """One message: its role and its blocks, each as the JSON bytes that are sent."""

    role: str
    blocks: list[bytes] = field(default_factory=list)

    def open_json(self) -> bytes:
        """Return the message without its closing brackets, so that more blocks can follow."""
        return b'{"role":"' + self.role.encode() + b'","content":[' + b",".join(self.blocks)


@dataclass(frozen=True, slots=True)
class LastTurn:
    """The turn before: what the next one may expect of the server's cache. `time` in seconds since the epoch.

    `cached_tokens` is how much of its prompt the server read from or wrote to its cache, `cache_life` how many
    seconds it keeps that; `compacted` says that the history began anew since, `repaired` that blocks of it were
    replaced.
    `seq` is the event that ended the turn.
    """

    time: float
    model: str
    message_id: str
    cached_tokens: int
    compacted: bool = False
    repaired: bool = False
    cache_life: float = SHORT_CACHE_SECONDS
    seq: int = 0


class Beginning:
    """The part of a history that can change no more, as it is sent, with its hash: it grows and is never made anew.

    Making and hashing all of it for each request would make every turn dearer than the one before.
    """

    def __init__(self, head: bytes) -> None:
        self.count = 0
        self._text = bytearray(head)
        self._hash = hashlib.sha256(head)

    def extend(self, messages: Sequence[bytes]) -> None:
        """Add messages that are whole."""
        more = self._joined(messages)
        self._text += more
        self._hash.update(more)
        self.count += len(messages)

    def followed_by(self, messages: Sequence[bytes]) -> tuple[bytes, str]:
        """Return the text with `messages` after it, and the SHA-256 of that."""
        more = self._joined(messages)
        digest = self._hash.copy()
        digest.update(more)
        return b"".join((self._text, more)), digest.hexdigest()

    def _joined(self, messages: Sequence[bytes]) -> bytes:
        return (b"," if self.count and messages else b"") + b",".join(messages)


class History:
    """An agent's message history, with `system` and `tools` exactly as they are sent.

    `apply` takes the agent's events in order; `needs_turn` says when a request is due. `file_hashes` are the
    files the agent knows, by path; `told_hashes` those it was told to have changed; `memory_loaded` the memory
    files it has met; `sent_prefix` the last request as far as the next must repeat it. `prompts` are the
    user's prompts as (message, seq); `seqs` is the event that began each message; `turns` counts the answers
    since the history began. `stop` is how the last answer ended, `call_ids` are those of all tool calls. `pool` is
    the agent's recorded pool, by tool, empty before it is recorded; `facts` are the session's facts that the model
    has been told, by name. `block_types` are the types of the answers' blocks that are in it: some of them
    need a beta header on every request.
    """

    def __init__(self) -> None:
        self.system: list[JsonObject] = []
        self.tools: list[JsonObject] = []
        self.file_hashes: dict[str, str] = {}
        self.told_hashes: dict[str, str | None] = {}
        self.memory_loaded: set[str] = set()
        self.pool: dict[str, PoolEntry] = {}
        self.facts: dict[str, str] = {}
        self._head_facts: dict[str, str] = {}
        self._head_memory: set[str] = set()
        self.prompts: list[tuple[int, int]] = []
        self.seqs: list[int] = []
        self.block_types: set[str] = set()
        self._seq = 0
        self.turns = 0
        self.last_turn: LastTurn | None = None
        self._known_tokens = 0
        self._new_tokens = 0
        self._held: list[tuple[int, bytes]] = []
        self._sealed: list[bytes] = []
        self._beginning: Beginning | None = None
        self._last: Message | None = None
        self._calls: list[str] = []
        self._call_of_step: dict[str, str] = {}
        self._results: dict[str, bytes] = {}
        self._last_results = False
        self._queued: dict[str, PromptQueued] = {}
        self._accepted: list[bytes] = []
        self._note = ""
        self._continue = ""
        self._paused = False
        self._unanswered = False
        self._declined = False
        self.stop = AnswerStop()
        self.call_ids: set[str] = set()
        self.last_text = ""
        self.sent_prefix = b""

    @property
    def needs_turn(self) -> bool:
        """True when it is the model's turn to speak: the user, a tool, or a broken answer waits for it.

        An answer that the model declined is not asked for again before the user says something.
        """
        waits = self._unanswered or self._paused or bool(self._continue)
        return waits and not self._calls and not self._declined

    @property
    def settled(self) -> bool:
        """True when the last answer asked for no tool: the next request does not go on with one."""
        return not self._calls and not self._last_results

    @property
    def seq(self) -> int:
        """The last event that was taken."""
        return self._seq

    @property
    def message_count(self) -> int:
        """How many messages there are."""
        return len(self._sealed) + (self._last is not None)

    def apply(self, event: EventBase) -> None:
        """Take one event of this agent."""
        self._seq = event.seq or 0
        match event:
            case PoolAssembled():
                self.pool = {entry.name: entry for entry in event.entries}
            case ContextLoaded():
                if self.system:
                    self._begin_under_new_head(event)
                self.system, self.tools = list(event.system), list(event.tools)
                self._beginning = None
                self._new_tokens += self.head_tokens
                self._head_facts = dict(event.facts)
                self.facts = dict(event.facts)
                memory = {source.name: source.sha256 for source in event.sources if source.kind == "memory"}
                self.file_hashes |= memory
                self._head_memory = set(memory)
                self.memory_loaded |= self._head_memory
            case RunStarted():
                self._declined = False
                self._close_lost_calls()
                self._know(event.files)
                self.memory_loaded.update(event.memory)
                self._add("user", event.content or [{"type": "text", "text": event.prompt}])
                self._mark_prompt(event.seq)
            case PromptQueued():
                self._queued[event.prompt_id] = event
            case PromptAccepted():
                self._accept(event.prompt_id)
            case ContextPutBack():
                self._hold(event.content)
            case ContextNoted():
                self.facts |= event.facts
                self._hold([{"type": "text", "text": event.text}])
            case ContextStale():
                self.told_hashes |= {file.path: file.sha256 for file in event.files}
                self._hold([{"type": "text", "text": stale_note(event.files)}])
            case TurnStarted():
                self._close_lost_calls()
                self.prepare(event.until)
            case TurnFinished():
                self._close_lost_calls()
                self._paused = event.stop_reason == "pause_turn"
                self._unanswered = False
                self._declined = event.stop_reason == "refusal"
                self.stop = AnswerStop(event.stop_reason, event.stop_detail, event.max_tokens, event.clamped_by)
                self._answer(event.content)
                self._count(event)
            case TurnFailed() if event.retry_seconds is None:
                self._partial(event)
            case RunFinished() if event.outcome == "interrupted":
                self._note = event.note or _INTERRUPTED_0_1_0
            case StepPlanned():
                self._call_of_step[event.step] = event.call_id
            case StepFinished():
                self._result(event)
            case ContextCompacted():
                self._restart(event)
            case ContextRepaired():
                self._repair(event)
            case Notice() if event.code == SALVAGED:
                self._mend()

    @property
    def head_tokens(self) -> int:
        """Tokens of system prompt and tools, estimated."""
        return tokens_of(encode(self.system)) + tokens_of(encode(self.tools))

    @property
    def window_tokens(self) -> int:
        """Tokens of system prompt, tools and messages: as the last response counted them, the rest estimated."""
        return self._known_tokens + self._new_tokens

    def prepare(self, until: int = 0) -> None:
        """Make the last message the user's, with all that waits to go with it.

        After a broken answer it asks for the rest. `until` is the last event that the request knows, 0 for all:
        what came while the request was counted and reserved goes with the next one.
        """
        if self._last is not None and self._last.role == "assistant" and not self._paused:
            self._add("user", [{"type": "text", "text": self._continue or "Continue."}])
        self._continue = ""
        if self._last is not None and self._last.role == "user":
            ready = [block for seq, block in self._held if not until or seq <= until]
            self._held = [(seq, block) for seq, block in self._held if until and seq > until]
            self._add_encoded("user", ready)

    def messages_json(self) -> bytes:
        """Return the messages as JSON, without the brackets that close the last message and the list."""
        open_messages = [*self._sealed, self._last.open_json()] if self._last else self._sealed
        return b"[" + b",".join(open_messages)

    def prefix(self) -> tuple[bytes, str]:
        """Return what a request says and every later one must repeat, and its SHA-256: system, tools, messages."""
        beginning = self._beginning or Beginning(self._head_json())
        messages = self._sealed[beginning.count :] + ([self._last.open_json()] if self._last else [])
        return beginning.followed_by(messages)

    def _head_json(self) -> bytes:
        head = b'"system":' + encode(self.system)
        if self.tools:
            head += b',"tools":' + encode(self.tools)
        return head + b',"messages":['

    def _up_to_date(self) -> Beginning:
        """Return the beginning with every message that can change no more."""
        beginning = self._beginning or Beginning(self._head_json())
        beginning.extend(self._sealed[beginning.count :])
        return beginning

    def trial(self) -> History:
        """Return a copy to build a request from before it is known that it will be sent."""
        self._beginning = self._up_to_date()
        trial = copy(self)
        trial._sealed, trial._held, trial._accepted = list(self._sealed), list(self._held), list(self._accepted)
        trial._last = Message(self._last.role, list(self._last.blocks)) if self._last else None
        trial.seqs, trial.prompts, trial.block_types = list(self.seqs), list(self.prompts), set(self.block_types)
        return trial

    def with_prompt(self, text: str) -> History:
        """Return a history that says one thing more, for a request that leaves no trace in this one."""
        trial = self.trial()
        trial._note = ""
        trial._add("user", [{"type": "text", "text": text}])
        return trial

    def messages(self) -> list[JsonObject]:
        """Return the messages as the API takes them."""
        messages: list[JsonObject] = json.loads(self.messages_json() + b"]}]") if self._last else []
        return messages

    def pending_blocks(self) -> list[JsonObject]:
        """Return what waits to go with the next message of the user: put back, noted."""
        note: list[JsonObject] = [{"type": "text", "text": self._note}] if self._note else []
        return note + [json.loads(block) for _, block in self._held]

    def queued(self, prompts: Collection[str]) -> list[PromptQueued]:
        """Return those of the prompts with these ids that wait to become part of the history, in order."""
        return [event for prompt_id, event in self._queued.items() if prompt_id in prompts]

    def until(self, message: int, since: int = 0) -> History:
        """Return a history of the messages from `since` on and before `message`, for a request that leaves no trace
        in this one."""
        if message >= self.message_count and not since:
            return self
        whole = [*self._sealed, self._last.open_json() + b"]}"] if self._last else self._sealed
        part = whole[since:message]
        trial = History()
        trial.system, trial.tools, trial.block_types = self.system, self.tools, set(self.block_types)
        if since and part[0].startswith(b'{"role":"assistant"'):
            left_out = Message("user", [encode({"type": "text", "text": LEFT_OUT})])
            part.insert(0, left_out.open_json() + b"]}")
        trial._sealed = part[:-1]
        last = json.loads(part[-1])
        trial._last = Message(last["role"], _encoded(last))
        return trial

    def _accept(self, prompt_id: str) -> None:
        queued = self._queued.pop(prompt_id, None)
        if queued is None:
            return
        self._declined = False
        self._know(queued.files)
        self.memory_loaded.update(queued.memory)
        content = queued.content or [{"type": "text", "text": queued.prompt}]
        blocks = [encode(block) for block in content]
        if self._calls:
            self._accepted += blocks
        else:
            self._add_encoded("user", blocks)
        self._mark_prompt(queued.seq)

    def _mark_prompt(self, seq: int | None) -> None:
        self.prompts.append((self.message_count - (not self._calls), seq or 0))

    def _know(self, files: Iterable[FileState]) -> None:
        for state in files:
            self.told_hashes.pop(state.path, None)
            if state.sha256 is None:
                self.file_hashes.pop(state.path, None)
            else:
                self.file_hashes[state.path] = state.sha256

    def _hold(self, blocks: Iterable[JsonObject]) -> None:
        """Keep for the next request, which is being counted perhaps: what is counted is what is sent."""
        self._held += [(self._seq, encode(block)) for block in blocks]

    def _count(self, event: TurnFinished) -> None:
        usage = event.usage
        self.turns += 1
        if usage.prompt_tokens and not usage.estimated:
            self._known_tokens, self._new_tokens = usage.last.total_tokens, 0
        last = usage.last
        cached = last.cache_read_tokens + last.cache_write_tokens + last.cache_write_1h_tokens
        life = LONG_CACHE_SECONDS if last.cache_write_1h_tokens else SHORT_CACHE_SECONDS
        self.last_turn = LastTurn(
            event.time, event.model, event.message_id, cached, cache_life=life, seq=event.seq or 0
        )

    def _add(self, role: str, blocks: Iterable[JsonObject]) -> None:
        self._add_encoded(role, [encode(block) for block in blocks])

    def _add_encoded(self, role: str, blocks: list[bytes]) -> None:
        if not blocks:
            return
        self._unanswered = role == "user"
        if self._note and role == "user":
            blocks = [encode({"type": "text", "text": self._note}), *blocks]
            self._note = ""
        self._new_tokens += sum(map(tokens_of, blocks))
        if self._last is not None and self._last.role == role:
            self._last.blocks += blocks
            return
        if self._last is not None:
            self._sealed.append(self._last.open_json() + b"]}")
        self._last = Message(role, list(blocks))
        self.seqs.append(self._seq)

    def _answer(self, content: list[JsonObject]) -> None:
        # The API refuses blank text in a request, though some servers send it.
        self._add("assistant", (block for block in content if not _blank(block)))
        self.block_types.update(str(block.get("type")) for block in content)
        self.last_text = "\n\n".join(str(b["text"]) for b in content if b.get("type") == "text")
        self._calls = [str(block["id"]) for block in content if block.get("type") == "tool_use"]
        self.call_ids.update(self._calls)
        self._results = {}
        self._last_results = bool(self._calls)

    def _partial(self, event: TurnFailed) -> None:
        """Keep the text that had arrived. Its thinking has no signature yet and its tool calls never ran."""
        text: list[JsonObject] = [
            {"type": "text", "text": block["text"]}
            for block in event.partial
            if block.get("type") == "text" and str(block.get("text", "")).strip()
        ]
        self._add("assistant", text)
        if event.kind == "interrupted":
            self._note = event.note or _INTERRUPTED_0_1_0
        else:
            stopped = event.kind in {"crash", "closed"}
            self._continue = CONTINUE_AFTER_CRASH if stopped else CONTINUE_AFTER_CUT

    def _result(self, event: StepFinished) -> None:
        self._know(event.effects)
        self.memory_loaded.update(event.memory)
        call = self._call_of_step.pop(event.step, None)
        if call is None or call not in self._calls:
            return
        block: JsonObject = {"type": "tool_result", "tool_use_id": call, "content": list(event.result)}
        if event.outcome != "ok":
            block["is_error"] = True
        self._results[call] = encode(block)
        self._settle_results()

    def _settle_results(self) -> None:
        """Add the results of the last answer's calls once all are there."""
        if self._calls and len(self._results) == len(self._calls):
            blocks = [self._results[call] for call in self._calls] + self._accepted
            self._calls, self._results, self._accepted = [], {}, []
            self._add_encoded("user", blocks)

    def _begin_under_new_head(self, event: ContextLoaded) -> None:
        """Make the messages ready for another head: what is bound to the earlier one by a signature goes."""
        self._sealed = [_without_signatures(message) for message in self._sealed]
        if self._last is not None:
            last = json.loads(_without_signatures(self._last.open_json() + b"]}"))
            self._last = Message(last["role"], [encode(block) for block in last["content"]])
        self.sent_prefix = b""
        self.last_turn = LastTurn(event.time, "", "", 0, compacted=True)
        self._new_tokens -= self.head_tokens

    def _close_lost_calls(self, planned: Collection[str] = ()) -> None:
        """Give open calls a result that says that theirs is lost, but for those that are `planned`.

        Only damage to the journal leaves a call open when the next run, turn or answer comes.
        """
        for call in self._calls:
            if call not in self._results and call not in planned:
                self._results[call] = encode(lost_result(call))
        self._settle_results()

    def _mend(self) -> None:
        """Make the history valid after events were lost. What was sent before it needs not be repeated."""
        self._close_lost_calls(set(self._call_of_step.values()))
        before = self.messages()
        messages = mended(before)
        if len(messages) > len(before):
            self.seqs.insert(0, self.seqs[0])
            self.prompts = [(message + 1, seq) for message, seq in self.prompts]
        encoded = [Message(str(m["role"]), [encode(block) for block in _content(m)]) for m in messages]
        self._sealed = [message.open_json() + b"]}" for message in encoded[:-1]]
        self._last = encoded[-1] if encoded else None
        self._beginning, self.sent_prefix = None, b""

    def _restart(self, event: ContextCompacted) -> None:
        self._sealed, self._last, self._note, self._continue, self._held = [], None, "", "", []
        self._calls, self._results, self._accepted, self.sent_prefix = [], {}, [], b""
        self.prompts, self.seqs, self.turns, self.memory_loaded = [], [], 0, set(self._head_memory)
        self.block_types = set()
        self._beginning = None
        self.told_hashes = {}
        self._last_results = False
        self.facts = dict(self._head_facts)
        self.file_hashes = {state.path: state.sha256 for state in event.files if state.sha256 is not None}
        self.last_turn = LastTurn(event.time, "", "", 0, compacted=True)
        self._known_tokens = 0
        self._new_tokens = self.head_tokens
        self.call_ids = set()
        for message in event.messages:
            content = message["content"]
            blocks = content if isinstance(content, list) else []
            calls = (block for block in blocks if isinstance(block, dict) and block.get("type") == "tool_use")
            self.call_ids.update(str(block["id"]) for block in calls)
            self.block_types.update(str(block.get("type")) for block in blocks if isinstance(block, dict))
            self._add_encoded(str(message["role"]), [encode(block) for block in blocks])

    def _repair(self, event: ContextRepaired) -> None:
        messages = replace_blocks(self.messages(), event.replaced)
        made = [Message(str(message["role"]), _encoded(message)) for message in messages]
        self._sealed = [message.open_json() + b"]}" for message in made[:-1]]
        self._last = made[-1] if made else None
        self._beginning, self.sent_prefix = None, b""
        self._known_tokens = 0
        self._new_tokens = self.head_tokens + sum(tokens_of(block) for message in made for block in message.blocks)
        self.last_turn = replace(self.last_turn, repaired=True) if self.last_turn else None


def _encoded(message: JsonObject) -> list[bytes]:
    content = message["content"]
    return [encode(block) for block in content] if isinstance(content, list) else []


def _blank(block: JsonObject) -> bool:
    return block.get("type") == "text" and not str(block.get("text", "")).strip()


def _without_signatures(message: bytes) -> bytes:
    """Return a message without thinking, and with a summary that the server signed as plain text of the user's."""
    parsed = json.loads(message)
    before = parsed["content"]
    content = [block for block in before if block.get("type") not in {"thinking", "redacted_thinking", "compaction"}]
    if len(content) == len(before):
        return message
    for block in before:
        if block.get("type") == "compaction":  # it stands alone, and first: a first message is the user's
            parsed["role"] = "user"
            text = f"Summary of the conversation before this:\n\n{block.get('content') or '(none)'}"
            content.append({"type": "text", "text": text})
    parsed["content"] = content or [{"type": "text", "text": "(no answer)"}]
    return encode(parsed)


def _content(message: JsonObject) -> list[JsonObject]:
    content = message["content"]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def tokens_of(block: bytes) -> int:
    """Return the tokens of a block, roughly, from its JSON."""
    media = block.count(b'"type":"base64"')
    return MEDIA_TOKENS * media if media else len(block) // BYTES_PER_TOKEN + 1


def stale_note(files: Iterable[FileState]) -> str:
    """Return what the model is told of files that are not any more as it saw them."""
    lines = [f"- {file.path}" + (" (deleted)" if file.sha256 is None else "") for file in files]
    return (
        "<changed-files>\nThese files changed on disk since you saw them, not by your edits. Read them again "
        "before you rely on them:\n" + "\n".join(lines) + "\n</changed-files>"
    )


def fold_history(events: Sequence[EventBase]) -> tuple[History, bool]:
    """Return the history of one agent's events, and whether it repeats the last request that was sent.

    It always does unless this version folds events differently from the one that wrote them. After a salvage there is
    no request to repeat.
    """
    history = History()
    salvaged = max((i for i, e in enumerate(events) if isinstance(e, Notice) and e.code == SALVAGED), default=-1)
    sent = max((i for i, event in enumerate(events) if isinstance(event, TurnStarted)), default=-1)
    for index, event in enumerate(events):
        history.apply(event)
        if index == sent > salvaged and isinstance(event, TurnStarted):
            prefix, digest = history.prefix()
            if digest != event.prefix:
                return _rest(history, events[index + 1 :]), False
            history.sent_prefix = prefix
    return history, True


def _rest(history: History, events: Sequence[EventBase]) -> History:
    for event in events:
        history.apply(event)
    return history
