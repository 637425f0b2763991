"""Booked spend never exceeds a limit, and no run stops while its next turn fits: the real loop, a hostile server."""

from __future__ import annotations

import asyncio
import math
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.budget.adversary import Adversary
from tests.session.support import Watcher, opened, options
from tui_agent.budget.limits import amount, split
from tui_agent.events import Amounts, BudgetStopped
from tui_agent.journal import SessionIndex
from tui_agent.models import load_catalog
from tui_agent.runtime import Runtime
from tui_agent.submissions import Configure, Submit

TOLERANCE = 1e-6
MODEL = "claude-sonnet-5-5"
MIN_OUTPUT = 256


def around(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers of any size between two: as many small as large ones."""
    return st.floats(math.log(low), math.log(high)).map(math.exp)


RANGES = {
    "turns": st.integers(1, 25),
    "input_tokens": around(1_000, 120_000).map(int),
    "output_tokens": around(100, 200_000).map(int),
    "tokens": around(1_000, 300_000).map(int),
    "cost": around(0.002, 3.0),
}
limit_sets = st.dictionaries(
    st.tuples(st.sampled_from(["run", "session", "day"]), st.sampled_from(sorted(RANGES))).map(".".join),
    st.none(),
    min_size=1,
    max_size=3,
).flatmap(lambda keys: st.fixed_dictionaries({key: RANGES[key.split(".")[1]] for key in keys}))


class Crashed(Exception):
    """The program is gone from here on."""


@dataclass
class CrashAt:
    """A failpoint that keeps an image of the disk at its nth time, and ends the program there."""

    data: Path
    point: str
    number: int
    image: Path | None = None

    def __call__(self, name: str) -> None:
        if name != self.point:
            return
        self.number -= 1
        if self.number == 0:
            self.image = self.data.with_name("image")
            shutil.copytree(self.data, self.image)
        if self.number <= 0:
            raise Crashed


crashes = st.none() | st.tuples(
    st.sampled_from(["budget.after_day_reserved", "budget.after_reserved", "budget.before_booked"]), st.integers(1, 6)
)


async def play(folder: Path, seed: int, limits: dict[str, float], crash: tuple[str, int] | None, side: bool) -> None:
    for name in ("home", "workspace", "data", "config"):
        (folder / name).mkdir()
    (folder / "workspace" / "a.txt").write_text("one line\n" * 40)
    with Adversary(seed) as server:
        given = options(folder, offline=False, base_url=server.base_url, api_key="k", model=MODEL, unattended=True)
        crasher = CrashAt(folder / "data", *crash) if crash else None
        if crasher is not None:
            environment = given.runtime.environment
            runtime = Runtime(home=folder / "home", environment=environment, failpoint=crasher)
            given = replace(given, runtime=runtime)
        work = [talk(given, server, limits)]
        if side:
            work.append(talk(given, server, limits))
        names = await asyncio.gather(*work)
        if crasher is not None and crasher.image is not None:
            data = crasher.image
            given = replace(given, data_dir=data, runtime=Runtime(home=folder / "home", environment={}))
            here = [name for name in names if (data / "sessions" / name / "session.db").exists()]
            await asyncio.gather(*(talk(given, server, limits, name) for name in here))
        else:
            data = folder / "data"
        await check_day(data, limits)


async def talk(given: Any, server: Adversary, limits: dict[str, float], session: str = "") -> str:
    """Send two prompts, and check the books after every event."""
    overruns: list[str] = []
    async with opened(given, session) as watcher:
        handle = watcher.handle
        handle.subscribe(lambda update: overruns.extend(check_books(watcher, limits)))
        await handle.do(Configure(limits={"run.turns": 1000, **limits}))
        for prompt in ("begin", "go on"):
            await watcher.idle()
            await handle.do(Submit(prompt=prompt))
            await watcher.idle()
        if getattr(given.runtime.failpoint, "image", None) is None:
            check_stops(watcher, server)  # what a program does after its crash is no matter
    assert overruns == []
    return handle.session


def check_books(watcher: Watcher, limits: dict[str, float]) -> list[str]:
    state = watcher.handle.state.budget
    found = []
    for key, maximum in limits.items():
        scope, kind = split(key)
        used = amount(state.account(scope, 0.0).used, kind)
        if scope != "day" and used > maximum + TOLERANCE:
            found.append(f"{key}: {used} of {maximum}")
    return found


def check_stops(watcher: Watcher, server: Adversary) -> None:
    """No stop came while the least that the next turn needs would still have fitted."""
    catalog = load_catalog()
    price = catalog.find(MODEL).price
    assert price is not None
    bounds = {math.ceil(count / 0.9) for count in server.counts}
    for stop in watcher.of("budget.stopped"):
        assert isinstance(stop, BudgetStopped)
        held = stop.reserved if stop.scope == "day" else 0.0
        assert stop.used + held + stop.projected > stop.maximum - TOLERANCE, stop
        # Before the first answer says where inference runs, the dearest place is reckoned with.
        worst = [
            (bound * price.input * 1.25e-6 + MIN_OUTPUT * price.output * 1e-6) * factor
            for bound in bounds
            for factor in (1.0, catalog.unknown_factor)
        ]
        expected: dict[str, set[float]] = {
            "turns": {1.0},
            "input_tokens": set(map(float, bounds)),
            "output_tokens": {float(MIN_OUTPUT)},
            "tokens": {float(bound + MIN_OUTPUT) for bound in bounds},
            "cost": set(worst),
        }
        assert any(math.isclose(stop.projected, need) for need in expected[stop.limit]), stop


async def check_day(data: Path, limits: dict[str, float]) -> None:
    index = SessionIndex(data / "index.db", data / "sessions")
    days = await index.days()
    for used, _ in [await index.day(day) for day in days]:
        assert isinstance(used, Amounts)
        for key, maximum in limits.items():
            scope, kind = split(key)
            if scope == "day":
                assert amount(used, kind) <= maximum + TOLERANCE, f"{key}: {used}"
    await index.close()


def run_example(*case: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), *case))


cases = (st.integers(0, 2**32), limit_sets, crashes, st.booleans())
quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@given(*cases)
@settings(max_examples=10, deadline=None, suppress_health_check=quiet)
def test_no_limit_is_ever_overrun(seed: int, limits: dict[str, float], crash: Any, side: bool) -> None:
    run_example(seed, limits, crash, side)


@pytest.mark.long
@pytest.mark.timeout(3600)
@given(*cases)
@settings(max_examples=400, deadline=None, suppress_health_check=quiet)
def test_no_limit_is_ever_overrun_however_often(seed: int, limits: dict[str, float], crash: Any, side: bool) -> None:
    run_example(seed, limits, crash, side)
