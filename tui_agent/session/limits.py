"""Which limits a session begins with, and which a user may set."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING

from tui_agent.budget import KINDS, SCOPES
from tui_agent.budget.limits import DEFAULTS
from tui_agent.session.errors import SessionError
from tui_agent.session.options import OpenOptions

if TYPE_CHECKING:
    from tui_agent.config.settings import LoadedSettings, Settings
    from tui_agent.models import Catalog
    from tui_agent.session.state import SessionState


def limit_layers(settings: Settings, options: OpenOptions) -> dict[str, dict[str, float | None]]:
    """Return the default limits, those of the settings and of this start's flags, by `scope.kind`, in layers."""
    defaults, base = settings.limit_layers()
    flags = {key: value or None for key, value in options.limits.items()}
    if options.max_turns is not None:
        flags["run.turns"] = options.max_turns or None
    return {DEFAULTS: defaults, "settings": base, "start": flags}


def asks_for_cost(settings: LoadedSettings, state: SessionState, catalog: Catalog) -> bool:
    """Say whether nobody has said yet what a run may cost, although somebody will have to pay for it.

    The practice model costs nothing, and a model without a known price keeps no limit on cost. A settings file that
    has faults is not written to.
    """
    if state.conversation.offline or settings.problems or "max_cost" in settings.settings.model_fields_set:
        return False
    return "run.cost" not in state.budget.chosen and catalog.find(state.conversation.model).price is not None


def checked_limits(limits: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the limits as they were given. Raises `SessionError` for what is none."""
    for key, value in limits.items():
        scope, _, kind = key.partition(".")
        if scope not in SCOPES or kind not in KINDS:
            raise SessionError(f"there is no limit {key!r}; scopes are {', '.join(SCOPES)}, kinds {', '.join(KINDS)}")
        if value is not None and not (isfinite(value) and value > 0):
            raise SessionError(f"a limit is a number above 0, or off, not {value:g}")
    return dict(limits)
