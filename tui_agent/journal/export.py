"""Session files as text, and copies of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_agent.journal.chain import event_hash, gap_hash, start_hash
from tui_agent.journal.codec import decode
from tui_agent.journal.errors import JournalDamaged, JournalError, explain
from tui_agent.journal.head import INSERT_EVENT, Row
from tui_agent.journal.lock import FileLock
from tui_agent.journal.migrations import MIGRATIONS, read_header, require_current, schema_version
from tui_agent.journal.opening import build_file, make_folder, put_in_place, refuse_existing, with_suffix
from tui_agent.journal.schema import EVENT_COLUMNS, connect
from tui_agent.text import dumps_any

if TYPE_CHECKING:
    from tui_agent.events import Event
    from tui_agent.redaction import Redactor
    from tui_agent.runtime import Runtime


def export_jsonl(path: Path, redactor: Redactor) -> Iterator[str]:
    """Yield each event of a session file as one line of JSON with its seq and hash, without line ends.

    A pruned body gives its type, seq and hash only. A secret that came into the file in another environment is taken
    out; the hash is that of the event in the file. The session may be open meanwhile. Raises JournalError when the
    file is none of ours, JournalDamaged at the first event that cannot be read.
    """
    try:
        with closing(_connect(path)) as connection:
            rows = connection.execute("SELECT type, CAST(body AS BLOB), seq, hash FROM event ORDER BY seq")
            for type, body, seq, hashed in rows:
                told = redactor.value(_body(path, seq, type, body))
                yield dumps_any({**told, "seq": seq, "hash": hashed.hex()})
    except sqlite3.Error as error:
        raise explain(error, path) from error


def _body(path: Path, seq: int, type: str, body: bytes | None) -> dict[str, Any]:
    if body is None:
        return {"type": type}
    try:
        return dict(json.loads(body))
    except (ValueError, TypeError) as error:
        raise JournalDamaged(f"In {path} event {seq} is damaged ({error}); `tui-agent verify` tells more.") from error


def read_events(path: Path, types: Sequence[str] = (), after: int = 0) -> Iterator[Event]:
    """Yield the events of a session file after the seq `after`, of some types or all.

    Raises JournalError when the file is none of ours, sqlite3.DatabaseError or ValueError when it is damaged.
    """
    chosen = f" AND type IN ({', '.join('?' * len(types))})" if types else ""
    with closing(_connect(path)) as connection:
        rows = connection.execute(
            f"SELECT type, CAST(body AS BLOB), seq, hash FROM event WHERE seq > ?{chosen} ORDER BY seq",
            (after, *types),
        )
        for row in rows:
            yield decode(*row)


def read_head(path: Path) -> tuple[str, float]:
    """Return the id of the session in a file and the time of its last event. Raises as `read_events`."""
    with closing(_connect(path)) as connection:
        session = connection.execute("SELECT value FROM meta WHERE key = 'session'").fetchone()[0]
        last = connection.execute("SELECT time FROM event ORDER BY seq DESC LIMIT 1").fetchone()
        return str(session), float(last[0]) if last else 0.0


def copy_session(source: Path, target: Path, new_id: str, until_seq: int, runtime: Runtime) -> None:
    """Copy the events up to `until_seq` into a new session file with the id `new_id` and its own chain.

    Bodies stay as they are, the old session's id in them too. Chunks, layout and snapshots are not copied.
    Raises JournalError when there is a file at `target`, no event `until_seq` in `source`, or no room on the disk.
    """
    try:
        make_folder(target.parent)
        lock = FileLock(target)
    except OSError as error:
        raise explain(error, target) from error
    try:
        refuse_existing(target)
        built = with_suffix(target, ".new")
        with (
            closing(_connect(source)) as origin,
            closing(build_file(built, new_id, schema_version(MIGRATIONS))) as copy,
        ):
            origin.execute("BEGIN")
            copy.execute("BEGIN")
            _copy(origin, copy, new_id, until_seq, runtime.now())
            copy.execute("COMMIT")
        put_in_place(built, target)
    except (sqlite3.Error, OSError) as error:
        raise explain(error, target) from error
    finally:
        lock.release()


def _copy(origin: sqlite3.Connection, copy: sqlite3.Connection, new_id: str, until_seq: int, now: float) -> None:
    gaps = dict(origin.execute("SELECT first, last FROM gap WHERE last < ?", (until_seq,)))
    copy.executemany("INSERT INTO gap VALUES (?, ?)", gaps.items())
    previous, seq = start_hash(new_id), 0
    for values in origin.execute(f"SELECT {EVENT_COLUMNS} FROM event WHERE seq <= ? ORDER BY seq", (until_seq,)):
        row = Row(*values)
        if seq + 1 in gaps:
            previous = gap_hash(previous, seq + 1, gaps[seq + 1])
        previous, seq = event_hash(previous, row.body_hash, row[:9]), row.seq
        copy.execute(INSERT_EVENT, row._replace(hash=previous))
    if seq != until_seq:
        raise JournalError(f"There is no event {until_seq} in the session to copy.")
    copy.executemany(
        "INSERT INTO boot VALUES (?, ?, ?, ?, ?, 'copied', NULL, NULL)",
        [
            (*boot, now)
            for boot in origin.execute(
                "SELECT number, pid, fence, started FROM boot WHERE number <= (SELECT max(boot) FROM event"
                " WHERE seq <= ?)",
                (until_seq,),
            )
        ],
    )


def _connect(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise JournalError(f"There is no session at {path}.")
    connection = connect(path, "ro")
    try:
        require_current(*read_header(connection), path, MIGRATIONS)
    except BaseException:
        connection.close()
        raise
    return connection
