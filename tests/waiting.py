"""Waiting in tests: for what should happen, never for the clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

MAX_WAIT_SECONDS = 120.0
"""Seconds after which a test gives up waiting: far more than any wait takes, also on a busy machine."""

POLL_SECONDS = 0.01
"""Seconds between two looks at a condition that nothing announces."""


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait until the condition holds; raise AssertionError naming `what` after MAX_WAIT_SECONDS."""
    end = time.monotonic() + MAX_WAIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"never: {what or condition}")
        await asyncio.sleep(POLL_SECONDS)


def wait_until(condition: Callable[[], object], what: str = "") -> None:
    """Wait as `until` does, in a test without an event loop."""
    end = time.monotonic() + MAX_WAIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"never: {what or condition}")
        time.sleep(POLL_SECONDS)
