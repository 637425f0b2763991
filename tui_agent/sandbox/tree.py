"""What lies in a folder, kept between two commands: which names each folder holds, read anew where it changed."""

from __future__ import annotations

import os
import stat
import threading
import time
from dataclasses import dataclass, field

MOST_FOLDERS = 100_000
"""Folders that are looked at; a tree with more of them is not `complete`."""

DEPENDENCIES = frozenset(
    {"node_modules", ".venv", "venv", "__pycache__", ".tox", ".nox", ".mypy_cache", "target", "site-packages"}
)
"""Folders with the files of others, published and many: not entered unless a rule names them."""

_SETTLED = 100_000_000
"""Nanoseconds after its last change from which on a folder's time of change is sure to tell of the next one."""


@dataclass(slots=True)
class Folder:
    """The names in a folder: `folders`, plain `files` with their inode numbers, `links`, and `special` files.

    Special files are FIFOs, sockets and devices. `closed` says that this user may not list or enter the folder: what
    lies in it is not known, though some of it may be reached by name, and a command may open the folder.
    """

    stamp: tuple[int, int, int, int] | None
    folders: list[str] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    closed: bool = False


class Tree:
    """The folders below `root`, without links followed and without what lies in `.git` folders.

    `complete` says whether the last look saw all of them. Threads may share it.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.complete = True
        self._known: dict[str, Folder] = {}
        self._lock = threading.Lock()

    def folders(self, *, everything: bool = False) -> dict[str, Folder]:
        """Return each folder by its path (blocking). `everything` enters `DEPENDENCIES` too."""
        with self._lock:
            known, found = self._known, dict[str, Folder]()
            self.complete = True
            waiting = [self.root]
            while waiting:
                path = waiting.pop()
                if len(found) >= MOST_FOLDERS:
                    self.complete = False
                    break
                folder = _look(path, known.get(path))
                if folder is None:
                    continue
                found[path] = folder
                for name in folder.folders:
                    if name != ".git" and (everything or name not in DEPENDENCIES):
                        waiting.append(f"{path.rstrip('/')}/{name}")
            self._known = found
            return found


def _look(path: str, known: Folder | None) -> Folder | None:
    """Return what a folder holds, `known` itself if nothing has changed; None for one that is gone."""
    try:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode):
            return None
        # A command can set back the first time, of the last change of the names in it, but not the second.
        stamp = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)
        if known is not None and known.stamp == stamp:
            return known
        # The file system's clock is the machine's.
        folder = Folder(stamp if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED else None)
        if not os.access(path, os.R_OK | os.X_OK):
            return Folder(None, closed=True)
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_symlink():
                    folder.links.append(entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    folder.folders.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    folder.files[entry.name] = entry.inode()
                else:
                    folder.special.append(entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return Folder(None, closed=True)
    return folder
