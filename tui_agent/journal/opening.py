"""Making a session file, and opening one: lock, migrate, look for a crash, check, raise the fence, boot."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tui_agent.journal.errors import JournalDamaged, JournalError, explain, is_damage
from tui_agent.journal.head import Head
from tui_agent.journal.lock import FileLock
from tui_agent.journal.migrations import (
    MIGRATIONS,
    Migration,
    check_version,
    migrate,
    read_header,
    schema_version,
)
from tui_agent.journal.records import BootRecord, SalvageReport
from tui_agent.journal.schema import SCHEMA_NAMES, connect, create_tables
from tui_agent.journal.writer import OpenFile
from tui_agent.private import FOLDER_MODE, close_to_others, make_missing

if TYPE_CHECKING:
    from tui_agent.runtime import Runtime


FULL_CHECK_BYTES = 64 << 20
"""Up to this size a file is checked event by event when it is opened: about 15 ms for each MB, 0.2 s for a session of
3,000 turns. A larger one is checked for the soundness of its structure, and the rest later (`Journal.check`)."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A file opened for writing, and what was found on the way."""

    file: OpenFile
    crashed_boot: BootRecord | None
    salvage: SalvageReport | None


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive the loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make the folder of a session file, for this user alone; the data folder is closed to others too."""
    make_missing(folder)
    if folder.parent.name == "sessions":
        for private in (folder.parent.parent, folder.parent, folder):  # the data folder, `sessions`, the session's
            close_to_others(private, FOLDER_MODE)


def sync_file(path: Path) -> None:
    """Make the contents of `path` survive the loss of power."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def build_file(path: Path, session: str, version: int) -> sqlite3.Connection:
    """Start a session file at `path`, replacing what an earlier attempt left there; boots come later.

    The caller fills it, closes the connection and gives it its name with `put_in_place`: no half-made file
    ever has the name of a session.
    """
    for leftover in (path, with_suffix(path, "-wal"), with_suffix(path, "-shm")):
        leftover.unlink(missing_ok=True)
    connection = connect(path, "rwc")
    try:
        connection.execute("PRAGMA synchronous = OFF")  # synced once, whole, before it gets its name
        create_tables(connection, version)
        connection.execute("INSERT INTO meta VALUES ('session', ?), ('fence', 0)", (session,))
    except BaseException:
        connection.close()
        raise
    return connection


def put_in_place(built: Path, path: Path) -> None:
    """Give a finished file its name, so that after a crash there is the whole file or none."""
    sync_file(built)
    built.replace(path)
    sync_folder(path.parent)


def with_suffix(path: Path, suffix: str) -> Path:
    """Return `path` with `suffix` after its whole name."""
    return path.with_name(path.name + suffix)


def create_file(path: Path, session: str, runtime: Runtime) -> Opened:
    """Make a new session file and open it. Raises JournalError when there is one already."""
    try:
        make_folder(path.parent)
        lock = FileLock(path)
        try:
            refuse_existing(path)
            runtime.failpoint("journal.create")
            built = with_suffix(path, ".new")
            build_file(built, session, schema_version(MIGRATIONS)).close()
            put_in_place(built, path)
            runtime.failpoint("journal.created")
            return _open_locked(path, runtime, lock, MIGRATIONS)
        except BaseException:
            lock.release()
            raise
    except (sqlite3.Error, OSError) as error:
        raise explain(error, path) from error


def refuse_existing(path: Path) -> None:
    """Raise JournalError when there is a file at `path`."""
    if path.exists():
        raise JournalError(f"There is a session at {path} already: open it, or choose another name.")


def open_file(path: Path, runtime: Runtime, migrations: Sequence[Migration] = MIGRATIONS, damage: str = "") -> Opened:
    """Open a session file for writing; one that is damaged is set aside and salvaged.

    So is one that is said to have `damage` that an earlier opening met. Raises SessionLocked, SessionUnwritable,
    NewerSchema, JournalDamaged (nothing could be salvaged), JournalError.
    """
    from tui_agent.journal.salvage import finish_salvage, salvage_file

    if not path.parent.is_dir() or not (path.exists() or with_suffix(path, ".salvaged").exists()):
        raise JournalError(f"There is no session at {path}.")
    lock = FileLock(path)
    try:
        finish_salvage(path)
        try:
            return _open_locked(path, runtime, lock, migrations, damage)
        except (JournalDamaged, sqlite3.DatabaseError) as error:
            if not isinstance(error, JournalDamaged) and not is_damage(error):
                raise
            runtime.failpoint("journal.salvage")
            report = salvage_file(path, runtime, str(error), schema_version(migrations))
            runtime.failpoint("journal.salvaged")
            opened = _open_locked(path, runtime, lock, migrations)
            return Opened(opened.file, opened.crashed_boot, report)
    except (sqlite3.Error, OSError) as error:
        lock.release()
        raise explain(error, path) from error
    except BaseException:
        lock.release()
        raise


def _open_locked(
    path: Path, runtime: Runtime, lock: FileLock, migrations: Sequence[Migration], damage: str = ""
) -> Opened:
    if damage:
        raise JournalDamaged(damage)
    # Looked at read-only first: closing a connection that may write would play a damaged file's log into it.
    with closing(connect(path, "ro")) as connection:
        older = check_version(*read_header(connection), path, migrations)
        crashed = _check(connection, path)
    connection = connect(path, "rw")
    try:
        if older:
            migrate(connection, path, runtime, migrations)
        # A boot that power loss takes away wrote nothing else that stays: the first durable event syncs both.
        connection.execute("PRAGMA synchronous = NORMAL")
        session = str(connection.execute("SELECT value FROM meta WHERE key = 'session'").fetchone()[0])
        head = Head.load(connection, session)
        runtime.failpoint("journal.open")
        boot, fence = _start_boot(connection, runtime)
        runtime.failpoint("journal.opened")
    except BaseException:
        connection.close()
        raise
    return Opened(OpenFile(path, connection, lock, session, boot, fence, head), crashed, None)


def _crashed_boot(connection: sqlite3.Connection) -> BootRecord | None:
    row = connection.execute("SELECT number, started, pid, ended FROM boot ORDER BY number DESC LIMIT 1").fetchone()
    if row is None or row[3] is not None:
        return None
    last = connection.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0]
    return BootRecord(row[0], row[1], last, row[2])


def _check(connection: sqlite3.Connection, path: Path) -> BootRecord | None:
    """Check a file before it is written to, and return the boot that a crash ended.

    Raises JournalDamaged, naming the first thing wrong.
    """
    from tui_agent.journal.verify import verify_connection

    whole = path.stat().st_size <= FULL_CHECK_BYTES
    try:
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        if missing := sorted(set(SCHEMA_NAMES) - there):
            raise JournalDamaged(f"The session file {path} is damaged: it has no {missing[0]}")
        pragma = "integrity_check" if whole else "quick_check"
        problems = [str(row[0]) for row in connection.execute(f"PRAGMA {pragma}(1)")]
        if problems != ["ok"]:
            raise JournalDamaged(f"The session file {path} is damaged: {' '.join(problems[0].split())}")
        if whole and not (found := verify_connection(connection)).ok:
            raise JournalDamaged(f"The session file {path} is damaged: {found.message}")
        return _crashed_boot(connection)
    except (TypeError, ValueError, OverflowError) as error:  # a value that is not of its column's type
        raise JournalDamaged(f"The session file {path} is damaged: {error}") from error


def _start_boot(connection: sqlite3.Connection, runtime: Runtime) -> tuple[int, int]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'fence'")
        fence = connection.execute("SELECT value FROM meta WHERE key = 'fence'").fetchone()[0]
        boot = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM boot").fetchone()[0]
        connection.execute(
            "INSERT INTO boot (number, pid, fence, started) VALUES (?, ?, ?, ?)",
            (boot, os.getpid(), fence, runtime.now()),
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return boot, fence
