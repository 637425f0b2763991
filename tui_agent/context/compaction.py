"""Compaction: a summary takes the transcript's place for the model; a receipt says what was kept and dropped.

The journal keeps everything. What must not depend on a summary (the todo list, queued prompts, files known)
is carried over from the folded state instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tui_agent.events import (
    Event,
    JsonObject,
    Receipt,
    RunStarted,
    StepFinished,
    StepPlanned,
    TodoItem,
    TurnFinished,
)

SUMMARY_REQUEST = """\
Summarise this conversation for yourself: it will be all you have when the work goes on. Call no tools. Cover: \
what the person asked for, in their words where it matters; decisions and constraints; what was done, with paths; \
what was tried and failed; what is left. State only what happened here."""


def summary_request(instructions: str) -> str:
    """Return the text of the request for a summary, with the person's own instructions if any."""
    return SUMMARY_REQUEST + (f"\n\nThe person adds: {instructions}" if instructions.strip() else "")


def carry_over(summary: str, todo: Iterable[TodoItem]) -> list[JsonObject]:
    """Return the messages with which the new history begins."""
    text = f"[The earlier conversation was compacted. Its summary:]\n\n{summary}"
    lines = [f"- [{item.state}] {item.text}" for item in todo]
    if lines:
        text += "\n\n[The todo list, exact:]\n" + "\n".join(lines)
    ready = "I have the summary and go on from it."
    return [
        {"role": "user", "content": [{"type": "text", "text": text}]},
        {"role": "assistant", "content": [{"type": "text", "text": ready}]},
    ]


def build_receipt(
    events: Sequence[Event],
    *,
    todo: Iterable[TodoItem],
    unresolved: Iterable[str],
    tokens_before: int,
    tokens_after: int,
) -> Receipt:
    """Return what a compaction keeps word for word and what only the journal still holds, with its place there."""
    kept = [f"todo: {item.text} ({item.state})" for item in todo]
    dropped: list[str] = []
    titles: dict[str, str] = {}
    for event in events:
        match event:
            case RunStarted():
                dropped.append(f"prompt at event {event.seq}: {_line(event.prompt)}")
            case TurnFinished():
                text = " ".join(str(b.get("text", "")) for b in event.content if b.get("type") == "text")
                if text.strip():
                    dropped.append(f"answer at event {event.seq}: {_line(text)}")
            case StepPlanned():
                titles[event.step] = event.title or event.tool
            case StepFinished():
                title = titles.get(event.step, event.tool)
                dropped.append(f"step at event {event.seq}: {_line(title)} ({event.outcome})")
    return Receipt(
        until=max((event.seq or 0 for event in events), default=0),
        kept=kept,
        dropped=dropped,
        unresolved=list(unresolved),
        tokens_before=tokens_before,
        tokens_after=tokens_after,
    )


def _line(text: str) -> str:
    return " ".join(text.split())[:120]
