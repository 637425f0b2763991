"""The day's books: reserved before, booked after, the same however often, whoever crashes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tui_agent.events import (
    Amounts,
    BudgetClocked,
    ContextCompacted,
    Event,
    EventBase,
    ForkPoint,
    Receipt,
    SessionCreated,
    TurnFailed,
    TurnFinished,
    TurnProjected,
    Usage,
)
from tui_agent.journal import Journal, SessionIndex
from tui_agent.journal.export import copy_session
from tui_agent.runtime import Runtime

DAY = "2027-01-15"
NOON = datetime(2027, 1, 15, 12, tzinfo=UTC).timestamp()


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[SessionIndex]:
    index = SessionIndex(tmp_path / "index.db", tmp_path / "sessions")
    yield index
    await index.close()


def finished(seq: int, turn: str = "t", *, session: str = "a", cost: float = 1.0, day: int = 0) -> TurnFinished:
    usage = Usage(input_tokens=100, output_tokens=10)
    return TurnFinished(
        session=session, seq=seq, turn=turn, time=NOON + day * 86_400, model="m", content=[], stop_reason="end_turn",
        usage=usage, cost=cost,
    )  # fmt: skip


def projected(turn: str, *, attempt: int = 1, day: str = DAY) -> TurnProjected:
    return TurnProjected(turn=turn, attempt=attempt, input_tokens=1, max_output_tokens=1, max_cost=3.0, day=day)


def clocked() -> BudgetClocked:
    return BudgetClocked(seconds=2.0, day=DAY)


async def write(tmp_path: Path, session: str, *events: EventBase) -> list[Event]:
    """Write a session with these events and return all of them, its beginning first."""
    path = tmp_path / "sessions" / session / "session.db"
    journal = await Journal.create(path, session, Runtime(now=lambda: NOON))
    await journal.append(SessionCreated(workspace="/w", model="m", mode="ask"), *events)
    found = await journal.read()
    await journal.close()
    return list(found)


async def take(index: SessionIndex, session: str, key: str, wanted: Amounts, limit: float = 10.0) -> bool:
    taken = []

    def decide(used: Amounts, reserved: Amounts) -> Amounts | None:
        fits = used.cost + reserved.cost + wanted.cost <= limit
        taken.append(fits)
        return wanted if fits else None

    await index.reserve(session, key, DAY, decide)
    return taken[0]


async def test_a_reservation_counts_until_it_is_booked(index: SessionIndex) -> None:
    assert await take(index, "a", "t.1", Amounts(turns=1, cost=6.0))
    assert not await take(index, "b", "u.1", Amounts(cost=6.0))
    await index.book("a", [finished(5)])
    assert await take(index, "b", "u.1", Amounts(cost=6.0))
    used, reserved = await index.day(DAY)
    assert (used.turns, used.input_tokens, used.output_tokens, used.cost) == (1, 100, 10, 1.0)
    assert reserved.cost == 6.0
    await index.book("a", [finished(5), finished(5)])
    assert (await index.day(DAY))[0] == used


async def test_two_processes_never_take_the_same_room(tmp_path: Path) -> None:
    indexes = [SessionIndex(tmp_path / "index.db", tmp_path / "sessions") for _ in range(4)]
    await asyncio.gather(*(index.day(DAY) for index in indexes))
    wins = await asyncio.gather(
        *(take(index, f"s{n}", f"t{k}.1", Amounts(cost=1.0)) for n, index in enumerate(indexes) for k in range(8))
    )
    assert sum(wins) == 10
    for index in indexes:
        await index.close()


async def test_a_request_is_booked_on_the_day_it_was_reserved_for(index: SessionIndex) -> None:
    await take(index, "a", "t.1", Amounts(cost=1.0))
    await index.book("a", [finished(5, day=1)])
    assert (await index.day(DAY))[0].cost == 1.0


async def test_an_attempt_gives_back_its_own_reservation_only(index: SessionIndex) -> None:
    await take(index, "a", "t.2", Amounts(cost=1.0))
    failed = TurnFailed(session="a", seq=3, turn="t", time=NOON, attempt=1, kind="x", message="", cost=0.0)
    await index.book("a", [failed])
    assert (await index.day(DAY))[1].cost == 1.0
    assert (await index.day(DAY))[0].turns == 1
    await index.book("a", [finished(4).model_copy(update={"attempt": 2})])
    assert (await index.day(DAY))[1].cost == 0.0
    assert (await index.day(DAY))[0].turns == 1


async def test_a_compaction_and_the_clock_are_booked_too(index: SessionIndex) -> None:
    await take(index, "a", "c.1", Amounts(cost=1.0))
    await take(index, "a", "time", Amounts(seconds=10.0))
    receipt = Receipt(until=1, kept=[], dropped=[], tokens_before=1, tokens_after=1)
    compacted = ContextCompacted(
        session="a", seq=6, time=NOON, turn="c", messages=[], summary="", receipt=receipt,
        usage=Usage(input_tokens=7), cost=0.5,
    )  # fmt: skip
    await index.book("a", [compacted, BudgetClocked(session="a", seq=7, seconds=4.0, day=DAY)])
    used, reserved = await index.day(DAY)
    assert (used.cost, used.seconds, used.turns) == (0.5, 4.0, 0)
    assert reserved == Amounts()


async def test_what_a_crash_left_is_settled_once_and_counts_until_then(index: SessionIndex, tmp_path: Path) -> None:
    for key in ("never-sent.1", "booked-late.1", "under-way.1"):
        await take(index, "a", key, Amounts(cost=2.0))
    await take(index, "a", "time", Amounts(seconds=9.0))
    await take(index, "b", "other.1", Amounts(cost=2.0))
    assert (await index.day(DAY))[1].cost == 8.0
    await write(tmp_path, "a", finished(1, "booked-late", cost=1.5))
    for _ in range(2):
        await index.settle("a", {"under-way.1"})
        used, reserved = await index.day(DAY)
        assert (used.cost, reserved.cost, reserved.seconds) == (1.5, 4.0, 0.0)


async def test_a_gap_in_the_books_is_found_wherever_it_is(index: SessionIndex, tmp_path: Path) -> None:
    """A start that books its own events first must not hide one before them that a kill kept from the books."""
    held = projected("late", day="2027-01-14")
    events = await write(tmp_path, "a", finished(1, "t", cost=1.0), held, finished(2, "late", cost=2.0), clocked())
    await index.book("a", [events[1], events[4]])
    await index.settle("a", set())
    assert (await index.day(DAY))[0].cost == 1.0
    used, reserved = await index.day("2027-01-14")  # the day that it was reserved for
    assert (used.cost, reserved) == (2.0, Amounts())


async def test_a_retry_under_way_keeps_its_reservation_when_the_attempt_before_is_booked_late(
    index: SessionIndex, tmp_path: Path
) -> None:
    failed = TurnFailed(session="a", turn="t", time=NOON, attempt=1, kind="x", message="", cost=0.0)
    await write(tmp_path, "a", projected("t"), failed, projected("t", attempt=2))
    await index.settle("a", {"t.2"})
    used, reserved = await index.day(DAY)
    assert (used.turns, reserved.cost) == (1, 3.0)


async def test_a_forks_copies_are_no_gap(index: SessionIndex, tmp_path: Path) -> None:
    await write(tmp_path, "a", finished(1, cost=1.0))
    target = tmp_path / "sessions" / "fork" / "session.db"
    copy_session(tmp_path / "sessions" / "a" / "session.db", target, "fork", 2, Runtime(now=lambda: NOON))
    fork = await Journal.open(target, Runtime(now=lambda: NOON))
    origin = ForkPoint(session="a", seq=2)
    created = SessionCreated(workspace="/w", model="m", mode="ask", forked_from=origin)
    await fork.append(created, finished(2, "own", session="fork", cost=0.25))
    await fork.close()
    await index.settle("fork", set())
    assert (await index.day(DAY))[0].cost == 1.25


async def test_a_session_counts_what_it_reserved_itself_for_time_as_its_own(index: SessionIndex) -> None:
    await take(index, "a", "time", Amounts(seconds=9.0))
    seen: list[float] = []
    for session in ("a", "b"):
        await index.reserve(session, "t.1", DAY, lambda used, reserved: seen.append(reserved.seconds))  # type: ignore[func-returns-value]
    assert seen == [0.0, 9.0]


async def test_a_forks_copies_are_not_booked(index: SessionIndex) -> None:
    events: list[EventBase] = [
        finished(5, session="origin"),
        TurnProjected(session="origin", turn="t", input_tokens=1, max_output_tokens=1, day=DAY),
    ]
    await index.book("fork", events)
    assert await index.day(DAY) == (Amounts(), Amounts())


async def test_an_index_of_the_first_version_keeps_what_was_spent(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE session (
          id TEXT PRIMARY KEY, path TEXT NOT NULL, title TEXT NOT NULL, workspace TEXT NOT NULL, model TEXT NOT NULL,
          created REAL NOT NULL, updated REAL NOT NULL, prompts INTEGER NOT NULL, cost REAL NOT NULL,
          state TEXT NOT NULL
        ) STRICT;
        CREATE TABLE spend (
          session TEXT NOT NULL, seq INTEGER NOT NULL, day TEXT NOT NULL, cost REAL NOT NULL, tokens INTEGER NOT NULL,
          PRIMARY KEY (session, seq)
        ) STRICT;
        INSERT INTO spend VALUES ('gone', 3, '2027-01-15', 4.5, 900);
        INSERT INTO session VALUES ('old', '/x', 't', '/w', 'm', 1, 2, 3, 0.5, 'idle');
        PRAGMA user_version = 1;
        """
    )
    connection.close()
    index = SessionIndex(path, tmp_path / "sessions")
    assert (await index.day(DAY))[0].cost == 4.5
    (tmp_path / "sessions" / "old").mkdir(parents=True)
    (tmp_path / "sessions" / "old" / "session.db").touch()
    assert [session.title for session in await index.list()] == ["t"]
    await index.close()
