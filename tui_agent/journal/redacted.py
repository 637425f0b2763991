"""Events without the secrets that came with their text.

There is one rule for all of them, whoever said it: the journal holds no secret, and what the model is sent is what
the journal holds. Exact stays only what is signed or encrypted by the server, and what is compared with the world.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from tui_agent.redaction import Redactor

if TYPE_CHECKING:
    from tui_agent.events import EventBase
    from tui_agent.events.base import Part

E = TypeVar("E", bound="EventBase")

EXACT_FIELDS = frozenset({"type", "session", "run", "agent", "effects", "memory"})
"""Fields that are ids, or paths."""


def redacted(event: E, redactor: Redactor) -> E:
    """Return `event` without secrets, the very same where there are none.

    A planned step whose input held one is marked: what is on disk of the call is not what was asked for.
    """
    changed = _changes(event, redactor)
    if event.type == "step.planned" and "input" in changed:
        changed["withheld"] = True
    return event.model_copy(update=changed) if changed else event


def _changes(part: Any, redactor: Redactor) -> dict[str, Any]:
    changed = {}
    for name in type(part).model_fields:
        if name not in EXACT_FIELDS:
            value = getattr(part, name)
            clean = _clean(value, redactor)
            if clean is not value:
                changed[name] = clean
    return changed


def _clean(value: Any, redactor: Redactor) -> Any:
    if isinstance(value, str):
        return redactor.value(value)
    if value is None or isinstance(value, int | float):
        return value
    part, exact = _parts()
    if isinstance(value, exact):
        return value  # looked up again on disk, by path and by hash
    if isinstance(value, part):
        changed = _changes(value, redactor)
        return value.model_copy(update=changed) if changed else value
    if isinstance(value, list) and value and isinstance(value[0], part):
        parts = [_clean(each, redactor) for each in value]
        return parts if any(new is not old for new, old in zip(parts, value, strict=True)) else value
    return redactor.value(value)


@cache
def _parts() -> tuple[type[Part], tuple[type[Part], ...]]:
    """Return the class of an event's parts, and those of them that are kept exact."""
    from tui_agent.events import ContextSource, FileState, Intent
    from tui_agent.events.base import Part

    return Part, (FileState, Intent, ContextSource)
