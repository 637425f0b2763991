"""Damage: the original is set aside unchanged, and what can be read goes on in a new file."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.journal.conftest import created, execute, failing_at, turn
from tui_agent.events import Event, Notice, StepOutput
from tui_agent.journal import Gap, Journal, JournalDamaged
from tui_agent.journal.schema import PAGE_SIZE
from tui_agent.runtime import Runtime

TURNS = 200


async def build(path: Path, runtime: Runtime, *, crash: bool = True) -> list[Event]:
    """A session with bodies in overflow pages too; left as a crash leaves it, so that it is checked when opened."""
    journal = await Journal.create(path, "session_1", runtime)
    await journal.append(created())
    for first in range(0, TURNS, 20):
        numbers = range(first, first + 20)
        answers = (turn(number, f"answer {number} " * (1 + number % 3 * 400)) for number in numbers)
        await journal.append(*(event for answer in answers for event in answer))
    await journal.append_chunks(StepOutput(step="step_1", text="partial"))
    await journal.save_layout("the layout")
    events = await journal.read(limit=5000)
    await journal.close()
    if crash:
        execute(path, "UPDATE boot SET ended = NULL")
    return events


def flip(path: Path, pages: list[int], at: int = 0) -> None:
    data = bytearray(path.read_bytes())
    for page in pages:
        for offset in range(at, at + 64):
            data[page * PAGE_SIZE + offset] ^= 0xFF
    path.write_bytes(bytes(data))


def pages(path: Path) -> int:
    return path.stat().st_size // PAGE_SIZE


async def check(path: Path, runtime: Runtime, events: list[Event], least: int) -> Journal:
    """Open the damaged file and check that what came back is what was there."""
    damaged = path.read_bytes()
    journal = await Journal.open(path, runtime)
    report = journal.salvage
    assert report is not None
    assert report.set_aside.read_bytes() == damaged
    kept = await journal.read(limit=5000)
    *salvaged, notice = kept
    original = {event.seq: event for event in events}
    assert len(salvaged) == report.kept >= least
    for event in salvaged:
        assert event.model_copy(update={"hash": None}) == original[event.seq].model_copy(update={"hash": None})
    assert isinstance(notice, Notice)
    assert notice.code == "journal.salvaged"
    assert str(report.set_aside) in notice.message
    lost = {seq for gap in report.gaps for seq in range(gap.first, gap.last + 1)}
    assert lost.isdisjoint(event.seq or 0 for event in kept)
    assert lost | {event.seq for event in kept} == set(range(1, journal.last_seq + 1))
    verification = await journal.verify()
    assert (verification.ok, verification.gaps, verification.reason) == (True, report.gaps, "")
    assert journal.session == "session_1"
    page = await journal.page("conversation", 0, 5000)
    assert {position for position, _ in page} == set(range(journal.item_count))
    (new, *_) = await journal.append(*turn(9999))
    assert new.event.seq == (notice.seq or 0) + 1
    assert (await journal.verify()).ok
    return journal


@pytest.mark.parametrize("seed", range(6))
async def test_flipped_bytes_in_some_pages(path: Path, runtime: Runtime, seed: int) -> None:
    events = await build(path, runtime)
    chance = random.Random(seed)
    flip(path, chance.sample(range(1, pages(path)), 5))
    journal = await check(path, runtime, events, TURNS)
    await journal.close()
    again = await Journal.open(path, runtime)
    assert again.salvage is None
    assert again.crashed_boot is None
    await again.close()


@pytest.mark.parametrize("crash", [True, False])
async def test_a_damaged_body_spoils_nothing_else(path: Path, runtime: Runtime, crash: bool) -> None:
    """The structure of the file being sound, only the hash tells; also after a clean end."""
    events = await build(path, runtime, crash=crash)
    data = path.read_bytes()
    at = data.index(b"answer 7 ")
    path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    journal = await check(path, runtime, events, len(events) - 1)
    assert journal.salvage
    (gap,) = journal.salvage.gaps
    assert gap.first == gap.last
    await journal.close()


async def test_a_destroyed_header(path: Path, runtime: Runtime) -> None:
    events = await build(path, runtime, crash=False)
    flip(path, [0])
    journal = await check(path, runtime, events, len(events))
    assert journal.salvage
    assert journal.salvage.gaps == ()
    await journal.close()


async def test_a_destroyed_schema(path: Path, runtime: Runtime) -> None:
    events = await build(path, runtime, crash=False)
    flip(path, [0], 100)
    await (await check(path, runtime, events, len(events))).close()


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
async def test_a_truncated_file(path: Path, runtime: Runtime, share: float) -> None:
    events = await build(path, runtime)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    await (await check(path, runtime, events, int(len(events) * share * 0.6))).close()


async def test_layout_and_chunks_are_saved_where_they_can_be_read(path: Path, runtime: Runtime) -> None:
    events = await build(path, runtime)
    with closing(sqlite3.connect(path)) as connection:
        leaf = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'event_subject'",
        ).fetchone()[0]
    flip(path, [leaf - 1])
    journal = await check(path, runtime, events, len(events))
    assert await journal.layout() == "the layout"
    (chunk,) = await journal.chunks()
    assert isinstance(chunk, StepOutput)
    await journal.close()


async def test_what_stands_only_in_the_log_is_saved_too(path: Path, runtime: Runtime, tmp_path: Path) -> None:
    journal = await Journal.create(path, "session_1", runtime)
    await journal.append(created())
    for number in range(30):
        await journal.append(*turn(number, "long " * 2000))
    events = await journal.read(limit=5000)
    copy = tmp_path / "copy" / "session.db"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    shutil.copy(path.with_name("session.db-wal"), copy.with_name("session.db-wal"))
    await journal.close()
    wal = copy.with_name("session.db-wal").read_bytes()
    assert len(wal) > PAGE_SIZE * 10
    damaged = bytearray(copy.read_bytes())
    damaged[:16] = b"\0" * 16
    copy.write_bytes(damaged)
    # SQLite reads the header from the log where it stands there too: that copy is broken as well
    log = bytearray(wal)
    frame = PAGE_SIZE + 24
    for start in range(32, len(log), frame):
        if int.from_bytes(log[start : start + 4], "big") == 1:
            log[start + 24 : start + 40] = b"\0" * 16
    copy.with_name("session.db-wal").write_bytes(log)
    again = await check(copy, runtime, events, len(events))
    assert again.salvage
    aside = again.salvage.set_aside
    assert aside.with_name(aside.name + "-wal").read_bytes() == log
    await again.close()


async def test_a_lost_middle_is_a_declared_gap(path: Path, runtime: Runtime) -> None:
    events = await build(path, runtime)
    with closing(sqlite3.connect(path)) as connection:
        seq, page = connection.execute(
            "SELECT 0, pageno FROM dbstat WHERE name = 'event' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 3"
        ).fetchone()
    assert seq == 0
    flip(path, [page - 1])
    journal = await check(path, runtime, events, TURNS)
    assert journal.salvage
    (gap,) = journal.salvage.gaps
    assert 1 < gap.first <= gap.last < len(events)
    assert isinstance(gap, Gap)
    await journal.close()
    execute(path, f"UPDATE gap SET last = last + 1 WHERE first = {gap.first}")
    reader = await Journal.open(path, runtime, read_only=True)
    assert not (await reader.verify()).ok  # what is lost is part of the chain
    await reader.close()


async def test_nothing_to_save_moves_nothing(path: Path, runtime: Runtime) -> None:
    path.parent.mkdir(parents=True)
    for content in (b"", b"not a database at all " * 500):
        path.write_bytes(content)
        with pytest.raises(JournalDamaged, match="left as it is"):
            await Journal.open(path, runtime)
        assert path.read_bytes() == content
        assert sorted(child.name for child in path.parent.iterdir()) == ["session.db", "session.db.lock"]


async def test_reading_only_never_salvages(path: Path, runtime: Runtime) -> None:
    await build(path, runtime)
    flip(path, [0])
    before = path.read_bytes()
    with pytest.raises(JournalDamaged):
        await Journal.open(path, runtime, read_only=True)
    assert path.read_bytes() == before


async def test_damage_met_while_reading_is_salvaged_at_the_next_opening(path: Path, runtime: Runtime) -> None:
    events = await build(path, runtime, crash=False)
    with closing(sqlite3.connect(path)) as connection:
        page = connection.execute(
            "SELECT pageno FROM dbstat WHERE name = 'event' AND pagetype = 'leaf' ORDER BY path LIMIT 1"
        ).fetchone()[0]
    journal = await Journal.open(path, runtime)
    assert journal.salvage is None
    flip(path, [page - 1])
    with pytest.raises(JournalDamaged, match="salvaged the next time"):
        await journal.read()
    await journal.close()
    again = await Journal.open(path, runtime)
    assert again.salvage is not None
    assert again.salvage.kept >= TURNS
    assert len(events) > again.salvage.kept
    await again.close()


@pytest.mark.parametrize("failpoint", ["journal.salvage", "journal.salvage_ready", "journal.salvaged"])
async def test_a_salvage_that_is_cut_short_is_done_at_the_next_opening(path: Path, failpoint: str) -> None:
    events = await build(path, Runtime())
    flip(path, [0], 100)
    runtime, _ = failing_at(failpoint)
    with pytest.raises(RuntimeError):
        await Journal.open(path, runtime)
    journal = await Journal.open(path, Runtime())
    assert [event.seq for event in await journal.read(limit=5000)] == list(range(1, len(events) + 2))
    assert (await journal.verify()).ok
    assert len(list(path.parent.glob("*.damaged-*"))) == 1
    await journal.close()


async def test_a_fork_keeps_its_own_name_when_salvaged(path: Path, runtime: Runtime, tmp_path: Path) -> None:
    from tui_agent.journal.export import copy_session

    await build(path, runtime, crash=False)
    fork = tmp_path / "fork" / "session.db"
    copy_session(path, fork, "session_2", 4, runtime)
    journal = await Journal.open(fork, runtime)
    await journal.append(created())
    await journal.close()
    flip(fork, [0], 100)
    again = await Journal.open(fork, runtime)
    assert again.session == "session_2"
    assert again.last_seq == 6
    await again.close()
