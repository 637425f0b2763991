"""The message history that the model sees, folded from one agent's events. It only ever grows at its end.

System prompt, tools and earlier messages are never rewritten between requests: the server's prompt cache and
the signatures of thinking blocks both bind to what came before. A compaction begins a new history.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tui_agent.events import (
    ContextCompacted,
    ContextLoaded,
    EventBase,
    JsonObject,
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

CONTINUE_AFTER_CRASH = (
    "[The program stopped while you were writing. What had arrived is above. Continue from where it broke off.]"
)
CONTINUE_AFTER_CUT = "[The connection broke while you were writing. What had arrived is above. Continue from there.]"
INTERRUPTED = "[The person interrupted you here.]"


def encode(value: object) -> bytes:
    """Return compact JSON, the same bytes for the same value."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


@dataclass(slots=True)
class Message:
    """One message: its role and its blocks, each as the JSON bytes that are sent."""

    role: str
    blocks: list[bytes] = field(default_factory=list)

    def open_json(self) -> bytes:
        """Return the message without its closing brackets, so that more blocks can follow."""
        return b'{"role":"' + self.role.encode() + b'","content":[' + b",".join(self.blocks)


class History:
    """An agent's message history, with `system` and `tools` exactly as they are sent.

    `apply` takes the agent's events in order; `needs_turn` says when a request is due. `file_hashes` are the
    files the agent knows, `memory_loaded` the memory files it has met on the way, `sent_prefix` the last
    request as far as the next must repeat it.
    """

    def __init__(self) -> None:
        self.system: list[JsonObject] = []
        self.tools: list[JsonObject] = []
        self.file_hashes: dict[str, str] = {}
        self.memory_loaded: set[str] = set()
        self._sealed: list[bytes] = []
        self._last: Message | None = None
        self._calls: list[str] = []
        self._call_of_step: dict[str, str] = {}
        self._results: dict[str, bytes] = {}
        self._queued: dict[str, list[JsonObject]] = {}
        self._accepted: list[bytes] = []
        self._note = ""
        self._continue = ""
        self._paused = False
        self._unanswered = False
        self.stop_reason = ""
        self.last_text = ""
        self.sent_prefix = b""

    @property
    def needs_turn(self) -> bool:
        """True when it is the model's turn to speak: the person, a tool, or a broken answer waits for it."""
        return not self._calls and (self._unanswered or self._paused or bool(self._continue))

    @property
    def message_count(self) -> int:
        """How many messages there are."""
        return len(self._sealed) + (self._last is not None)

    def apply(self, event: EventBase) -> None:
        """Take one event of this agent."""
        match event:
            case ContextLoaded():
                self.system, self.tools = list(event.system), list(event.tools)
            case RunStarted():
                self._add("user", event.content or [{"type": "text", "text": event.prompt}])
            case PromptQueued():
                self._queued[event.prompt_id] = event.content or [{"type": "text", "text": event.prompt}]
            case PromptAccepted():
                blocks = [encode(block) for block in self._queued.pop(event.prompt_id, [])]
                if self._calls:
                    self._accepted += blocks
                else:
                    self._add_encoded("user", blocks)
            case TurnStarted():
                self.prepare()
            case TurnFinished():
                self._paused = event.stop_reason == "pause_turn"
                self._unanswered = False
                self.stop_reason = event.stop_reason
                self._answer(event.content)
            case TurnFailed() if event.retry_seconds is None:
                self._partial(event)
            case RunFinished() if event.outcome == "interrupted":
                self._note = INTERRUPTED
            case StepPlanned():
                self._call_of_step[event.step] = event.call_id
            case StepFinished():
                self._result(event)
            case ContextCompacted():
                self._restart(event.messages)

    def prepare(self) -> None:
        """Make the last message the user's: after a broken answer, ask for the rest. Does nothing otherwise."""
        if self._last is not None and self._last.role == "assistant" and not self._paused:
            self._add("user", [{"type": "text", "text": self._continue or "Continue."}])
        self._continue = ""

    def messages_json(self) -> bytes:
        """Return the messages as JSON, without the brackets that close the last message and the list."""
        open_messages = [*self._sealed, self._last.open_json()] if self._last else self._sealed
        return b"[" + b",".join(open_messages)

    def with_prompt(self, text: str) -> History:
        """Return a history that says one thing more, for a request that leaves no trace in this one."""
        trial = History()
        trial.system, trial.tools, trial.sent_prefix = self.system, self.tools, self.sent_prefix
        trial._sealed = list(self._sealed)
        trial._last = Message(self._last.role, list(self._last.blocks)) if self._last else None
        trial._add("user", [{"type": "text", "text": text}])
        return trial

    def _add(self, role: str, blocks: Iterable[JsonObject]) -> None:
        self._add_encoded(role, [encode(block) for block in blocks])

    def _add_encoded(self, role: str, blocks: list[bytes]) -> None:
        if not blocks:
            return
        self._unanswered = role == "user"
        if self._note and role == "user":
            blocks = [encode({"type": "text", "text": self._note}), *blocks]
            self._note = ""
        if self._last is not None and self._last.role == role:
            self._last.blocks += blocks
            return
        if self._last is not None:
            self._sealed.append(self._last.open_json() + b"]}")
        self._last = Message(role, list(blocks))

    def _answer(self, content: list[JsonObject]) -> None:
        self._add("assistant", content)
        self.last_text = "\n\n".join(str(b["text"]) for b in content if b.get("type") == "text")
        self._calls = [str(block["id"]) for block in content if block.get("type") == "tool_use"]
        self._results = {}

    def _partial(self, event: TurnFailed) -> None:
        """Keep the text that had arrived. Its thinking has no signature yet and its tool calls never ran."""
        text: list[JsonObject] = [
            {"type": "text", "text": block["text"]}
            for block in event.partial
            if block.get("type") == "text" and str(block.get("text", "")).strip()
        ]
        self._add("assistant", text)
        if event.kind == "interrupted":
            self._note = INTERRUPTED
        else:
            stopped = event.kind in {"crash", "closed"}
            self._continue = CONTINUE_AFTER_CRASH if stopped else CONTINUE_AFTER_CUT

    def _result(self, event: StepFinished) -> None:
        for state in event.effects:
            if state.sha256 is None:
                self.file_hashes.pop(state.path, None)
            else:
                self.file_hashes[state.path] = state.sha256
        self.memory_loaded.update(event.memory)
        call = self._call_of_step.pop(event.step, None)
        if call is None or call not in self._calls:
            return
        block: JsonObject = {"type": "tool_result", "tool_use_id": call, "content": list(event.result)}
        if event.outcome != "ok":
            block["is_error"] = True
        self._results[call] = encode(block)
        if len(self._results) == len(self._calls):
            blocks = [self._results[call] for call in self._calls] + self._accepted
            self._calls, self._results, self._accepted = [], {}, []
            self._add_encoded("user", blocks)

    def _restart(self, messages: list[JsonObject]) -> None:
        self._sealed, self._last, self._note, self._continue = [], None, "", ""
        self._calls, self._results, self._accepted, self.sent_prefix = [], {}, [], b""
        for message in messages:
            content = message["content"]
            blocks = content if isinstance(content, list) else []
            self._add_encoded(str(message["role"]), [encode(block) for block in blocks])


def request_prefix(history: History) -> bytes:
    """Return what a request says and every later one must repeat: system prompt, tools, messages."""
    fixed = b'"system":' + encode(history.system)
    if history.tools:
        fixed += b',"tools":' + encode(history.tools)
    return fixed + b',"messages":' + history.messages_json()


def fold_history(events: Sequence[EventBase]) -> tuple[History, bool]:
    """Return the history of one agent's events, and whether it repeats the last request that was sent.

    It always does unless this version folds events differently from the one that wrote them.
    """
    history = History()
    sent = max((i for i, event in enumerate(events) if isinstance(event, TurnStarted)), default=-1)
    for index, event in enumerate(events):
        history.apply(event)
        if index == sent and isinstance(event, TurnStarted):
            prefix = request_prefix(history)
            if hashlib.sha256(prefix).hexdigest() != event.prefix:
                return _rest(history, events[index + 1 :]), False
            history.sent_prefix = prefix
    return history, True


def _rest(history: History, events: Sequence[EventBase]) -> History:
    for event in events:
        history.apply(event)
    return history
