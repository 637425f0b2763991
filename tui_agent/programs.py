"""Where the programs are that this program itself starts: git, ripgrep, bash, bubblewrap, clipboard helpers.

A search path may begin with a folder of the workspace (a virtual environment's `bin`), where any command can put a
program of that name. So they are looked for in folders that belong to the system or to the user's own installations,
never in one that the workspace or the sandbox can write, and links are followed before that is decided.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

SYSTEM_FOLDERS = (
    "/usr/bin",
    "/bin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "/run/current-system/sw/bin",
    "/nix/var/nix/profiles/default/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "/usr/sbin",
    "/sbin",
)
"""Looked through first, in this order."""

HOME_FOLDERS = (".nix-profile/bin", ".local/bin", ".cargo/bin", ".local/share/mise/shims", "bin")
"""The user's own installations, which no sandboxed command can write; then come the other folders of the PATH."""


def find_program(
    name: str, environment: Mapping[str, str], *, home: Path | None = None, writable: Iterable[Path | str] = ()
) -> str | None:
    """Return the path of the program `name`, None where there is none that commands cannot change.

    `writable` are the folders that commands can write: the workspace, added folders, scratch. Neither the folder that
    a program is found in nor what a link there leads to may be in one of them, nor may others than root and this user
    be able to write the file. Blocking, but only looks at some folders.
    """
    shut = [os.path.realpath(folder) for folder in writable]
    folders = [*SYSTEM_FOLDERS]
    if home is not None:
        folders += [str(home / folder) for folder in HOME_FOLDERS]
    folders += [folder for folder in environment.get("PATH", "").split(os.pathsep) if os.path.isabs(folder)]
    for folder in dict.fromkeys(folders):
        place = os.path.join(folder, name)
        real = os.path.realpath(place)
        if _is_program(real) and not any(_inside(path, shut) for path in (os.path.realpath(folder), real)):
            return place  # not what a link leads to: some programs go by the name they are called by
    return None


def without_writable(path: str, writable: Iterable[Path | str]) -> str:
    """Return a search path without the folders that are not absolute, or that commands can write."""
    shut = [os.path.realpath(folder) for folder in writable]
    kept = [
        folder
        for folder in path.split(os.pathsep)
        if os.path.isabs(folder) and not _inside(os.path.realpath(folder), shut)
    ]
    return os.pathsep.join(kept)


def _is_program(path: str) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    ours = found.st_uid in (0, os.geteuid()) and not found.st_mode & stat.S_IWOTH
    return stat.S_ISREG(found.st_mode) and os.access(path, os.X_OK) and ours


def _inside(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)
