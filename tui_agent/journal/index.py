"""`index.db`: what is asked across sessions. The session list, full-text search, decisions, spend by day.

Derived from the session files and rebuilt from them when it is damaged, so nothing here is the truth.
Every write is one short idempotent transaction; several processes use the file at the same time. Where it cannot be
written, a copy for reading is made in memory from the session files.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tui_agent.journal import decisions, ledger
from tui_agent.journal.errors import JournalError, explain, is_damage
from tui_agent.journal.schema import can_write, connect, standing_file
from tui_agent.journal.summary import SUMMARY_TYPES, SessionSummary, summarise
from tui_agent.journal.transaction import transaction
from tui_agent.private import FILE_MODE, FOLDER_MODE, close_to_others, make_private_folder
from tui_agent.text import storable, stored

if TYPE_CHECKING:
    from tui_agent.events import Amounts, EventBase

T = TypeVar("T")

INDEX_VERSION = 3

_SCHEMA = f"""
CREATE TABLE session (
  id TEXT PRIMARY KEY, path TEXT NOT NULL, title TEXT NOT NULL, workspace TEXT NOT NULL, model TEXT NOT NULL,
  created REAL NOT NULL, updated REAL NOT NULL, prompts INTEGER NOT NULL, cost REAL NOT NULL,
  state TEXT NOT NULL, offline INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE passage (
  id INTEGER PRIMARY KEY, session TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
  UNIQUE (session, seq)
) STRICT;
CREATE VIRTUAL TABLE passage_text USING fts5(text, content='passage', content_rowid='id');
CREATE TRIGGER passage_added AFTER INSERT ON passage BEGIN
  INSERT INTO passage_text (rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER passage_removed AFTER DELETE ON passage BEGIN
  INSERT INTO passage_text (passage_text, rowid, text) VALUES ('delete', old.id, old.text);
END;
CREATE TABLE spend (
  session TEXT NOT NULL, seq INTEGER NOT NULL, day TEXT NOT NULL, cost REAL NOT NULL, tokens INTEGER NOT NULL,
  turns INTEGER NOT NULL DEFAULT 0, input INTEGER NOT NULL DEFAULT 0, output INTEGER NOT NULL DEFAULT 0,
  seconds REAL NOT NULL DEFAULT 0, PRIMARY KEY (session, seq)
) STRICT;
CREATE INDEX spend_day ON spend (day);
{ledger.RESERVATION}
{decisions.TABLES}
"""

_UPGRADES = {
    1: f"""
ALTER TABLE session ADD COLUMN offline INTEGER NOT NULL DEFAULT 0;
ALTER TABLE spend ADD COLUMN turns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE spend ADD COLUMN input INTEGER NOT NULL DEFAULT 0;
ALTER TABLE spend ADD COLUMN output INTEGER NOT NULL DEFAULT 0;
ALTER TABLE spend ADD COLUMN seconds REAL NOT NULL DEFAULT 0;
UPDATE spend SET input = tokens, turns = 1;
{ledger.RESERVATION}
""",
    2: decisions.TABLES,
}
"""What brings an index from a version to the next: made again, it would lack the spend of removed sessions."""

_COLUMNS = tuple(column.name for column in fields(SessionSummary) if column.name != "problem")
_UPSERT = (
    f"INSERT INTO session ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])}"
    " WHERE excluded.updated >= session.updated"
)


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A prompt or answer that matches; `snippet` is the part of it around the match, `seq` its event."""

    session: str
    title: str
    seq: int
    kind: str
    snippet: str


class SessionIndex:
    """The index of all sessions in a data folder. All its work is done in one thread of its own."""

    def __init__(self, path: Path, sessions: Path) -> None:
        """Use the index at `path` for the session files under `sessions`; nothing is opened yet."""
        self._path = path
        self._sessions = sessions
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._complete_day = ""
        self._last_booked: dict[str, int] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="index")
        self._closed = False

    async def record(self, summary: SessionSummary, events: Sequence[EventBase] = ()) -> None:
        """Bring a session's line up to date, and its searchable text and spend by these durable `events`.

        Doing it again changes nothing. Raises JournalError (JournalFull, JournalWriteError).
        """

        def work(connection: sqlite3.Connection) -> None:
            _record(connection, summary, events)
            self._note_booked(summary.id, events)

        await self._run(work)

    async def list(self, workspace: str | None = None) -> list[SessionSummary]:
        """Return the sessions, of one workspace or all, the one used last first.

        One whose folder was put there by hand is taken up, and one whose folder is gone left out. Those that cannot
        be read come last, with their problem, where all are asked for.
        """

        def select(connection: sqlite3.Connection) -> list[SessionSummary]:
            rows = connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM session")
            texts: list[list[Any]] = [[stored(v) if isinstance(v, str) else v for v in row] for row in rows]
            summaries = [SessionSummary(*row) for row in texts]
            known = {summary.id: replace(summary, offline=bool(summary.offline)) for summary in summaries}
            there = {path.parent.name: path for path in self._sessions.glob("*/session.db")}
            found = [summary for name, summary in known.items() if name in there]
            found += [self._take_up(connection, path) for name, path in there.items() if name not in known]
            return sorted(
                (summary for summary in found if workspace in (None, summary.workspace)),
                key=lambda summary: (summary.updated, summary.id),
                reverse=True,
            )

        return await self._run(select)

    async def search(self, text: str, limit: int = 50) -> tuple[SearchHit, ...]:
        """Return prompts and answers with all the words of `text` (the last one a prefix), best first."""
        words = ['"' + word.replace('"', '""') + '"' for word in text.replace("\0", " ").split()]
        if not words:
            return ()

        def select(connection: sqlite3.Connection) -> tuple[SearchHit, ...]:
            rows = connection.execute(
                "SELECT p.session, coalesce(s.title, ''), p.seq, p.kind,"
                " snippet(passage_text, 0, '', '', '…', 16)"
                " FROM passage_text JOIN passage p ON p.id = passage_text.rowid"
                " LEFT JOIN session s ON s.id = p.session"
                " WHERE passage_text MATCH ? ORDER BY rank LIMIT ?",
                (" ".join(words) + "*", limit),
            )
            return tuple(SearchHit(*row) for row in rows)

        return await self._run(select)

    async def spend(self, day: str) -> float:
        """Return the dollars spent on a day (UTC, as `2026-01-31`) in all sessions."""

        def select(connection: sqlite3.Connection) -> float:
            row = connection.execute("SELECT total(cost) FROM spend WHERE day = ?", (day,)).fetchone()
            return float(row[0])

        return await self._run(select)

    async def day(self, day: str) -> tuple[Amounts, Amounts]:
        """Return what all sessions have used and reserved of a day (UTC)."""
        return await self._run(lambda connection: ledger.totals(connection, day))

    async def days(self) -> tuple[str, ...]:
        """Return the days (UTC) on which anything was spent, the oldest first."""

        def select(connection: sqlite3.Connection) -> tuple[str, ...]:
            return tuple(day for (day,) in connection.execute("SELECT DISTINCT day FROM spend ORDER BY day"))

        return await self._run(select)

    async def reserve(self, session: str, key: str, day: str, decide: ledger.Decide) -> tuple[Amounts, Amounts]:
        """Ask `decide`, called with what all sessions have used and reserved of a day, what to reserve.

        It is asked, and its answer put on disk, in one transaction: no other process can come between. It runs in
        the index's thread. Returns what it was called with. An index that was lost, or is an older one, is completed
        first from the sessions that were written to on that day. Raises JournalError.
        """

        def work(connection: sqlite3.Connection) -> tuple[Amounts, Amounts]:
            self._complete(connection, day)
            # The request goes out on the strength of this row: it must outlive a power cut.
            connection.execute("PRAGMA synchronous = FULL")
            try:
                with transaction(connection):
                    return ledger.reserve(connection, session, key, day, decide)
            finally:
                connection.execute("PRAGMA synchronous = NORMAL")

        return await self._run(work)

    async def release(self, session: str, key: str) -> None:
        """Give a reservation back."""

        def work(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                ledger.release(connection, session, (key,))

        await self._run(work)

    async def book(self, session: str, events: Sequence[EventBase]) -> None:
        """Book these durable events, in place of what was reserved for them. Doing it again changes nothing."""

        def work(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                for event in events:
                    ledger.book(connection, session, event)
            self._note_booked(session, events)

        await self._run(work)

    async def settle(self, session: str, under_way: set[str]) -> None:
        """Book what earlier starts of a session left unbooked, and give back what it held but for `under_way`.

        Those are the keys of reservations for requests that are still being worked on.
        """

        def work(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                ledger.catch_up(connection, self._sessions / session / "session.db")
                ledger.keep_only(connection, session, under_way)

        await self._run(work)

    async def remove(self, session: str) -> None:
        """Forget a session; its spend stays, since the money is gone all the same."""

        def delete(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.execute("DELETE FROM passage WHERE session = ?", (session,))
                connection.execute("DELETE FROM session WHERE id = ?", (session,))
                decisions.remove(connection, session)

        await self._run(delete)

    async def take_decisions(self, session: str) -> None:
        """Take up what was decided in a session since this was done last. Doing it again changes nothing."""

        def work(connection: sqlite3.Connection) -> None:
            decisions.catch_up(connection, self._sessions / session / "session.db")

        await self._run(work)

    async def seal_decisions(self, session: str) -> None:
        """Say that nothing was written to a session since its decisions were taken up but what closes its file."""

        def work(connection: sqlite3.Connection) -> None:
            decisions.seal(connection, self._sessions / session / "session.db")

        await self._run(work)

    def decided(
        self, session: str = "", since: float | None = None, until: float | None = None
    ) -> decisions.Decisions:
        """Return what was decided in the sessions with `session` in their id, in a time (seconds since the epoch).

        Unlike the other methods it blocks: who asks has much to do with the answer, off the loop.
        """
        return self._submit(
            lambda connection: decisions.read(connection, self._sessions, session=session, since=since, until=until)
        ).result()

    async def close(self) -> None:
        """Finish what waits and close the file. Calling it again does nothing."""
        await asyncio.wrap_future(self._close())

    def shut(self) -> None:
        """Do as `close`, and block meanwhile."""
        self._close().result()

    def _close(self) -> Future[None]:
        done: Future[None] = Future()
        if self._closed:
            done.set_result(None)
            return done
        self._closed = True

        def close() -> None:
            self._let_go()

        done = self._thread.submit(close)
        self._thread.shutdown(wait=False)
        return done

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.wrap_future(self._submit(work))

    def _submit(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        if self._closed:
            raise JournalError(f"The index {self._path} is closed.")
        return self._thread.submit(self._work, work)

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            try:
                return work(self._open())
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._start_over()
                return work(self._open())
        except (sqlite3.Error, OSError) as error:
            raise explain(error, self._path) from error

    def _open(self) -> sqlite3.Connection:
        exchanged = self._file is not None and standing_file(self._path) != self._file
        if exchanged and not self._path.parent.exists():
            raise JournalError(
                f"The folder {self._path.parent} was removed while it was in use. Nothing can be kept any more: "
                "put it back, or close the program and start it again."
            )
        if exchanged:
            self._let_go()
        if self._connection is None:
            self._connection = self._open_writable(exchanged) if self._can_write() else self._in_memory()
        return self._connection

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._file, self._complete_day = None, None, ""

    def _note_booked(self, session: str, events: Sequence[EventBase]) -> None:
        """Remember the last event that was booked for a session: an index without it is not the one it was."""
        from tui_agent.events import spent

        booked = [event.seq for event in events if event.seq and event.session == session and spent(event)]
        if booked:
            self._last_booked[session] = booked[-1]

    def _complete(self, connection: sqlite3.Connection, day: str) -> None:
        """Book what the sessions spent on a day that is not in the books; once, unless they lost something since."""
        lost = any(
            connection.execute("SELECT 1 FROM spend WHERE session = ? AND seq = ?", row).fetchone() is None
            for row in self._last_booked.items()
        )
        if self._complete_day == day and not lost:
            return
        begin = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
        for path in self._sessions.glob("*/session.db"):
            if _written(path) >= begin:
                _catch_up(connection, path)
        self._complete_day = day

    def _can_write(self) -> bool:
        try:
            make_private_folder(self._path.parent)
        except OSError:
            return False
        return can_write(self._path.parent) and (can_write(self._path) or not self._path.exists())

    def _open_writable(self, exchanged: bool) -> sqlite3.Connection:
        """Open the index; one that is new, or came in the place of another, is filled from the sessions."""
        self._close_sessions()
        connection = connect(self._path, "rwc")
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            self._refuse_newer(version)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            if version == 0:
                _create(connection, _SCHEMA, INDEX_VERSION)
            else:
                for number in range(version, INDEX_VERSION):
                    _create(connection, _UPGRADES[number], number + 1)
            if exchanged or version == 0:
                self._rebuild(connection)
            self._file = standing_file(self._path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _close_sessions(self) -> None:
        """Close to others what earlier versions left readable for them."""
        for database in self._sessions.glob("*/session.db"):
            close_to_others(database.parent, FOLDER_MODE)
            close_to_others(database, FILE_MODE)

    def _refuse_newer(self, version: int) -> None:
        if version > INDEX_VERSION:
            raise JournalError(
                f"The index {self._path} was written by a newer version of tui-agent. Update it, or "
                "delete the file: it is made again from the sessions."
            )

    def _in_memory(self) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        _create(connection, _SCHEMA, INDEX_VERSION)
        self._rebuild(connection)
        connection.execute("PRAGMA query_only = 1")
        return connection

    def _rebuild(self, connection: sqlite3.Connection) -> None:
        for path in sorted(self._sessions.glob("*/session.db")):
            self._take_up(connection, path)

    def _take_up(self, connection: sqlite3.Connection, path: Path) -> SessionSummary:
        """Put a session into the index from its file; return its line, or why there is none."""
        name = path.parent.name
        try:
            summary, events = _read_session(path)
        except JournalError as error:
            return SessionSummary(id=name, path=str(path), problem=str(error))
        except (sqlite3.DatabaseError, ValueError) as error:
            problem = f"{path} cannot be read: {error}."
            if is_damage(error) or isinstance(error, ValueError):
                problem = f"{path} is damaged ({error}). Open the session: what can be read is then salvaged."
            return SessionSummary(id=name, path=str(path), problem=problem)
        if not connection.execute("PRAGMA query_only").fetchone()[0]:
            _catch_up(connection, path)
            _record(connection, summary, events)
        return summary

    def _start_over(self) -> None:
        """Remove a damaged index; the next opening makes it again."""
        self._let_go()
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _written(path: Path) -> float:
    """Return when a session was written to last, in seconds since the epoch; 0 where that is not to be had."""
    times = [0.0]
    for name in (path.name, path.name + "-wal"):
        with suppress(OSError):
            times.append(path.with_name(name).stat().st_mtime)
    return max(times)


def _catch_up(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the books of a session up to its file, unless that cannot be read: opening the session says so."""
    with suppress(JournalError), transaction(connection):
        ledger.catch_up(connection, path)


def _create(connection: sqlite3.Connection, script: str, version: int) -> None:
    """Bring the tables to a version in one transaction."""
    try:
        connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {version}; COMMIT")
    except sqlite3.OperationalError:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if connection.execute("PRAGMA user_version").fetchone()[0] < version:
            raise  # otherwise another process made the tables meanwhile


def _record(connection: sqlite3.Connection, summary: SessionSummary, events: Sequence[EventBase] = ()) -> None:
    with transaction(connection):
        values = (getattr(summary, name) for name in _COLUMNS)
        connection.execute(_UPSERT, [storable(value) if isinstance(value, str) else value for value in values])
        for event in events:
            _record_event(connection, summary.id, event)


def _record_event(connection: sqlite3.Connection, session: str, event: EventBase) -> None:
    from tui_agent.events import RunStarted, TurnFinished

    match event:
        case RunStarted():
            _add_passage(connection, session, event.seq, "prompt", event.prompt)
        case TurnFinished():
            texts = [str(block.get("text", "")) for block in event.content if block.get("type") == "text"]
            _add_passage(connection, session, event.seq, "answer", "\n".join(texts))
    ledger.book(connection, session, event)


def _add_passage(connection: sqlite3.Connection, session: str, seq: int | None, kind: str, text: str) -> None:
    if text:
        connection.execute(
            "INSERT OR IGNORE INTO passage (session, seq, kind, text) VALUES (?, ?, ?, ?)",
            (session, seq, kind, text),
        )


def _read_session(path: Path) -> tuple[SessionSummary, Sequence[EventBase]]:
    """Read what the index holds of a session. Raises as `read_events`."""
    from tui_agent.journal.export import read_events, read_head

    session, updated = read_head(path)
    if session != path.parent.name:
        raise JournalError(f"{path} is the session {session}: its folder must have that name.")
    summary = SessionSummary(id=session, path=str(path), updated=updated)
    events = []
    for event in read_events(path, (*SUMMARY_TYPES, *ledger.BOOKING_TYPES)):
        summary = summarise(summary, event)
        events.append(event)
    return summary, events
