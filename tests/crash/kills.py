"""Kills under a real pseudo-terminal: at each failpoint and at random instants, also while recovering."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash import life as lives
from tests.crash.faults import RUNNER_POINTS
from tests.crash.life import Life, Verdict, wait
from tests.crash.oracle import Work

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
    cases: Counter[str] = field(default_factory=Counter)

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


def bring_to_end(life: Life, *, layout: bool = True, following: Work | None = None) -> Verdict:
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
        life.give_next(following or lives.make_next("b"))
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


CASES = ("a request waits", "several calls in one answer", *(f"the runner, {point}" for point in RUNNER_POINTS))
"""Kills in situations of their own, by what is killed or when."""


def kill_in_case(folder: Path, case: str, seed: int, *, layout: bool = True) -> Verdict:
    """Live a life that is killed in the situation of a case; `seed` draws what is left open."""
    chance = random.Random(seed)
    if case == "a request waits":
        return kill_while_asking(folder, chance, layout=layout)
    if case == "several calls in one answer":
        return kill_amid_several(folder, chance, layout=layout)
    return kill_runner(folder, case.removeprefix("the runner, "), app_too=bool(seed % 2), layout=layout)


def kill_while_asking(folder: Path, chance: random.Random, *, layout: bool = True) -> Verdict:
    """Kill while a permission is waited for, or just after it was given, and once more while recovering."""
    life = Life(folder, mode="ask")
    life.start(resume=False)
    life.give(lives.make_asked("a"))

    def asked() -> bool:
        return bool(lives.waiting_requests(life.record()))

    for _ in range(chance.randrange(3)):
        if life.terminal.wait_for(asked, lives.PATIENCE):
            waiting = lives.waiting_requests(life.record())
            life.choose("y")
            life.terminal.wait_for(lambda: lives.waiting_requests(life.record()) != waiting, lives.PATIENCE)  # noqa: B023
    life.terminal.wait_for(asked, lives.PATIENCE)
    if chance.random() < 0.5:
        life.terminal.press(lives.F4)
        life.terminal.pump(0.8)
        life.terminal.press("y")
        life.terminal.pump(chance.uniform(0, 0.2))
    else:
        life.terminal.pump(chance.uniform(0, 1.0))
    for _ in range(2):
        before = lives.waiting_requests(life.die())
        life.start(resume=True)
        if not life.wait_ready():
            return life.stop()
        wait(life.terminal, chance.uniform(0, 1.0))
        if lives.waiting_requests(life.record())[: len(before)] != before:
            life.verdict.problems.append(
                f"lost: the request {before} waited, now {lives.waiting_requests(life.record())}"
            )
    life.die()
    return bring_to_end(life, layout=layout)


def kill_amid_several(folder: Path, chance: random.Random, *, layout: bool = True) -> Verdict:
    """Kill while the calls of one answer that change something run one after another, and while that is recovered."""
    life = Life(folder, scenario=lives.SEVERAL)
    work, following = lives.make_several()
    points = (
        "workflow.before_intent",
        "workflow.after_intent",
        "effect.before",
        "effect.after",
        "workflow.before_outcome",
    )
    point = (chance.choice(points), chance.randint(1, 4)) if chance.random() < 0.5 else None
    life.start(resume=False, kill=point)
    life.give(work)
    if point is not None:
        life.died_at_failpoint(lives.PATIENCE, unless_done=True)
    else:
        life.terminal.wait_for(lambda: bool(life.record().of("step.planned")), lives.PATIENCE)
        wait(life.terminal, chance.uniform(0, 0.6))
    if life.terminal.alive:
        life.die()
    life.start(resume=True)
    wait(life.terminal, chance.uniform(0, 2.0))
    life.die()
    return bring_to_end(life, layout=layout, following=following)


def kill_runner(folder: Path, point: str, *, app_too: bool, layout: bool = True) -> Verdict:
    """Let the runner of a command die at a point of its life, alone or together with the app."""
    life = Life(folder, runner=(point, app_too))
    life.start(resume=False)
    work = lives.make_slow("a")
    life.give(work)
    if app_too:
        life.died_at_failpoint(lives.PATIENCE, unless_done=True)
    else:
        life.finish()
    if not (folder / "runner-died").exists():
        life.verdict.problems.append(f"no runner died {point}")
    if life.terminal.alive:
        life.die()
    verdict = bring_to_end(life, layout=layout)
    if point == "before its start record" and not app_too:
        # Nothing ran, and the model was told so; it gives up.
        told = ("a step ended with error: nothing was run", "lost: the command that writes a-")
        if sum(problem.startswith(told) for problem in verdict.problems) != 1 + len(work.ledger):
            verdict.problems.append("nobody was told that the command could not be launched")
        verdict.problems = [problem for problem in verdict.problems if not problem.startswith(told)]
    elif not verdict.findings["uncertain" if point != "before its start record" else "not_started"]:
        verdict.problems.append(f"it was not seen how far the command was: {dict(verdict.findings)}")
    return verdict


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
    cases: int = 0,
) -> KillReport:
    """Kill at every failpoint (or at `failpoints` of them, drawn at random) and `kills` times at random.

    Each of `CASES` is lived through `cases` times. No new life begins after `seconds`.
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

    def in_case(case: str, number: int) -> None:
        if time.monotonic() > until:
            return
        place = folder / f"case-{CASES.index(case)}-{number}"
        report.add(kill_in_case(place, case, seed * 100_000 + number, layout=layout), f"killed: {case}, {number}")
        report.cases[case] += 1

    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(at_point, number, point) for number, point in enumerate(points)]
        jobs += [pool.submit(at_random, number) for number in range((kills + 1) // 2)]
        jobs += [pool.submit(in_case, case, number) for case in CASES for number in range(cases)]
        for job in jobs:
            job.result()
    return report
