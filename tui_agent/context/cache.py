"""Why the server's prompt cache was not read where it could have been."""

from __future__ import annotations

from tui_agent.context.history import LastTurn
from tui_agent.events import Usage

TOLERANCE = 0.95
"""A read of this share of what was cached is no miss: a server may cut at its own block bounds."""


def miss_reason(last: LastTurn | None, usage: Usage, *, model: str, begun: float, diagnosis: str = "") -> str:
    """Return why a response read less from the cache than was there; empty when it did not.

    `last` is the turn before, None for the first; `begun` is when the request was sent, in seconds since the epoch;
    `diagnosis` is what the server says, if anything.
    """
    own = _own_reason(last, usage, model, begun)
    if not own or not diagnosis:
        return own or ""
    return f"{own} ({diagnosis})" if own != UNKNOWN else diagnosis


UNKNOWN = "the server does not say why"


def _own_reason(last: LastTurn | None, usage: Usage, model: str, begun: float) -> str:
    read = usage.cache_read_tokens
    if last is None:
        return "" if read else "first request"
    if last.repaired:
        return "content that the server refused was taken out"
    if last.compacted:
        return "the history was compacted"
    if read >= TOLERANCE * last.cached_tokens:
        return "" if last.cached_tokens or read else "nothing was cached before"
    if last.model != model:
        return "the model was changed"
    if begun - last.time > last.cache_life:
        return f"{begun - last.time:.0f} s after the last turn; the cache keeps {last.cache_life:.0f} s"
    return UNKNOWN
