"""What the session list says of a session, folded from its events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tui_agent.events import EventBase

TITLE_LIMIT = 60
"""Characters of the first prompt that become the title of a session without one."""

SUMMARY_TYPES = (
    "session.created",
    "session.configured",
    "run.started",
    "run.finished",
    "turn.finished",
    "turn.failed",
    "context.compacted",
    "budget.booked",
)
"""The events that change a summary."""


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """One line of the session list. Times in seconds since the epoch, cost in dollars.

    `state` is `running` from a run's start to its end, whether or not the program still lives. `offline` says that
    the offline model answers: the cost is simulated. `problem` says why the session's file cannot be read; the rest
    is then empty.
    """

    id: str
    path: str
    title: str = ""
    workspace: str = ""
    model: str = ""
    created: float = 0.0
    updated: float = 0.0
    prompts: int = 0
    cost: float = 0.0
    state: Literal["idle", "running"] = "idle"
    offline: bool = False
    problem: str = ""

    @property
    def state_words(self) -> str:
        """The state in words: whether a program is at work on the run now, the list cannot know."""
        return "idle" if self.state == "idle" else "unfinished"


def summarise(summary: SessionSummary, event: EventBase) -> SessionSummary:
    """Return the summary after `event`. Pure."""
    from tui_agent.events import (
        MAIN_AGENT,
        RunFinished,
        RunStarted,
        SessionConfigured,
        SessionCreated,
        spent,
    )

    summary = replace(summary, updated=max(summary.updated, event.time))
    match event:
        case SessionCreated():
            return replace(
                summary,
                title=event.title,
                workspace=event.workspace,
                model=event.model,
                created=event.time,
                offline=event.offline,
            )
        case SessionConfigured():
            return replace(
                summary,
                workspace=event.workspace or summary.workspace,
                title=summary.title if event.title is None else event.title,
                model=event.model or summary.model,
                offline=summary.offline if event.offline is None else event.offline,
            )
        case RunStarted() if event.agent == MAIN_AGENT:
            title = summary.title or " ".join(event.prompt.split())[:TITLE_LIMIT]
            return replace(summary, title=title, prompts=summary.prompts + 1, state="running")
        case RunFinished() if event.agent == MAIN_AGENT:
            return replace(summary, state="idle")
    taken = spent(event) if event.session == summary.id else None  # what a fork copied was paid for by its origin
    return replace(summary, cost=summary.cost + (taken.cost or 0.0)) if taken is not None else summary
