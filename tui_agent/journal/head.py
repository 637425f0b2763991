"""The end of a journal: the last seq and hash, and the next free positions of the two panes."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import NamedTuple

from tui_agent.journal.chain import Columns, body_hash, event_hash, start_hash

REMEMBERED_SUBJECTS = 4096
"""Subjects whose positions are kept in memory; older ones are looked up in the table."""

INSERT_EVENT = "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

Place = tuple[int | None, int | None]


class Envelope(NamedTuple):
    """What the journal needs to know of an event to store it."""

    type: str
    time: float
    run: str
    agent: str
    subject: str
    in_conversation: bool
    in_timeline: bool
    body: str


class Row(NamedTuple):
    """One row of the event table."""

    seq: int
    type: str
    time: float
    boot: int
    run: str
    agent: str
    subject: str | None
    item: int | None
    entry: int | None
    body_hash: bytes
    hash: bytes
    body: str | None


@dataclass(slots=True)
class Head:
    """Numbers and links what is appended. What a failed transaction did to it goes back with `restore`."""

    connection: sqlite3.Connection
    seq: int
    hash: bytes
    items: int
    entries: int
    _places: dict[str, Place] = field(default_factory=dict)
    _fresh: dict[str, Place] = field(default_factory=dict)

    @classmethod
    def load(cls, connection: sqlite3.Connection, session: str) -> Head:
        """Read the end of the journal; that of an empty one is derived from the session's id."""
        row = connection.execute("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1").fetchone()
        seq, last = row or (0, start_hash(session))
        return cls(connection, seq, last, *count_positions(connection))

    def mark(self) -> tuple[int, bytes, int, int]:
        """Return what `restore` takes; called at the beginning of a transaction."""
        return self.seq, self.hash, self.items, self.entries

    def restore(self, mark: tuple[int, bytes, int, int]) -> None:
        """Forget everything since `mark`: the transaction was rolled back."""
        self.seq, self.hash, self.items, self.entries = mark
        self._fresh.clear()

    def settle(self) -> None:
        """Keep everything since the mark: the transaction was committed."""
        self._places.update(self._fresh)
        self._fresh.clear()
        while len(self._places) > REMEMBERED_SUBJECTS:
            del self._places[next(iter(self._places))]

    def place(self, event: Envelope) -> Place:
        """Return the positions of `event`: those of its subject, or new ones."""
        known: Place = (None, None)
        subject = event.subject
        if subject and (event.in_conversation or event.in_timeline):
            known = self._fresh.get(subject) or self._places.get(subject) or self._look_up(subject)
        item, entry = known
        if event.in_conversation and item is None:
            item = self.items
            self.items += 1
        if event.in_timeline and entry is None:
            entry = self.entries
            self.entries += 1
        if subject and (item, entry) != (None, None):
            self._fresh[subject] = (item, entry)
        return item if event.in_conversation else None, entry if event.in_timeline else None

    def _look_up(self, subject: str) -> Place:
        row: Place = self.connection.execute(
            "SELECT max(item), max(entry) FROM (SELECT item, entry FROM event WHERE subject = ?1"
            " UNION ALL SELECT item, entry FROM chunk WHERE subject = ?1)",
            (subject,),
        ).fetchone()
        return row

    def append(self, event: Envelope, boot: int) -> Row:
        """Number, place and link `event`; the caller inserts the row."""
        item, entry = self.place(event)
        self.seq += 1
        columns: Columns = (
            self.seq,
            event.type,
            event.time,
            boot,
            event.run,
            event.agent,
            event.subject or None,
            item,
            entry,
        )
        hashed = body_hash(event.body)
        self.hash = event_hash(self.hash, hashed, columns)
        return Row(*columns, hashed, self.hash, event.body)


def count_positions(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return how many positions of the conversation and of the timeline are used."""
    items, entries = (
        max(
            -1 if value is None else value
            for (value,) in connection.execute(
                f"SELECT max({column}) FROM event WHERE {column} IS NOT NULL"
                f" UNION ALL SELECT max({column}) FROM chunk"
            )
        )
        + 1
        for column in ("item", "entry")
    )
    return items, entries
