"""The state of the budget, folded from events."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tui_agent.events import (
    MAIN_AGENT,
    ContextCompacted,
    EventBase,
    RunStarted,
    SessionConfigured,
    TurnFailed,
    TurnFinished,
    TurnProjected,
    TurnStarted,
    Usage,
)


@dataclass(frozen=True, slots=True)
class BudgetState:
    """Spend of the session and of the run.

    `cost` is dollars of all turns with a known price, `unpriced` counts those without. `context_tokens` is
    the main agent's window after its last response. `run_turns` counts the turns of the run in progress,
    subagents' included. `projection` is what the next turn costs at most.
    """

    usage: Usage = Usage()
    cost: float = 0.0
    unpriced: int = 0
    turns: int = 0
    run_turns: int = 0
    run_usage: Usage = Usage()
    run_cost: float = 0.0
    context_tokens: int = 0
    max_turns: int | None = None
    projection: TurnProjected | None = None


def apply(state: BudgetState, event: EventBase) -> BudgetState:
    """Return the state after `event`. Pure."""
    match event:
        case RunStarted() if event.agent == MAIN_AGENT:
            return replace(state, run_turns=0, run_usage=Usage(), run_cost=0.0)
        case SessionConfigured() if event.max_turns is not None:
            return replace(state, max_turns=event.max_turns or None)
        case TurnProjected():
            return replace(state, projection=event)
        case TurnStarted() if event.attempt == 1:
            return replace(state, turns=state.turns + 1, run_turns=state.run_turns + 1)
        case TurnFinished():
            state = _book(state, event.usage, event.cost)
            if event.agent == MAIN_AGENT:
                state = replace(state, context_tokens=event.usage.total_tokens)
            return state
        case TurnFailed():
            return _book(state, event.usage, event.cost) if event.usage.total_tokens else state
        case ContextCompacted():
            state = _book(state, event.usage, event.cost) if event.usage.total_tokens else state
            if event.agent == MAIN_AGENT:
                state = replace(state, context_tokens=event.receipt.tokens_after)
            return state
    return state


def _book(state: BudgetState, usage: Usage, cost: float | None) -> BudgetState:
    return replace(
        state,
        usage=state.usage + usage,
        cost=state.cost + (cost or 0.0),
        unpriced=state.unpriced + (cost is None),
        run_usage=state.run_usage + usage,
        run_cost=state.run_cost + (cost or 0.0),
    )
