"""What a run takes from the world besides its input: time, ids, chance, the environment.

Everything below `session/` gets these from a `Runtime` and never calls `time.time`, `uuid4`,
`random` or `os.environ` itself, so that a run can be replayed and a test can hold the clock.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


async def _sleep(seconds: float) -> None:
    import asyncio  # a third of the time that `--help` takes, which never sleeps

    await asyncio.sleep(seconds)


def _no_failpoint(name: str) -> None:
    """Do nothing: failpoints act only where the crash tests install one."""


@dataclass
class Runtime:
    """The clock, ids, randomness and environment of one process.

    `now` gives seconds since the epoch (UTC); `monotonic` gives seconds for measuring durations.
    `failpoint` is called with a name at each point around a transaction or an effect; the crash
    tests put a function there that kills the process, so that each of these points is tried.
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = _sleep
    random: random.Random = field(default_factory=random.SystemRandom)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    home: Path = field(default_factory=Path.home)
    failpoint: Callable[[str], None] = _no_failpoint

    def new_id(self, kind: str) -> str:
        """Return a fresh id such as `step_0mh3k2x9a1b2c3`: sortable by time of making, then random."""
        milliseconds = int(self.now() * 1000)
        return f"{kind}_{_base36(milliseconds, 9)}{_base36(self.random.getrandbits(36), 7)}"


_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def _base36(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
