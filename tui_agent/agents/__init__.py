"""The agent loop, the agent types, the subagents."""

from tui_agent.agents.agent_type import AgentType, load_agent_types, narrowing_of
from tui_agent.agents.compaction import BudgetRefusedError, Cut, NothingToCompactError, compact
from tui_agent.agents.coordinator import narrowing_for
from tui_agent.agents.loop import Agent
from tui_agent.agents.server_tools import ServerTools
from tui_agent.agents.services import Services
from tui_agent.agents.turn import partial_blocks

__all__ = [
    "Agent",
    "AgentType",
    "BudgetRefusedError",
    "Cut",
    "NothingToCompactError",
    "ServerTools",
    "Services",
    "compact",
    "load_agent_types",
    "narrowing_for",
    "narrowing_of",
    "partial_blocks",
]
