"""Compaction: when it is due, where it cuts, and what takes the place of the messages before the cut.

The journal keeps everything. What must not depend on a summary (the user's words, the todo list, open steps,
rules, files known) is carried over from the folded state and the journal instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tui_agent.context.history import BYTES_PER_TOKEN, History, encode, tokens_of
from tui_agent.context.record import WorkRecord
from tui_agent.events import JsonObject, ReceiptLine, TodoItem

SUMMARY_REQUEST = """\
Summarise this conversation for yourself: it will be all you have when the work goes on. Call no tools. Cover: \
what the user asked for, in their words where it matters; decisions and constraints; what was done, with paths; \
what was tried and failed; what is left. State only what happened here."""

SUMMARY_TOKENS = 8_000
"""Output tokens a summary may have."""

KEPT_TOKENS = 20_000
"""Tokens of the newest messages that an automatic compaction keeps as they are, at most."""

KEPT_SHARE = 5
"""… and at most this part of the window: a fifth."""

USER_TOKENS = 12_000
"""Tokens of the user's own words that are carried over verbatim."""

USER_SHARE = 8

LEAST_TURNS = 2
"""Answers between two automatic compactions: never twice in a row."""

MOST_FACTS = 40
"""Lines of each list of facts that is carried over; the journal has the others."""


def summary_request(instructions: str) -> str:
    """Return the text of the request for a summary, with the user's own instructions if any."""
    return SUMMARY_REQUEST + (f"\n\nThe user adds: {instructions}" if instructions.strip() else "")


def compaction_due(history: History, *, window: int, max_output: int, percent: int | None = None) -> str:
    """Return why the history must be compacted before its next turn, empty when it need not be.

    `window` and `max_output` are the model's, in tokens. Room is left for one whole answer and for the summary
    itself; small windows give up a quarter for it. Never while a tool's result is missing, nor twice in a row.
    `percent` is how much of the window may be in use at most, where the user set it.
    """
    if not history.needs_turn or history.turns < LEAST_TURNS:
        return ""
    headroom = min(max_output + SUMMARY_TOKENS, window // 4)
    if percent is not None and history.window_tokens > window * percent // 100:
        return f"{history.window_tokens:,} of {window:,} tokens are in use, more than the {percent} % of compact_at"
    if history.window_tokens <= window - headroom:
        return ""
    return f"{history.window_tokens:,} of {window:,} tokens are in use, and an answer needs room"


def find_cut(history: History, window: int) -> int:
    """Return the message from which on an automatic compaction keeps everything as it is.

    As much as fits in the allowance, but always the newest exchange: the model has not seen its results yet.
    """
    messages = history.messages()
    room = min(KEPT_TOKENS, window // KEPT_SHARE)
    cut = len(messages)
    size = 0
    for index in range(len(messages) - 1, 0, -1):
        size += tokens_of(encode(messages[index]))
        newest = cut == len(messages)
        if size > room and not newest:
            break
        if can_cut(messages, index):
            cut = index
    return cut if cut < len(messages) else 0


def can_cut(messages: Sequence[JsonObject], index: int) -> bool:
    """Return whether `messages[index:]` is valid by itself: every tool result has its call in it."""
    if index >= len(messages):
        return True
    content = messages[index]["content"]
    return not any(isinstance(b, dict) and b.get("type") == "tool_result" for b in content)  # type: ignore[union-attr]


def cut_before(history: History, seq: int) -> int:
    """Return the message at which a cut before the prompt of event `seq` is possible.

    Raises `LookupError` when the prompt is not in the window any more.
    """
    index = next((index for index, prompt in history.prompts if prompt >= seq), None)
    if index is None:
        raise LookupError(f"no prompt in the window is as new as event {seq}")
    messages = history.messages()
    while index > 0 and not can_cut(messages, index):
        index -= 1
    return index


def without_thinking(messages: Iterable[JsonObject]) -> list[JsonObject]:
    """Return messages without thinking blocks: their signatures bind to a prefix that is no more."""
    kept: list[JsonObject] = []
    for message in messages:
        content = message["content"]
        blocks = content if isinstance(content, list) else []
        left = [b for b in blocks if not (isinstance(b, dict) and b.get("type") in _BOUND)]
        if left:
            kept.append({**message, "content": left})
    return kept


_BOUND = {"thinking", "redacted_thinking", "compaction"}


@dataclass(frozen=True, slots=True)
class CarryOver:
    """What comes through a compaction whatever the summary says; all of it lines of text."""

    user: Sequence[ReceiptLine] = ()
    todo: Sequence[TodoItem] = ()
    unresolved: Sequence[str] = ()
    rules: Sequence[str] = ()
    doubts: Sequence[str] = ()
    files: Sequence[str] = ()
    record: WorkRecord = field(default_factory=WorkRecord)

    def text(self, summary: str) -> str:
        """Return the block that stands for the compacted messages; `summary` empty where the server keeps it."""
        record = self.record
        commands = [
            f"`{_line(run.command)}` → exit code {run.exit_code} (event {run.seq})"
            for run in record.commands[-MOST_FACTS:]
        ]
        changed = [f"{path} (event {seq})" for path, seq in list(record.changed.items())[-MOST_FACTS:]]
        sections = [
            ("Summary, by you", [summary] if summary else [], ""),
            ("The user's words", [f"(event {line.seq}) {line.text}" for line in self.user], "- "),
            ("Todo list", [f"[{item.state}] {item.text}" for item in self.todo], "- "),
            ("Open, uncertain, or failed and not repeated: not done", self.unresolved, "- "),
            ("Files changed in this session", changed, "- "),
            ("Commands run in this session", commands, "- "),
            ("Permissions", self.rules, "- "),
            ("Claims of the summary without a fact behind them: check before you rely on them", self.doubts, "- "),
            ("Files you know; their content may not be above any more", self.files[-MOST_FACTS:], "- "),
        ]
        parts = [
            "<compacted>\nThe conversation before this was compacted to make room. The lists below are from the "
            "journal: they are exact, and win over the summary."
        ]
        parts += [f"## {title}\n" + "\n".join(mark + row for row in rows) for title, rows, mark in sections if rows]
        return "\n\n".join(parts) + "\n</compacted>"


def begin_anew(
    text: str, *, block: JsonObject | None = None, before: Sequence[JsonObject] = (), after: Sequence[JsonObject] = ()
) -> list[JsonObject]:
    """Return the messages of the new history.

    `text` stands for what was compacted, `block` is the server's own compaction, which goes first. Messages
    `before` stay as they are, and those `after` too but for their thinking. With nothing after, an answer closes
    it, so that the next prompt is a message of its own.
    """
    messages = list(before)
    if block is not None:
        messages.append({"role": "assistant", "content": [block]})
    messages.append({"role": "user", "content": [{"type": "text", "text": text}]})
    if not after:
        ready: JsonObject = {"type": "text", "text": "I have the summary and go on from it."}
        return [*messages, {"role": "assistant", "content": [ready]}]
    return messages + without_thinking(after)


def user_words_room(window: int) -> int:
    """Return how many tokens of the user's words are carried over in a window of that size."""
    return min(USER_TOKENS, window // USER_SHARE)


def tokens_of_messages(messages: Iterable[JsonObject]) -> int:
    """Return the tokens of messages, roughly."""
    return sum(tokens_of(encode(message)) for message in messages)


def text_tokens(text: str) -> int:
    """Return the tokens of a text, roughly."""
    return len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN + 1


def _line(text: str) -> str:
    return " ".join(text.split())[:120]
