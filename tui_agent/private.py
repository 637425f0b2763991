"""Files and folders that only this user may read: sessions, the index, what commands printed.

The mode is set and not left to the umask, and what an earlier version left open to others is closed.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def make_private_folder(folder: Path) -> None:
    """Make `folder` and what is missing above it, for this user alone, each name on disk before the next.

    A folder that exists is closed to others; those above it stay as they are. Raises `OSError`.
    """
    if not folder.is_dir():
        make_missing(folder)
    close_to_others(folder, FOLDER_MODE)


def make_missing(folder: Path) -> None:
    """Make `folder` and what is missing above it, for this user alone; what exists stays as it is."""
    if folder.is_dir():
        return
    make_missing(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(FOLDER_MODE)
        folder.chmod(FOLDER_MODE)  # the umask may have taken the owner's rights
    descriptor = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private_file(path: Path) -> None:
    """Make an empty file for this user alone, or close an existing one to others. Raises `OSError`."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
        path.chmod(FILE_MODE)
    close_to_others(path, FILE_MODE)


def close_to_others(path: Path, mode: int) -> None:
    """Take the rights of group and others from what this user owns; does nothing where that is not permitted."""
    with contextlib.suppress(OSError):
        if stat.S_IMODE(path.stat().st_mode) & ~mode:
            path.chmod(mode)
