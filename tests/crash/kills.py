"""Kills under a real pseudo-terminal: at each failpoint and at random instants, also while recovering."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash import life as lives
from tests.crash.life import Life, Verdict, wait

RECOVERY_CUT = ("workflow.after_intent", 4)
"""Where a life ends whose recovery is then killed at each of its own failpoints: a slow command has begun."""


@dataclass
class KillReport:
    """How many lives and kills there were and what came of them; `problems` names each violation."""

    lives: int = 0
    kills: int = 0
    in_recovery: int = 0
    not_reached: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    failpoints: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: Verdict, what: str) -> None:
        """Take over the outcome of one life; `what` says how it was killed."""
        self.lives += 1
        self.kills += len(verdict.deaths)
        self.in_recovery += max(0, len(verdict.deaths) - 1)
        self.phases.update(death.phase for death in verdict.deaths)
        self.findings.update(verdict.findings)
        self.problems += [f"{what}: {problem} [{verdict.folder}]" for problem in verdict.problems]


@dataclass(frozen=True)
class Timing:
    """Seconds from start to the end of the work, in a life without a kill and in the recovery of one."""

    life: float
    recovery: float


def begin(life: Life, kill: tuple[str, int] | None = None, hits: Path | None = None) -> None:
    """Start a new app, and type a prompt and a draft as fast as they come."""
    life.start(resume=False, kill=kill, hits=hits)
    life.give(lives.make_work("a"))
    life.terminal.press(lives.DRAFT)


def bring_to_end(life: Life, *, layout: bool = True) -> Verdict:
    """Resume the session, let it finish, give it one more prompt, quit, and judge.

    `layout` says whether to kill it once more when it is idle, to compare the screen before and after.
    """
    life.start(resume=True)
    if life.wait_ready():
        life.ensure_asked()
        life.finish()
        if life.verdict.problems:
            return life.stop()
        if layout:
            life.check_layout()
        life.give_next(lives.make_next("b"))
        life.finish()
    return life.stop()


def listing(folder: Path) -> tuple[Counter[str], Counter[str], Timing]:
    """Return how often each failpoint is hit in a life and in a recovery, and how long both take."""
    life = Life(folder / "list-life")
    began = time.monotonic()
    begin(life, hits=folder / "hits-life")
    life.finish()
    in_life = time.monotonic() - began
    life.stop()
    cut = Life(folder / "list-recovery")
    begin(cut, kill=RECOVERY_CUT)
    cut.died_at_failpoint(lives.PATIENCE)
    began = time.monotonic()
    cut.start(resume=True, hits=folder / "hits-recovery")
    cut.finish()
    in_recovery = time.monotonic() - began
    cut.stop()
    for name, verdict in (("life", life.verdict), ("recovery", cut.verdict)):
        if verdict.problems:
            raise AssertionError(f"the {name} without a kill already goes wrong: {verdict.problems}")
    hits = [Counter((folder / name).read_text().split()) for name in ("hits-life", "hits-recovery")]
    return hits[0], hits[1], Timing(in_life, in_recovery)


def kill_at(
    folder: Path, name: str, hit: int, *, recovering: bool, fault: str = "", layout: bool = True
) -> tuple[Verdict, bool]:
    """Live a life that dies at the given hit of a failpoint; say also whether it got there."""
    life = Life(folder, fault=fault)
    if recovering:
        begin(life, kill=RECOVERY_CUT)
        life.died_at_failpoint(lives.PATIENCE)
        life.start(resume=True, kill=(name, hit))
    else:
        begin(life, kill=(name, hit))
    reached = life.died_at_failpoint(lives.PATIENCE, unless_done=True)
    if not reached:
        life.die()
    return bring_to_end(life, layout=layout), reached


def kill_at_random(folder: Path, seed: int, timing: Timing, fault: str = "", *, layout: bool = True) -> Verdict:
    """Live a life that is killed at a random instant, and again at one of its recovery."""
    chance = random.Random(seed)
    life = Life(folder, fault=fault)
    begin(life)
    wait(life.terminal, chance.uniform(0, timing.life * 1.05))
    life.die()
    life.start(resume=True)
    wait(life.terminal, chance.uniform(0, timing.recovery * 1.05))
    life.die()
    return bring_to_end(life, layout=layout)


def kill_while_streaming(folder: Path, fault: str = "") -> Verdict:
    """Live a life that is killed when some of a streaming answer is on screen."""
    life = Life(folder, fault=fault)
    life.start(resume=False)
    life.give(lives.make_talk())
    life.terminal.wait_for(lambda: len(lives.painted_prose(life.terminal.text())) >= 3, lives.PATIENCE)
    life.die()
    return bring_to_end(life)


def two_windows(folder: Path, fault: str = "") -> Verdict:
    """Open one session twice: the second window must be read-only and say so; the first goes on."""
    life = Life(folder, fault=fault)
    life.start(resume=False)
    life.give(lives.make_next("first"))
    life.finish()
    first = life.terminal
    second = life.start(resume=True)
    told = second.wait_for(lambda: "read-only" in second.text().lower(), 5.0)
    if not told:
        life.verdict.problems.append(f"the second window does not say that it is read-only:\n{second.text()}")
    second.press("run echo stray >> ledger.txt\r")
    second.pump(0.5)
    life.use(first)
    life.give(lives.make_next("last"))
    life.finish()
    second.kill()
    return life.stop()


def campaign(
    folder: Path,
    *,
    kills: int,
    failpoints: int | None,
    seed: int,
    workers: int = 2,
    fault: str = "",
    seconds: float = float("inf"),
    layout: bool = True,
) -> KillReport:
    """Kill at every failpoint (or at `failpoints` of them, drawn at random) and `kills` times at random.

    No new life begins after `seconds`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    in_life, in_recovery, timing = listing(folder)
    chance = random.Random(seed)
    points = [(name, hit, False) for name, count in sorted(in_life.items()) for hit in range(1, count + 1)]
    points += [(name, hit, True) for name, count in sorted(in_recovery.items()) for hit in range(1, count + 1)]
    if failpoints is not None:
        points = chance.sample(points, min(failpoints, len(points)))
    report = KillReport()
    until = time.monotonic() + seconds

    def at_point(number: int, point: tuple[str, int, bool]) -> None:
        if time.monotonic() > until:
            return
        name, hit, recovering = point
        place = folder / f"point-{number}"
        verdict, reached = kill_at(place, name, hit, recovering=recovering, fault=fault, layout=layout)
        report.failpoints[name] += reached
        report.not_reached += not reached
        report.add(verdict, f"killed at {name} #{hit}{' while recovering' if recovering else ''}")

    def at_random(number: int) -> None:
        if time.monotonic() > until:
            return
        verdict = kill_at_random(folder / f"random-{number}", seed * 100_000 + number, timing, fault, layout=layout)
        report.add(verdict, f"killed at random, seed {seed * 100_000 + number}")

    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(at_point, number, point) for number, point in enumerate(points)]
        jobs += [pool.submit(at_random, number) for number in range((kills + 1) // 2)]
        for job in jobs:
            job.result()
    return report
