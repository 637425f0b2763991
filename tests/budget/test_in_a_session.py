"""Limits in real sessions: what stops them, what is said, how they go on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.budget.adversary import Adversary
from tests.session.support import Watcher, opened, options
from tui_agent.agents.agent_type import load_agent_types
from tui_agent.events import BudgetStopped
from tui_agent.journal import SessionIndex
from tui_agent.models import load_catalog
from tui_agent.models.offline import OfflineServer
from tui_agent.models.offline.answer import Answer, Call
from tui_agent.models.offline.faults import Fault
from tui_agent.models.offline.request import Request
from tui_agent.session import OpenOptions, SessionError
from tui_agent.submissions import Answer as AnswerQuestion
from tui_agent.submissions import Configure, Interrupt, SetCostLimit, Submit


@pytest.fixture
def server() -> Iterator[OfflineServer]:
    with OfflineServer(record=True) as server:
        yield server


def at(server: OfflineServer, tmp_path: Path, **changes: Any) -> OpenOptions:
    return options(tmp_path, offline=False, base_url=server.base_url, api_key="k", **changes)


def counts(server: OfflineServer) -> int:
    return sum(request.path.endswith("count_tokens") for request in server.requests)


def today() -> str:
    return datetime.now(UTC).date().isoformat()


async def day_of(tmp_path: Path) -> Any:
    index = SessionIndex(tmp_path / "data" / "index.db", tmp_path / "data" / "sessions")
    try:
        return await index.day(today())
    finally:
        await index.close()


async def test_far_below_every_limit_nobody_counts(tmp_path: Path, server: OfflineServer) -> None:
    async with opened(at(server, tmp_path, limits={"run.tokens": 1_000_000.0})) as session:
        await session.prompt("say 5")
        projected = session.of("turn.projected")[0]
        assert counts(server) == 0
        assert not projected.counted
        assert not projected.clamped
        assert projected.input_tokens > projected.expected_input_tokens > 0
        await session.handle.do(Configure(limits={"run.tokens": 30_000}))
        await session.prompt("say 5")
        assert counts(server) == 1
        assert session.of("turn.projected")[1].counted
        assert session.of("turn.projected")[1].clamped


async def test_the_estimate_is_close_once_the_model_has_answered(tmp_path: Path, server: OfflineServer) -> None:
    async with opened(at(server, tmp_path)) as session:
        for _ in range(3):
            await session.prompt("say 200")
        projected, finished = session.of("turn.projected")[-1], session.of("turn.finished")[-1]
        assert projected.expected_input_tokens == pytest.approx(finished.usage.prompt_tokens, rel=0.1)
        assert finished.usage.prompt_tokens <= projected.input_tokens
        assert projected.cached_tokens == pytest.approx(finished.usage.cache_read_tokens, rel=0.2)
        assert projected.expected_cost is not None
        assert projected.max_cost is not None
        assert projected.expected_cost < projected.max_cost
        assert session.handle.state.budget.reserved == ()


async def test_a_stop_is_whole_and_the_run_goes_on_when_the_limit_is_raised(
    tmp_path: Path, server: OfflineServer
) -> None:
    async with opened(at(server, tmp_path)) as session:
        await session.handle.do(Configure(limits={"session.cost": 0.001}))
        await session.prompt("say 5")
        stop = session.of("budget.stopped")[0]
        assert isinstance(stop, BudgetStopped)
        assert (stop.limit, stop.scope, stop.used, stop.maximum, stop.left) == ("cost", "session", 0.0, 0.001, 0.001)
        assert stop.projected > 0.001
        assert "/budget session cost" in stop.hint
        assert session.of("turn.started") == []
        assert session.of("run.finished")[0].outcome == "stopped"
        assert "leaves no room" in session.of("run.finished")[0].reason
        await session.handle.do(Configure(limits={"session.cost": 5}))
        await session.prompt("continue")
        assert session.of("run.finished")[1].outcome == "completed"


async def test_a_clamped_answer_keeps_to_its_room(tmp_path: Path, server: OfflineServer) -> None:
    async with opened(at(server, tmp_path)) as session:
        await session.handle.do(Configure(limits={"run.output_tokens": 400}))
        await session.prompt("say 2000")
        assert session.of("turn.projected")[0].max_output_tokens == 400
        assert session.of("turn.finished")[0].usage.output_tokens <= 400
        sent = [request.body for request in server.requests if request.path == "/v1/messages"]
        assert sent[0]["max_tokens"] == 400


async def test_a_price_that_is_not_known_is_refused_before_the_turn(tmp_path: Path, server: OfflineServer) -> None:
    async with opened(at(server, tmp_path, model="my-own")) as session:
        await session.handle.do(Configure(limits={"day.cost": 100}))
        await session.prompt("say 5")
        stop = session.of("budget.stopped")[0]
        assert stop.reason == "unknown_price"
        assert '[models."my-own"]' in stop.hint
        assert session.of("turn.started") == []
        assert (await day_of(tmp_path))[1].cost == 0


async def test_a_server_that_bills_more_than_it_counted_is_named_and_overruns_by_one_turn(
    tmp_path: Path, isolated: Path
) -> None:
    (isolated / "a.txt").write_text("x\n")
    with Adversary(3, excess=2.0, answers=9) as server:
        async with opened(at(server, tmp_path, limits={"run.tokens": 40_000.0})) as session:
            await session.prompt("begin")
            notice = next(event for event in session.of("notice") if event.code == "budget-overrun")
            assert notice.level == "error"
            finished, projected = session.of("turn.finished")[0], session.of("turn.projected")[0]
            assert f"{finished.usage.prompt_tokens:,}" in notice.message
            assert f"{projected.input_tokens:,}" in notice.message
            within = [turn for turn in session.of("turn.finished") if turn.agent == finished.agent]
            before = sum(turn.usage.total_tokens for turn in within[:-1])
            assert before <= 40_000
            assert session.of("run.finished")[-1].outcome == "stopped"


async def test_an_honest_server_is_not_named(tmp_path: Path, server: OfflineServer) -> None:
    async with opened(at(server, tmp_path, limits={"run.tokens": 40_000.0})) as session:
        await session.prompt("say 50")
        assert session.of("notice") == []


async def test_each_limit_warns_once_at_each_mark(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("x\n")
    async with opened(options(tmp_path, max_turns=4)) as session:
        await session.prompt("read a.txt then read a.txt then read a.txt then read a.txt then read a.txt")
        warned = [(event.scope, event.limit, event.fraction) for event in session.of("budget.warned")]
        assert warned == [("run", "turns", 0.5), ("run", "turns", 0.95)]
        assert session.of("budget.stopped")[0].limit == "turns"
        await session.prompt("read a.txt")
        assert len(session.of("budget.warned")) == 3  # a run of its own


async def test_every_attempt_is_checked_again(tmp_path: Path, server: OfflineServer) -> None:
    server.inject(Fault("overloaded"))
    given = at(server, tmp_path)
    async with opened(given) as session:

        async def lower(seconds: float) -> None:
            await session.handle.do(Configure(limits={"run.tokens": 300}))

        given.runtime.sleep = lower
        await session.prompt("say 5")
        assert [event.attempt for event in session.of("turn.started")] == [1]
        assert [(event.kind, event.attempt) for event in session.of("turn.failed")] == [
            ("overloaded", 1),
            ("budget", 2),
        ]
        assert session.of("budget.stopped")[0].limit == "tokens"
        assert session.handle.state.conversation.active_run is None
        await session.handle.do(Configure(limits={"run.tokens": None}))
        await session.prompt("say 5")
        assert session.of("run.finished")[-1].outcome == "completed"


@pytest.mark.parametrize("scope", ["run", "session", "day"])
async def test_the_time_ends_a_turn_in_the_middle(tmp_path: Path, scope: str) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="say 2000 at 100"))
        await session.until(lambda: len(session.of("turn.delta")) > 2)
        await session.handle.do(Configure(limits={f"{scope}.time": 0.1}))
        await session.idle()
        stop = session.of("budget.stopped")[0]
        assert (stop.limit, stop.scope) == ("time", scope)
        failed = session.of("turn.failed")[0]
        assert failed.kind == "interrupted"
        assert failed.partial
        assert failed.usage.prompt_tokens > 0
        assert session.of("run.finished")[0].outcome == "stopped"
        assert session.handle.state.budget.run_seconds >= 0.1
        await session.handle.do(Configure(limits={f"{scope}.time": 1000}))
        await session.prompt("say 5")
        assert session.of("run.finished")[-1].outcome == "completed"


class Clocks:
    """The system's clock, which can be set, and the monotonic one, which cannot."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1_000_000.0, 50.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def options(self, given: OpenOptions) -> OpenOptions:
        runtime = replace(given.runtime, now=lambda: self.wall, monotonic=lambda: self.monotonic)
        return replace(given, runtime=runtime)


async def test_time_in_which_nothing_ran_is_nobodys(tmp_path: Path) -> None:
    clocks = Clocks()
    given = clocks.options(options(tmp_path))
    async with opened(given) as session:
        await session.handle.do(Submit(prompt="ask which?"))
        await session.event("question.asked")
        clocks.passes(5)
        await session.handle.do(Configure(title="x"))
        name = session.handle.session
    clocks.passes(10_000)
    async with opened(given, name) as session:
        await session.until(lambda: session.handle.state.budget.run_seconds > 0)
        assert session.handle.state.budget.run_seconds == pytest.approx(5)
        clocks.passes(2)
        (question,) = session.handle.state.workflow.questions
        await session.handle.do(AnswerQuestion(question=question, answer="this"))
        await session.idle()
        assert session.handle.state.budget.seconds == pytest.approx(7)


@pytest.mark.parametrize("jump", [2 * 86_400.0, -2 * 86_400.0])
async def test_setting_the_systems_clock_neither_ends_a_run_nor_gives_it_time(tmp_path: Path, jump: float) -> None:
    clocks = Clocks()
    async with opened(clocks.options(options(tmp_path, limits={"run.time": 60.0}))) as session:
        await session.handle.do(Submit(prompt="ask which? then say 3"))
        await session.event("question.asked")
        clocks.passes(20)
        clocks.wall += jump
        await session.handle.do(Configure(limits={"session.time": 1_000.0}))  # the clock is looked at
        await session.until(lambda: session.handle.state.budget.run_seconds > 0)
        assert session.handle.state.budget.run_seconds == pytest.approx(20)
        gauges = {(scope, kind): used for scope, kind, used, _, _ in session.handle.state.budget.gauges()}
        assert gauges["run", "time"] == pytest.approx(20)
        clocks.passes(15)
        (question,) = session.handle.state.workflow.questions
        await session.handle.do(AnswerQuestion(question=question, answer="this"))
        await session.idle()
        end = session.of("run.finished")[-1]
        assert (end.outcome, end.seconds) == ("completed", pytest.approx(35))
        assert session.of("budget.stopped") == []


async def test_a_run_without_a_new_turn_is_stopped_by_the_time_that_has_passed(tmp_path: Path) -> None:
    clocks = Clocks()
    async with opened(clocks.options(options(tmp_path, limits={"run.time": 60.0}))) as session:
        await session.handle.do(Submit(prompt="ask which?"))
        await session.event("question.asked")
        clocks.wall -= 86_400
        clocks.monotonic += 61
        await session.handle.do(Configure(limits={"session.time": 1_000.0}))
        await session.idle()
        assert session.of("run.finished")[-1].outcome == "stopped"


async def test_between_two_runs_nothing_of_a_runs_limits_is_used(tmp_path: Path) -> None:
    async with opened(options(tmp_path, max_turns=7)) as session:
        await session.prompt("say 5")
        used = {(scope, kind): used for scope, kind, used, _, _ in session.handle.state.budget.gauges()}
        assert used["run", "turns"] == used["run", "cost"] == 0
        name = session.handle.session
    async with opened(options(tmp_path, max_turns=7), name) as session:
        used = {(scope, kind): used for scope, kind, used, _, _ in session.handle.state.budget.gauges()}
        assert used["run", "turns"] == 0


async def test_a_turn_that_was_cut_off_is_booked_and_its_reservation_ends(tmp_path: Path) -> None:
    given = options(tmp_path)
    async with opened(given) as session:
        await session.handle.do(Configure(limits={"day.cost": 50}))
        await session.handle.do(Submit(prompt="say 300 at 100"))
        await session.until(lambda: len(session.of("turn.delta")) > 2)
        name, projected = session.handle.session, session.of("turn.projected")[0]
    assert (await day_of(tmp_path))[1].cost == pytest.approx(projected.max_cost)
    async with opened(given, name) as session:
        failed = (await session.event("turn.failed")).usage
        assert failed.estimated
        assert failed.input_tokens == projected.input_tokens
        assert 0 < failed.output_tokens <= projected.max_output_tokens
        await session.idle()
        booked = session.handle.state.budget.cost
    used, reserved = await day_of(tmp_path)
    assert reserved.cost == 0
    assert used.cost == pytest.approx(booked)
    assert used.turns == 2


async def test_an_interrupted_turn_is_booked_with_what_the_server_said(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="say 300 at 100"))
        await session.until(lambda: len(session.of("turn.delta")) > 2)
        await session.handle.do(Interrupt())
        await session.idle()
        failed, projected = session.of("turn.failed")[0], session.of("turn.projected")[0]
        assert 0 < failed.usage.prompt_tokens < projected.input_tokens
        assert failed.cost > 0
        assert session.handle.state.budget.reserved == ()


async def test_the_day_is_shared_by_sessions(tmp_path: Path, server: OfflineServer) -> None:
    limit = {"day.turns": 3.0}
    async with opened(at(server, tmp_path, limits=limit)) as one, opened(at(server, tmp_path, limits=limit)) as two:
        await one.prompt("say 5")
        await two.prompt("say 5")
        await asyncio.gather(one.prompt("say 5"), two.prompt("say 5"))
        ends = sorted(session.of("run.finished")[-1].outcome for session in (one, two))
        assert ends == ["completed", "stopped"]
        stops = one.of("budget.stopped") + two.of("budget.stopped")
        assert [(stop.scope, stop.limit) for stop in stops] == [("day", "turns")]
    assert (await day_of(tmp_path))[0].turns == 3


async def test_the_offline_models_cost_is_marked_as_simulated(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.prompt("say 5")
        assert session.of("turn.finished")[0].usage.simulated
        assert session.of("run.finished")[0].usage.simulated


async def test_flags_hold_for_their_start_and_the_user_goes_before_them(tmp_path: Path) -> None:
    async with opened(options(tmp_path, limits={"run.cost": 1.0}, max_turns=7)) as session:
        limits = session.handle.state.budget.limits
        assert (limits["run.cost"], limits["run.turns"]) == (1.0, 7)
        await session.handle.do(Configure(limits={"run.cost": 2.0}))
        assert session.handle.state.budget.limits["run.cost"] == 2.0
        name = session.handle.session
    async with opened(options(tmp_path), name) as session:
        assert session.handle.state.budget.limits == {"run.turns": 500, "run.cost": 2.0}
        with pytest.raises(SessionError, match=r"no limit 'week\.cost'"):
            await session.handle.do(Configure(limits={"week.cost": 1.0}))
        with pytest.raises(SessionError, match="above 0"):
            await session.handle.do(Configure(limits={"day.cost": -1.0}))


def total(session: Watcher) -> int:
    return sum(event.usage.total_tokens for event in session.of("turn.finished"))


async def test_without_a_count_the_estimate_bounds_the_turn(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("x\n" * 50)

    class Countless(OfflineServer):
        def counted(self, request: Any) -> int:
            from tui_agent.models.offline.rules import ApiError

            raise ApiError(405, "not_found_error", "no such endpoint")

    with Countless() as server:
        async with opened(at(server, tmp_path, limits={"run.tokens": 12_000.0})) as session:
            await session.prompt(" then ".join(["read a.txt"] * 12))
            assert session.of("budget.stopped")[0].limit == "tokens"
            assert not any(event.counted for event in session.of("turn.projected"))
            assert total(session) <= 12_000


class Greedy(OfflineServer):
    """Sends its first agent to ask three others, which use all the room they get."""

    def __init__(self) -> None:
        super().__init__()
        self._player.answer = self._say  # type: ignore[method-assign]

    def _say(self, request: Request) -> Answer:
        if "task" in request.tool_names and len(request.messages) == 1:
            calls = [Call("task", {"agent": "explore", "prompt": f"look {n}"}) for n in range(3)]
            return Answer(text="ask", calls=tuple(calls))
        return Answer(text="done")

    def billed(self, request: Request, usage: dict[str, Any]) -> dict[str, Any]:
        alone = "task" in request.tool_names
        return usage if alone else {**usage, "output_tokens": request.max_tokens}


async def test_subagents_side_by_side_draw_on_one_budget(tmp_path: Path) -> None:
    with Greedy() as server:
        async with opened(at(server, tmp_path, limits={"run.output_tokens": 50_000.0})) as session:
            await session.prompt("begin")
            used = [turn.usage.output_tokens for turn in session.of("turn.finished") if turn.agent != "main"]
            assert used[0] == 32_000
            assert 10_000 < used[1] < 18_001  # it waited for what the first would leave
            assert session.handle.state.budget.run_usage.output_tokens <= 50_000
            stops = [stop for stop in session.of("budget.stopped") if stop.agent != "main"]
            assert [stop.limit for stop in stops] == ["output_tokens"]
            told = [str(step.result) for step in session.of("step.finished")]
            assert sum("stopped" in text for text in told) == 1


async def test_a_default_limit_on_cost_does_not_refuse_a_model_without_a_price_and_says_so_once(
    tmp_path: Path,
) -> None:
    catalog = load_catalog()
    local = replace(catalog, models={**catalog.models, "my-own": catalog.find("my-own")})
    with OfflineServer(catalog=local) as server:
        await check_unpriced(at(server, tmp_path, model="my-own"))


async def check_unpriced(given: OpenOptions) -> None:
    async with opened(given) as session:
        assert session.handle.state.budget.limits["run.cost"] == 5.0
        assert not session.handle.inspect.asks_for_cost
        for _ in range(2):
            await session.prompt("say 5")
        assert [event.outcome for event in session.of("run.finished")] == ["completed", "completed"]
        told = [event.message for event in session.of("notice") if event.code == "no-price"]
        assert len(told) == 1
        assert "500 turns" in told[0]
        await session.handle.do(Configure(limits={"run.cost": 5.0}))
        await session.prompt("say 5")
        stop = session.of("budget.stopped")[0]
        assert stop.reason == "unknown_price"
        assert "/budget run cost off" in stop.hint


@pytest.mark.parametrize(
    "changes",
    [{"max_turns": 2_000}, {"max_turns": 0}, {"limits": {"run.turns": 2_000.0}}, {"limits": {"run.turns": 0.0}}],
)
async def test_the_agent_types_own_limit_gives_way_to_what_the_user_said(
    tmp_path: Path, isolated: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    (isolated / "a.txt").write_text("x\n")
    general = replace(load_agent_types(tmp_path / "home")["general"], max_turns=2)
    monkeypatch.setattr("tui_agent.agents.loop.load_agent_types", lambda home: {"general": general})
    lines = " then ".join(["read a.txt"] * 3)
    for given, outcome in ((options(tmp_path), "stopped"), (options(tmp_path, **changes), "completed")):
        async with opened(given) as session:
            await session.prompt(lines)
            assert session.of("run.finished")[0].outcome == outcome
            if outcome == "stopped":
                assert "--max-turns" in session.of("budget.stopped")[0].hint


async def test_the_first_start_with_a_priced_model_asks_what_a_run_may_cost_until_that_is_said(
    tmp_path: Path, server: OfflineServer
) -> None:
    async with opened(options(tmp_path)) as practice:
        assert not practice.handle.inspect.asks_for_cost
    async with opened(at(server, tmp_path, limits={"run.cost": 1.0})) as said:
        assert not said.handle.inspect.asks_for_cost
    async with opened(at(server, tmp_path)) as first:
        assert first.handle.inspect.asks_for_cost
        await first.handle.do(SetCostLimit(dollars=0))
        assert "run.cost" not in first.handle.state.budget.limits
        assert not first.handle.inspect.asks_for_cost
    async with opened(at(server, tmp_path)) as second:
        assert not second.handle.inspect.asks_for_cost
        assert "run.cost" not in second.handle.state.budget.limits
