"""What can go wrong with a session file, each with what to do about it."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from pathlib import Path


class JournalError(Exception):
    """A session file could not be used as asked. The message says what was wrong and what to do."""


class SessionLocked(JournalError):
    """Another window has this session open for writing; it can still be opened read-only."""


class SessionUnwritable(JournalError):
    """The folder of this session cannot be written; the session can still be opened read-only."""


class FenceLost(JournalError):
    """Another process took the session over although this one held its lock; nothing was written."""


class JournalGone(JournalError):
    """The session's file was removed or exchanged while it was open; nothing more is kept of the session."""


class NewerSchema(JournalError):
    """The file was written by a newer version of the program, which this one must not touch."""


class JournalDamaged(JournalError):
    """The file is damaged. `salvaged` is where the original stands, where it has been set aside."""

    def __init__(self, message: str, salvaged: Path | None = None) -> None:
        super().__init__(message)
        self.salvaged = salvaged


class JournalWriteError(JournalError):
    """A transaction could not be written. None of it is on disk; everything acknowledged before is."""


class JournalFull(JournalWriteError):
    """There is no room left on the disk. Appending works again once there is."""


class InvalidEvent(JournalError):
    """An event that cannot be stored, e.g. one with lone surrogates in its text. Nothing was written."""


NEARLY_FULL = 1 << 20
"""Bytes free below which an input/output error counts as a full disk: SQLite reports some of them so."""


def is_damage(error: BaseException) -> bool:
    """Say whether SQLite found the file's structure broken, as opposed to unreachable or full."""
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # The first is said by the sqlite3 module, without a code; the others mean that a part of the schema is gone.
    broken = str(error).startswith(("Could not decode to UTF-8", "no such table", "no such column"))
    return broken or code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def explain(error: BaseException, path: Path) -> JournalError:
    """Turn what SQLite or the system raised while writing `path` into a typed error."""
    if isinstance(error, JournalError):
        return error
    if is_damage(error):
        return JournalDamaged(
            f"The session file {path} is damaged ({error}). "
            "What can be read is salvaged the next time it is opened for writing."
        )
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
    if full or code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _free(path) < NEARLY_FULL):
        return JournalFull(
            f"No room left on the disk of {path}. Nothing acknowledged is lost. Free some space, then go on."
        )
    return JournalWriteError(
        f"Could not write {path}: {error}. Nothing acknowledged is lost. "
        "Check the disk and the permissions of the folder, then try again."
    )


def _free(path: Path) -> int:
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return NEARLY_FULL
