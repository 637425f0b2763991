"""The session's state: the four rooms' states side by side, and what changed in one update."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from tui_agent.budget.state import BudgetState
from tui_agent.budget.state import apply as apply_budget
from tui_agent.context.conversation import ConversationState
from tui_agent.context.conversation import apply as apply_conversation
from tui_agent.context.items import Item, TimelineEntry
from tui_agent.events import EventBase
from tui_agent.permissions.state import PermissionsState
from tui_agent.permissions.state import apply as apply_permissions
from tui_agent.workflow.state import WorkflowState
from tui_agent.workflow.state import apply as apply_workflow

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class SessionState:
    """Everything folded from the journal. Each room folds its own part and knows nothing of the others."""

    conversation: ConversationState = field(default_factory=ConversationState)
    workflow: WorkflowState = field(default_factory=WorkflowState)
    permissions: PermissionsState = field(default_factory=PermissionsState)
    budget: BudgetState = field(default_factory=BudgetState)


def apply(state: SessionState, event: EventBase) -> SessionState:
    """Return the state after `event`. Pure; only durable events change it."""
    if not event.durable:
        return state
    return SessionState(
        apply_conversation(state.conversation, event),
        apply_workflow(state.workflow, event),
        apply_permissions(state.permissions, event),
        apply_budget(state.budget, event),
    )


@dataclass(frozen=True, slots=True)
class Update:
    """What one commit changed. `events` include deltas; `items` and `entries` are by position in their pane."""

    events: tuple[EventBase, ...]
    state: SessionState
    items: Mapping[int, Item]
    entries: Mapping[int, TimelineEntry]
    item_count: int
    entry_count: int


@cache
def _adapter() -> TypeAdapter[SessionState]:
    from pydantic import TypeAdapter

    return TypeAdapter(SessionState)


def dump_state(state: SessionState) -> str:
    """Return the state as JSON, the same text for the same state."""
    return _adapter().dump_json(state).decode()


def load_state(text: str) -> SessionState:
    """Read a state that `dump_state` wrote. Raises `ValueError` when it is of another version."""
    return _adapter().validate_json(text)


def digest(text: str) -> str:
    """Return the SHA-256 of a dumped state, which a fold from the first event must reproduce."""
    return hashlib.sha256(text.encode()).hexdigest()
