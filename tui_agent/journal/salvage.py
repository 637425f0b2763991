"""Saving what can be read of a damaged session file.

The original is set aside first and never changed. Events are taken over when their body still has the hash
that was written with it; they keep their seq and get a new chain, in which what is lost is a declared gap.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tui_agent.journal.chain import body_hash, gap_hash
from tui_agent.journal.codec import decode, encode
from tui_agent.journal.errors import JournalDamaged
from tui_agent.journal.head import INSERT_EVENT, Envelope, Head
from tui_agent.journal.opening import build_file, put_in_place, sync_file, sync_folder, with_suffix
from tui_agent.journal.pages import Pages
from tui_agent.journal.records import Gap, SalvageReport
from tui_agent.journal.schema import connect

if TYPE_CHECKING:
    from tui_agent.runtime import Runtime

EVENT_VALUES = 12

Found = dict[int, tuple[int, str]]
"""Boot and body by seq."""


def salvage_file(path: Path, runtime: Runtime, reason: str, version: int) -> SalvageReport:
    """Set the damaged file at `path` aside and put a salvaged one in its place; the caller holds the lock.

    Raises JournalDamaged, with nothing moved, when there is no event left to save.
    """
    found = _find_events(path)
    if not found:
        raise JournalDamaged(
            f"The session file {path} is damaged and no event of it can be read ({reason}). "
            "It was left as it is: restore it from a backup, or delete it."
        )
    aside = _set_aside(path, runtime)
    built = with_suffix(path, ".new")
    session = _session(aside, found)
    with closing(build_file(built, session, version)) as connection:
        connection.execute("BEGIN")
        report = _fill(connection, found, aside, runtime, reason)
        for table in ("chunk", "layout"):
            _copy_table(aside, table, connection)
        connection.execute("COMMIT")
    put_in_place(built, with_suffix(path, ".salvaged"))
    runtime.failpoint("journal.salvage_ready")
    finish_salvage(path)
    return report


def finish_salvage(path: Path) -> None:
    """Put a finished salvaged file in place, if there is one; a crash in between is made up for here.

    The old write-ahead log goes first: SQLite would play it into the new file.
    """
    ready = with_suffix(path, ".salvaged")
    if not ready.exists():
        return
    for name in ("-wal", "-shm"):
        with_suffix(path, name).unlink(missing_ok=True)
    sync_folder(path.parent)
    ready.replace(path)
    sync_folder(path.parent)


def _set_aside(path: Path, runtime: Runtime) -> Path:
    aside = with_suffix(path, f".damaged-{int(runtime.now())}")
    for suffix in ("", "-wal"):
        source, target = with_suffix(path, suffix), with_suffix(aside, suffix)
        if source.exists() and not target.exists():
            shutil.copy2(source, target)
            sync_file(target)
    sync_folder(path.parent)
    return aside


def _find_events(path: Path) -> Found:
    found: Found = {}
    for seq, values in Pages(path, with_suffix(path, "-wal")).rows():
        if len(values) != EVENT_VALUES or values[0] is not None:
            continue
        boot, hashed, body = values[3], values[9], values[11]
        if isinstance(boot, int) and isinstance(body, str) and body_hash(body) == hashed and seq > 0:
            found[seq] = (boot, body)
    return found


def _session(aside: Path, found: Found) -> str:
    """Return the session's id; a fork's first events carry that of its origin, so the last one is asked."""
    with suppress(sqlite3.DatabaseError), closing(connect(aside, "ro")) as connection:
        return str(connection.execute("SELECT value FROM meta WHERE key = 'session'").fetchone()[0])
    return str(json.loads(found[max(found)][1]).get("session", ""))


def _fill(connection: sqlite3.Connection, found: Found, aside: Path, runtime: Runtime, reason: str) -> SalvageReport:
    from tui_agent.events import Notice

    session = connection.execute("SELECT value FROM meta WHERE key = 'session'").fetchone()[0]
    head = Head.load(connection, session)
    gaps: list[Gap] = []
    envelopes = {seq: _envelope(body) for seq, (_, body) in found.items()}
    boots = _ascending_boots(found)
    for seq in sorted(found):
        if seq != head.seq + 1:
            gap = Gap(head.seq + 1, seq - 1)
            gaps.append(gap)
            connection.execute("INSERT INTO gap VALUES (?, ?)", (gap.first, gap.last))
            head.hash = gap_hash(head.hash, gap.first, gap.last)
            head.seq = gap.last
        row = head.append(envelopes[seq], boots[seq])
        connection.execute(INSERT_EVENT, row)
    report = SalvageReport(aside, len(found), tuple(gaps), reason)
    boot = max(boots.values()) + 1
    now = runtime.now()
    notice = Notice(session=session, time=now, level="warning", code="journal.salvaged", message=report.message)
    row = head.append(encode(notice), boot)
    connection.execute(INSERT_EVENT, row)
    for number in {*boots.values(), boot}:
        connection.execute(
            "INSERT INTO boot (number, pid, fence, started, ended, reason) VALUES (?, ?, 0, ?, ?, 'salvage')",
            (number, os.getpid(), now, now),
        )
    return report


def _envelope(body: str) -> Envelope:
    return encode(decode(str(json.loads(body)["type"]), body, None, None))._replace(body=body)


def _ascending_boots(found: Found) -> dict[int, int]:
    """Return the boot of each seq, never going down: the boot is not covered by the body's hash."""
    boots = {}
    highest = 1
    for seq in sorted(found):
        highest = max(highest, found[seq][0] if found[seq][0] <= seq else highest)
        boots[seq] = highest
    return boots


def _copy_table(source: Path, table: str, target: sqlite3.Connection) -> None:
    """Copy the rows of `table` up to the first that cannot be read; deltas and layout are worth that much."""
    with suppress(sqlite3.DatabaseError), closing(connect(source, "ro")) as connection:
        rows: Iterator[tuple[object, ...]] = connection.execute(f"SELECT * FROM {table}")
        for row in rows:
            target.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)
