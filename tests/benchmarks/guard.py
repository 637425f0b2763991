"""What the guard costs: milliseconds for a usual command, and calls a second through the dry run.

Run `python -m tests.benchmarks.guard`.
"""

from __future__ import annotations

import json
import statistics
import time

from tests.permissions.support import judge, lines
from tui_agent.permissions.check import CheckDefaults, check_lines

ROUNDS = 3


def main() -> None:
    """Print the figures."""
    usual = [line for line, _ in lines("ordinary.txt")]
    judge("ls")
    taken = []
    for _ in range(ROUNDS):
        for line in usual:
            began = time.perf_counter()
            judge(line)
            taken.append((time.perf_counter() - began) * 1000)
    taken.sort()
    print(f"guard, {len(usual)} usual commands: median {statistics.median(taken):.2f} ms (aim: under 1), ", end="")
    print(f"p95 {taken[int(len(taken) * 0.95)]:.2f} ms, most {taken[-1]:.1f} ms")
    calls = [json.dumps({"tool": "bash", "input": {"command": line}, "allow": ["Bash(git *)"]}) for line in usual]
    began = time.perf_counter()
    count = sum(1 for _ in check_lines(calls, CheckDefaults("/work/project", "/home/dev")))
    print(f"dry run: {count / (time.perf_counter() - began):,.0f} calls/s (at least 200)")


if __name__ == "__main__":
    main()
