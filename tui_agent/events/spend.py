"""What an event books: the one reading of spend that every total is made from.

The session's own figures, the line in the session list and the day's books all add up what `spent` returns, so
they cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass

from tui_agent.events.base import EventBase
from tui_agent.events.types import BudgetBooked, BudgetClocked, ContextCompacted, TurnFailed, TurnFinished
from tui_agent.events.usage import Amounts, Usage


@dataclass(frozen=True, slots=True)
class Spent:
    """What one event books.

    `turn` and `attempt` name the request, empty and 0 for time alone. `turns` is 1 for a turn's first attempt.
    `cost` is in dollars, None where the price is not known; `seconds` of run time, which only `budget.clocked` books.
    """

    turn: str = ""
    attempt: int = 0
    turns: int = 0
    usage: Usage = Usage()
    cost: float | None = 0.0
    seconds: float = 0.0

    @property
    def amounts(self) -> Amounts:
        """What it takes of the limits; a cost that is not known counts as 0."""
        return Amounts(
            turns=self.turns,
            input_tokens=self.usage.prompt_tokens,
            output_tokens=self.usage.output_tokens,
            cost=self.cost or 0.0,
            seconds=self.seconds,
        )


def spent(event: EventBase) -> Spent | None:
    """Return what `event` books, None if it books nothing. Pure."""
    match event:
        case TurnFinished():
            return Spent(event.turn, event.attempt, int(event.attempt == 1), event.usage, event.cost)
        case TurnFailed():
            return Spent(event.turn, event.attempt, int(event.attempt == 1), event.usage, _known(event))
        case ContextCompacted() | BudgetBooked():
            return Spent(event.turn, 1, 0, event.usage, _known(event))
        case BudgetClocked():
            return Spent(seconds=event.seconds)
    return None


def _known(event: TurnFailed | ContextCompacted | BudgetBooked) -> float | None:
    """Return the cost; a request that took nothing costs nothing, whether or not the price is known."""
    return event.cost if event.usage.total_tokens or event.usage.web_searches else 0.0
