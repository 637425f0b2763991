"""One writer for each session file: a lock that the kernel frees when its holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import IO

from tui_agent.journal.errors import JournalError, SessionLocked, SessionUnwritable
from tui_agent.private import make_private_file


class FileLock:
    """An exclusive `flock` on `<path>.lock`, held until `release` or the end of the process.

    The lock file stays behind on purpose: removing it would let two processes lock two files of one name.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock at once. Raises SessionLocked when another process has it, SessionUnwritable."""
        self._name = path.with_name(path.name + ".lock")
        self._path = path
        self._file: IO[bytes] | None = self._take()

    def _take(self) -> IO[bytes]:
        while True:
            try:
                make_private_file(self._name)
                file = self._name.open("a+b", buffering=0)
            except OSError as error:
                kind = SessionUnwritable if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM} else JournalError
                raise kind(
                    f"Cannot lock the session {self._path}: {error}. Check that its folder can be written."
                ) from error
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = _read_pid(file)
                file.close()
                if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                    raise JournalError(
                        f"The file system of {self._path} cannot lock files ({error}). "
                        "Put the data folder on a local disk."
                    ) from error
                raise SessionLocked(
                    f"The session {self._path} is open in another window{holder}. "
                    "Close it there, or open it here read-only."
                ) from error
            if self._still_there(file):
                file.truncate(0)
                file.write(str(os.getpid()).encode())
                return file
            file.close()

    def _still_there(self, file: IO[bytes]) -> bool:
        """Say whether the name still means the locked file: somebody may have removed it meanwhile."""
        try:
            return os.path.samestat(self._name.stat(), os.fstat(file.fileno()))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None


def is_free(path: Path) -> bool:
    """Say whether no process holds the lock of `path`. Takes it for a moment to find out."""
    try:
        FileLock(path).release()
    except JournalError:
        return False
    return True


def _read_pid(file: IO[bytes]) -> str:
    file.seek(0)
    pid = file.read(20).decode("ascii", "replace").strip()
    return f" (process {pid})" if pid.isdigit() else ""
