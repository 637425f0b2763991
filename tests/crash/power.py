"""Simulated power losses: images of the disk at many instants of a traced run, each opened and judged."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash import trace
from tests.crash.disk import Disk, Loss, random_loss, write_image
from tests.crash.trace import Create, Mark, Operation, Remove, Rename, Sync


@dataclass
class Acknowledged:
    """What the traced program had been told is safe, up to some instant."""

    created: bool = False
    events: dict[int, str] = field(default_factory=dict)

    def hear(self, mark: Mark) -> None:
        """Take over one mark."""
        said = json.loads(mark.text)
        self.created = self.created or "created" in said
        self.events.update(said.get("seqs", []))
        if said.get("seq") is not None:
            self.events[said["seq"]] = said["hash"]


@dataclass
class PowerReport:
    """How many images were made and what came of them; `problems` names each violation once an image."""

    images: int = 0
    instants: int = 0
    unsynced: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


Judge = Callable[[Path, Acknowledged], tuple[str, list[str]]]
"""Takes the folder of an image and what was acknowledged; returns the outcome's name and the violations."""


def simulate(
    root: Path, child: list[str], judge: Judge, *, scratch: Path, images: int, seed: int, enough: int = 0
) -> PowerReport:
    """Trace `child` working in `root`, and judge `images` images of `root`, each put in its place.

    `child` writes its marks to the file `marks` in `scratch`. With `enough`, stops after so many violations.
    """
    start = scratch / "start"
    shutil.copytree(root, start)
    marks = scratch / "marks"
    operations = trace.record(child, root=root, marks=marks, log=scratch / "trace")
    compare_with_real(root, start, operations)
    chance = random.Random(seed)
    report = PowerReport()
    chosen = Counter(_instants(operations, images, chance))
    # Each image stands where the traced folder stood, because the files in it name each other by path.
    shutil.rmtree(root)
    shutil.copytree(start, root)
    disk = Disk(root)
    acknowledged = Acknowledged()
    for number, operation in enumerate(operations):
        disk.apply(operation)
        if isinstance(operation, Mark):
            acknowledged.hear(operation)
        for _ in range(chosen[number]):
            loss = random_loss(chance)
            shutil.rmtree(root)
            write_image(disk.image(loss, chance), root)
            outcome, problems = judge(root, acknowledged)
            report.images += 1
            report.unsynced += disk.unsynced() > 0
            report.outcomes[outcome] += 1
            report.problems += [f"{text} (after call {number}, {_describe(loss)})" for text in problems]
            if enough and len(report.problems) >= enough:
                return report
    report.instants = len(chosen)
    return report


def compare_with_real(root: Path, start: Path, operations: list[Operation]) -> None:
    """Check that the trace tells all: the simulated disk must end up as the real one did."""
    shown = Disk(start)
    shown.rebase(root)
    for operation in operations:
        shown.apply(operation)
    real = {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")
    }
    live = {path: content for path, content in shown.live().items() if not path.endswith("-shm")}
    if live != real:
        wrong = sorted(name for name in live.keys() | real.keys() if live.get(name) != real.get(name))
        raise trace.TraceError(f"the trace does not explain these files: {wrong}")


def _instants(operations: list[Operation], count: int, chance: random.Random) -> list[int]:
    """Choose instants, half of them next to a sync, a change of names, or an acknowledgement."""
    near = [
        number
        for number, operation in enumerate(operations)
        if isinstance(operation, Sync | Rename | Remove | Create | Mark)
    ]
    everywhere = range(len(operations))
    return [chance.choice(near if chance.random() < 0.5 else everywhere) for _ in range(count)]


def _describe(loss: Loss) -> str:
    order = "in order" if loss.ordered else "in any order"
    return f"{loss.names:.0%} of names {order} and {loss.data:.0%} of {loss.sector}-byte sectors kept"


def judge_journal(root: Path, acknowledged: Acknowledged) -> tuple[str, list[str]]:
    """Judge an image by the product's own opening, verification, and look at the spools."""
    return asyncio.run(_judge_journal(root, acknowledged))


async def _judge_journal(root: Path, acknowledged: Acknowledged) -> tuple[str, list[str]]:
    from tui_agent.events import StepFinished, StepPlanned, StepStarted
    from tui_agent.journal import Journal, JournalError
    from tui_agent.runtime import Runtime
    from tui_agent.sandbox import command

    path = root / "data" / "sessions" / "s1" / "session.db"
    if not path.is_file():
        lost = ["lost: the session file, whose making was acknowledged"] if acknowledged.created else []
        return "no session yet", lost
    try:
        journal = await Journal.open(path, Runtime())
    except JournalError as error:
        return "cannot be opened", [f"cannot be opened: {error}"]
    problems = []
    if journal.salvage is not None:
        problems.append(f"damaged: {journal.salvage.reason}")
    verification = await journal.verify()
    if not verification.ok:
        problems.append(f"does not verify: {verification.reason}")
    events = await journal.read(limit=100_000)
    kept = {event.seq: event.hash for event in events}
    missing = [seq for seq, digest in acknowledged.events.items() if kept.get(seq) != digest]
    if missing:
        problems.append(f"lost: {len(missing)} acknowledged events")
    ledger = root / "workspace" / "ledger.txt"
    written = ledger.read_text().splitlines() if ledger.is_file() else []
    started = {event.step for event in events if isinstance(event, StepStarted)}
    finished = {event.step for event in events if isinstance(event, StepFinished)}
    states = []
    for plan in (event for event in events if isinstance(event, StepPlanned)):
        line = str(plan.input["command"]).split()[1]
        there = line in written
        if there and plan.step not in started:
            problems.append("no intent: an effect is on disk, its intent is not")
        if plan.step in finished and not there:
            problems.append("no effect: an outcome is on disk, its effect is not")
        if plan.step in started and plan.step not in finished:
            found = command.inspect(path.parent / "steps" / plan.step).state
            states.append(found)
            if there and found == "never_started":
                problems.append("would run again: an effect is on disk, the record of its start is not")
            if not there and found == "finished":
                problems.append("no effect: an exit record is on disk, the effect is not")
    await journal.close()
    return f"command {states[0]}" if states else "between steps", problems


def journal_child(root: Path, marks: Path, fault: str = "") -> list[str]:
    """Return the command to trace for `judge_journal`."""
    return [sys.executable, "-m", "tests.crash.power_child", str(root), str(marks), fault]


def run_journal(folder: Path, *, images: int, seed: int, fault: str = "", enough: int = 0) -> PowerReport:
    """Judge `images` power losses of journal and command runner, working in `folder`."""
    root, scratch = prepare(folder)
    child = journal_child(root, scratch / "marks", fault)
    return simulate(root, child, judge_journal, scratch=scratch, images=images, seed=seed, enough=enough)


def prepare(folder: Path) -> tuple[Path, Path]:
    """Make the folder to be traced, with a workspace in it, and one for the harness's own files."""
    root, scratch = folder / "root", folder / "scratch"
    (root / "workspace").mkdir(parents=True)
    scratch.mkdir()
    return root, scratch
