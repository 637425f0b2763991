"""Reading a session file: one read-only connection, opened when it is first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from tui_agent.journal.chain import start_hash
from tui_agent.journal.codec import Upcast, decode
from tui_agent.journal.errors import JournalError
from tui_agent.journal.migrations import Migration, require_current
from tui_agent.journal.records import Snapshot
from tui_agent.journal.schema import BUSY_SECONDS, uri

if TYPE_CHECKING:
    import aiosqlite

    from tui_agent.events import Event

PARSED_AT_ONCE = 50
"""Events parsed on the event loop; more go to a thread, so that keys are not kept waiting."""

CHANGES_AT_ONCE = 1000
"""Events that one look at another window's work takes at most."""

COLUMNS = {"conversation": "item", "timeline": "entry"}

_PAGE = """
SELECT {column}, type, CAST(body AS BLOB), seq, hash, seq AS place, 0 AS number FROM event
  WHERE {column} >= ?1 AND {column} < ?2
UNION ALL
SELECT {column}, 'chunk', CAST(body AS BLOB), NULL, NULL, after, id FROM chunk WHERE {column} >= ?1 AND {column} < ?2
ORDER BY place, number
"""
# One statement, so that a delta and the durable event that replaces it are never both seen, or neither.

_COUNTS = """
SELECT (SELECT max(item) FROM event WHERE item IS NOT NULL), (SELECT max(item) FROM chunk),
  (SELECT max(entry) FROM event WHERE entry IS NOT NULL), (SELECT max(entry) FROM chunk)
"""

Parameters = Sequence[object]


class ReadOnlyStart(NamedTuple):
    """What a read-only opening learns about the file."""

    session: str
    last_seq: int
    head: bytes
    items: int
    entries: int


class Changes(NamedTuple):
    """What another process has written: events, and the positions of both panes that they and deltas touch.

    `last_chunk` is the newest delta's place: the seq after which it came, and its id, which is used again once all
    deltas have been replaced.
    """

    events: tuple[Event, ...]
    items: frozenset[int]
    entries: frozenset[int]
    last_chunk: tuple[int, int]


class Reader:
    """Readers see the last commit and never block the writer; they can neither write nor checkpoint."""

    def __init__(self, path: Path, upcasts: Mapping[tuple[str, int], Upcast]) -> None:
        self._path = path
        self._upcasts = upcasts
        self._connection: aiosqlite.Connection | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    async def _connect(self) -> aiosqlite.Connection:
        async with self._opening:
            if self._closed:
                raise JournalError(f"The session {self._path} is closed.")
            if self._connection is None:
                import aiosqlite

                connection = aiosqlite.connect(
                    uri(self._path, "ro"), uri=True, isolation_level=None, timeout=BUSY_SECONDS
                )
                # aiosqlite has no setting for it, and a reader left open must not keep a program from ending.
                connection._thread.daemon = True
                self._connection = await connection
                await self._connection.execute_fetchall("PRAGMA query_only = 1")
            return self._connection

    async def _fetch(self, sql: str, parameters: Parameters = ()) -> list[tuple[object, ...]]:
        connection = await self._connect()
        return [tuple(row) for row in await connection.execute_fetchall(sql, parameters)]

    async def close(self) -> None:
        """Close the connection; a later read raises JournalError."""
        async with self._opening:
            self._closed = True
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.close()

    async def open(self, migrations: Sequence[Migration]) -> ReadOnlyStart:
        """Check the file for a read-only opening. Raises NewerSchema, JournalDamaged, JournalError."""
        if not self._path.exists():
            raise JournalError(f"There is no session at {self._path}.")
        header = await self._fetch(
            "SELECT a.application_id, v.user_version FROM pragma_application_id a, pragma_user_version v"
        )
        application_id, version = header[0]
        require_current(int(str(application_id)), int(str(version)), self._path, migrations)
        session = str((await self._fetch("SELECT value FROM meta WHERE key = 'session'"))[0][0])
        last = await self._fetch("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1")
        seq, head = last[0] if last else (0, start_hash(session))
        assert isinstance(seq, int)
        assert isinstance(head, bytes)
        return ReadOnlyStart(session, seq, head, *await self.counts())

    async def read(
        self, after: int, limit: int, agent: str | None, subject: str | None, types: Sequence[str]
    ) -> list[Event]:
        """See `Journal.read`."""
        where = ["seq > ?"]
        parameters: list[object] = [after]
        if agent is not None:
            where.append("agent = ?")
            parameters.append(agent)
        if subject is not None:
            where.append("subject = ?")
            parameters.append(subject)
        if types:
            where.append(f"type IN ({', '.join('?' * len(types))})")
            parameters.extend(types)
        rows = await self._fetch(
            f"SELECT type, CAST(body AS BLOB), seq, hash FROM event WHERE {' AND '.join(where)} ORDER BY seq LIMIT ?",
            (*parameters, limit),
        )
        return await self._decode(rows)

    async def changes(self, after: int, after_chunk: tuple[int, int]) -> Changes:
        """See `Journal.follow`."""
        rows = await self._fetch(
            "SELECT type, CAST(body AS BLOB), seq, hash, item, entry FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, CHANGES_AT_ONCE),
        )
        events = await self._decode([row[:4] for row in rows])
        chunks = await self._fetch(
            "SELECT after, id, item, entry FROM chunk WHERE (after, id) > (?, ?) ORDER BY after, id", after_chunk
        )
        newest = (int(str(chunks[-1][0])), int(str(chunks[-1][1]))) if chunks else after_chunk
        positions = [*(row[4:6] for row in rows), *(row[2:4] for row in chunks)]
        return Changes(
            tuple(events),
            frozenset(int(str(item)) for item, _ in positions if item is not None),
            frozenset(int(str(entry)) for _, entry in positions if entry is not None),
            newest,
        )

    async def page(self, pane: Literal["conversation", "timeline"], start: int, stop: int) -> list[tuple[int, Event]]:
        """See `Journal.page`."""
        rows = await self._fetch(_PAGE.format(column=COLUMNS[pane]), (start, stop))
        events = await self._decode([row[1:5] for row in rows])
        return [(int(str(row[0])), event) for row, event in zip(rows, events, strict=True)]

    async def counts(self) -> tuple[int, int]:
        """Return how many positions of the conversation and the timeline are used."""
        (row,) = await self._fetch(_COUNTS)
        items, item_chunks, entries, entry_chunks = (-1 if value is None else int(str(value)) for value in row)
        return max(items, item_chunks) + 1, max(entries, entry_chunks) + 1

    async def chunks(self) -> list[Event]:
        """See `Journal.chunks`."""
        return await self._decode(
            await self._fetch("SELECT 'chunk', CAST(body AS BLOB), NULL, NULL FROM chunk ORDER BY id")
        )

    async def snapshot(self) -> Snapshot | None:
        """See `Journal.latest_snapshot`."""
        rows = await self._fetch("SELECT seq, state, digest FROM snapshot ORDER BY seq DESC LIMIT 1")
        return Snapshot(*rows[0]) if rows else None  # type: ignore[arg-type]  # a STRICT table's types

    async def layout(self) -> str | None:
        """See `Journal.layout`."""
        rows = await self._fetch("SELECT layout FROM layout")
        return str(rows[0][0]) if rows else None

    async def _decode(self, rows: list[tuple[object, ...]]) -> list[Event]:
        def parse() -> list[Event]:
            return [decode(*row, self._upcasts) for row in rows]  # type: ignore[arg-type, call-arg]

        return parse() if len(rows) <= PARSED_AT_ONCE else await asyncio.to_thread(parse)
