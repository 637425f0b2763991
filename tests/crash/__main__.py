"""The long form: ``python -m tests.crash --kills 300 --images 200``; prints what was tried and what came of it."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.crash import kills, power, power_session, trace
from tests.crash.faults import FAULTS
from tests.crash.kills import KillReport
from tests.crash.power import PowerReport
from tests.crash.seeded import caught

Simulation = Callable[..., PowerReport]


def main() -> int:
    """Run what the command line asks for; return 1 when anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="kills at random instants, half in recovery")
    parser.add_argument("--failpoints", type=int, help="how many failpoint hits to try; default: all")
    parser.add_argument("--cases", type=int, default=30, help="lives of each of the cases, listed in the table")
    parser.add_argument("--images", type=int, default=200, help="images of each of the three power-loss runs")
    parser.add_argument("--no-faults", action="store_true", help="do not try whether seeded faults are caught")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="lives at a time")
    parser.add_argument("--folder", type=Path, help="work here and keep everything")
    arguments = parser.parse_args()
    folder: Path = arguments.folder or Path(tempfile.mkdtemp(prefix="tui-agent-crash-"))
    folder.mkdir(parents=True, exist_ok=True)
    problems: list[str] = []
    began = time.monotonic()
    if arguments.images:
        if not trace.available():
            print("strace is not there or may not trace: no power losses", file=sys.stderr)
            problems.append("no strace")
        else:

            def run(simulation: Simulation, name: str) -> PowerReport:
                return simulation(folder / name, images=arguments.images, seed=arguments.seed)

            problems += print_power("journal and runner", run(power.run_journal, "journal"))
            problems += print_power("the whole app", run(power_session.run_session, "app"))
            problems += print_power("killed and recovered", run(power_session.run_recovery, "recovery"))
    if arguments.kills or arguments.failpoints != 0 or arguments.cases:
        report = kills.campaign(
            folder / "kills",
            kills=arguments.kills,
            failpoints=arguments.failpoints,
            seed=arguments.seed,
            workers=arguments.workers,
            cases=arguments.cases,
        )
        problems += print_kills(report)
    if not arguments.no_faults:
        problems += print_faults(folder / "faults", arguments.seed)
    for problem in problems:
        print(f"\nPROBLEM {problem}")
    print(f"\n{len(problems)} problems, {time.monotonic() - began:.0f} s, files in {folder}")
    if not problems and arguments.folder is None:
        shutil.rmtree(folder)
    return 1 if problems else 0


def print_power(what: str, report: PowerReport) -> list[str]:
    """Print one power-loss run; return its problems."""
    print(f"\nPower losses, {what}: {report.images} images, {report.unsynced} of them with unsynced changes")
    _print_counts(report.outcomes)
    return report.problems


def print_kills(report: KillReport) -> list[str]:
    """Print the kills; return their problems."""
    print(f"\nKills: {report.kills} in {report.lives} lives, {report.in_recovery} of them while recovering")
    print(f"  at failpoints: {sum(report.failpoints.values())}; not reached: {report.not_reached}")
    _print_counts(report.failpoints, "    ")
    print("  in cases")
    _print_counts(report.cases, "    ")
    print("  what was cut off")
    _print_counts(report.phases, "    ")
    print("  what recovery found")
    _print_counts(report.findings, "    ")
    return report.problems


def print_faults(folder: Path, seed: int) -> list[str]:
    """Try each seeded fault and print how it was caught; return those that were not."""
    print("\nSeeded faults")
    missed = []
    for name, fault in FAULTS.items():
        problem = caught(name, folder / name, seed)
        print(f"  {name:<22} {'caught' if problem else 'MISSED'}  {fault.text}")
        if problem:
            print(f"  {'':<22} {problem.splitlines()[0][:150]}")
        else:
            missed.append(f"the seeded fault {name} was not caught")
    return missed


def _print_counts(counts: Counter[str], indent: str = "  ") -> None:
    for name, count in counts.most_common():
        print(f"{indent}{count:>5}  {name}")


if __name__ == "__main__":
    sys.exit(main())
