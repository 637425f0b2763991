"""The time that a run waited for its user is kept apart from the time that it worked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.session.support import opened, options
from tui_agent.agents.waiting import waited_for_user
from tui_agent.context.items import RunEndItem, TimelineEntry, fold_entry
from tui_agent.events import (
    EventBase,
    Intent,
    PermissionDecided,
    PermissionRequested,
    StepFinished,
    StepPlanned,
    StepStarted,
    TurnStarted,
)
from tui_agent.submissions import Decide, Submit


def asked(step: str, time: float) -> EventBase:
    return PermissionRequested(
        step=step, request=step, tool="bash", tier="built-in", effect="supervised", input={}, call_hash="", title="",
        why="", time=time,
    )  # fmt: skip


def decided(step: str, time: float) -> EventBase:
    return PermissionDecided(step=step, tool="bash", call_hash="", verdict="allow", by="person", time=time)


def started(step: str, time: float) -> EventBase:
    return StepStarted(step=step, tool="bash", intent=Intent(effect="supervised", key=step), time=time)


def finished(step: str, time: float) -> EventBase:
    return StepFinished(step=step, tool="bash", outcome="ok", result=[], time=time)


def test_only_the_time_in_which_nothing_was_at_work_was_waited() -> None:
    events = [asked("a", 0), asked("b", 1), decided("a", 5), started("a", 5), finished("a", 8), decided("b", 20)]
    assert waited_for_user(events, 25) == 17  # 0 to 5, and 8 to 20
    assert waited_for_user([asked("a", 3)], 10) == 7
    assert waited_for_user([TurnStarted(turn="t", model="m", number=1, time=0), asked("a", 1)], 10) == 0


async def test_a_run_tells_how_long_it_waited(tmp_path: Path) -> None:
    clock = [1_000.0]
    given = options(tmp_path)
    given = replace(given, runtime=replace(given.runtime, now=lambda: clock[0], monotonic=lambda: clock[0]))
    async with opened(given) as session:
        await session.handle.do(Submit(prompt="write a.txt: x"))
        request = await session.event("permission.requested")
        clock[0] += 60
        await session.handle.do(Decide(request=request.request, verdict="allow"))
        await session.idle()
        (end,) = session.of("run.finished")
        assert (end.seconds, end.waited) == (60, 60)
        item = (await session.handle.items(0, session.handle.item_count))[session.handle.item_count - 1]
        assert isinstance(item, RunEndItem)
        assert item.waited == 60


def test_a_step_in_the_timeline_runs_from_when_it_began_to_run() -> None:
    plan = StepPlanned(step="a", turn="t", call_id="c", tool="bash", input={}, effect="supervised", time=0)
    entry: TimelineEntry | None = None
    for event in (plan, asked("a", 1), decided("a", 60), started("a", 61)):
        entry = fold_entry(entry, event)
    assert entry is not None
    assert (entry.time, entry.started) == (0, 61)
