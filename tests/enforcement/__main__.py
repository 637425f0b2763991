"""Proof that what runs as "only reads" is held to it: run `python -m tests.enforcement [LINES] [--seed N]`.

Takes about a minute for 1,000 lines, and needs bubblewrap and strace. 20,000 lines are the whole proof. The lines
are generated, and only those that the guard allows in the default mode count; then come the lines of `acting.txt`,
whatever the guard says of them: each tries to change, to reach or to read something that it must not. All run in the
sandbox for commands that only read, in batches; when something went through, the lines of the batch run one by one,
and each that did it is named. Ends with 1 if there was any.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tests.enforcement.lines import acting, allowed, generated
from tests.enforcement.proof import World
from tui_agent.sandbox import probe_sandbox

BATCH = 50


def main() -> int:
    """Run the proof as the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.enforcement", description=__doc__)
    parser.add_argument("lines", nargs="?", type=int, default=1_000, help="allowed lines to run")
    parser.add_argument("--seed", type=int, default=1, help="of the generator")
    options = parser.parse_args()
    state = probe_sandbox()
    if state.kind != "bubblewrap":
        print(f"no bubblewrap here: {state.detail}")
        return 2
    with tempfile.TemporaryDirectory(prefix="tui-agent-enforcement-") as name:
        world = World(Path(name).resolve(), state)
        seen = tried = 0

        def chosen() -> Iterator[str]:
            nonlocal tried
            for line in generated(random.Random(options.seed)):
                tried += 1
                if "\n" not in line and allowed(line, world.workspace, world.home):
                    yield line

        began = time.monotonic()
        wrong: dict[str, list[str]] = {}
        for batch in batches(islice(chosen(), options.lines)):
            wrong |= world.guilty(batch) if world.run(batch) else {}
            seen += len(batch)
            print(f"{seen:,} lines, {time.monotonic() - began:.0f} s, {len(wrong)} got through", end="\r", flush=True)
        print(f"{seen:,} allowed lines of {tried:,} generated (seed {options.seed}): {len(wrong)} got through")
        for batch in batches(iter(acting())):
            wrong |= world.guilty(batch) if world.run(batch) else {}
        print(f"{len(acting())} lines that act: {sum(line in acting() for line in wrong)} got through")
        for line, found in wrong.items():
            print(f"  {line!r}")
            for what in found:
                print(f"    {what}")
    return bool(wrong)


def batches(lines: Iterator[str]) -> Iterator[list[str]]:
    """Yield the lines in lists of `BATCH`."""
    while batch := list(islice(lines, BATCH)):
        yield batch


if __name__ == "__main__":
    sys.exit(main())
