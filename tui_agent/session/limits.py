"""Which limits a session begins with, and which a person may set."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING

from tui_agent.budget import KINDS, SCOPES
from tui_agent.session.errors import SessionError
from tui_agent.session.options import OpenOptions

if TYPE_CHECKING:
    from tui_agent.config.settings import Settings


def limit_layers(settings: Settings, options: OpenOptions) -> dict[str, dict[str, float | None]]:
    """Return the limits of the settings and of this start's flags, by `scope.kind`, in layers."""
    base: dict[str, float | None] = dict(settings.all_limits())
    flags: dict[str, float | None] = dict(options.limits)
    if options.max_turns is not None:
        flags["run.turns"] = options.max_turns
    return {"settings": base, "start": flags}


def checked_limits(limits: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the limits as they were given. Raises `SessionError` for what is none."""
    for key, value in limits.items():
        scope, _, kind = key.partition(".")
        if scope not in SCOPES or kind not in KINDS:
            raise SessionError(f"there is no limit {key!r}; scopes are {', '.join(SCOPES)}, kinds {', '.join(KINDS)}")
        if value is not None and not (isfinite(value) and value > 0):
            raise SessionError(f"a limit is a number above 0, or off, not {value:g}")
    return dict(limits)
