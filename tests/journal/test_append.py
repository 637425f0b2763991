"""Writing: whole transactions, in order, none lost, none by halves."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journal.conftest import created, execute, turn
from tui_agent.events import Notice, SessionCreated, StepOutput, TurnDelta, TurnFinished, parse_event
from tui_agent.journal import (
    Committed,
    Durability,
    FenceLost,
    InvalidEvent,
    Journal,
    JournalError,
    JournalFull,
    JournalWriteError,
)
from tui_agent.runtime import Runtime


async def test_an_event_comes_back_stamped(journal: Journal) -> None:
    (committed,) = await journal.append(created())
    assert isinstance(committed.event, SessionCreated)
    assert (committed.event.session, committed.event.seq) == ("session_1", 1)
    assert committed.event.time > 0
    assert committed.event.hash == journal.head
    assert await journal.read() == [committed.event]


async def test_a_time_that_is_given_is_kept(journal: Journal) -> None:
    (committed,) = await journal.append(Notice(time=12.5, level="info", code="x", message="y"))
    assert committed.event.time == 12.5


async def test_an_unknown_event_survives_being_written_again(journal: Journal) -> None:
    event = parse_event('{"type": "moon.landed", "crew": [1, 2]}', seq=7, hash="00")
    await journal.append(event)
    (read,) = await journal.read()
    assert read.type == "moon.landed"
    assert read.seq == 1
    assert read.body["crew"] == [1, 2]


async def test_32_producers_get_contiguous_seqs_in_commit_order(journal: Journal) -> None:
    seen: list[int | None] = []
    journal.on_commit(lambda committed: seen.extend(one.event.seq for one in committed))

    async def produce(number: int) -> None:
        for index in range(20):
            pair = await journal.append(
                Notice(level="info", code=str(number), message=str(index)),
                Notice(level="info", code=str(number), message="second"),
            )
            first, second = (one.event.seq for one in pair)
            assert second == (first or 0) + 1

    await asyncio.gather(*(produce(number) for number in range(32)))
    assert seen == list(range(1, 32 * 40 + 1))
    assert (await journal.verify()).events == 32 * 40
    messages = [event for event in await journal.read(limit=5000) if isinstance(event, Notice)]
    for number in range(32):
        mine = [event.message for event in messages if event.code == str(number) and event.message != "second"]
        assert mine == [str(index) for index in range(20)]


async def test_callbacks_run_before_the_append_returns(journal: Journal) -> None:
    order: list[str] = []
    journal.on_commit(lambda committed: order.append(committed[0].event.type))
    await journal.append(created())
    order.append("returned")
    assert order == ["session.created", "returned"]


async def test_waiting_transactions_are_committed_together(path: Path) -> None:
    commits: list[str] = []
    gate = threading.Event()

    def failpoint(name: str) -> None:
        commits.append(name)
        if name == "journal.begin":
            gate.wait()

    journal = await Journal.create(path, "session_1", Runtime(failpoint=failpoint))
    waiting = [asyncio.ensure_future(journal.append(created())) for _ in range(50)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*waiting)
    await journal.close()
    assert commits.count("journal.before_commit") <= 3


async def test_a_bad_transaction_fails_alone(journal: Journal, path: Path) -> None:
    execute(
        path,
        "CREATE TRIGGER refuse BEFORE INSERT ON event WHEN NEW.body LIKE '%poison%'"
        " BEGIN SELECT RAISE(ABORT, 'poisoned'); END",
    )
    results = await asyncio.gather(
        *(
            journal.append(*turn(number), Notice(level="info", code="c", message="poison" if number == 7 else "ok"))
            for number in range(20)
        ),
        return_exceptions=True,
    )
    failed = [index for index, result in enumerate(results) if isinstance(result, BaseException)]
    assert failed == [7]
    assert isinstance(results[7], JournalWriteError)
    assert "poisoned" in str(results[7])
    assert (await journal.verify()).ok
    assert journal.last_seq == 19 * 4 == len(await journal.read())
    assert journal.item_count == await journal.count("conversation") == 19 * 3


async def test_an_event_without_a_form_as_json_is_refused(journal: Journal) -> None:
    with pytest.raises(InvalidEvent, match="notice"):
        await journal.append(Notice.model_construct(level="info", code="c", message=b"\xff"))
    await journal.append(created())
    assert journal.last_seq == 1


async def test_a_name_that_is_not_utf_8_comes_back_as_it_was(journal: Journal) -> None:
    await journal.append(Notice(level="info", code="c", message="caf\udce9"))
    (read,) = await journal.read()
    assert isinstance(read, Notice)
    assert read.message == "caf\udce9"
    assert (await journal.verify()).ok


async def test_a_cancelled_append_is_whole_and_published(path: Path) -> None:
    reached, gate = threading.Event(), threading.Event()

    def failpoint(name: str) -> None:
        if name == "journal.before_commit":
            reached.set()
            gate.wait()

    journal = await Journal.create(path, "session_1", Runtime(failpoint=failpoint))
    published: list[Committed] = []
    journal.on_commit(published.extend)
    waiting = asyncio.ensure_future(journal.append(*turn(1)))
    await asyncio.to_thread(reached.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    await journal.append(created())
    assert [one.event.seq for one in published] == [1, 2, 3, 4]
    assert len(await journal.read()) == 4
    await journal.close()


async def test_a_failure_before_the_commit_leaves_no_trace(path: Path) -> None:
    fail = [False]

    def failpoint(name: str) -> None:
        if fail[0] and name == "journal.before_commit":
            raise OSError("no")

    journal = await Journal.create(path, "session_1", Runtime(failpoint=failpoint))
    await journal.append(*turn(1))
    before = (journal.last_seq, journal.head, journal.item_count, journal.entry_count)
    fail[0] = True
    with pytest.raises(JournalWriteError):
        await journal.append(*turn(2))
    assert (journal.last_seq, journal.head, journal.item_count, journal.entry_count) == before
    fail[0] = False
    committed = await journal.append(*turn(3))
    assert [one.item for one in committed] == [2, 3, 3]
    assert (await journal.verify()).ok
    await journal.close()


async def test_the_fence_stops_a_writer_that_was_taken_over(journal: Journal, path: Path) -> None:
    await journal.append(created())
    execute(path, "UPDATE meta SET value = value + 1 WHERE key = 'fence'")
    with pytest.raises(FenceLost, match="taken over"):
        await journal.append(created())
    with pytest.raises(FenceLost):
        await journal.append_chunks(StepOutput(step="s", text="x"))
    assert len(await journal.read()) == 1
    with pytest.raises(FenceLost):
        await journal.close()


async def test_durability_is_that_of_the_strictest_in_the_batch(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pragmas: list[str] = []
    connect = sqlite3.connect

    class Spy(sqlite3.Connection):
        def execute(self, sql: str, *rest: object) -> sqlite3.Cursor:
            if sql.startswith("PRAGMA synchronous"):
                assert not self.in_transaction
                pragmas.append(sql.rpartition(" ")[2])
            return super().execute(sql, *rest)

    monkeypatch.setattr(sqlite3, "connect", lambda *args, **kwargs: connect(*args, factory=Spy, **kwargs))
    journal = await Journal.create(path, "session_1", Runtime())
    pragmas.clear()
    await journal.append(created())
    assert pragmas == ["FULL"]
    await journal.append_chunks(StepOutput(step="s", text="x"))
    assert pragmas == ["FULL", "NORMAL"]
    await asyncio.gather(
        journal.append_chunks(StepOutput(step="s", text="y")),
        journal.append(created(), durability=Durability.NORMAL),
    )
    assert pragmas == ["FULL", "NORMAL"]
    await journal.append(created())
    assert pragmas[-1] == "FULL"
    await journal.close()


async def test_chunks_stand_until_their_durable_event_drops_them(journal: Journal) -> None:
    published: list[Committed] = []
    journal.on_commit(published.extend)
    start = turn(1)
    await journal.append(*start[:2])
    delta = TurnDelta(run="run_1", turn="turn_1", block=0, kind="text", text="hel")
    await journal.append_chunks(delta, delta.model_copy(update={"text": "lo"}))
    await journal.append_chunks(StepOutput(agent="other", step="step_9", text="kept"))
    assert [(one.event.seq, one.item, one.entry) for one in published[2:]] == [
        (None, 1, None),
        (None, 1, None),
        (None, None, None),
    ]
    assert [getattr(event, "text", "") for event in await journal.chunks()] == ["hel", "lo", "kept"]
    await journal.append(start[2], drop_chunks=["turn_1"])
    assert [getattr(event, "text", "") for event in await journal.chunks()] == ["kept"]
    assert journal.last_seq == 3


async def test_chunks_and_the_event_that_drops_them_go_together_or_not_at_all(journal: Journal, path: Path) -> None:
    await journal.append_chunks(TurnDelta(turn="turn_1", block=0, kind="text", text="x"))
    execute(
        path,
        "CREATE TRIGGER refuse BEFORE DELETE ON chunk BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    with pytest.raises(JournalWriteError):
        await journal.append(turn(1)[2], drop_chunks=["turn_1"])
    assert await journal.read() == []
    assert len(await journal.chunks()) == 1


async def test_snapshot_and_layout_keep_the_newest(journal: Journal) -> None:
    assert await journal.latest_snapshot() is None
    assert await journal.layout() is None
    await journal.save_snapshot(1, "{}", "a")
    await journal.save_snapshot(2, '{"x":1}', "b")
    await journal.save_layout("one")
    await journal.save_layout("two")
    snapshot = await journal.latest_snapshot()
    assert snapshot is not None
    assert (snapshot.seq, snapshot.state, snapshot.digest) == (2, '{"x":1}', "b")
    assert await journal.layout() == "two"


async def test_a_closed_journal_takes_nothing(path: Path, runtime: Runtime) -> None:
    journal = await Journal.create(path, "session_1", runtime)
    waiting = [asyncio.ensure_future(journal.append(created())) for _ in range(10)]
    await asyncio.sleep(0)
    await asyncio.gather(journal.close(), journal.close())
    assert [result[0].event.seq for result in await asyncio.gather(*waiting)] == list(range(1, 11))
    with pytest.raises(JournalError, match="closed"):
        await journal.append(created())


@pytest.mark.parametrize("size", [1, 2_000_000])
async def test_a_full_disk_loses_nothing_acknowledged(path: Path, runtime: Runtime, size: int) -> None:
    journal = await Journal.create(path, "session_1", runtime)
    limit = journal._writer._connection  # type: ignore[union-attr]
    await journal.append(created())
    await asyncio.to_thread(limit.execute, "PRAGMA max_page_count = 60")
    written = 1
    with pytest.raises(JournalFull, match="Free some space"):
        for number in range(1000):
            await journal.append(*turn(number, "x" * size))
            written += 3
    assert len(await journal.read(limit=5000)) == journal.last_seq == written
    await asyncio.to_thread(limit.execute, "PRAGMA max_page_count = 1000000")
    (first, *_) = await journal.append(*turn(5000))
    assert first.event.seq == written + 1
    assert (await journal.verify()).ok
    await journal.close()
    again = await Journal.open(path, runtime)
    assert again.last_seq == written + 3
    await again.close()


async def test_read_filters(journal: Journal) -> None:
    await journal.append(*turn(1), *turn(2))
    await journal.append(Notice(agent="helper", level="info", code="c", message="m"))
    assert [event.seq for event in await journal.read(after=2, limit=2)] == [3, 4]
    assert [event.seq for event in await journal.read(subject="turn_2")] == [5, 6]
    assert [event.seq for event in await journal.read(agent="helper")] == [7]
    finished = await journal.read(types=["turn.finished", "notice"], agent="main")
    assert [event.seq for event in finished] == [3, 6]
    assert all(isinstance(event, TurnFinished) for event in finished)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 kB, where the tests may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(file: Path) -> None:
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY)
    try:
        with pytest.raises(OSError, match="No space"):
            while True:
                os.write(descriptor, b"x" * 1000)
    finally:
        os.close(descriptor)


async def test_a_disk_that_is_really_full(small_disk: Path, runtime: Runtime) -> None:
    path, ballast = small_disk / "s" / "session.db", small_disk / "ballast"
    journal = await Journal.create(path, "s", runtime)
    await journal.append(*turn(0))
    fill(ballast)
    written = 1
    with pytest.raises(JournalFull):
        for number in range(1, 1000):
            await journal.append(*turn(number, "x" * 3000))
            written += 1
    with pytest.raises(JournalFull):
        await journal.append_chunks(StepOutput(step="s", text="x" * 100_000))
    assert len(await journal.read()) == written * 3 == journal.last_seq
    ballast.unlink()
    await journal.append(*turn(1001))
    assert (await journal.verify()).ok
    await journal.close()
    fill(ballast)
    with pytest.raises(JournalFull):
        await Journal.open(path, runtime)
    with pytest.raises(JournalFull):
        await Journal.create(small_disk / "t" / "session.db", "t", runtime)
    ballast.unlink()
    again = await Journal.open(path, runtime)
    assert again.last_seq == written * 3 + 3
    await again.close()


async def test_a_closed_journal_is_not_read_and_opens_nothing(journal: Journal) -> None:
    await journal.append(created())
    await journal.close()
    before = threading.active_count()
    with pytest.raises(JournalError, match="is closed"):
        await journal.read()
    assert threading.active_count() == before
