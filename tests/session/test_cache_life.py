"""The prompt is kept for an hour by the server where its user takes long to answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.session.support import Watcher, opened, options
from tui_agent.agents.cache_life import keeps_an_hour
from tui_agent.context import LastTurn
from tui_agent.models import Capabilities, load_catalog
from tui_agent.models.offline import OfflineServer
from tui_agent.models.offline.errors import invalid
from tui_agent.submissions import Answer, Decide, Submit


class Talk:
    """A session on a server of its own, both on one clock."""

    def __init__(self, session: Watcher, server: OfflineServer, clock: list[float]) -> None:
        self.session, self.server, self.clock = session, server, clock

    async def answer_after(self, *waits: float, prompt: str) -> None:
        """Submit a prompt and allow each of its requests after that many seconds."""
        before, ended = len(self.session.of("permission.requested")), len(self.session.of("run.finished"))
        await self.session.handle.do(Submit(prompt=prompt))
        for number, seconds in enumerate(waits, before + 1):
            request = await self.session.event("permission.requested", number)
            self.clock[0] += seconds
            await self.session.handle.do(Decide(request=request.request, verdict="allow"))
        await self.session.event("run.finished", ended + 1)

    @property
    def lives(self) -> list[str]:
        """How long each request asked its prompt to be kept."""
        bodies = [r.body for r in self.server.requests if r.path == "/v1/messages"]
        return [body["cache_control"].get("ttl", "5m") if "cache_control" in body else "" for body in bodies]

    @property
    def told(self) -> list[str]:
        """The notices about the cache."""
        return [notice.message for notice in self.session.of("notice") if notice.code == "cache"]


@asynccontextmanager
async def talk(tmp_path: Path, server: type[OfflineServer] = OfflineServer) -> AsyncIterator[Talk]:
    clock = [1_000_000.0]
    given = options(tmp_path)
    runtime = replace(given.runtime, now=lambda: clock[0])
    serving = server(record=True, runtime=runtime)
    base_url = await asyncio.to_thread(serving.start)
    given = replace(given, offline=False, base_url=base_url, api_key="k", model="sonnet", runtime=runtime)
    try:
        async with opened(given) as session:
            yield Talk(session, serving, clock)
    finally:
        await asyncio.to_thread(serving.stop)


async def test_the_request_after_a_long_wait_asks_for_an_hour_and_the_next_wait_costs_nothing(tmp_path: Path) -> None:
    async with talk(tmp_path) as it:
        await it.answer_after(900, 900, prompt="write a.txt: x then write b.txt: y")
        assert it.lives == ["5m", "1h", "1h"]
        assert len(it.told) == 2
        assert "waited 15 min" in it.told[0]
        first, second, third = it.session.of("turn.finished")
        assert "the cache keeps 300 s" in second.cache_miss_reason
        assert second.usage.cache_write_1h_tokens > first.usage.cache_write_tokens > 0
        assert third.cache_miss_reason == ""
        assert third.usage.cache_read_tokens == second.usage.cache_write_1h_tokens
        order = [e.type for e in it.session.events if e.type == "turn.started" or e in it.session.of("notice")]
        assert order == ["turn.started", "notice", "turn.started", "notice", "turn.started"]
        entries = await it.session.handle.entries(0, it.session.handle.entry_count)
        assert any("1 hour" in str(entry) for entry in entries.values())


async def test_a_question_counts_as_a_request_does(tmp_path: Path) -> None:
    async with talk(tmp_path) as it:
        await it.session.handle.do(Submit(prompt="ask Red or blue?"))
        question = await it.session.event("question.asked")
        it.clock[0] += 250
        await it.session.handle.do(Answer(question=question.question, answer="red"))
        await it.session.idle()
        assert it.lives == ["5m", "1h"]


async def test_quick_answers_and_a_user_who_is_away_between_prompts_change_nothing(tmp_path: Path) -> None:
    async with talk(tmp_path) as it:
        await it.answer_after(120, prompt="write a.txt: x")
        it.clock[0] += 5_000
        await it.session.prompt("say 3")
        assert it.lives == ["5m"] * 3
        assert it.told == []


async def test_the_next_quick_turn_is_kept_for_five_minutes_again(tmp_path: Path) -> None:
    async with talk(tmp_path) as it:
        await it.answer_after(600, prompt="write a.txt: x")
        await it.answer_after(5, prompt="write b.txt: x")
        assert it.lives == ["5m", "1h", "5m", "5m"]
        assert [turn.cache_miss_reason for turn in it.session.of("turn.finished")][2:] == ["", ""]


class OneLife(OfflineServer):
    """A server that knows of no ttl."""

    async def _answer(self, http: Any, *rest: Any) -> bool:
        if http.body and b'"ttl"' in http.body:
            raise invalid("cache_control.ttl: Extra inputs are not permitted")
        return await super()._answer(http, *rest)


async def test_a_server_that_knows_no_ttl_is_asked_without_and_that_is_told(tmp_path: Path) -> None:
    async with talk(tmp_path, OneLife) as it:
        await it.answer_after(900, 900, prompt="write a.txt: x then write b.txt: y")
        assert it.lives == ["5m"] * 3
        assert it.session.of("run.finished")[-1].outcome == "completed"
        (told,) = [notice.message for notice in it.session.of("notice") if notice.code == "server"]
        assert "cache_control.ttl" in told
        assert len(it.told) == 1


@pytest.mark.parametrize(
    ("waited", "cached", "since", "prices", "expected"),
    [
        (239, 9_000, 239, {}, False),
        (250, 9_000, 250, {}, True),
        (250, 0, 250, {}, False),  # a server that caches nothing
        (900, 9_000, 900, {}, True),
        (900, 9_000, 900, {"cache_write_1h": 20.0}, False),  # all is written anew, dearer than another such time
        (250, 9_000, 250, {"cache_write_1h": 20.0}, True),  # only the tenth that is new
        (900, 9_000, 900, {"cache_read": 2.5}, False),  # reading costs as much as writing
    ],
)
def test_it_is_asked_for_where_it_is_cheaper(
    waited: float, cached: int, since: float, prices: dict[str, float], expected: bool
) -> None:
    base = {"input": 2.0, "output": 10.0, "cache_read": 0.2, "cache_write_5m": 2.5, "cache_write_1h": 4.0}
    model = load_catalog({"models": {"m": base | prices}}).find("m")
    can, last = Capabilities("", now=lambda: 0.0), LastTurn(0.0, "m", "id", cached)
    assert keeps_an_hour(model, can, last, 10_000, waited=waited, now=since) is expected
    unknown = load_catalog().find("a-model-without-a-price")
    assert keeps_an_hour(unknown, can, last, 10_000, waited=250, now=250) is bool(cached)
    can.refuse(["cache_1h"], "m", "no")
    assert not keeps_an_hour(model, can, last, 10_000, waited=waited, now=since)
