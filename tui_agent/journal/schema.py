"""The tables of a session file, and how connections to it are opened."""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path
from urllib.parse import quote

from tui_agent.private import FILE_MODE, close_to_others, make_private_file

APPLICATION_ID = 0x54554941
"""Marks the file as ours: "TUIA"."""

PAGE_SIZE = 4096
"""Bytes. Fixed, so that salvage need not trust a damaged header."""

BUSY_SECONDS = 5.0

EVENT_COLUMNS = "seq, type, time, boot, run, agent, subject, item, entry, body_hash, hash, body"
"""In the order of the table."""

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE boot (
  number INTEGER PRIMARY KEY, pid INTEGER NOT NULL, fence INTEGER NOT NULL, started REAL NOT NULL,
  ended REAL, reason TEXT, last_seq INTEGER, head BLOB
) STRICT;
CREATE TABLE event (
  seq INTEGER PRIMARY KEY, type TEXT NOT NULL, time REAL NOT NULL, boot INTEGER NOT NULL,
  run TEXT NOT NULL, agent TEXT NOT NULL, subject TEXT, item INTEGER, entry INTEGER,
  body_hash BLOB NOT NULL, hash BLOB NOT NULL, body TEXT
) STRICT;
CREATE INDEX event_subject ON event (subject) WHERE subject IS NOT NULL;
CREATE INDEX event_item ON event (item) WHERE item IS NOT NULL;
CREATE INDEX event_entry ON event (entry) WHERE entry IS NOT NULL;
CREATE TABLE chunk (
  id INTEGER PRIMARY KEY, after INTEGER NOT NULL, subject TEXT NOT NULL, item INTEGER, entry INTEGER,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX chunk_subject ON chunk (subject);
CREATE TABLE gap (first INTEGER PRIMARY KEY, last INTEGER NOT NULL) STRICT;
CREATE TABLE snapshot (seq INTEGER PRIMARY KEY, state TEXT NOT NULL, digest TEXT NOT NULL) STRICT;
CREATE TABLE layout (id INTEGER PRIMARY KEY CHECK (id = 1), layout TEXT NOT NULL) STRICT;
"""
"""Version 1. `event.body` is the event's JSON without seq and hash, written once; NULL when pruned.
`gap` holds the seqs lost to damage; `chunk.after` the seq after which a delta came."""

SCHEMA_NAMES = tuple(re.findall(r"^CREATE (?:TABLE|INDEX) (\w+)", SCHEMA, re.MULTILINE))
"""The tables and indexes that every session file has."""


def uri(path: Path, mode: str) -> str:
    """Return the SQLite URI of `path`; `mode` is `ro`, `rw` or `rwc`."""
    found = f"file:{quote(str(path.absolute()))}?mode={mode}"
    if mode == "ro" and not can_write(path.parent) and not path.with_name(path.name + "-wal").exists():
        # A reader makes the log's index beside the file; where it cannot, and there is no log, the file is all.
        found += "&immutable=1"
    return found


def standing_file(path: Path) -> tuple[int, int] | None:
    """Return which file stands at a path, by device and number; None where there is none.

    A process that has a file open goes on writing to it when it is removed or another is put in its place.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def can_write(path: Path) -> bool:
    """Say whether this process may change a file or what is in a folder."""
    return os.access(path, os.W_OK)


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open `path` in autocommit mode; may be handed to another thread, but used by one at a time."""
    if mode == "rwc":
        make_private_file(path)
    elif mode == "rw":
        close_to_others(path, FILE_MODE)
    connection = sqlite3.connect(
        uri(path, mode), uri=True, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False
    )
    if mode == "ro":
        connection.execute("PRAGMA query_only = 1")
    return connection


def create_tables(connection: sqlite3.Connection, version: int) -> None:
    """Make an empty file a session file of `version`."""
    connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.executescript(f"BEGIN; {SCHEMA} COMMIT")
