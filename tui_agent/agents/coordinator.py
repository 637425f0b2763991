"""What a subagent may do: what the types of the agents above it and its own leave it."""

from __future__ import annotations

from pathlib import Path

from tui_agent.agents.agent_type import narrowing_of
from tui_agent.context import ConversationState
from tui_agent.permissions import Narrowing
from tui_agent.workflow import WorkflowState


def narrowing_for(agent: str, conversation: ConversationState, workflow: WorkflowState, home: Path) -> Narrowing:
    """Return what the types of an agent that is at work, and of all above it, forbid."""
    types: list[str] = []
    while run := next((run for run in conversation.runs if run.agent == agent), None):
        types.insert(0, run.agent_type)
        parent = workflow.steps.get(run.parent_step)
        if parent is None:
            break
        agent = parent.agent
    return narrowing_of(types, home)
