"""What the command line costs before anything else happens: `--help`, the lists, one offline prompt.

Run it as `python -m tests.benchmarks.door`. Wall-clock medians of fresh processes, with their ratio to a bare
interpreter and to one that imports click, measured in the same run.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 15
FLOOR = [sys.executable, "-c", "import click"]
DOOR = [sys.executable, "-m", "tui_agent"]
STARTS = {
    "bare interpreter": [sys.executable, "-c", "pass"],
    "interpreter and click": FLOOR,
    "tui-agent --help": [*DOOR, "--help"],
    "tui-agent run --help": [*DOOR, "run", "--help"],
    "tui-agent registry tools": [*DOOR, "registry", "tools"],
    "tui-agent run -p 'say 20'": [*DOOR, "run", "--offline", "-p", "say 20"],
}


def milliseconds(command: list[str], environment: dict[str, str], rounds: int = ROUNDS) -> float:
    """Return the median wall time of a process."""
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        subprocess.run(command, env=environment, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[1:])  # the first one fills the file cache


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TUI_AGENT_DATA_DIR": folder, "TUI_AGENT_CONFIG_DIR": folder}
        measured = {name: milliseconds(command, environment) for name, command in STARTS.items()}
    floor = measured["interpreter and click"]
    for name, median in measured.items():
        print(f"{name:<28} {median:7.1f} ms   {median / floor:5.2f} x click alone")


if __name__ == "__main__":
    main()
