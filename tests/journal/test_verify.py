"""The chain: every kind of tampering is found and its place is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.journal.conftest import execute, turn
from tui_agent.journal import Journal
from tui_agent.runtime import Runtime


async def build(path: Path, runtime: Runtime) -> None:
    journal = await Journal.create(path, "session_1", runtime)
    for number in range(5):
        await journal.append(*turn(number))
    await journal.close()
    journal = await Journal.open(path, runtime)
    await journal.append(*turn(5))
    await journal.close()


def swap(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE event SET seq = -1 WHERE seq = 4")
        connection.execute("UPDATE event SET seq = 4 WHERE seq = 7")
        connection.execute("UPDATE event SET seq = 7 WHERE seq = -1")


def insert(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for seq in range(18, 4, -1):
            connection.execute("UPDATE event SET seq = ? WHERE seq = ?", (seq + 1, seq))
        connection.execute(
            "INSERT INTO event SELECT 5, type, time, boot, run, agent, subject, item, entry, body_hash, hash, body"
            " FROM event WHERE seq = 4"
        )


def sql(*statements: str) -> Callable[[Path], None]:
    return lambda path: execute(path, *statements)


TAMPERING = {
    "a changed body": (sql("UPDATE event SET body = replace(body, 'prompt 1', 'prompt 9') WHERE seq = 4"), 4),
    "a changed body hash": (sql("UPDATE event SET body_hash = zeroblob(32) WHERE seq = 6"), 6),
    "a changed hash": (sql("UPDATE event SET hash = zeroblob(32) WHERE seq = 6"), 6),
    "a changed type": (sql("UPDATE event SET type = 'notice' WHERE seq = 3"), 3),
    "a changed time": (sql("UPDATE event SET time = time + 1 WHERE seq = 3"), 3),
    "a changed agent": (sql("UPDATE event SET agent = 'x' WHERE seq = 3"), 3),
    "a changed run": (sql("UPDATE event SET run = 'x' WHERE seq = 3"), 3),
    "a changed subject": (sql("UPDATE event SET subject = 'x' WHERE seq = 3"), 3),
    "a changed position": (sql("UPDATE event SET item = 9 WHERE seq = 3"), 3),
    "a changed entry": (sql("UPDATE event SET entry = 9 WHERE seq = 3"), 3),
    "a changed boot": (sql("UPDATE event SET boot = 2 WHERE seq = 8"), 8),
    "a removed first event": (sql("DELETE FROM event WHERE seq = 1"), 1),
    "a removed event": (sql("DELETE FROM event WHERE seq = 5"), 5),
    "removed newest events": (sql("DELETE FROM event WHERE seq > 16"), 17),
    "a removed boot": (sql("DELETE FROM boot WHERE number = 1"), 1),
    "a removed event closed over": (
        sql("DELETE FROM event WHERE seq = 5", "UPDATE event SET seq = seq - 1 WHERE seq > 5"),
        5,
    ),
    "a removed event called lost": (sql("DELETE FROM event WHERE seq = 5", "INSERT INTO gap VALUES (5, 5)"), 6),
    "a gap where none is": (sql("INSERT INTO gap VALUES (5, 5)"), 5),
    "another session's name": (sql("UPDATE meta SET value = 'other' WHERE key = 'session'"), 1),
    "a swap": (swap, 4),
    "an insertion": (insert, 5),
}


@pytest.mark.parametrize("name", TAMPERING)
async def test_tampering_is_found(path: Path, runtime: Runtime, name: str) -> None:
    await build(path, runtime)
    tamper, seq = TAMPERING[name]
    tamper(path)
    journal = await Journal.open(path, runtime, read_only=True)
    verification = await journal.verify()
    await journal.close()
    assert not verification.ok
    assert verification.bad_seq == seq
    assert verification.reason


async def test_an_untouched_file_is_sound(path: Path, runtime: Runtime) -> None:
    await build(path, runtime)
    journal = await Journal.open(path, runtime, read_only=True)
    verification = await journal.verify()
    assert (verification.ok, verification.events, verification.head) == (True, 18, journal.head)
    await journal.close()


async def test_a_pruned_body_leaves_the_chain_sound(path: Path, runtime: Runtime) -> None:
    await build(path, runtime)
    execute(path, "UPDATE event SET body = NULL WHERE seq = 4")
    journal = await Journal.open(path, runtime, read_only=True)
    assert (await journal.verify()).ok
    pruned = (await journal.read(after=3, limit=1))[0]
    assert (pruned.type, pruned.seq) == ("run.started.pruned", 4)
    await journal.close()


async def test_removed_newest_events_of_the_open_boot_are_found(path: Path, runtime: Runtime) -> None:
    """The journal that is open knows its own end."""
    journal = await Journal.create(path, "session_1", runtime)
    await journal.append(*turn(1))
    execute(path, "DELETE FROM event WHERE seq = 3")
    verification = await journal.verify()
    assert (verification.ok, verification.bad_seq) == (False, 3)
    await journal.close()
