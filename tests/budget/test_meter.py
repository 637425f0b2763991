"""Who waits for what others hold, and what a stop says meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tui_agent.budget.limits import Account, Demand
from tui_agent.budget.meter import Decide, Meter
from tui_agent.budget.state import BudgetState
from tui_agent.events import BudgetStopped, EventBase, TurnProjected, Usage
from tui_agent.runtime import Runtime

DEMAND = Demand("m", turns=1, input_tokens=1_000, output_tokens=4_000, input_price=None, output_price=None)


class NoDay:
    """A ledger that no limit asks for."""

    async def reserve(self, key: str, day: str, decide: Decide) -> Account:
        raise AssertionError

    async def book(self, events: Sequence[EventBase]) -> None:
        raise AssertionError

    async def release(self, key: str) -> None:
        raise AssertionError

    async def account(self, day: str) -> Account:
        raise AssertionError


class Room:
    """A meter over a state that the test sets."""

    def __init__(self, limits: dict[str, float | None]) -> None:
        self.state = BudgetState(run="r", layers={"person": limits})
        self.meter = Meter(Runtime(home=Path("/"), environment={}), lambda: self.state, NoDay())

    async def reserve(self, turn: str) -> TurnProjected | BudgetStopped:
        projected = TurnProjected(turn=turn, input_tokens=DEMAND.input_tokens, max_output_tokens=0)
        return await self.meter.reserve(DEMAND, projected, self._commit)

    async def _commit(self, projected: TurnProjected) -> None:
        self.state = replace(self.state, reserved=(*self.state.reserved, projected))


async def test_who_would_fit_once_another_is_through_waits_for_it() -> None:
    room = Room({"run.input_tokens": 1_500.0})
    assert isinstance(await room.reserve("a"), TurnProjected)
    second = asyncio.create_task(room.reserve("b"))
    await asyncio.sleep(0)
    assert not second.done()
    room.state = replace(room.state, reserved=(), run_usage=Usage(input_tokens=100))
    await room.meter.done("a")
    assert isinstance(await second, TurnProjected)


async def test_a_stop_beside_others_names_the_limit_that_holds_without_them() -> None:
    room = Room({"run.input_tokens": 1_500.0, "session.turns": 1.0})
    assert isinstance(await room.reserve("a"), TurnProjected)
    room.state = replace(room.state, turns=1)
    stop = await room.reserve("b")
    assert isinstance(stop, BudgetStopped)
    assert (stop.scope, stop.limit, stop.reserved) == ("session", "turns", 0.0)
