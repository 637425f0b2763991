"""The session's state: the four rooms' states side by side, and what changed in one update."""

from __future__ import annotations

import hashlib
import json
import re
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
from tui_agent.text import dumps_any
from tui_agent.workflow.state import WorkflowState
from tui_agent.workflow.state import apply as apply_workflow

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FOLD_VERSION = 10
"""Version of the fold: of the state's fields and of what the reducers make of an event.

Raise it by one with every change of either. A snapshot of another version is neither loaded nor compared: the state
is then folded from the first event. Snapshots written by 0.1.0 name no version and count as version 0.
"""

_SNAPSHOT = re.compile(r'\{"fold":(\d+),"state":(.*)\}', re.DOTALL)


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
    """Return the state as JSON with its `FOLD_VERSION`, the same text for the same state."""
    try:
        text = _adapter().dump_json(state).decode()
    except ValueError:  # a name that is not UTF-8, see `EventBase.model_dump_json`
        text = dumps_any(_adapter().dump_python(state, mode="json"))
    return f'{{"fold":{FOLD_VERSION},"state":{text}}}'


def snapshot_version(text: str) -> int:
    """Return the fold version that wrote a snapshot's text; 0 where it names none."""
    match = _SNAPSHOT.fullmatch(text)
    return int(match[1]) if match else 0


def load_state(text: str) -> SessionState:
    """Read a state that `dump_state` wrote. Raises `ValueError` when it is of another version or damaged."""
    match = _SNAPSHOT.fullmatch(text)
    if match is None or int(match[1]) != FOLD_VERSION:
        raise ValueError(f"a snapshot of fold version {snapshot_version(text)}; this program has {FOLD_VERSION}")
    if "\\ud" in match[2]:  # perhaps a lone surrogate, which pydantic's own reader refuses
        return _adapter().validate_python(json.loads(match[2]))
    return _adapter().validate_json(match[2])


def digest(text: str) -> str:
    """Return the SHA-256 of a dumped state, which a fold from the first event must reproduce."""
    return hashlib.sha256(text.encode()).hexdigest()
