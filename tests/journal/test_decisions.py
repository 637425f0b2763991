"""The decisions in the index: taken up in parts, from files that changed, and gone with their session."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.journal.conftest import created
from tui_agent.events import (
    Event,
    EventBase,
    PermissionDecided,
    PermissionRevoked,
    StepEdited,
    StepFinished,
    StepPlanned,
)
from tui_agent.journal import Journal, SessionIndex, export
from tui_agent.journal.decisions import Decisions, catch_up, read
from tui_agent.runtime import Runtime


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[SessionIndex]:
    opened = index_of(tmp_path)
    yield opened
    await opened.close()


def index_of(tmp_path: Path) -> SessionIndex:
    return SessionIndex(tmp_path / "data" / "index.db", tmp_path / "data" / "sessions")


def planned(step: str, command: str) -> StepPlanned:
    return StepPlanned(
        step=step, turn="t", call_id=step, tool="bash", input={"command": command}, effect="supervised", title=command
    )


def decided(step: str, grant: str = "") -> PermissionDecided:
    return PermissionDecided(
        step=step,
        tool="bash",
        call_hash="h",
        verdict="allow",
        by="person",
        scope="session" if grant else "once",
        grant=grant,
    )


PAST: list[EventBase] = [
    created(),
    planned("a", "touch a"),
    planned("b", "touch b"),
    decided("a", "Bash(touch *)"),
    StepFinished(step="a", tool="bash", outcome="ok", result=[], summary=""),
    StepEdited(
        step="b", request="r", tool="bash", input={"command": "touch c"}, call_hash="h", title="touch c", note=""
    ),
    decided("b", "exact:1"),
    PermissionRevoked(grant="Bash(touch *)"),
    planned("c", "make"),
    decided("c"),
]


async def session(tmp_path: Path, name: str, events: list[EventBase]) -> Path:
    path = tmp_path / "data" / "sessions" / name / "session.db"
    journal = await Journal.create(path, name, Runtime())
    await journal.append(*events)
    await journal.close()
    return path


def shown(found: Decisions) -> list[tuple[object, tuple[str, ...]]]:
    return [(entry.input["command"], entry.granted) for entry in found.entries]


WHOLE = [("touch a", ()), ("touch c", ("Bash(touch *)",)), ("make", ("exact:1",))]


@pytest.mark.parametrize("cut", range(len(PAST) + 1))
async def test_taken_up_in_two_parts_is_as_in_one(index: SessionIndex, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "data" / "sessions" / "one" / "session.db"
    journal = await Journal.create(path, "one", Runtime())
    if cut:
        await journal.append(*PAST[:cut])
    await index.take_decisions("one")
    if cut < len(PAST):
        await journal.append(*PAST[cut:])
    for _ in range(2):
        await index.take_decisions("one")
    found = index.decided()
    assert shown(found) == WHOLE
    assert list(found.grants["one"]) == ["exact:1"]
    await journal.close()


async def test_only_files_that_changed_are_opened(index: SessionIndex, tmp_path: Path) -> None:
    paths = [await session(tmp_path, f"s{number}", PAST) for number in range(5)]
    before = shown(index.decided())
    assert len(before) == 15
    for path in paths[1:]:  # none of them can be read any more, and none looks changed
        status = path.stat()
        path.write_bytes(b"\0" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    journal = await Journal.open(paths[0], Runtime())
    await journal.append(planned("d", "ls"), decided("d"))
    await journal.close()
    found = index.decided()
    assert shown(found) == [*before, ("ls", ("exact:1",))]
    assert not found.problems
    os.utime(paths[1])
    found = index.decided()
    assert len(found.entries) == 16, "what was known of it stays"
    assert len(found.problems) == 1
    assert str(paths[1]) in found.problems[0]
    assert len(index.decided().problems) == 1, "it is said each time"


async def test_a_sealed_session_is_not_opened_again(index: SessionIndex, tmp_path: Path) -> None:
    path = tmp_path / "data" / "sessions" / "one" / "session.db"
    journal = await Journal.create(path, "one", Runtime())
    await journal.append(*PAST)
    await index.take_decisions("one")
    await journal.close()
    await index.seal_decisions("one")
    status = path.stat()
    path.write_bytes(b"\0" * status.st_size)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    found = index.decided()
    assert shown(found) == WHOLE
    assert not found.problems


async def test_what_could_not_be_read_is_not_sealed(index: SessionIndex, tmp_path: Path) -> None:
    path = await session(tmp_path, "one", PAST)
    path.write_bytes(b"\0" * 8192)
    await index.take_decisions("one")
    await index.seal_decisions("one")
    assert index.decided().problems


async def test_a_session_that_went_is_not_told_of(index: SessionIndex, tmp_path: Path) -> None:
    path, other = await session(tmp_path, "one", PAST), await session(tmp_path, "two", PAST)
    assert len(index.decided().entries) == 6
    path.unlink()
    assert len(index.decided().entries) == 3
    other.unlink()
    await index.remove("two")
    with closing(sqlite3.connect(tmp_path / "data" / "index.db")) as connection:
        for table in ("decision", "live_grant", "trail"):
            held = {name for (name,) in connection.execute(f"SELECT session FROM {table}")}
            assert held == {"one"}, table


async def test_an_index_of_the_version_before_takes_all_up(index: SessionIndex, tmp_path: Path) -> None:
    await session(tmp_path, "one", PAST)
    await index.list()
    await index.close()
    with closing(sqlite3.connect(tmp_path / "data" / "index.db")) as connection:
        connection.executescript(
            "DROP TABLE decision; DROP TABLE live_grant; DROP TABLE trail; PRAGMA user_version = 2"
        )
    again = index_of(tmp_path)
    assert shown(again.decided()) == WHOLE
    await again.close()


async def test_an_index_that_cannot_be_written_answers_all_the_same(index: SessionIndex, tmp_path: Path) -> None:
    path = await session(tmp_path, "one", PAST)
    await index.list()
    sessions = tmp_path / "data" / "sessions"
    with closing(sqlite3.connect(tmp_path / "data" / "index.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA query_only = 1")
        for _ in range(2):
            found = read(connection, sessions)
            assert shown(found) == WHOLE
            assert list(found.grants["one"]) == ["exact:1"]
        assert len(read(connection, sessions, since=found.entries[-1].time + 1).entries) == 0
        connection.execute("PRAGMA query_only = 0")
        assert not catch_up(connection, path).entries
        assert shown(read(connection, sessions)) == WHOLE


async def test_a_window_that_was_slower_undoes_nothing(
    index: SessionIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data" / "sessions" / "one" / "session.db"
    journal = await Journal.create(path, "one", Runtime())
    await journal.append(*PAST[:4])
    await index.take_decisions("one")
    await journal.append(*PAST[4:7])
    slow = sqlite3.connect(tmp_path / "data" / "index.db", isolation_level=None, check_same_thread=False)
    loop = asyncio.get_running_loop()
    reading = export.read_events

    def overtaken(*given: Any, **named: Any) -> Iterator[Event]:
        yield from reading(*given, **named)
        monkeypatch.undo()
        asyncio.run_coroutine_threadsafe(journal.append(*PAST[7:]), loop).result(20)
        assert shown(index.decided()) == WHOLE

    with closing(slow):
        monkeypatch.setattr(export, "read_events", overtaken)
        await asyncio.to_thread(catch_up, slow, path)
    found = index.decided()
    assert shown(found) == WHOLE
    assert list(found.grants["one"]) == ["exact:1"]
    await journal.close()
