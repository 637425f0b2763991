"""A simulated prompt cache, with the API's own rules for what is read, written and billed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tui_agent.models.offline.request import Request, lifetime

LOOKBACK = 20
"""Blocks before a breakpoint that are searched for an earlier entry, as the API documents."""

MINIMUM_TOKENS = 1_024
"""A shorter prefix is not cached, as the API documents for most models."""


@dataclass
class _Entry:
    expires: float
    lifetime: float


class PromptCache:
    """Remembers prefixes by hash. `now` gives seconds and may be a test's own clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._entries: dict[tuple[str, str], _Entry] = {}

    def usage(self, request: Request) -> dict[str, Any]:
        """Return the input part of the response's `usage`, and remember the request's prefixes."""
        now = self._now()
        self._entries = {key: entry for key, entry in self._entries.items() if entry.expires > now}
        prefix = request.prefix
        totals: list[int] = []
        for block in prefix:
            totals.append((totals[-1] if totals else 0) + block.tokens)
        marks = {number: block.lifetime for number, block in enumerate(prefix) if block.lifetime is not None}
        automatic = lifetime(request.body)
        if automatic is not None:
            marks.setdefault(len(prefix) - 1, automatic)

        hit = -1
        for mark in sorted(marks, reverse=True):
            for number in range(mark, max(-1, mark - LOOKBACK - 1), -1):
                entry = self._entries.get((request.model, prefix[number].hash))
                if entry is not None and number > hit:
                    entry.expires = now + entry.lifetime
                    hit = number
                    break
        read = totals[hit] if hit >= 0 else 0
        written = {300.0: 0, 3600.0: 0}
        end = read
        for mark, life in sorted(marks.items()):
            if mark <= hit or totals[mark] < MINIMUM_TOKENS:
                continue
            written[life] += totals[mark] - end
            end = totals[mark]
            self._entries[request.model, prefix[mark].hash] = _Entry(now + life, life)
        return {
            "input_tokens": request.tokens - end,
            "cache_creation_input_tokens": sum(written.values()),
            "cache_read_input_tokens": read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": written[300.0],
                "ephemeral_1h_input_tokens": written[3600.0],
            },
        }
