"""Events without the secrets that came with their text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from tui_agent.redaction import Redactor

if TYPE_CHECKING:
    from tui_agent.events import EventBase

E = TypeVar("E", bound="EventBase")

VERBATIM_TYPES = frozenset(
    {
        "turn.started",
        "turn.delta",
        "turn.finished",
        "turn.failed",
        "step.planned",
        "step.started",
        "context.compacted",
    }
)
"""What the model said, and what a step is bound to: sent again, signed, hashed or compared as it is."""

VERBATIM_FIELDS = frozenset({"type", "session", "run", "agent", "input", "effects", "memory", "layout"})
"""Fields of other events that are ids, paths, or part of a call that a decision is bound to."""


def redacted(event: E, redactor: Redactor) -> E:
    """Return `event` without secrets, the very same where there are none."""
    if event.type in VERBATIM_TYPES:
        return event
    changed = {}
    for name in type(event).model_fields:
        value = getattr(event, name)
        if name not in VERBATIM_FIELDS and isinstance(value, str | list | dict):
            clean = _clean(value, redactor)
            if clean is not value:
                changed[name] = clean
    return event.model_copy(update=changed) if changed else event


def _clean(value: Any, redactor: Redactor) -> Any:
    """Return a field's value without secrets; parts of events in lists (sources, files) are left alone."""
    if isinstance(value, list) and value and not isinstance(value[0], str | dict | list):
        return value
    return redactor.value(value)
