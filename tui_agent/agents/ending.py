"""How a run ends: the outcome that follows from the last answer, in words, with what the user can do."""

from __future__ import annotations

from dataclasses import dataclass

from tui_agent.budget import BudgetState, answer_cut, stop_reason
from tui_agent.context.stops import WHOLE_REASONS, AnswerStop
from tui_agent.events import BudgetStopped, RunOutcome, TurnFailed

CONTINUE = 'Say "continue" to go on from there.'


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: see `RunFinished`. `stop` is a limit's stop that is to be recorded before the end."""

    outcome: RunOutcome
    reason: str = ""
    hint: str = ""
    told: bool = False
    stop: BudgetStopped | None = None

    @property
    def answered(self) -> bool:
        """Whether the model has had its say, so that a prompt which waits can be sent."""
        return self.outcome in {"completed", "truncated", "refused", "window_full"}


def ending_of_answer(stop: AnswerStop, budget: BudgetState, now: float) -> Ending:
    """Return how a run ends whose last answer ended so. `now` is the time in seconds since the epoch."""
    reason = _clause(stop.note)
    match stop.reason:
        case "max_tokens" if stop.clamped_by == "window":
            return Ending("window_full", reason, f"/compact makes room. {CONTINUE}", told=True)
        case "max_tokens" if stop.clamped_by in budget.limits:
            account = budget.account(stop.clamped_by.partition(".")[0], now)  # type: ignore[arg-type]
            stopped = answer_cut(stop.clamped_by, budget.limits[stop.clamped_by], account, stop.max_tokens)
            return ending_of_stop(stopped, recorded=False)
        case "max_tokens":
            return Ending("truncated", reason, CONTINUE, told=True)
        case "model_context_window_exceeded":
            return Ending("window_full", reason, f"/compact makes room. {CONTINUE}", told=True)
        case "refusal":
            hint = (
                "Put it in other words. If it is declined again, /compact or /new leaves behind what it objects to."
            )
            return Ending("refused", reason, hint, told=True)
    if stop.reason and stop.reason not in WHOLE_REASONS:
        return Ending("failed", reason, "What the model wrote is above. " + CONTINUE, told=True)
    if stop.reason == "tool_use":  # with calls the run would have gone on
        return Ending("failed", "the server announced a tool call and sent none", "Say what to do next to try again.")
    return Ending("completed", reason, told=bool(reason))


def ending_of_stop(stop: BudgetStopped, *, recorded: bool) -> Ending:
    """Return how a run ends that a limit stopped; `recorded` says that the stop is in the journal already."""
    return Ending("stopped", stop_reason(stop), stop.hint, told=True, stop=None if recorded else stop)


def ending_of_failure(failed: TurnFailed) -> Ending:
    """Return how a run ends whose last turn failed for good."""
    if failed.kind == "context_too_long":
        return Ending("window_full", f"{failed.kind}: {failed.message}", told=True)
    return Ending("failed", f"{failed.kind}: {failed.message}", told=True)


def _clause(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")
