"""The receipt of a compaction: everything that was in the window, as kept or as dropped, with its event."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tui_agent.context.compaction import text_tokens
from tui_agent.events import (
    ContextCompacted,
    ContextPutBack,
    EventBase,
    JsonObject,
    PermissionDecided,
    PromptAccepted,
    PromptQueued,
    QuestionAnswered,
    QuestionAsked,
    ReceiptLine,
    RunStarted,
    StepFinished,
    StepPlanned,
    StepResolved,
    TurnFailed,
    TurnFinished,
)

LONGEST = 2_000
"""Characters of one saying of the user that are carried over; the journal has the rest."""

USER_KINDS = frozenset({"prompt", "answer to a question", "comment"})
"""Kinds of lines that are the user's own words."""

_CONSTRAINT = re.compile(
    r"\b(never|always|must|only|do not|don't|don’t|prefer|instead|use|keep|avoid|decid\w*|decision|agreed|require\w*|"
    r"not)\b",
    re.IGNORECASE,
)


def receipt_lines(events: Sequence[EventBase]) -> list[ReceiptLine]:
    """Return a line for each thing in these events of one agent that was in the model's window.

    The first may be the compaction before: what it had kept was in the window too.
    """
    lines: list[ReceiptLine] = []
    queued = {event.prompt_id: event for event in events if isinstance(event, PromptQueued)}
    titles: dict[str, str] = {}
    questions: dict[str, str] = {}
    for event in events:
        seq = event.seq or 0
        match event:
            case ContextCompacted():
                lines += [line for line in event.receipt.kept if line.kind != "todo"]
            case RunStarted():
                lines.append(_said("prompt", event.prompt, seq))
            case PromptAccepted() if event.prompt_id in queued:
                lines.append(_said("prompt", queued[event.prompt_id].prompt, seq))
            case TurnFinished():
                lines += _answer(event.content, seq)
            case TurnFailed() if event.retry_seconds is None:
                lines += _answer(event.partial, seq)
            case StepPlanned():
                titles[event.step] = event.title or event.tool
            case StepFinished():
                title = titles.get(event.step, event.tool)
                lines.append(ReceiptLine(kind="step", text=f"{_line(title)} ({event.outcome})", seq=seq))
            case QuestionAsked():
                questions[event.question] = event.text
            case QuestionAnswered():
                asked = questions.get(event.question, "a question")
                lines.append(_said("answer to a question", f"{_line(asked)} — {event.answer}", seq))
            case PermissionDecided() if event.by == "person" and event.comment:
                title = titles.get(event.step, event.tool)
                lines.append(_said("comment", f"{event.verdict} {_line(title)}: {event.comment}", seq))
            case StepResolved() if event.comment:
                lines.append(_said("comment", event.comment, seq))
            case ContextPutBack():
                lines.append(ReceiptLine(kind="put back", text=event.title, seq=event.source))
    return list({(line.kind, line.seq, line.text): line for line in lines}.values())


def choose_user_words(lines: Iterable[ReceiptLine], room: int) -> list[ReceiptLine]:
    """Return those of the user's words that come through verbatim, in order; `room` is in tokens.

    What sounds like a constraint or a decision goes first, then the newest.
    """
    user = [line for line in lines if line.kind in USER_KINDS]
    ranked = sorted(user, key=lambda line: (bool(_CONSTRAINT.search(line.text)), line.seq), reverse=True)
    chosen = []
    for line in ranked:
        room -= text_tokens(line.text) + 8
        if room < 0:
            break
        chosen.append(line)
    return sorted(chosen, key=lambda line: line.seq)


def split_lines(
    lines: Iterable[ReceiptLine], kept: Iterable[ReceiptLine], *, since: int, until: int
) -> tuple[list[ReceiptLine], list[ReceiptLine]]:
    """Return which lines are kept and which dropped; those of events from `since` on or before `until` stay."""
    verbatim = {(line.kind, line.seq, line.text) for line in kept}
    stays: list[ReceiptLine] = []
    goes: list[ReceiptLine] = []
    for line in lines:
        whole = line.seq >= since or line.seq < until or (line.kind, line.seq, line.text) in verbatim
        (stays if whole else goes).append(line if line.kind in USER_KINDS and whole else _short(line))
    return stays, goes


def _said(kind: str, text: str, seq: int) -> ReceiptLine:
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} [… {len(text) - LONGEST:,} more characters, event {seq}]"
    return ReceiptLine(kind=kind, text=text, seq=seq)


def _answer(content: Iterable[JsonObject], seq: int) -> list[ReceiptLine]:
    text = " ".join(str(block.get("text", "")) for block in content if block.get("type") == "text")
    return [ReceiptLine(kind="answer", text=_line(text), seq=seq)] if text.strip() else []


def _short(line: ReceiptLine) -> ReceiptLine:
    return line.model_copy(update={"text": _line(line.text)})


def _line(text: str) -> str:
    return " ".join(text.split())[:120]
