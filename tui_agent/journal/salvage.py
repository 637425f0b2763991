"""Saving what can be read of a damaged session file.

The original is set aside first and never changed. Events are taken over when their body still has the hash
that was written with it; they keep their seq and get a new chain, in which what is lost is a declared gap.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections import Counter
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
    from tui_agent.events import EventBase
    from tui_agent.runtime import Runtime

EVENT_VALUES = 12

MAX_BOOT = 1 << 31
"""Boot numbers from here on are damage."""

Found = dict[int, tuple[int, str]]
"""Boot and body by seq."""

Candidates = dict[int, list[tuple[int, str, str]]]
"""Boot, body and session by seq; a seq has more than one where a file holds pages of another session."""


def salvage_file(path: Path, runtime: Runtime, reason: str, version: int) -> SalvageReport:
    """Set the damaged file at `path` aside and put a salvaged one in its place; the caller holds the lock.

    Raises JournalDamaged, with nothing moved, when there is no event left to save.
    """
    from tui_agent.events import Notice

    candidates = _find_events(path)
    session = _session(path, candidates)
    found = _of_session(candidates, session)
    if not found:
        raise JournalDamaged(
            f"The session file {path} is damaged and no event of it can be read ({reason}). "
            "It was left as it is: restore it from a backup, or delete it."
        )
    aside = _set_aside(path, runtime)
    built = with_suffix(path, ".new")
    with closing(build_file(built, session, version)) as connection:
        connection.execute("BEGIN")
        head = Head.load(connection, session)
        gaps, boot = _add_events(connection, head, found)
        for row in _readable(path, "chunk"):
            _add_chunk(connection, head, str(row[-1]))
        report = SalvageReport(aside, len(found), gaps, reason)
        notice = Notice(
            session=session,
            time=runtime.now(),
            level="warning",
            code="journal.salvaged",
            message=report.message,
        )
        _add_notice(connection, head, boot + 1, notice)
        for row in _readable(path, "layout"):
            connection.execute("INSERT INTO layout VALUES (?, ?)", row)
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
    name = aside = with_suffix(path, f".damaged-{int(runtime.now())}")
    number = 1
    while aside.exists():
        number += 1
        aside = with_suffix(name, f"-{number}")
    for suffix in ("", "-wal"):
        source, target = with_suffix(path, suffix), with_suffix(aside, suffix)
        if source.exists() and source.stat().st_size:
            shutil.copy2(source, target)
            sync_file(target)
    sync_folder(path.parent)
    return aside


def _find_events(path: Path) -> Candidates:
    """Return every row that is an event whose body still has its hash, by seq; boot, body and session of each."""
    found: Candidates = {}
    for seq, values in Pages(path, with_suffix(path, "-wal")).rows():
        if len(values) != EVENT_VALUES or values[0] is not None:
            continue
        boot, hashed, body = values[3], values[9], values[11]
        if isinstance(boot, int) and isinstance(body, str) and body_hash(body) == hashed and seq > 0:
            with suppress(ValueError, KeyError, TypeError):
                told = json.loads(body)
                found.setdefault(seq, []).append((boot, body, str(told["session"])))
    return found


def _session(path: Path, candidates: Candidates) -> str:
    """Return the session's id: that of its folder where events have it, else the one that most events have."""
    counts = Counter(session for rows in candidates.values() for _, _, session in rows)
    folder = path.parent.name
    if folder in counts or not counts:
        return folder
    with suppress(sqlite3.Error, TypeError), closing(connect(path, "ro")) as connection:
        named = str(connection.execute("SELECT value FROM meta WHERE key = 'session'").fetchone()[0])
        if named in counts:
            return named
    # A fork's first events carry the id of its origin.
    last = candidates[max(candidates)]
    return max((session for _, _, session in last), key=lambda session: counts[session])


def _of_session(candidates: Candidates, session: str) -> Found:
    """Return the events of this session, and those that it was forked from; another's pages may be in the file."""
    origins = {session: 0}
    rows = [row for seq in sorted(candidates, reverse=True) for row in candidates[seq]]
    for _, body, own in rows:
        if own in origins and '"session.created"' in body:
            fork = json.loads(body).get("forked_from") or {}
            origins.setdefault(str(fork.get("session", "")), origins[own] + 1)
    found: Found = {}
    for seq, rows in candidates.items():
        known = [row for row in rows if row[2] in origins]
        if known:
            boot, body, _ = min(known, key=lambda row: origins[row[2]])
            found[seq] = (boot, body)
    return found


def _add_events(connection: sqlite3.Connection, head: Head, found: Found) -> tuple[tuple[Gap, ...], int]:
    """Write the events with new hashes and positions; return the gaps between them and the last boot."""
    gaps: list[Gap] = []
    boots = {1}
    for seq in sorted(found):
        if seq != head.seq + 1:
            gap = Gap(head.seq + 1, seq - 1)
            gaps.append(gap)
            connection.execute("INSERT INTO gap VALUES (?, ?)", (gap.first, gap.last))
            head.hash = gap_hash(head.hash, gap.first, gap.last)
            head.seq = gap.last
        boot, body = found[seq]
        # The body's hash does not cover the boot; where it makes no sense the event counts to the boot before.
        boots.add(boot if boot < MAX_BOOT else 1)
        connection.execute(INSERT_EVENT, head.append(_envelope(body), max(boots)))
        head.settle()
    connection.executemany(
        "INSERT INTO boot (number, pid, fence, started, ended, reason) VALUES (?, 0, 0, 0, 0, 'salvaged')",
        [(boot,) for boot in boots if boot > 0],
    )
    return tuple(gaps), max(boots)


def _add_notice(connection: sqlite3.Connection, head: Head, boot: int, notice: EventBase) -> None:
    connection.execute(INSERT_EVENT, head.append(encode(notice), boot))
    connection.execute(
        "INSERT INTO boot (number, pid, fence, started, ended, reason) VALUES (?, ?, 0, ?, ?, 'salvage')",
        (boot, os.getpid(), notice.time, notice.time),
    )


def _envelope(body: str) -> Envelope:
    name = str(json.loads(body)["type"])
    return encode(decode(name, body.encode(), None, None))._replace(type=name, body=body)


def _add_chunk(connection: sqlite3.Connection, head: Head, body: str) -> None:
    envelope = _envelope(body)
    item, entry = head.place(envelope)
    connection.execute(
        "INSERT INTO chunk (after, subject, item, entry, body) VALUES (?, ?, ?, ?, ?)",
        (head.seq, envelope.subject, item, entry, body),
    )


def _readable(path: Path, table: str) -> Iterator[tuple[object, ...]]:
    """Yield the rows of `table` up to the first that cannot be read; deltas and layout are worth that much."""
    with suppress(sqlite3.DatabaseError), closing(connect(path, "ro")) as connection:
        yield from connection.execute(f"SELECT * FROM {table}")
