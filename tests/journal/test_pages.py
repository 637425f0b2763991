"""Reading rows without SQLite: any file gives rows or none, never an error."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tui_agent.journal.pages import Pages
from tui_agent.journal.schema import PAGE_SIZE

NO_WAL = Path("/nonexistent")


def build(path: Path, rows: list[tuple[object, ...]]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        connection.execute("CREATE TABLE t (a, b, c)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)


values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=50),
    st.binary(max_size=50),
    st.integers(3000, 20_000).map(lambda size: "long" * size),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(values, values, values), max_size=20))
def test_every_row_is_found(rows: list[tuple[object, ...]], tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    path.unlink(missing_ok=True)
    build(path, rows)
    found = [(rowid, tuple(row)) for rowid, row in Pages(path, NO_WAL).rows() if len(row) == 3]
    assert sorted(found, key=lambda one: one[0]) == list(enumerate(rows, 1))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_is_too_much(data: st.DataObject, tmp_path: Path) -> None:
    path, wal = tmp_path / "t.db", tmp_path / "t.db-wal"
    path.unlink(missing_ok=True)
    build(path, [(number, "text" * number, b"x" * 3000) for number in range(30)])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    wal.write_bytes(data.draw(st.binary(max_size=200)))
    list(Pages(path, wal).rows())


def test_frames_of_an_earlier_round_and_uncommitted_ones_are_not_read(tmp_path: Path) -> None:
    path, wal = tmp_path / "t.db", tmp_path / "t.db-wal"
    path.write_bytes(b"file" * (PAGE_SIZE // 4) * 3)
    salts, old = b"saltsalt", b"oldsolts"

    def frame(page: int, commit: int, salt: bytes, content: bytes) -> bytes:
        head = page.to_bytes(4, "big") + commit.to_bytes(4, "big") + salt + bytes(8)
        return head + content * (PAGE_SIZE // 4)

    wal.write_bytes(
        bytes(16)
        + salts
        + bytes(8)
        + frame(1, 3, salts, b"good")
        + frame(2, 0, salts, b"half")
        + frame(2, 3, old, b"old!")
    )
    pages = Pages(path, wal)
    assert [pages[number][:4] for number in (1, 2, 3)] == [b"good", b"file", b"file"]


def test_a_damaged_frame_that_names_a_wild_page_costs_nothing(tmp_path: Path) -> None:
    path, wal = tmp_path / "t.db", tmp_path / "t.db-wal"
    build(path, [("a", 1, None)])
    salts = b"12345678"
    frame = struct.pack(">II", 0x7FFF_FFFF, 1) + salts + bytes(8) + bytes(PAGE_SIZE)
    wal.write_bytes(bytes(16) + salts + bytes(8) + frame)
    pages = Pages(path, wal)
    assert len(pages) < 10
    assert [row for _, row in pages.rows() if len(row) == 3] == [["a", 1, None]]
