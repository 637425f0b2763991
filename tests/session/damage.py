"""Ways to damage a session's file, each deterministic for a seed."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

PAGE = 4096
Damage = Callable[[Path, random.Random], None]


def flip_bytes(count: int) -> Damage:
    def damage(path: Path, chance: random.Random) -> None:
        data = bytearray(path.read_bytes())
        for _ in range(count):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)

    return damage


def flip_in_header(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(100)] ^= 0xFF
    path.write_bytes(data)


def flip_in_body(path: Path, chance: random.Random) -> None:
    """Change a letter of an event's body, which no structure of the file shows."""
    data = bytearray(path.read_bytes())
    places = [at for at in range(len(data)) if data.startswith(b'"type":"', at)]
    data[chance.choice(places) + chance.randrange(40)] ^= 0x01
    path.write_bytes(data)


def truncate(path: Path, chance: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: chance.randrange(PAGE, len(data))])


def cut_to_pages(path: Path, chance: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: PAGE * chance.randrange(2, len(data) // PAGE)])


def zero_pages(count: int) -> Damage:
    def damage(path: Path, chance: random.Random) -> None:
        data = bytearray(path.read_bytes())
        for page in chance.sample(range(1, len(data) // PAGE), count):
            data[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
        path.write_bytes(data)

    return damage


def garbage_page(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    page = chance.randrange(len(data) // PAGE)
    data[page * PAGE : (page + 1) * PAGE] = chance.randbytes(PAGE)
    path.write_bytes(data)


def swap_pages(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    one, other = (slice(p * PAGE, (p + 1) * PAGE) for p in chance.sample(range(1, len(data) // PAGE), 2))
    data[one], data[other] = data[other], data[one]
    path.write_bytes(data)


def repeat_page(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    one, other = (slice(p * PAGE, (p + 1) * PAGE) for p in chance.sample(range(1, len(data) // PAGE), 2))
    data[one] = data[other]
    path.write_bytes(data)


def sql(*statements: str) -> Damage:
    """Change rows with SQLite's own means; `{seq}` stands for some event's."""

    def damage(path: Path, chance: random.Random) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            last = connection.execute("SELECT max(seq) FROM event").fetchone()[0]
            for statement in statements:
                connection.execute(statement.replace("{seq}", str(chance.randint(2, last - 1))))

    return damage


def delete_events(path: Path, chance: random.Random) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        last = connection.execute("SELECT max(seq) FROM event").fetchone()[0]
        first = chance.randint(1, last)
        connection.execute("DELETE FROM event WHERE seq BETWEEN ? AND ?", (first, first + chance.randint(0, 9)))


def delete_type(kind: str) -> Damage:
    return sql(f"DELETE FROM event WHERE type = '{kind}'")


def stray_log(path: Path, chance: random.Random) -> None:
    path.with_name(path.name + "-wal").write_bytes(chance.randbytes(32 + 3 * (PAGE + 24)))
    path.with_name(path.name + "-shm").write_bytes(chance.randbytes(32768))


def foreign_log(path: Path, chance: random.Random) -> None:
    """Put another database's log beside the file: SQLite plays it in, as a log does not say whose it is."""
    other = path.with_name("other.db")
    with closing(sqlite3.connect(other)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE other (text TEXT)")
        connection.executemany("INSERT INTO other VALUES (?)", [("x" * 500,)] * 40)
        connection.commit()
        log = other.with_name(other.name + "-wal").read_bytes()
    other.unlink()
    path.with_name(path.name + "-wal").write_bytes(log)


DAMAGES: dict[str, Damage] = {
    "one bit": flip_bytes(1),
    "twenty bits": flip_bytes(20),
    "a byte of the header": flip_in_header,
    "a letter of a body": flip_in_body,
    "cut anywhere": truncate,
    "cut at a page": cut_to_pages,
    "a page of zeros": zero_pages(1),
    "pages of zeros": zero_pages(4),
    "a page of garbage": garbage_page,
    "two pages swapped": swap_pages,
    "a page twice": repeat_page,
    "events deleted": delete_events,
    "outcomes deleted": delete_type("step.finished"),
    "plans deleted": delete_type("step.planned"),
    "answers deleted": delete_type("turn.finished"),
    "runs deleted": delete_type("run.started"),
    "ends deleted": delete_type("run.finished"),
    "the head deleted": delete_type("context.loaded"),
    "the beginning deleted": sql("DELETE FROM event WHERE seq < 4"),
    "the end deleted": sql("DELETE FROM event WHERE seq > {seq}"),
    "an event's hash": sql("UPDATE event SET hash = zeroblob(32) WHERE seq = {seq}"),
    "an event's type": sql("UPDATE event SET type = 'notice' WHERE seq = {seq}"),
    "an event's agent": sql("UPDATE event SET agent = 'other' WHERE seq = {seq}"),
    "the order": sql(
        "UPDATE event SET seq = -1 WHERE seq = 7",
        "UPDATE event SET seq = 7 WHERE seq = 9",
        "UPDATE event SET seq = 9 WHERE seq = -1",
    ),
    "the session's id": sql("UPDATE meta SET value = 'other' WHERE key = 'session'"),
    "no session's id": sql("DELETE FROM meta"),
    "no boots": sql("DELETE FROM boot"),
    "a gap that is none": sql("INSERT INTO gap VALUES (3, 5)"),
    "the snapshot": sql("UPDATE snapshot SET state = substr(state, 1, length(state) / 2)"),
    "another state in the snapshot": sql("UPDATE snapshot SET state = replace(state, 'a', 'b')"),
    "the layout": sql("INSERT OR REPLACE INTO layout VALUES (1, '{not json')"),
    "an index dropped": sql("DROP INDEX event_item"),
    "a table dropped": sql("DROP TABLE chunk"),
    "another application's id": sql("PRAGMA application_id = 1"),
    "a stray log": stray_log,
    "another database's log": foreign_log,
}
