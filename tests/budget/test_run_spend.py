"""What a run is said to have cost is all that was booked for it, whoever spent it and whatever came between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.budget.test_in_a_session import at
from tests.session.support import Watcher, opened, options
from tui_agent.events import EVENT_TYPES, EventBase, Usage, spent
from tui_agent.journal.ledger import BOOKING_TYPES
from tui_agent.journal.summary import SUMMARY_TYPES
from tui_agent.models.offline import Fault, OfflineServer
from tui_agent.session import list_sessions
from tui_agent.submissions import Fork, Interrupt, Submit


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text("login\n" * 30)
    return folder


def booked(events: list[EventBase]) -> tuple[Usage, float]:
    usage, cost = Usage(), 0.0
    for event in events:
        taken = spent(event)
        if taken is not None:
            usage, cost = usage + taken.usage, cost + (taken.cost or 0.0)
    return usage, cost


def assert_told_whole(session: Watcher) -> None:
    end = session.of("run.finished")[-1]
    usage, cost = booked(session.events)
    assert end.agent == "main"
    assert end.usage.total_tokens == usage.total_tokens > 0
    assert end.cost == pytest.approx(cost)
    assert end.cost == pytest.approx(session.handle.state.budget.cost)


async def test_subagents_count_for_the_run_that_asked_for_them(tmp_path: Path, workspace: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.prompt("explore where is the login handled")
        ends = session.of("run.finished")
        assert [end.agent == "main" for end in ends] == [False, True]
        own, _ = booked([event for event in session.events if event.agent == ends[0].agent])
        assert ends[0].usage.total_tokens == own.total_tokens > 0
        assert ends[1].turns == len(session.of("turn.started"))
        assert_told_whole(session)


async def test_an_interrupted_attempt_counts(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="say 300 at 100"))
        await session.until(lambda: len(session.of("turn.delta")) > 2)
        await session.handle.do(Interrupt())
        await session.idle()
        assert session.of("run.finished")[-1].outcome == "interrupted"
        assert_told_whole(session)


async def test_a_failed_attempt_and_its_retry_count(tmp_path: Path) -> None:
    with OfflineServer() as server:
        server.inject(Fault("cut", after_events=6))
        given = at(server, tmp_path)

        async def at_once(seconds: float) -> None:
            return None

        given.runtime.sleep = at_once
        async with opened(given) as session:
            await session.prompt("say 200")
            assert session.of("turn.failed")[0].usage.total_tokens > 0
            assert_told_whole(session)


async def test_what_came_before_a_restart_counts(tmp_path: Path, workspace: Path) -> None:
    given = options(tmp_path)
    async with opened(given) as first:
        await first.handle.do(Submit(prompt="read a.txt then say 300 at 300"))
        await first.until(lambda: len(first.of("turn.started")) > 1 and len(first.of("turn.delta")) > 2)
        name, before = first.handle.session, first.events
    async with opened(given, name) as second:
        await second.idle()
        second.events = [*before, *second.events]
        assert len(second.of("turn.finished")) > 1
        assert_told_whole(second)


async def test_a_compaction_within_a_run_counts(tmp_path: Path, workspace: Path) -> None:
    (workspace / "a.txt").write_text("some words that fill the window\n" * 900)
    given = options(tmp_path, limits={"run.input_tokens": 150_000.0})
    async with opened(given) as session:
        await session.prompt(" then ".join(["read a.txt"] * 9))
        assert [event for event in session.of("context.compacted") if event.usage.total_tokens]
        assert_told_whole(session)


async def test_the_list_says_the_same_live_and_rebuilt_for_a_fork_too(tmp_path: Path, workspace: Path) -> None:
    given = options(tmp_path)
    async with opened(given) as session:
        await session.prompt("explore where is the login handled")
        fork = await session.handle.do(Fork())
        cost = session.handle.state.budget.cost
    async with opened(given, fork) as other:
        assert other.handle.state.budget.cost == 0
        await other.prompt("say 5")
        own = other.handle.state.budget.cost
    live = await list_sessions(given.data_dir)
    (given.data_dir / "index.db").unlink()
    rebuilt = await list_sessions(given.data_dir)
    assert rebuilt == live
    costs = {summary.id: summary.cost for summary in live}
    assert costs[fork] == pytest.approx(own)
    assert sum(costs.values()) == pytest.approx(cost + own)


def test_every_event_that_books_something_reaches_the_list_and_the_books() -> None:
    booking = {"turn.finished", "turn.failed", "context.compacted", "budget.booked", "budget.clocked"}
    assert booking == set(BOOKING_TYPES) <= set(EVENT_TYPES)
    assert booking - {"budget.clocked"} <= set(SUMMARY_TYPES)


async def test_headless_says_what_was_booked(tmp_path: Path, workspace: Path) -> None:
    from tui_agent.headless.progress import Progress
    from tui_agent.headless.reports import JsonReport

    class Kept:
        text = ""

        def write(self, text: str) -> None:
            self.text += text

    async with opened(options(tmp_path)) as session:
        await session.prompt("explore where is the login handled")
        progress = Progress()
        for event in session.events:
            progress.see(event)
        progress.submitted(session.of("run.started")[0].run)
        out = Kept()
        JsonReport(out).end(session.handle.session, progress, 0)  # type: ignore[arg-type]
        told = json.loads(out.text)
        assert told["cost"] == pytest.approx(session.handle.state.budget.cost)
        usage = session.handle.state.budget.usage
        assert told["usage"]["input_tokens"] == usage.input_tokens
        assert told["turns"] == session.handle.state.budget.turns
