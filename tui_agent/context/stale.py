"""Files that changed on disk since the model saw them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from tui_agent.config.untrusted import UntrustedFileError, read_untrusted
from tui_agent.events import FileState

LARGEST = 16 * 1024 * 1024
"""Bytes of a file that is hashed again; a larger one counts as unchanged."""


class FileWatch:
    """Looks whether files are as they are known. A file is read again only when its size or times changed."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[tuple[int, ...], str | None]] = {}

    def changed(self, known: Mapping[str, str], told: Mapping[str, str | None] | None = None) -> list[FileState]:
        """Return the files that are not as `known` (SHA-256 by path) says, as they are now. Blocking.

        With `told`, what the model was told of some of them since, only those of which it does not know.
        """
        believed: dict[str, str | None] = {**known, **(told or {})}
        found = []
        for path, sha256 in known.items():
            now = self._hash(path, sha256)
            if now != believed[path]:
                found.append(FileState(path=path, sha256=now))
        return found

    def _hash(self, path: str, unknown: str) -> str | None:
        """Return the file's hash, None where there is none; `unknown` where it cannot be read."""
        try:
            status = os.stat(path)  # noqa: PTH116 - hundreds of these before each turn: a Path each costs as much again
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError):
            return unknown
        identity = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        seen = self._seen.get(path)
        if seen is not None and seen[0] == identity:
            return seen[1]
        if status.st_size > LARGEST or not stat.S_ISREG(status.st_mode):
            return unknown  # a pipe would never end
        try:
            sha256 = read_untrusted(Path(path), beneath=None, limit=LARGEST).sha256
        except (OSError, UntrustedFileError):
            return unknown
        self._seen[path] = (identity, sha256)
        return sha256
