"""The union of all event types, and reading events back."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any, cast, get_args

from pydantic import Discriminator, Tag, TypeAdapter

from tui_agent.events import types as t
from tui_agent.events.base import EventBase, UnknownEvent

KnownEvent = (
    t.SessionCreated
    | t.SessionConfigured
    | t.SandboxProbed
    | t.RunStarted
    | t.RunFinished
    | t.RunInterrupted
    | t.PromptQueued
    | t.PromptAccepted
    | t.PromptWithdrawn
    | t.TurnProjected
    | t.TurnStarted
    | t.TurnDelta
    | t.TurnFinished
    | t.TurnFailed
    | t.StepPlanned
    | t.StepStarted
    | t.StepOutput
    | t.StepFinished
    | t.StepRecovered
    | t.StepResolved
    | t.BackgroundEnded
    | t.PermissionRequested
    | t.PermissionDecided
    | t.PermissionRevoked
    | t.StepEdited
    | t.QuestionAsked
    | t.QuestionAnswered
    | t.PoolAssembled
    | t.ContextLoaded
    | t.ContextNoted
    | t.ContextCompacted
    | t.ContextRepaired
    | t.ContextPutBack
    | t.ContextStale
    | t.BudgetWarned
    | t.BudgetStopped
    | t.BudgetBooked
    | t.BudgetClocked
    | t.WorkspaceChanged
    | t.TodoChanged
    | t.Crash
    | t.Notice
)
"""Every type this version writes."""

Event = KnownEvent | UnknownEvent
"""Whatever a journal can hold."""

EVENT_TYPES: dict[str, type[EventBase]] = {
    member.model_fields["type"].default: member for member in get_args(KnownEvent)
}
"""Event class by its `type`."""


def _tag(value: Any) -> str:
    name = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return name if name in EVENT_TYPES else "unknown"


@cache
def event_adapter() -> TypeAdapter[Event]:
    """Return the discriminated union as a pydantic adapter, e.g. for its JSON schema."""
    members: Any = Annotated[UnknownEvent, Tag("unknown")]
    for name, member in EVENT_TYPES.items():
        members = members | Annotated[member, Tag(name)]
    adapter: TypeAdapter[Event] = TypeAdapter(Annotated[members, Discriminator(_tag)])
    return adapter


def parse_event(body: str | bytes, *, seq: int | None = None, hash: str | None = None) -> Event:
    """Read one event from its JSON; `seq` and `hash` are set where the journal knows them.

    A type this version does not know becomes an `UnknownEvent`. Raises `ValueError` (pydantic's
    `ValidationError` or `json.JSONDecodeError`) when the JSON is damaged or lacks a field.
    """
    data = json.loads(body)
    if not isinstance(data, dict):
        raise ValueError("an event is a JSON object")  # noqa: TRY004 - one error type for all damage
    name = data.get("type")
    kind = EVENT_TYPES.get(name) if isinstance(name, str) else None
    if seq is not None:
        data["seq"], data["hash"] = seq, hash
    if kind is None:
        envelope = {key: data[key] for key in _ENVELOPE if key in data}
        return UnknownEvent.model_validate({**envelope, "type": str(name), "body": data})
    return cast(Event, kind.model_validate(data))  # EVENT_TYPES holds exactly the members of the union


_ENVELOPE = tuple(name for name in EventBase.model_fields if name != "type")
