"""What streams in is painted at a pace."""

from __future__ import annotations

import pytest
from textual.app import App

from tests.waiting import until
from tui_agent.ui import pacing
from tui_agent.ui.pacing import Pace


async def test_after_a_rest_at_once_then_at_most_every_50_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    app: App[None] = App()
    async with app.run_test():
        clock, frames = [1000.0], []
        monkeypatch.setattr(pacing, "monotonic", lambda: clock[0])
        pace = Pace(app.screen, lambda: frames.append(clock[0]))
        for _ in range(10):
            pace.ask()
            clock[0] += 0.001
        assert frames == [1000.0]
        assert pace.waiting
        await until(lambda: not pace.waiting)
        assert len(frames) == 2


async def test_what_is_slow_to_draw_is_painted_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    app: App[None] = App()
    async with app.run_test():
        clock, waits = [1000.0], []
        monkeypatch.setattr(pacing, "monotonic", lambda: clock[0])
        monkeypatch.setattr(app.screen, "set_timer", lambda wait, _: waits.append(wait))
        for cost in (0.0, 0.02, 3.0):
            pace = Pace(app.screen, lambda cost=cost: clock.__setitem__(0, clock[0] + cost))
            pace.ask()
            pace.ask()
        assert waits == pytest.approx([0.05, 0.08, 0.25])
