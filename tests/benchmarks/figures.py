"""A figure with its floor and aim, the table of them, and what /proc says of a process."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    `floor` is what the figure is compared to, measured in the same run; `aim` is the most that the value may
    be, `aim_ratio` the most that value / floor may be. A figure without an aim is for information.
    """

    name: str
    value: float
    unit: str
    floor: float | None = None
    floor_name: str = ""
    aim: float | None = None
    aim_ratio: float | None = None
    aim_least: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The value divided by its floor."""
        return self.value / self.floor if self.floor else None

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None without an aim."""
        tests = []
        if self.aim is not None:
            tests.append(self.value <= self.aim)
        if self.aim_least is not None:
            tests.append(self.value >= self.aim_least)
        if self.aim_ratio is not None:
            tests.append(self.ratio is not None and self.ratio <= self.aim_ratio)
        return all(tests) if tests else None


def table(figures: Iterable[Figure]) -> str:
    """Return the figures as a Markdown table."""
    rows = [("figure", "measured", "floor", "ratio", "aim", "met")]
    for figure in figures:
        aim = ""
        if figure.aim is not None:
            aim = f"≤ {_number(figure.aim)} {figure.unit}"
        elif figure.aim_least is not None:
            aim = f"≥ {_number(figure.aim_least)} {figure.unit}"
        elif figure.aim_ratio is not None:
            aim = f"≤ {figure.aim_ratio:g} ×"
        floor = f"{_number(figure.floor)} {figure.unit} ({figure.floor_name})" if figure.floor is not None else ""
        measured = f"{_number(figure.value)} {figure.unit}" + (f" ({figure.note})" if figure.note else "")
        ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else ""
        rows.append((figure.name, measured, floor, ratio, aim, {None: "", True: "yes", False: "**no**"}[figure.met]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far, all threads, in seconds; a tick (10 ms) exact."""
    return parse_stat(Path(f"/proc/{pid}/stat").read_text())


def parse_stat(text: str) -> float:
    """Return user and system seconds of a line of /proc/PID/stat, whatever the program is called."""
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process in MB; `pss` counts pages shared with other processes in part."""

    rss: float
    pss: float


def memory(pid: int) -> Memory:
    """Return the memory of a process now."""
    return parse_smaps(Path(f"/proc/{pid}/smaps_rollup").read_text())


def parse_smaps(text: str) -> Memory:
    """Return the sums in a text of /proc/PID/smaps_rollup; MB are 2^20 bytes."""
    kilobytes = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if rest.endswith(" kB"):
            kilobytes[name] = int(rest.removesuffix(" kB"))
    return Memory(kilobytes["Rss"] / 1024, kilobytes["Pss"] / 1024)


def noise() -> str:
    """Say how much else the machine is doing: the same work again and again, and how long it took."""
    times = []
    for _ in range(100):
        began = time.perf_counter()
        sum(range(100_000))
        times.append(1000 * (time.perf_counter() - began))
    median, high = statistics.median(times), percentile(times, 95)
    loads = " ".join(f"{load:.1f}" for load in os.getloadavg())
    return f"load {loads}; a {median:.1f} ms loop takes {high:.1f} ms at p95, {max(times):.1f} ms at most"
