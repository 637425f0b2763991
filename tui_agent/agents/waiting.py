"""How long a run waited for its user: the time in which nothing was at work and something needed a decision."""

from __future__ import annotations

from collections.abc import Iterable

from tui_agent.events import (
    EventBase,
    PermissionDecided,
    PermissionRequested,
    QuestionAnswered,
    QuestionAsked,
    StepEdited,
    StepFinished,
    StepRecovered,
    StepResolved,
    StepStarted,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)

ASKING = ("permission.requested", "question.asked", "step.recovered")
"""Types of the events that make a run wait."""

WATCHED = (
    *ASKING,
    "permission.decided",
    "question.answered",
    "step.edited",
    "step.resolved",
    "step.started",
    "step.finished",
    "turn.started",
    "turn.finished",
    "turn.failed",
)
"""Types of the events that `waited_for_user` looks at."""

ANSWERING = (*ASKING, "permission.decided", "question.answered", "step.edited", "step.resolved", "step.finished")
"""Types of the events between which a request or a question was open, whatever else was at work."""

_WAIT_WITHIN = {"task", "ask"}
"""Tools that are at work only as far as something else is."""


def waited_for_user(events: Iterable[EventBase], until: float) -> float:
    """Return the seconds that a run waited, by its events and those of its subagents, in order. Pure.

    `until` is the time it ended, in seconds since the epoch. While a turn or a step was at work, nobody waited.
    """
    waited = 0.0
    since: float | None = None
    asking: set[str] = set()
    busy: set[str] = set()
    for event in events:
        if since is not None:
            waited += max(0.0, event.time - since)
        _follow(event, asking, busy)
        since = event.time if asking and not busy else None
    if since is not None:
        waited += max(0.0, until - since)
    return waited


def _follow(event: EventBase, asking: set[str], busy: set[str]) -> None:
    match event:
        case PermissionRequested() | QuestionAsked():
            asking.add(event.step)
        case StepRecovered() if event.finding == "uncertain":
            asking.add(event.step)
            busy.discard(event.step)
        case PermissionDecided() | QuestionAnswered() | StepEdited() | StepResolved():
            asking.discard(event.step)
        case StepStarted() if event.tool not in _WAIT_WITHIN:
            busy.add(event.step)
        case StepFinished():
            asking.discard(event.step)
            busy.discard(event.step)
        case TurnStarted():
            busy.add(event.turn)
        case TurnFinished():
            busy.discard(event.turn)
        case TurnFailed() if event.retry_seconds is None:
            busy.discard(event.turn)
