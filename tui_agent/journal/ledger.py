"""The books of all sessions, by day: what was spent, and what is reserved for requests under way.

Part of `index.db`. Every function is one short transaction's work on its connection, and doing it again changes
nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui_agent.events import (
        Amounts,
        BudgetBooked,
        ContextCompacted,
        EventBase,
        TurnFailed,
        TurnFinished,
    )

TIME_KEY = "time"
"""The key under which a session reserves time; a request's is `turn.attempt`."""

SPEND_TYPES = (
    "turn.projected",
    "turn.finished",
    "turn.failed",
    "context.compacted",
    "budget.booked",
    "budget.clocked",
)
"""The events that are booked."""

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


def book(connection: sqlite3.Connection, session: str, event: EventBase) -> None:
    """Book an event of `session`: on the day its reservation was made for, which ends with it.

    A fork's copied events carry the session that paid for them, which has them on its own account.
    """
    from tui_agent.events import (
        BudgetBooked,
        BudgetClocked,
        ContextCompacted,
        TurnFailed,
        TurnFinished,
        TurnProjected,
    )

    if event.session != session:
        return
    match event:
        case TurnProjected() if event.day:
            row = (int(event.purpose == "turn" and event.attempt == 1), event.input_tokens, event.max_output_tokens)
            connection.execute(
                "INSERT OR IGNORE INTO reservation VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                (session, f"{event.turn}.{event.attempt}", event.day, *row, event.max_cost or 0.0),
            )
        case TurnFinished() | TurnFailed():
            keys = [f"{event.turn}.{attempt}" for attempt in range(event.attempt, 0, -1)]
            _spend(connection, session, event, keys, turns=int(event.attempt == 1))
        case ContextCompacted() | BudgetBooked():
            _spend(connection, session, event, [f"{event.turn}.1"])
        case BudgetClocked():
            _insert(connection, session, event.seq, event.day, (0, 0, 0, 0.0, event.seconds))
            release(connection, session, (TIME_KEY,))


def _spend(
    connection: sqlite3.Connection,
    session: str,
    event: TurnFinished | TurnFailed | ContextCompacted | BudgetBooked,
    keys: list[str],
    turns: int = 0,
) -> None:
    day = ""
    for key in keys:
        row = connection.execute(
            "SELECT day FROM reservation WHERE session = ? AND key = ?", (session, key)
        ).fetchone()
        day = day or (row[0] if row else "")
    usage = event.usage
    amounts = (turns, usage.prompt_tokens, usage.output_tokens, event.cost or 0.0, 0.0)
    _insert(connection, session, event.seq, day or day_of(event.time), amounts)
    release(connection, session, keys)


def _insert(
    connection: sqlite3.Connection,
    session: str,
    seq: int | None,
    day: str,
    amounts: tuple[int, int, int, float, float],
) -> None:
    turns, prompt, output, cost, seconds = amounts
    connection.execute(
        "INSERT OR IGNORE INTO spend (session, seq, day, cost, tokens, turns, input, output, seconds)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (session, seq, day, cost, prompt + output, turns, prompt, output, seconds),
    )


def day_of(time: float) -> str:
    """Return the date (UTC) of a time in seconds since the epoch."""
    return datetime.fromtimestamp(time, UTC).date().isoformat()


def _amounts(row: tuple[float, float, float, float, float]) -> Amounts:
    from tui_agent.events import Amounts

    turns, prompt, output, cost, seconds = row
    return Amounts(turns=int(turns), input_tokens=int(prompt), output_tokens=int(output), cost=cost, seconds=seconds)
