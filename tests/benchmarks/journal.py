"""What the journal can do: run `python -m tests.benchmarks.journal`.

Prints figures and their ratio to a bare sqlite3 loop measured in the same run: one transaction with one
INSERT of the same body, in one thread, with the same synchronous setting.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tui_agent.events import StepFinished, TurnDelta
from tui_agent.journal import Journal
from tui_agent.journal.schema import SCHEMA
from tui_agent.runtime import Runtime

RESULT = [{"type": "text", "text": "def login(user):\n    return user\n" * 10}]


def event(number: int) -> StepFinished:
    return StepFinished(step=f"step_{number}", tool="read", outcome="ok", result=RESULT, summary="10 lines")


def bare_commits(folder: Path, synchronous: str, seconds: float) -> float:
    """Return transactions a second of a plain loop: the floor."""
    path = folder / f"bare-{synchronous}.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.executescript(SCHEMA)
    body = event(1).model_dump_json()
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        done += 1
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "INSERT INTO event VALUES (?, 'step.finished', 0, 1, '', 'main', ?, ?, ?, x'', x'', ?)",
            (done, f"step_{done}", done, done, body),
        )
        connection.execute("COMMIT")
    rate = done / (time.perf_counter() - start)
    connection.close()
    return rate


async def appends(folder: Path, producers: int, seconds: float) -> dict[str, float]:
    """Return durable events a second and the latency of one append, in milliseconds."""
    journal = await Journal.create(folder / f"append-{producers}" / "session.db", "s", Runtime())
    latencies: list[float] = []
    stop = time.perf_counter() + seconds

    async def produce(producer: int) -> None:
        number = 0
        while (start := time.perf_counter()) < stop:
            await journal.append(event(producer * 10_000_000 + number))
            latencies.append(time.perf_counter() - start)
            number += 1

    await asyncio.gather(*(produce(producer) for producer in range(producers)))
    await journal.close()
    cuts = statistics.quantiles(latencies, n=100)
    return {
        "events_per_second": len(latencies) / seconds,
        "p50_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000,
    }


async def chunk_commits(folder: Path, seconds: float) -> float:
    journal = await Journal.create(folder / "chunks" / "session.db", "s", Runtime())
    done, stop = 0, time.perf_counter() + seconds
    while time.perf_counter() < stop:
        await journal.append_chunks(TurnDelta(turn="turn_1", block=0, kind="text", text="some words " * 5))
        done += 1
    await journal.close()
    return done / seconds


async def build(path: Path, count: int) -> None:
    journal = await Journal.create(path, "s", Runtime())
    for start in range(0, count, 1000):
        await journal.append(*(event(number) for number in range(start, min(start + 1000, count))))
    await journal.close()


async def open_seconds(path: Path, repeats: int = 7) -> float:
    """Return the median time until a session is open and its last page read."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        journal = await Journal.open(path, Runtime())
        await journal.page("conversation", journal.item_count - 50, journal.item_count)
        times.append(time.perf_counter() - start)
        await journal.close()
    return statistics.median(times)


async def measure(folder: Path, seconds: float, large: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    figures["bare_full_commits_per_second"] = bare_commits(folder, "FULL", seconds)
    figures["bare_normal_commits_per_second"] = bare_commits(folder, "NORMAL", seconds)
    for producers in (1, 32):
        result = await appends(folder, producers, seconds)
        figures |= {f"{name}_{producers}_producers": value for name, value in result.items()}
        figures[f"ratio_to_bare_{producers}_producers"] = (
            result["events_per_second"] / figures["bare_full_commits_per_second"]
        )
    figures["chunk_commits_per_second"] = await chunk_commits(folder, seconds)
    figures["chunk_ratio_to_bare"] = figures["chunk_commits_per_second"] / figures["bare_normal_commits_per_second"]
    for name, count in (("empty", 0), ("10k", 10_000), (f"{large // 1000}k", large)):
        path = folder / name / "session.db"
        await build(path, count)
        figures[f"open_ms_{name}"] = await open_seconds(path) * 1000
    journal = await Journal.open(path, Runtime(), read_only=True)
    start = time.perf_counter()
    verification = await journal.verify()
    figures["verified_events_per_second"] = verification.events / (time.perf_counter() - start)
    figures["verified"] = float(verification.ok)
    await journal.close()
    return figures


def main(seconds: float = 2.0, large: int = 100_000, report: Callable[[str], None] = print) -> dict[str, float]:
    """Measure, report a line for each figure, and return the figures by name."""
    folder = Path(tempfile.mkdtemp(prefix="journal-benchmark-", dir=Path.cwd()))
    try:
        figures = asyncio.run(measure(folder, seconds, large))
    finally:
        shutil.rmtree(folder)
    for name, value in figures.items():
        report(f"{name:<36} {value:>12,.2f}")
    return figures


if __name__ == "__main__":
    if "--json" in sys.argv:
        print(json.dumps(main(report=lambda line: None)))
    else:
        main()
