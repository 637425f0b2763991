"""The index across sessions: idempotent, searchable, shared, and made again when it is lost."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.journal.conftest import created, turn
from tui_agent.events import Event, EventBase, RunFinished
from tui_agent.journal import Journal, JournalError
from tui_agent.journal.export import copy_session
from tui_agent.journal.index import SessionIndex
from tui_agent.journal.summary import SessionSummary, summarise
from tui_agent.runtime import Runtime

DAY = 1_800_000_000.0  # 2027-01-15, UTC


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[SessionIndex]:
    opened = SessionIndex(tmp_path / "data" / "index.db", tmp_path / "data" / "sessions")
    yield opened
    await opened.close()


async def session(
    tmp_path: Path, name: str, *events: EventBase, title: str = "", workspace: str = "/work"
) -> tuple[SessionSummary, list[Event]]:
    path = tmp_path / "data" / "sessions" / name / "session.db"
    journal = await Journal.create(path, name, Runtime(now=lambda: DAY))
    await journal.append(created(title, workspace), *events)
    read = await journal.read()
    await journal.close()
    summary = SessionSummary(id=name, path=str(path))
    for event in read:
        summary = summarise(summary, event)
    return summary, read


async def test_a_summary_is_folded_from_events(tmp_path: Path) -> None:
    summary, _ = await session(tmp_path, "one", *turn(1, cost=0.5), *turn(2, cost=0.25))
    assert summary == SessionSummary(
        "one", summary.path, "prompt 1", "/work", "m", DAY, DAY, prompts=2, cost=0.75, state="running"
    )
    assert summarise(summary, RunFinished(run="run_2", outcome="completed")).state == "idle"


async def test_list_search_and_spend(index: SessionIndex, tmp_path: Path) -> None:
    one, events = await session(tmp_path, "one", *turn(1, "the login test is green", cost=0.5), title="Login")
    two, others = await session(tmp_path, "two", *turn(2, "a different answer", cost=1.0), workspace="/other")
    for _ in range(3):  # doing it again changes nothing
        await index.record(one, events)
        await index.record(replace(two, updated=DAY + 5), others)
    assert [summary.id for summary in await index.list()] == ["two", "one"]
    assert await index.list("/work") == [one]
    (hit,) = await index.search("LOGIN gre")
    assert (hit.session, hit.title, hit.seq, hit.kind) == ("one", "Login", 4, "answer")
    assert "login test" in hit.snippet
    assert len(await index.search("prompt")) == 2
    assert await index.spend("2027-01-15") == 1.5
    assert await index.spend("2027-01-16") == 0.0
    Path(two.path).unlink()
    await index.remove("two")
    assert await index.list() == [one]
    assert await index.search("different") == ()
    assert await index.spend("2027-01-15") == 1.5


async def test_an_older_summary_does_not_overwrite_a_newer(index: SessionIndex, tmp_path: Path) -> None:
    summary, _ = await session(tmp_path, "one", *turn(1))
    await index.record(replace(summary, title="new", updated=DAY + 1))
    await index.record(replace(summary, title="old"))
    assert (await index.list())[0].title == "new"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=30))
def test_any_search_text_is_only_text(text: str, tmp_path: Path) -> None:
    async def run() -> None:
        index = SessionIndex(tmp_path / "index.db", tmp_path / "none")
        assert await index.search(text) == ()
        await index.close()

    asyncio.run(run())


@pytest.mark.parametrize("damage", [b"", b"rubbish " * 2000, None])
async def test_a_lost_or_damaged_index_is_made_again(
    index: SessionIndex, tmp_path: Path, damage: bytes | None
) -> None:
    one, events = await session(tmp_path, "one", *turn(1, "findable", cost=0.5))
    await index.record(one, events)
    await index.close()
    path = tmp_path / "data" / "index.db"
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    again = SessionIndex(path, tmp_path / "data" / "sessions")
    assert await again.list() == [one]
    assert len(await again.search("findable")) == 1
    assert await again.spend("2027-01-15") == 0.5
    await again.close()


async def test_an_index_that_breaks_while_open_is_made_again(index: SessionIndex, tmp_path: Path) -> None:
    one, events = await session(tmp_path, "one", *turn(1))
    await index.record(one, events)
    await index.close()
    path = tmp_path / "data" / "index.db"
    data = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'session'").fetchone()[0]
    data[(root - 1) * 4096 : (root - 1) * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    again = SessionIndex(path, tmp_path / "data" / "sessions")
    assert await again.list() == [one]
    await again.close()


async def test_what_cannot_be_read_is_listed_last_with_its_problem(index: SessionIndex, tmp_path: Path) -> None:
    await session(tmp_path, "one", *turn(1))
    bad = tmp_path / "data" / "sessions" / "bad" / "session.db"
    bad.parent.mkdir()
    bad.write_bytes(b"rubbish" * 1000)
    one, broken = await index.list()
    assert (one.id, one.problem, broken.id) == ("one", "", "bad")
    assert str(bad) in broken.problem
    assert [summary.id for summary in await index.list("/work")] == ["one"]


async def test_a_fork_does_not_spend_its_origins_money_again(index: SessionIndex, tmp_path: Path) -> None:
    one, _ = await session(tmp_path, "one", *turn(1, cost=0.5))
    copy_session(Path(one.path), tmp_path / "data" / "sessions" / "two" / "session.db", "two", 4, Runtime())
    assert {summary.id: summary.cost for summary in await index.list()} == {"one": 0.5, "two": 0.0}
    assert await index.spend("2027-01-15") == 0.5
    assert len(await index.search("answer")) == 2


async def test_several_windows_use_it_at_once(tmp_path: Path) -> None:
    one, events = await session(tmp_path, "one", *turn(1))
    indexes = [SessionIndex(tmp_path / "data" / "index.db", tmp_path / "data" / "sessions") for _ in range(6)]
    await asyncio.gather(
        *(
            index.record(replace(one, id=f"s{number}-{round}"), events)
            for number, index in enumerate(indexes)
            for round in range(10)
        )
    )
    for number in range(60):
        there = tmp_path / "data" / "sessions" / f"s{number // 10}-{number % 10}" / "session.db"
        there.parent.mkdir(parents=True)
        there.touch()
    assert len(await indexes[0].list()) == 61, "with the one whose file was there from the beginning"
    assert len(await indexes[5].search("answer", limit=100)) == 61
    await asyncio.gather(*(index.close() for index in indexes))


async def test_a_newer_index_is_left_alone(index: SessionIndex, tmp_path: Path) -> None:
    await index.list()
    await index.close()
    path = tmp_path / "data" / "index.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    again = SessionIndex(path, tmp_path / "nothing")
    for _ in range(2):
        with pytest.raises(JournalError, match="newer version"):
            await again.list()
    await again.close()
