"""How far the prompt of a headless run is, and what the process says of it at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from tui_agent.events import (
    MAIN_AGENT,
    BudgetStopped,
    EventBase,
    JsonObject,
    Notice,
    PermissionDecided,
    PromptAccepted,
    RunFinished,
    RunOutcome,
    RunStarted,
    StepPlanned,
    TurnFinished,
)


class ExitCode(IntEnum):
    """What the process says at its end; after a signal it is 128 and the signal's number."""

    OK = 0
    FAILED = 1
    USAGE = 2
    LIMIT = 3
    NEEDS_USER = 4
    TRUNCATED = 5
    REFUSED = 6
    WINDOW_FULL = 7
    BROKEN_PIPE = 141


_EXIT_CODES: dict[RunOutcome, ExitCode] = {
    "truncated": ExitCode.TRUNCATED,
    "refused": ExitCode.REFUSED,
    "window_full": ExitCode.WINDOW_FULL,
    "stopped": ExitCode.LIMIT,
}


@dataclass
class Progress:
    """How far the prompt is, folded from the session's events.

    `answer` is the text of the main agent's last turn. `denied` are the titles of the calls that nobody could
    approve, `end` is how the run that took the prompt up ended. `stuck` says that the journal takes nothing any more,
    so that the run can neither go on nor end, `problem` why. `waiting` are the things that only the user can decide.
    """

    prompt_id: str = ""
    run: str = ""
    answer: str = ""
    denied: list[str] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    end: RunFinished | None = None
    stuck: bool = False
    problem: str = ""
    waiting: list[str] = field(default_factory=list)
    stop: BudgetStopped | None = None
    simulated: bool = False
    _seen: dict[str, str] = field(default_factory=dict)

    def submitted(self, prompt_id: str) -> None:
        """Say which id the prompt got; its events can have come before."""
        self.prompt_id = prompt_id
        self.run = self._seen.get(prompt_id, "")

    def see(self, event: EventBase) -> None:
        """Follow one event."""
        match event:
            case RunStarted() if event.agent == MAIN_AGENT:
                self._taken(event.run, event.run)
            case PromptAccepted() if event.agent == MAIN_AGENT:
                self._taken(event.prompt_id, event.run)
            case TurnFinished() if event.agent == MAIN_AGENT:
                self.answer = text_of(event.content)
            case StepPlanned():
                self.titles[event.step] = event.title or event.tool
            case PermissionDecided() if event.verdict == "deny" and event.by == "unattended":
                self.denied.append(self.titles.get(event.step, event.tool))
            case BudgetStopped() if event.agent == MAIN_AGENT:
                self.stop = event
            case RunFinished() if event.agent == MAIN_AGENT:
                self.end = event
                self.simulated = event.usage.simulated
                if event.outcome != "stopped":
                    self.stop = None
            case Notice() if event.code == "journal":
                self.failed(event.message)

    def failed(self, problem: str) -> None:
        """Say that the run can neither go on nor end, and why."""
        self.stuck, self.problem = True, problem

    @property
    def outcome(self) -> tuple[str, str]:
        """How the run ended and why: as in `RunFinished`, `failed` where that could not be written, or `waiting`."""
        if self.end is not None and self.finished:
            return self.end.outcome, self.end.reason
        if self.stuck:
            return "failed", self.problem
        return "waiting", "; ".join(self.waiting)

    def _taken(self, prompt_id: str, run: str) -> None:
        self._seen[prompt_id] = run
        if self.prompt_id == prompt_id:
            self.run = run

    @property
    def finished(self) -> bool:
        """Whether the run that took the prompt up is over."""
        return self.end is not None and bool(self.run) and self.end.run == self.run

    def exit_code(self, stopped_by: int | None) -> int:
        """Return the process's exit code; `stopped_by` is the number of the signal that ended it, if any."""
        if stopped_by is not None:
            return 128 + stopped_by
        if self.stuck:
            return ExitCode.FAILED
        if self.end is None or not self.finished:
            return ExitCode.NEEDS_USER
        if self.end.outcome == "completed":
            return ExitCode.NEEDS_USER if self.denied else ExitCode.OK
        return _EXIT_CODES.get(self.end.outcome, ExitCode.FAILED)


def text_of(content: list[JsonObject]) -> str:
    """Return the text blocks of a response."""
    return "\n\n".join(str(block.get("text", "")) for block in content if block.get("type") == "text")
