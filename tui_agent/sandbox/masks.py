"""Which files and folders of the workspace a command must not see: secrets, and what rules deny or ask about.

A file is more than its name: hard links to it elsewhere in the workspace are found by its inode, and what a symbolic
link leads to is meant as well.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tui_agent.sandbox.tree import Folder, Tree

Level = Literal["ask", "deny"]

MOST_MASKS = 500
"""Masks for one command, each a mount; with more of them, folders that hold many are masked whole."""

_MANY = 5

_HOME_SECRETS = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".config/gcloud", ".config/gh", ".password-store",
    ".netrc", ".pgpass", ".git-credentials", ".pypirc", ".npmrc", ".vault-token", ".my.cnf",
    ".cargo/credentials.toml",
)  # fmt: skip
"""Secrets of the home folder that a hard link could bring into a workspace."""

_MOST_HOME_FILES = 500


@dataclass(frozen=True, slots=True)
class Protection:
    """What is protected: `levels` returns those of some real paths that are, with how firmly.

    `key` is equal where the answers are. `everything` says that folders of dependencies are to be looked at too.
    """

    key: object
    levels: Callable[[Sequence[str]], Mapping[str, Level]]
    everything: bool = False


class Masks:
    """Finds what to mask, and keeps what is known of folders that have not changed. Threads may share it."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Folder, object, dict[str, Level]]] = {}
        self._lock = threading.Lock()

    def find(
        self, trees: Iterable[Tree], protection: Protection, home: Path, *, asked: bool, special: bool
    ) -> tuple[Path, ...]:
        """Return the files and folders to mask in the trees (blocking).

        `asked` counts those that would be asked about besides the denied ones, `special` FIFOs, sockets and devices.
        Folders that cannot be looked into are masked whole.
        """
        with self._lock:
            return self._find(list(trees), protection, home, asked=asked, special=special)

    def _find(
        self, trees: Sequence[Tree], protection: Protection, home: Path, *, asked: bool, special: bool
    ) -> tuple[Path, ...]:
        seen: dict[str, tuple[Folder, object, dict[str, Level]]] = {}
        found: dict[str, Level] = {}
        for tree in trees:
            for path, folder in tree.folders(everything=protection.everything).items():
                known = self._known.get(path)
                if known is None or known[0] is not folder or known[1] != protection.key:
                    known = (folder, protection.key, dict(protection.levels(_names(path, folder))))
                seen[path] = known
                found |= known[2]
                if folder.closed:
                    found[path] = "deny"
                if special:
                    found |= dict.fromkeys((os.path.join(path, name) for name in folder.special), "deny")
        self._known = seen
        chosen = [path for path, level in found.items() if asked or level == "deny"]
        roots = [tree.root for tree in trees]
        masked = _real(chosen, roots)
        masked |= _linked(_several(masked) | _several(_home_secrets(home)), seen)
        return tuple(map(Path, _outermost(_gathered(masked, roots))))


def _names(path: str, folder: Folder) -> list[str]:
    return [os.path.join(path, name) for name in (*folder.files, *folder.folders, *folder.links) if name != ".git"]


def _real(paths: Iterable[str], roots: Sequence[str]) -> set[str]:
    """Return where the paths really are, without those elsewhere, which cannot be seen anyway."""
    found = set()
    for path in paths:
        real = os.path.realpath(path)
        if any(real.startswith(root.rstrip("/") + "/") for root in roots) and os.path.lexists(real):
            found.add(real)
    return found


def _several(paths: Iterable[str]) -> set[tuple[int, int]]:
    """Return device and inode of the files that have several names."""
    found = set()
    for path in paths:
        try:
            status = os.lstat(path)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            found.add((status.st_dev, status.st_ino))
    return found


def _linked(wanted: set[tuple[int, int]], seen: Mapping[str, tuple[Folder, object, object]]) -> set[str]:
    """Return all names in the trees of some inodes."""
    if not wanted:
        return set()
    numbers = {number for _, number in wanted}
    names = (
        os.path.join(path, name)
        for path, (folder, _, _) in seen.items()
        for name, number in folder.files.items()
        if number in numbers
    )
    return {name for name in names if _identity(name) in wanted}


def _identity(path: str) -> tuple[int, int]:
    try:
        status = os.lstat(path)
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)


def _home_secrets(home: Path) -> list[str]:
    found: list[str] = []
    for name in _HOME_SECRETS:
        place = str(home / name)
        if os.path.isfile(place):
            found.append(place)
        for root, _, files in os.walk(place):
            found += [os.path.join(root, file) for file in files]
            if len(found) > _MOST_HOME_FILES:
                return found
    return found


def _gathered(paths: set[str], roots: Sequence[str]) -> set[str]:
    """Return the paths, or where they are very many the folders that hold several of them."""
    if len(paths) <= MOST_MASKS:
        return paths
    counts = Counter(os.path.dirname(path) for path in paths)
    whole = {folder for folder, count in counts.items() if count >= _MANY and folder not in roots}
    return {path for path in paths if os.path.dirname(path) not in whole} | whole


def _outermost(paths: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for path in sorted(paths, key=lambda each: each.split("/")):
        if not kept or not path.startswith(kept[-1] + "/"):
            kept.append(path)
    return kept
