"""The session's folder for temporary files: what a command in bubblewrap sees as `/tmp`.

The file tools see it there too, so that a file that one of them wrote is where a command looks for it. It lies in the
session's folder, belongs to the user alone, and goes when the session is deleted.
"""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass
from pathlib import Path

ROOT = "/tmp"
"""Where commands see it."""

WARN_BYTES = 2 * 1024**3
"""Bytes in it from which on the result of a command says so."""

_MOST_ENTRIES = 20_000
"""Files that are counted: some tens of milliseconds."""


@dataclass(frozen=True, slots=True)
class TemporaryFolder:
    """Where it really is, `folder`, and the names in `/tmp` that are the machine's own there: those of workspaces."""

    folder: str
    kept: frozenset[str] = frozenset()

    def locate(self, path: str, *, reading: bool) -> str:
        """Return where `path` really is, if it is written as one in `/tmp`; else `path` as it is.

        What is read and exists only in the machine's own `/tmp` is read there.
        """
        plain = posixpath.normpath(path) if path.startswith("/") else path
        if plain.startswith("//"):
            plain = plain[1:]
        if plain != ROOT and not plain.startswith(ROOT + "/"):
            return path
        relative = plain[len(ROOT) :].lstrip("/")
        if relative.split("/", 1)[0] in self.kept:
            return path
        real = posixpath.join(self.folder, relative) if relative else self.folder
        if reading and relative and not os.path.lexists(real) and os.path.lexists(plain):
            return path
        return real

    def contains(self, path: str) -> bool:
        """Say whether a real path is in the folder, or the folder itself."""
        return path == self.folder or path.startswith(self.folder + "/")

    def shown(self, path: str) -> str:
        """Return a real path as commands see it; one elsewhere as it is."""
        return ROOT + path[len(self.folder) :] if self.contains(path) else path


def kept_names(paths: tuple[Path, ...]) -> frozenset[str] | None:
    """Return the names in `/tmp` that lead to one of `paths`; None where one of them is `/tmp` itself or above it."""
    root = Path(ROOT)
    if any(root.is_relative_to(path) and path != Path("/") for path in paths):
        return None
    return frozenset(path.relative_to(root).parts[0] for path in paths if path.is_relative_to(root))


def prepare(folder: Path, kept: frozenset[str]) -> None:
    """Make the places in the folder that something of the machine is shown over.

    An earlier command may have put a link there, which would lead the mount elsewhere: it is taken away.
    """
    for name in kept:
        place = folder / name
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            place.unlink()
        place.mkdir(mode=0o700, exist_ok=True)


def size(folder: Path) -> int:
    """Return the bytes in the folder, as far as they are counted."""
    total, left = 0, _MOST_ENTRIES
    waiting = [str(folder)]
    while waiting and left > 0:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries[:left]:
            left -= 1
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
            except OSError:
                continue
    return total
