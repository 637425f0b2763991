"""What a user does about compaction: where it cuts, and putting back what it dropped."""

from __future__ import annotations

from tui_agent.agents import Cut
from tui_agent.context import History, cut_before
from tui_agent.events import (
    ContextPutBack,
    Event,
    EventBase,
    JsonObject,
    PermissionDecided,
    PromptAccepted,
    PromptQueued,
    QuestionAnswered,
    QuestionAsked,
    RunStarted,
    StepFinished,
    StepPlanned,
    StepResolved,
    TurnFailed,
    TurnFinished,
)
from tui_agent.journal import Journal
from tui_agent.session.errors import SessionError

TITLE_LENGTH = 120
"""Characters of the title of something put back."""


def manual_cut(history: History, before: int | None, since: int | None) -> Cut:
    """Return what to compact: all, what is before the prompt of event `before`, or what is from `since` on.

    Raises `SessionError` when there is nothing.
    """
    try:
        stop = cut_before(history, before) if before is not None else history.message_count
        start = cut_before(history, since) if since is not None else 0
    except LookupError as error:
        raise SessionError(f"{error}; it was compacted before, or is no prompt") from error
    if stop <= start:
        raise SessionError("there is nothing to compact yet")
    return Cut(start, stop)


async def read_put_back(journal: Journal, seq: int) -> ContextPutBack:
    """Return the event that puts back what event `seq` had said. Raises `SessionError` when it had said nothing."""
    found = await journal.read(seq - 1, limit=1)
    if not found or found[0].seq != seq:
        raise SessionError(f"there is no event {seq} in this session")
    related: list[Event] = await journal.read(subject=found[0].subject) if found[0].subject else []
    title, blocks = _said(found[0], related)
    if not blocks:
        raise SessionError(f"event {seq} is a {found[0].type}, which says nothing that could be put back")
    title = " ".join(title.split())[:TITLE_LENGTH]
    head: JsonObject = {
        "type": "text",
        "text": f"<put-back>\nThe user puts this back from before the compaction (event {seq}): {title}",
    }
    content: list[JsonObject] = [head, *blocks, _text("</put-back>")]
    return ContextPutBack(source=seq, title=title, content=_joined(content))


def _said(event: EventBase, related: list[Event]) -> tuple[str, list[JsonObject]]:
    match event:
        case RunStarted() | PromptQueued():
            return f"prompt: {event.prompt}", event.content or [_text(event.prompt)]
        case PromptAccepted():
            queued = next((e for e in related if isinstance(e, PromptQueued)), None)
            return _said(queued, []) if queued else ("", [])
        case TurnFinished():
            return "an answer of yours", [b for b in event.content if b.get("type") == "text"]
        case TurnFailed():
            return "an answer of yours", [b for b in event.partial if b.get("type") == "text"]
        case StepFinished():
            plan = next((e for e in related if isinstance(e, StepPlanned)), None)
            return f"the result of {plan.title if plan else event.tool} ({event.outcome})", list(event.result)
        case QuestionAnswered():
            asked = next((e.text for e in related if isinstance(e, QuestionAsked)), "a question")
            return f"the answer to: {asked}", [_text(event.answer)]
        case PermissionDecided() | StepResolved() if event.comment:
            return "a comment of the user", [_text(event.comment)]
    return "", []


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _joined(blocks: list[JsonObject]) -> list[JsonObject]:
    """Return the blocks with neighbouring texts as one."""
    joined: list[JsonObject] = []
    for block in blocks:
        if joined and block.get("type") == joined[-1].get("type") == "text":
            joined[-1] = _text(f"{joined[-1]['text']}\n{block['text']}")
        else:
            joined.append(block)
    return joined
