"""Opening: one writer, crashes noticed, older files brought up to date, newer ones refused."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.journal.conftest import created, execute, turn
from tui_agent.events import JsonObject, Notice, TurnDelta
from tui_agent.journal import Journal, JournalError, NewerSchema, SessionLocked
from tui_agent.runtime import Runtime

ROOT = Path(__file__).parents[2]


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.journal.child", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    for line in process.stdout:
        if line == "ready\n":
            return
    raise AssertionError("the child ended early")


async def test_create_refuses_a_file_that_is_there(journal: Journal, path: Path, runtime: Runtime) -> None:
    await journal.close()
    with pytest.raises(JournalError, match="already"):
        await Journal.create(path, "other", runtime)
    again = await Journal.open(path, runtime)
    assert again.session == "session_1"
    await again.close()


async def test_open_without_a_file(path: Path, runtime: Runtime) -> None:
    for read_only in (True, False):
        with pytest.raises(JournalError, match="no session"):
            await Journal.open(path, runtime, read_only=read_only)
    assert not path.parent.exists()


async def test_the_end_of_a_boot_is_no_crash(journal: Journal, path: Path, runtime: Runtime) -> None:
    await journal.append(*turn(1))
    fence = journal.fence
    await journal.close("done")
    again = await Journal.open(path, runtime)
    assert (again.boot, again.fence, again.crashed_boot, again.last_seq) == (2, fence + 1, None, 3)
    assert again.head == journal.head
    await again.close()


async def test_a_second_window_is_refused_and_can_read(journal: Journal, path: Path, runtime: Runtime) -> None:
    await journal.append(*turn(1))
    with pytest.raises(SessionLocked, match=rf"process {os.getpid()}.*read-only"):
        await Journal.open(path, runtime)
    reader = await Journal.open(path, runtime, read_only=True)
    assert (reader.read_only, reader.session, reader.last_seq, reader.head) == (True, "session_1", 3, journal.head)
    assert (reader.item_count, reader.entry_count) == (journal.item_count, journal.entry_count)
    await journal.append(created())
    assert len(await reader.read()) == 4
    with pytest.raises(JournalError, match="read-only"):
        await reader.append(created())
    await reader.close()


async def test_reading_only_changes_nothing(journal: Journal, path: Path, runtime: Runtime) -> None:
    await journal.append(*turn(1))
    await journal.close()
    before = path.read_bytes()
    reader = await Journal.open(path, runtime, read_only=True)
    assert len(await reader.page("conversation", 0, 10)) == 3
    assert (await reader.verify()).ok
    await reader.close()
    assert path.read_bytes() == before


async def test_killed_with_the_lock_held(path: Path, runtime: Runtime) -> None:
    with child(str(path)) as process:
        wait_until_ready(process)
        with pytest.raises(SessionLocked, match=f"process {process.pid}"):
            await Journal.open(path, runtime)
        process.send_signal(signal.SIGKILL)
        process.wait()
        journal = await Journal.open(path, runtime)
    crash = journal.crashed_boot
    assert crash is not None
    assert (crash.number, crash.last_seq, crash.pid) == (1, 10, process.pid)
    assert (journal.boot, journal.last_seq, journal.salvage) == (2, 10, None)
    (delta,) = await journal.chunks()
    assert isinstance(delta, TurnDelta)
    assert delta.text == "partial"
    assert (await journal.verify()).ok
    await journal.close()
    again = await Journal.open(path, runtime)
    assert again.crashed_boot is None  # it was reported once
    await again.close()


@pytest.mark.parametrize(
    "failpoint",
    [
        "journal.create",
        "journal.created",
        "journal.open",
        "journal.opened",
        "journal.begin",
        "journal.before_commit",
        "journal.after_commit",
        "journal.before_publish",
        "journal.close",
    ],
)
async def test_killed_at_a_failpoint(path: Path, runtime: Runtime, failpoint: str) -> None:
    with child(str(path), failpoint) as process:
        output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL
    acknowledged = max((int(line.split()[1]) for line in output.splitlines() if line.startswith("seq")), default=0)
    if not path.exists():
        assert failpoint == "journal.create"
        journal = await Journal.create(path, "session_1", runtime)
    else:
        journal = await Journal.open(path, runtime)
        assert (journal.crashed_boot is None) == (failpoint in {"journal.created", "journal.open"})
    assert journal.last_seq >= acknowledged
    assert (journal.last_seq - 1) % 3 == 0 or journal.last_seq == 0  # whole transactions only
    assert (await journal.verify()).ok
    await journal.append(created())
    await journal.close()


async def test_a_newer_schema_is_refused_untouched(journal: Journal, path: Path, runtime: Runtime) -> None:
    await journal.close()
    execute(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    for read_only in (True, False):
        with pytest.raises(NewerSchema, match="Update tui-agent"):
            await Journal.open(path, runtime, read_only=read_only)
    assert path.read_bytes() == before


def add_column(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE boot ADD COLUMN host TEXT")


def fail(connection: sqlite3.Connection) -> None:
    connection.execute("DROP TABLE event")
    raise sqlite3.OperationalError("cannot")


async def test_migrations_run_once_each_after_a_backup(journal: Journal, path: Path, runtime: Runtime) -> None:
    await journal.append(*turn(1))
    await journal.close()
    with pytest.raises(JournalError, match="older version"):
        await Journal.open(path, runtime, read_only=True, migrations=[add_column])
    with pytest.raises(JournalError, match="cannot"):
        await Journal.open(path, runtime, migrations=[add_column, fail])
    backup = path.with_name("session.db.v1.backup")
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (3,)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    again = await Journal.open(path, runtime, migrations=[add_column])
    assert len(await again.read()) == 3
    assert (await again.verify()).ok
    await again.close()
    with pytest.raises(NewerSchema):
        await Journal.open(path, runtime)


async def test_old_bodies_are_upcast_when_read(journal: Journal, path: Path, runtime: Runtime) -> None:
    await journal.append(Notice(level="info", code="old", message="m"))
    await journal.close()

    def first(body: JsonObject) -> JsonObject:
        return {**body, "version": 2, "code": "newer"}

    def second(body: JsonObject) -> JsonObject:
        return {**body, "version": 3, "code": f"{body['code']}!"}

    again = await Journal.open(path, runtime, upcasts={("notice", 1): first, ("notice", 2): second})
    (event,) = await again.read()
    assert isinstance(event, Notice)
    assert (event.code, event.version, event.seq) == ("newer!", 3, 1)
    assert (await again.verify()).ok  # what is on disk stays as it was
    await again.close()


async def test_a_lock_file_removed_under_its_holder_is_not_trusted(
    path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removed between opening and locking it, the lock must be taken again on the file that is there now."""
    from tui_agent.journal import lock

    name = path.with_name("session.db.lock")
    taken: list[int] = []
    flock = lock.fcntl.flock

    def race(file: object, operation: int) -> None:
        flock(file, operation)  # type: ignore[arg-type]
        taken.append(operation)
        if len(taken) == 1:
            name.unlink()

    monkeypatch.setattr(lock.fcntl, "flock", race)
    journal = await Journal.create(path, "s", runtime)
    assert len(taken) == 2
    with pytest.raises(SessionLocked):
        await Journal.open(path, runtime)
    await journal.close()
