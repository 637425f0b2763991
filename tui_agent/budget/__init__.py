"""What was spent, what the next turn may cost, and the hard limits that are checked before it is sent."""

from tui_agent.budget.estimate import Calibration, Estimate, counted_input, estimate_input
from tui_agent.budget.limits import (
    KINDS,
    SCOPES,
    Account,
    Demand,
    agent_stop,
    answer_cut,
    limits_text,
    quantity,
    stop_reason,
    stop_text,
    warning_text,
)
from tui_agent.budget.meter import DayLedger, Meter
from tui_agent.budget.state import BudgetState

__all__ = [
    "KINDS",
    "SCOPES",
    "Account",
    "BudgetState",
    "Calibration",
    "DayLedger",
    "Demand",
    "Estimate",
    "Meter",
    "agent_stop",
    "answer_cut",
    "counted_input",
    "estimate_input",
    "limits_text",
    "quantity",
    "stop_reason",
    "stop_text",
    "warning_text",
]
