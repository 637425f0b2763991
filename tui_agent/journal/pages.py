"""Reading rows out of a broken SQLite file, page by page, trusting nothing but the rows' own hashes.

Follows the published file format (sqlite.org/fileformat2.html). Tables cannot be told apart without the
schema, which may be what is broken: the caller recognises its rows by their shape.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from tui_agent.journal.schema import PAGE_SIZE

Value = int | float | str | bytes | None

LEAF_TABLE_PAGE = 0x0D
FILE_HEADER = 100
WAL_HEADER = 32
WAL_FRAME_HEADER = 24

_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class Pages:
    """The pages of a database file, with the committed pages of its write-ahead log laid over them."""

    def __init__(self, path: Path, wal: Path) -> None:
        self._file = path.read_bytes()
        self._newer = _wal_pages(wal.read_bytes()) if wal.exists() else {}
        in_file = range(1, -(-len(self._file) // PAGE_SIZE) + 1)
        # A damaged frame can name any page: what is there counts, not the highest number.
        self._numbers = [*in_file, *sorted(number for number in self._newer if number not in in_file)]

    def __getitem__(self, number: int) -> bytes:
        if number in self._newer:
            return self._newer[number]
        return self._file[(number - 1) * PAGE_SIZE : number * PAGE_SIZE].ljust(PAGE_SIZE, b"\0")

    def __len__(self) -> int:
        return len(self._numbers)

    def rows(self) -> Iterator[tuple[int, list[Value]]]:
        """Yield rowid and values of every row in a leaf page of any table; damaged rows are left out."""
        for number in self._numbers:
            page = self[number]
            start = FILE_HEADER if number == 1 else 0
            if page[start] != LEAF_TABLE_PAGE:
                continue
            count = int.from_bytes(page[start + 3 : start + 5], "big")
            for index in range(min(count, PAGE_SIZE // 4)):
                pointer = page[start + 8 + 2 * index : start + 10 + 2 * index]
                try:
                    yield self._cell(page, int.from_bytes(pointer, "big"))
                except (ValueError, IndexError, struct.error):
                    continue  # what is no row any more is reported as a gap by the caller

    def _cell(self, page: bytes, offset: int) -> tuple[int, list[Value]]:
        size, offset = _varint(page, offset)
        rowid, offset = _varint(page, offset)
        if not 0 < size <= len(self) * PAGE_SIZE:
            raise ValueError("no sensible size")
        local = _local_size(size)
        payload = page[offset : offset + local]
        if local < size:
            payload += self._overflow(int.from_bytes(page[offset + local : offset + local + 4], "big"), size - local)
        if len(payload) != size:
            raise ValueError("cut short")
        return rowid, _record(payload)

    def _overflow(self, number: int, size: int) -> bytes:
        parts = []
        while size > 0:
            if not 0 < number <= self._numbers[-1]:
                raise ValueError("overflow chain leads nowhere")
            page = self[number]
            parts.append(page[4 : 4 + size])
            size -= len(parts[-1])
            number = int.from_bytes(page[:4], "big")
        return b"".join(parts)


def _local_size(size: int) -> int:
    """Return how many bytes of a payload stand in the leaf page itself."""
    largest = PAGE_SIZE - 35
    if size <= largest:
        return size
    smallest = (PAGE_SIZE - 12) * 32 // 255 - 23
    local = smallest + (size - smallest) % (PAGE_SIZE - 4)
    return local if local <= largest else smallest


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = data[offset + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, offset + index + 1
    return value << 8 | data[offset + 8], offset + 9


def _record(payload: bytes) -> list[Value]:
    end, offset = _varint(payload, 0)
    kinds = []
    while offset < end:
        kind, offset = _varint(payload, offset)
        kinds.append(kind)
    values: list[Value] = []
    for kind in kinds:
        value, offset = _value(payload, offset, kind)
        values.append(value)
    return values


def _value(payload: bytes, offset: int, kind: int) -> tuple[Value, int]:
    if kind in {0, 8, 9}:
        return (None if kind == 0 else kind - 8), offset
    if kind in _INTEGER_BYTES:
        stop = offset + _INTEGER_BYTES[kind]
        return int.from_bytes(payload[offset:stop], "big", signed=True), stop
    if kind == 7:
        return struct.unpack_from(">d", payload, offset)[0], offset + 8
    if kind < 12:
        raise ValueError("a reserved type")
    stop = offset + (kind - 12) // 2
    if stop > len(payload):
        raise ValueError("cut short")
    data = payload[offset:stop]
    return (data.decode() if kind % 2 else data), stop


def _wal_pages(wal: bytes) -> dict[int, bytes]:
    """Return the pages of the log's committed transactions; frames of an earlier round carry other salts."""
    salts = wal[16:24]
    pages: dict[int, bytes] = {}
    pending: dict[int, bytes] = {}
    for start in range(WAL_HEADER, len(wal) - PAGE_SIZE - WAL_FRAME_HEADER + 1, PAGE_SIZE + WAL_FRAME_HEADER):
        number, commit = struct.unpack_from(">II", wal, start)
        if wal[start + 8 : start + 16] != salts:
            break
        pending[number] = wal[start + WAL_FRAME_HEADER : start + WAL_FRAME_HEADER + PAGE_SIZE]
        if commit:
            pages.update(pending)
            pending.clear()
    return pages
