"""The books of all sessions, by day: what was spent, and what is reserved for requests under way.

Part of `index.db`. Every function is one short transaction's work on its connection, and doing it again changes
nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tui_agent.journal.codec import decode
from tui_agent.journal.errors import JournalError
from tui_agent.journal.schema import connect

if TYPE_CHECKING:
    from tui_agent.events import Amounts, EventBase

TIME_KEY = "time"
"""The key under which a session reserves time; a request's is `turn.attempt`."""

BOOKING_TYPES = ("turn.finished", "turn.failed", "context.compacted", "budget.booked", "budget.clocked")
"""The events that book something: those that `events.spent` reads."""

MOST_TOKENS = 10**15
"""Tokens that one row can hold: what SQLite's integers take with room to spare."""

RESERVATION = """
CREATE TABLE reservation (
  session TEXT NOT NULL, key TEXT NOT NULL, day TEXT NOT NULL, turns INTEGER NOT NULL, input INTEGER NOT NULL,
  output INTEGER NOT NULL, cost REAL NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (session, key)
) STRICT;
"""

_SUMS = "total(turns), total(input), total(output), total(cost), total(seconds)"

Decide = Callable[["Amounts", "Amounts"], "Amounts | None"]


def totals(connection: sqlite3.Connection, day: str, session: str = "", key: str = "") -> tuple[Amounts, Amounts]:
    """Return what all sessions have used and reserved of a day.

    What that session holds under `key`, and its reservation of time, are left out.
    """
    used = connection.execute(f"SELECT {_SUMS} FROM spend WHERE day = ?", (day,)).fetchone()
    held = connection.execute(
        f"SELECT {_SUMS} FROM reservation WHERE day = ? AND NOT (session = ? AND key IN (?, ?))",
        (day, session, key, TIME_KEY),
    ).fetchone()
    return _amounts(used), _amounts(held)


def reserve(
    connection: sqlite3.Connection, session: str, key: str, day: str, decide: Decide
) -> tuple[Amounts, Amounts]:
    """Ask `decide`, called with what is used and reserved, what to reserve, and reserve it; return the two."""
    used, held = totals(connection, day, session, key)
    wanted = decide(used, held)
    if wanted is None:
        release(connection, session, (key,))
    else:
        row = (wanted.turns, wanted.input_tokens, wanted.output_tokens, wanted.cost, wanted.seconds)
        connection.execute(
            "INSERT OR REPLACE INTO reservation VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (session, key, day, *row)
        )
    return used, held


def release(connection: sqlite3.Connection, session: str, keys: Iterable[str]) -> None:
    """Give reservations back."""
    connection.executemany("DELETE FROM reservation WHERE session = ? AND key = ?", [(session, key) for key in keys])


def keep_only(connection: sqlite3.Connection, session: str, keys: set[str]) -> None:
    """Give back all of a session's reservations but those."""
    rows = connection.execute("SELECT key FROM reservation WHERE session = ?", (session,)).fetchall()
    release(connection, session, [key for (key,) in rows if key not in keys])


def catch_up(connection: sqlite3.Connection, path: Path) -> None:
    """Book what the session in a file spent and the books do not have, and hold what its open requests reserved.

    A process that was killed, and a lost or older index, leave gaps anywhere, so every event of the session is looked
    for by its number. To be called within a transaction on `connection`: then no other process can book or end a
    request between the look and the entry. Raises JournalError where the file cannot be read.
    """
    session = path.parent.name
    known = {seq for (seq,) in connection.execute("SELECT seq FROM spend WHERE session = ?", (session,))}
    try:
        with closing(connect(path, "ro")) as file:
            missing, projected, under_way = _unbooked(file, known)
    except sqlite3.DatabaseError as error:
        raise JournalError(f"{path} cannot be read: {error}.") from error
    _book_all(connection, session, missing, projected)
    for event in under_way:
        book(connection, session, event)


def _unbooked(file: sqlite3.Connection, known: set[int]) -> tuple[list[EventBase], list[EventBase], list[EventBase]]:
    """Return the events of a session that are not among the `known` ones, their projections, and the open ones."""
    # What a fork copied comes before its own first event, and was paid for by its origin.
    row = file.execute("SELECT max(seq) FROM event WHERE type = 'session.created'").fetchone()
    first = int(row[0] or 0)
    missing, last_end = {}, {}
    for seq, turn in file.execute(
        "SELECT seq, CASE WHEN type = 'context.compacted' AND json_valid(body) THEN body ->> 'turn' ELSE subject END"
        f" FROM event WHERE seq > ? AND type IN ({', '.join('?' * len(BOOKING_TYPES))})",
        (first, *BOOKING_TYPES),
    ):
        last_end[turn] = seq
        if seq not in known:
            missing[seq] = turn
    turns = set(missing.values())
    past, under_way = [], []
    for seq, turn in file.execute(
        "SELECT seq, subject FROM event WHERE seq > ? AND type = 'turn.projected'", (first,)
    ):
        if seq > last_end.get(turn, 0):
            under_way.append(seq)
        elif turn in turns:
            past.append(seq)
    return _read(file, missing), _read(file, past), _read(file, under_way)


def _read(file: sqlite3.Connection, seqs: Iterable[int]) -> list[EventBase]:
    query = "SELECT type, CAST(body AS BLOB), seq, hash FROM event WHERE seq = ?"
    return [decode(*row) for seq in sorted(seqs) for row in file.execute(query, (seq,))]


def _book_all(
    connection: sqlite3.Connection, session: str, missing: list[EventBase], projected: list[EventBase]
) -> None:
    """Book events, each on the day that was reserved for it by one of `projected`."""
    from tui_agent.events import TurnProjected, spent

    held = {(event.turn, event.attempt): event for event in projected if isinstance(event, TurnProjected)}
    for event in missing:
        taken = spent(event)
        reserved = held.get((taken.turn, taken.attempt)) if taken is not None else None
        if reserved is not None:
            book(connection, session, reserved)
        book(connection, session, event)


def book(connection: sqlite3.Connection, session: str, event: EventBase) -> None:
    """Book an event of `session`: on the day its reservation was made for, which ends with it.

    A fork's copied events carry the session that paid for them, which has them on its own account.
    """
    from tui_agent.events import BudgetClocked, TurnProjected, spent

    if event.session != session:
        return
    if isinstance(event, TurnProjected) and event.day:
        held = (int(event.purpose == "turn" and event.attempt == 1), event.input_tokens, event.max_output_tokens)
        connection.execute(
            "INSERT OR IGNORE INTO reservation VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            (session, f"{event.turn}.{event.attempt}", event.day, *held, event.max_cost or 0.0),
        )
    taken = spent(event)
    if taken is None:
        return
    if isinstance(event, BudgetClocked):
        keys, day = [TIME_KEY], event.day
    else:
        keys = [f"{taken.turn}.{attempt}" for attempt in range(taken.attempt, 0, -1)]
        day = _reserved_day(connection, session, keys) or day_of(event.time)
    _insert(connection, session, event.seq, day, taken.amounts)
    release(connection, session, keys)


def _reserved_day(connection: sqlite3.Connection, session: str, keys: list[str]) -> str:
    """Return the day that the first of these reservations was made for, empty if there is none."""
    for key in keys:
        row = connection.execute(
            "SELECT day FROM reservation WHERE session = ? AND key = ?", (session, key)
        ).fetchone()
        if row:
            return str(row[0])
    return ""


def _insert(connection: sqlite3.Connection, session: str, seq: int | None, day: str, amounts: Amounts) -> None:
    prompt, output = min(amounts.input_tokens, MOST_TOKENS), min(amounts.output_tokens, MOST_TOKENS)
    connection.execute(
        "INSERT OR IGNORE INTO spend (session, seq, day, cost, tokens, turns, input, output, seconds)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (session, seq, day, amounts.cost, prompt + output, amounts.turns, prompt, output, amounts.seconds),
    )


def day_of(time: float) -> str:
    """Return the date (UTC) of a time in seconds since the epoch."""
    return datetime.fromtimestamp(time, UTC).date().isoformat()


def _amounts(row: tuple[float, float, float, float, float]) -> Amounts:
    from tui_agent.events import Amounts

    turns, prompt, output, cost, seconds = row
    return Amounts(turns=int(turns), input_tokens=int(prompt), output_tokens=int(output), cost=cost, seconds=seconds)
