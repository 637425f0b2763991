"""The hard limits, checked before each turn."""

from __future__ import annotations

from tui_agent.budget.state import BudgetState
from tui_agent.events import BudgetStopped


def check_turns(state: BudgetState, agent_turns: int, agent_maximum: int) -> BudgetStopped | None:
    """Return the stop before the next turn, or None when every limit on turns leaves room for it.

    `state.max_turns` bounds the run, subagents included; `agent_maximum` this agent's own run, of which
    `agent_turns` are used.
    """
    if state.max_turns is not None and state.run_turns >= state.max_turns:
        return BudgetStopped(
            limit="turns",
            used=state.run_turns,
            projected=1,
            maximum=state.max_turns,
            hint="Raise it with /max-turns, then write a prompt to go on.",
        )
    if agent_turns >= agent_maximum:
        return BudgetStopped(
            limit="agent turns",
            used=agent_turns,
            projected=1,
            maximum=agent_maximum,
            hint="This type of agent takes no more turns in one run; write a prompt to go on.",
        )
    return None
