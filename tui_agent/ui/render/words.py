"""Numbers and times in the words of the screen."""

from __future__ import annotations

import time

_MINUTE = 60.0
_HOUR = 3600.0


def duration(seconds: float) -> str:
    """Return a duration in seconds as short text: `4 ms`, `2.31 s`, `3 min 05 s`, `1 h 02 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        minutes, rest = divmod(int(seconds), 60)
        return f"{minutes} min {rest:02} s"
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours} h {rest // 60:02} min"


def clock(moment: float) -> str:
    """Return a moment (seconds since the epoch) as local `HH:MM:SS`."""
    try:
        return time.strftime("%H:%M:%S", time.localtime(moment))
    except (OverflowError, ValueError, OSError):
        return "--:--:--"


def count(number: int, noun: str) -> str:
    """Return `1 turn`, `2 turns`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
