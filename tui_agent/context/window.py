"""What is in the model's window, by source: where each part is from, how large it is, since when it is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from tui_agent.context.history import encode, tokens_of
from tui_agent.events import (
    ContextCompacted,
    ContextLoaded,
    ContextNoted,
    ContextPutBack,
    ContextSource,
    ContextStale,
    EventBase,
    JsonObject,
    PromptAccepted,
    PromptQueued,
    RunStarted,
    StepFinished,
    StepPlanned,
    TurnFailed,
    TurnFinished,
)

PartKind = Literal["system", "memory", "tools", "summary", "conversation", "file", "result"]

KINDS: tuple[PartKind, ...] = ("system", "tools", "memory", "summary", "conversation", "file", "result")
"""In the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class WindowPart:
    """One part of the window. `tokens` are estimated; `time` is in seconds since the epoch, `seq` its event.

    `path` and `sha256` are of the file it is from, as it was then; `stale` says that it is another by now.
    `imported_by` is the memory file that brought it along.
    """

    kind: PartKind
    name: str
    tokens: int
    time: float = 0.0
    seq: int = 0
    path: str = ""
    sha256: str = ""
    imported_by: str = ""
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """The window of an agent. `used` is what the last response counted, 0 before there was one; sizes in tokens."""

    model: str
    size: int
    used: int
    parts: tuple[WindowPart, ...]

    @property
    def estimated(self) -> int:
        """All parts together, as estimated here."""
        return sum(part.tokens for part in self.parts)

    def by_kind(self) -> dict[PartKind, int]:
        """Return the tokens of each kind that has any."""
        sums = {kind: sum(part.tokens for part in self.parts if part.kind == kind) for kind in KINDS}
        return {kind: tokens for kind, tokens in sums.items() if tokens}


def window_parts(events: Iterable[EventBase]) -> list[WindowPart]:
    """Return the parts of the window that one agent's events have filled; a compaction begins it anew. Pure."""
    head: list[WindowPart] = []
    parts: list[WindowPart] = []
    planned: dict[str, StepPlanned] = {}
    queued: dict[str, PromptQueued] = {}
    for event in events:
        match event:
            case ContextLoaded():
                head = [_source_part(source, event) for source in event.sources]
            case ContextCompacted():
                parts = _compacted(event)
            case RunStarted():
                parts += _prompt(event, event)
            case PromptQueued():
                queued[event.prompt_id] = event
            case PromptAccepted() if event.prompt_id in queued:
                parts += _prompt(queued.pop(event.prompt_id), event)
            case TurnFinished():
                parts.append(_part("conversation", "answer", event.content, event))
            case TurnFailed() if event.retry_seconds is None and event.partial:
                parts.append(_part("conversation", "answer, cut off", event.partial, event))
            case StepPlanned():
                planned[event.step] = event
            case StepFinished():
                parts += _result(event, planned.pop(event.step, None))
            case ContextPutBack():
                parts.append(_part("conversation", f"put back: {event.title}", event.content, event))
            case ContextNoted():
                parts.append(
                    _part("conversation", "note of the program", [{"type": "text", "text": event.text}], event)
                )
            case ContextStale():
                name = "note of changed files"
                parts.append(WindowPart("conversation", name, 20 + 20 * len(event.files), event.time, event.seq or 0))
    return head + parts


def describe_window(
    window: Window, *, details: bool = False
) -> list[tuple[str, Literal["title", "muted", "warning", ""]]]:
    """Return the window as lines of text, each with how it is to be shown: sums by kind, then every part.

    With `details`, each part is followed by its file's hash, its time and its event.
    """
    size = f"{window.size:,} tokens"
    used = f"{window.used:,} of {size} ({window.used / max(1, window.size):.1%})" if window.used else f"0 of {size}"
    lines: list[tuple[str, Literal["title", "muted", "warning", ""]]] = [
        (f"{window.model}: {used}", "title"),
        (f"The parts are estimated: {window.estimated:,} tokens in all.", "muted"),
        ("", ""),
    ]
    for kind, tokens in window.by_kind().items():
        share = tokens / max(1, window.estimated)
        lines.append((f"{kind:<13}{tokens:>10,}  {share:>4.0%}  {'▓' * round(share * 30)}", ""))
    for kind in window.by_kind():
        lines += [("", ""), (kind, "title")]
        for part in (part for part in window.parts if part.kind == kind):
            lines.append((f"{part.tokens:>8,}  {part.name}", "warning" if part.stale else ""))
            facts = []
            if part.stale:
                facts.append("CHANGED on disk since")
            if part.imported_by:
                facts.append(f"imported by {part.imported_by}")
            if details and part.sha256:
                facts.append(f"sha256 {part.sha256[:12]}")
            if details and part.time:
                facts.append(f"since {datetime.fromtimestamp(part.time, UTC):%Y-%m-%d %H:%M:%S} UTC")
            if details and part.seq:
                facts.append(f"event {part.seq}")
            if facts:
                lines.append((" " * 10 + " · ".join(facts), "muted"))
    return lines


def mark_stale(parts: Iterable[WindowPart], now: Mapping[str, str | None]) -> list[WindowPart]:
    """Return the parts with those marked that are of a file which is not any more what they show.

    `now` is the hash of each file that changed, by path, None where it is gone.
    """
    return [
        replace(part, stale=True) if part.sha256 and part.path in now and now[part.path] != part.sha256 else part
        for part in parts
    ]


def _source_part(source: ContextSource, event: ContextLoaded) -> WindowPart:
    memory = source.kind == "memory"
    return WindowPart(
        source.kind,
        source.name,
        source.tokens,
        event.time,
        event.seq or 0,
        path=source.name if memory else "",
        sha256=source.sha256,
        imported_by=source.imported_by,
    )


def _part(kind: PartKind, name: str, blocks: Sequence[JsonObject], event: EventBase) -> WindowPart:
    return WindowPart(kind, name, _tokens(blocks), event.time, event.seq or 0)


def _tokens(blocks: Iterable[JsonObject]) -> int:
    return sum(tokens_of(encode(block)) for block in blocks)


def _prompt(prompt: RunStarted | PromptQueued, event: EventBase) -> list[WindowPart]:
    name = f"prompt: {_line(prompt.prompt)}"
    text: JsonObject = {"type": "text", "text": prompt.prompt}
    own = _part("conversation", name, [text], event)
    if not prompt.content:
        return [own]
    # The first block is the prompt itself; files that came along share the others, but for those of memory files.
    content, memory = _with_memory(prompt.content, prompt.memory, event)
    brought = _tokens(content) - own.tokens
    share = brought // max(1, len(prompt.files))
    files = [
        WindowPart("file", file.path, share, event.time, event.seq or 0, file.path, file.sha256 or "")
        for file in prompt.files
    ]
    return [own, *files, *memory] if files else [replace(own, tokens=own.tokens + brought)]


def _with_memory(
    blocks: list[JsonObject], memory: list[str], event: EventBase
) -> tuple[list[JsonObject], list[WindowPart]]:
    """Return the blocks without those of memory files at their end, and a part for each of these."""
    own = blocks[: len(blocks) - len(memory)]
    return own, [
        replace(_part("memory", path, [block], event), path=path)
        for path, block in zip(memory, blocks[len(own) :], strict=False)
    ]


def _result(event: StepFinished, plan: StepPlanned | None) -> list[WindowPart]:
    own, memory = _with_memory(event.result, event.memory, event)
    title = (plan.title if plan else "") or event.tool
    part = _part("result", _line(title), own, event)
    if event.tool == "read" and event.outcome == "ok" and event.effects:
        file = event.effects[0]
        part = replace(part, kind="file", name=_line(title), path=file.path, sha256=file.sha256 or "")
    return [part, *memory]


def _compacted(event: ContextCompacted) -> list[WindowPart]:
    total = sum(tokens_of(encode(message)) for message in event.messages)
    summary = 0
    for message in event.messages:
        for block in message["content"] if isinstance(message["content"], list) else []:
            if isinstance(block, dict) and (
                block.get("type") == "compaction" or str(block.get("text", "")).startswith("<compacted>")
            ):
                summary += tokens_of(encode(block))
    parts = [WindowPart("summary", "of what was compacted", summary, event.time, event.seq or 0)]
    if total - summary > len(event.messages) * 16:
        parts.append(
            WindowPart("conversation", "kept by the compaction", total - summary, event.time, event.seq or 0)
        )
    return parts


def _line(text: str) -> str:
    return " ".join(text.split())[:100]
