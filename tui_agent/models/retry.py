"""How long to wait before another attempt."""

from __future__ import annotations

from random import Random  # noqa: TID251  the type alone; the generator is the Runtime's

MAX_ATTEMPTS = 6
"""Attempts for one turn, the first included."""

BASE_SECONDS = 1.0
CAP_SECONDS = 30.0
RETRY_AFTER_CAP_SECONDS = 300.0
"""A server that asks for more is not waited for: the user is told instead."""


def backoff(attempt: int, retry_after: float | None, random: Random) -> float | None:
    """Return the seconds to wait after failed attempt number `attempt` (from 1), or None to give up.

    Exponential with full jitter: between 0 and 1, 2, 4 … 30 seconds. A server's `retry_after` (seconds) is
    a floor, never shortened; a little jitter is added so that many clients do not come back at once.
    """
    if attempt >= MAX_ATTEMPTS:
        return None
    jitter = random.uniform(0.0, min(CAP_SECONDS, BASE_SECONDS * 2.0 ** (attempt - 1)))
    if retry_after is None:
        return jitter
    if retry_after > RETRY_AFTER_CAP_SECONDS:
        return None
    return max(0.0, retry_after) + min(jitter, 1.0)
