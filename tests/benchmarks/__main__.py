"""All benchmarks by one command: `python -m tests.benchmarks [NAME …]`; names are those of `GROUPS`."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import context, conversation, journal, sandbox, screen
from tests.benchmarks.figures import Figure, noise, table
from tests.benchmarks.program import Place


def append(_: Place) -> list[Figure]:
    """CPU of an item that arrives in the conversation and is painted, with few and with many there.

    The least of several rounds each: what else the machine does makes the same work dearer, never cheaper.
    """
    few, many = [], []
    for _number in range(5):
        few.append(1000 * asyncio.run(conversation.append_cost(100)))
        many.append(1000 * asyncio.run(conversation.append_cost(10_000)))
    return [
        Figure("CPU to append an item, 10,000 there", min(many), "ms", min(few), "100 there", aim_ratio=1.2),
    ]


def events(_: Place) -> list[Figure]:
    """Durable events a second and their latency, against a bare loop of commits."""
    figures = journal.main(seconds=2.0, large=20_000, report=lambda line: None)
    bare = figures["bare_full_commits_per_second"]
    return [
        Figure(
            f"durable events/s, {count} at once",
            figures[f"events_per_second_{count}_producers"],
            "",
            bare,
            "bare commits",
        )
        for count in (1, 32)
    ] + [
        Figure(
            f"latency of a durable event, {count} at once, {which}", figures[f"{which}_ms_{count}_producers"], "ms"
        )
        for count in (1, 32)
        for which in ("p50", "p99")
    ]


GROUPS: dict[str, Callable[[Place], list[Figure]]] = {
    "ready": screen.ready,
    "echo": screen.echo,
    "echo-after-turns": screen.echo_after_turns,
    "resume": screen.resume,
    "burst": screen.burst,
    "append": append,
    "long": screen.long_session,
    "turns": screen.turns,
    "written": screen.written,
    "idle": screen.idle,
    "events": events,
    "sandbox": lambda _: sandbox.main(report=lambda line: None),
    "context": lambda _: context.main(report=lambda line: None),
}


def main(names: list[str]) -> int:
    """Run the groups named, or all; return the exit code: 1 when an aim is missed."""
    unknown = [name for name in names if name not in GROUPS]
    if unknown:
        print(f"There is no {', '.join(unknown)}; there are: {', '.join(GROUPS)}", file=sys.stderr)
        return 2
    print(
        f"{time.strftime('%Y-%m-%d')}, {platform.platform()}, Python {platform.python_version()}, "
        f"{os.cpu_count()} CPUs"
    )
    print(f"before: {noise()}", flush=True)
    figures: list[Figure] = []
    for name in names or GROUPS:
        with tempfile.TemporaryDirectory(prefix="tui-agent-benchmark-", ignore_cleanup_errors=True) as folder:
            figures += GROUPS[name](Place(Path(folder) / "place"))
        print(f"{name} is done; {noise()}", file=sys.stderr, flush=True)
    print(f"after: {noise()}\n")
    print(table(figures))
    return 0 if all(figure.met is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
