"""What was spent, what the next turn may cost, and the hard limits that are checked before it is sent."""

from tui_agent.budget.limits import check_turns
from tui_agent.budget.state import BudgetState

__all__ = ["BudgetState", "check_turns"]
