"""What a command did to files that make git run programs, in places where no sandbox can protect them.

Nested repositories, and a repository that the command itself made, are the workspace's own business and stay
writable; but git, run later outside the sandbox, would execute what their configuration says. So they are
looked at before and after each command, and what changed for the worse is told.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

MOST_FOLDERS = 5_000
"""Folders looked at in a workspace; what lies beyond is not looked at."""

_NOT_ENTERED = {"node_modules", ".venv", "venv", "__pycache__", ".tox", ".mypy_cache", "target", "site-packages"}
"""Folders that hold many files and where nobody works: not searched for repositories."""

_EXECUTES = re.compile(
    rb"^\s*(fsmonitor|hookspath|sshcommand|pager|editor|askpass|gitproxy|textconv|command|driver|clean|smudge|process"
    rb"|helper|program|uploadpack|receivepack|worktree|path|[^=]*=\s*!)\b",
    re.IGNORECASE | re.MULTILINE,
)
"""Keys of git's configuration that name a program or another file of configuration; `!` begins an alias's."""

_LARGEST_CONFIG = 1024 * 1024

_ITSELF = b".\n"
"""The common folder of a repository while a command runs in the sandbox: its own, as without that file."""


def executing_files(*roots: Path) -> dict[str, str]:
    """Return the files below `roots` that make git run something, with a hash of what they say.

    A `.git` folder may be a root too. Blocks while it walks the trees: not for the event loop.
    """
    found: dict[str, str] = {}
    for root in dict.fromkeys(roots):
        _walk(root, found)
    return found


def _walk(workspace: Path, found: dict[str, str]) -> None:
    left = MOST_FOLDERS
    if workspace.name == ".git":
        return _look_at(str(workspace), found)
    for root, folders, files in os.walk(workspace):
        left -= 1
        if left < 0:
            break
        if ".git" in folders:
            _look_at(os.path.join(root, ".git"), found)
        if ".git" in files:
            _note(os.path.join(root, ".git"), found)
        if "HEAD" in files and "objects" in folders and "refs" in folders:
            _look_at(root, found)  # a bare repository: git takes any such folder for one
        folders[:] = [name for name in folders if name not in _NOT_ENTERED and name != ".git"]
    return None


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the paths that are new or say something else."""
    return [path for path, digest in after.items() if before.get(path) != digest]


def _look_at(git: str, found: dict[str, str]) -> None:
    """Note what makes git run something, of a repository's folder and of its submodules'."""
    for name in ("config", "config.worktree"):
        path = os.path.join(git, name)
        data = _read(path)
        if data is not None and (os.path.islink(path) or _EXECUTES.search(data)):
            found[path] = hashlib.sha256(data).hexdigest()
    common = os.path.join(git, "commondir")
    if _read(common) != _ITSELF:
        _note(common, found)
    try:
        hooks = list(os.scandir(os.path.join(git, "hooks")))
    except OSError:
        hooks = []
    for hook in hooks:
        if not hook.name.endswith(".sample"):
            _note(hook.path, found)
    for kind in ("modules", "worktrees"):
        for root, folders, files in os.walk(os.path.join(git, kind)):
            if "HEAD" in files:
                _look_at_module(root, found)
                folders[:] = [name for name in folders if name == "modules"]


def _look_at_module(git: str, found: dict[str, str]) -> None:
    inner: dict[str, str] = {}
    for name in ("config", "config.worktree"):
        _note(os.path.join(git, name), inner)
    try:
        for hook in os.scandir(os.path.join(git, "hooks")):
            if not hook.name.endswith(".sample"):
                _note(hook.path, inner)
    except OSError:
        pass  # a worktree has no hooks of its own
    found.update(inner)


def _note(path: str, found: dict[str, str]) -> None:
    data = _read(path)
    if data is not None:
        found[path] = hashlib.sha256(data).hexdigest()


def _read(path: str) -> bytes | None:
    """Return the beginning of a regular file, None without one."""
    try:
        if not os.path.isfile(path):
            return None
        with open(path, "rb") as file:
            return file.read(_LARGEST_CONFIG)
    except OSError:
        return None
