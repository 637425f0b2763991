"""What in writable folders a command must not change, because other programs act on it later, outside the sandbox.

Git runs what the configuration and the hooks of a repository name; editors, agents and shells run what they find in
their folders of a workspace; this program runs its own code. What exists is made read-only, what links lead to is
meant as well, and what is missing must not come to be.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tui_agent.programs import find_program
from tui_agent.sandbox.tree import Tree

NAMES = (
    ".tui-agent", ".claude", ".mcp.json", ".vscode", ".idea", ".envrc", ".devcontainer", ".cursor", ".zed",
)  # fmt: skip
"""Settings that steer this program, other agents, editors and shells when a folder is opened or entered."""

NAMES_IF_THERE = (".husky", ".githooks", ".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", ".pnpmfile.mjs")
"""Hooks and settings of package managers: they count only where something that is protected itself names them."""

_MEANINGLESS = {"config.worktree": "", "commondir": ".\n"}
"""Files of a repository's folder, with a content that changes nothing.

To git, a repository whose common folder is the folder itself is one like any other.
"""

MOST_REPOSITORIES = 100
"""Nested repositories that are protected in one workspace; changes to others are told after the command."""

_WRITTEN_BY_GIT = re.compile(
    r"objects|refs|reftable|logs|index(\..*)?|sharedindex\..*|HEAD|[A-Z_]+_HEAD|packed-refs|[A-Z]+_(EDIT)?MSG|MERGE_\w+"
    r"|AUTO_MERGE|NOTES_\w+|BISECT_\w+|rebase-(merge|apply)|sequencer|rr-cache|worktrees|modules|shallow|gc\.\w+"
    r"|lost-found|info|lfs|annex|COMMIT_EDITMSG|.*\.lock|tmp_.*"
)
"""What git writes in a repository's folder when it commits, fetches, merges, rebases or cleans up."""

_PATIENCE = 5.0


@dataclass
class Guards:
    """What must stay in the writable folders.

    `pinned` folders stay where they are, `fixed` paths can be read only, `masked` ones must not come to be (an empty
    folder stands there meanwhile), nor `placeholders`: files of git's folder that stand there meanwhile with a
    content that means nothing. `links` are symbolic links with their targets: no mount holds a link, so the runner
    puts them back.
    """

    pinned: list[Path] = field(default_factory=list)
    fixed: list[Path] = field(default_factory=list)
    masked: list[Path] = field(default_factory=list)
    placeholders: list[tuple[Path, str]] = field(default_factory=list)
    links: list[tuple[Path, str]] = field(default_factory=list)


def own_code() -> tuple[Path, ...]:
    """Return the folders that this program's code and its Python are in, real."""
    package = Path(__file__).resolve().parents[1]
    found = [package, Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).parent]
    found += [Path(entry) for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    return tuple(dict.fromkeys(path.resolve() for path in found if path.is_absolute()))


def own_installation() -> tuple[Path, ...]:
    """Return the folders of `own_code` that are this program's alone, without a Python that belongs to the system."""
    found = [Path(__file__).resolve().parents[1]]
    if sys.prefix != sys.base_prefix:
        found.append(Path(sys.prefix).resolve())
    return tuple(found)


def guard(
    folders: Sequence[Path], repositories: Sequence[Path], trees: Iterable[Tree] = (), code: Iterable[Path] = ()
) -> Guards:
    """Look at the writable `folders` and return what must stay in them (blocking).

    `repositories` are the folders of git, real, that hold the history of the folders themselves; the nested ones are
    found in `trees`. `code` is what this program runs from.
    """
    found = Guards()
    for folder in folders:
        if folder not in repositories:
            _settings(folder, found)
    seen: set[Path] = set()
    for git in repositories:
        _repository(git, found, seen)
    for tree in trees:
        for git in _nested(tree, found):
            if len(seen) >= MOST_REPOSITORIES:
                break
            if any(git.is_relative_to(folder) for folder in folders):
                _repository(git, found, seen)
    for path in code:
        for folder in folders:
            if path != folder and path.is_relative_to(folder):
                found.fixed.append(path)
                found.pinned += _between(folder, path)
    # What lies elsewhere cannot be written anyway, and must not be shown.
    found.pinned, found.fixed = (
        [path for path in dict.fromkeys(paths) if any(path.is_relative_to(folder) for folder in folders)]
        for paths in (found.pinned, found.fixed)
    )
    return found


def _settings(folder: Path, found: Guards) -> None:
    """Protect the settings at the top of a folder, whether they are there or not, and where links lead."""
    for name in (*NAMES, *NAMES_IF_THERE, ".git"):
        path = folder / name
        if path.is_symlink():
            _link(path, folder, found)
        elif name == ".git":
            if is_empty(path):
                found.masked.append(path)
            elif path.is_file():
                found.fixed.append(path)
        elif is_empty(path):
            if name in NAMES:
                found.masked.append(path)
        else:
            found.fixed.append(path)


def _link(path: Path, folder: Path, found: Guards) -> None:
    found.links.append((path, os.readlink(path)))
    real = path.resolve()
    if real != folder and real.is_relative_to(folder) and real.exists() and path.name != ".git":
        found.fixed.append(real)


def _nested(tree: Tree, found: Guards) -> Iterator[Path]:
    """Yield the folders of git below a tree's root, and note what else is protected wherever it lies."""
    for path, folder in tree.folders().items():
        if folder.closed:
            found.fixed.append(Path(path))
        if path != tree.root:
            for name in NAMES:
                if name in folder.folders or name in folder.files:
                    found.fixed.append(Path(path, name))
        if ".git" in folder.folders:
            yield Path(path, ".git")
        elif ".git" in folder.files and path != tree.root:
            found.fixed.append(Path(path, ".git"))
        elif ".git" in folder.links:
            git = Path(path, ".git").resolve()
            if path != tree.root:
                found.links.append((Path(path, ".git"), os.readlink(Path(path, ".git"))))
            if git.is_dir():
                yield git


def _repository(git: Path, found: Guards, seen: set[Path]) -> None:
    """Protect one folder of git: all that git does not write itself when it commits."""
    if git in seen or not git.is_dir():
        return
    seen.add(git)
    found.pinned.append(git)
    try:
        names = os.listdir(git)
    except OSError:
        found.fixed.append(git)  # what git would obey in it is not known, and can be written by name all the same
        return
    for name in names:
        path = git / name
        if path.is_symlink() and name in {"config", "hooks", "info", "modules", "worktrees", "commondir"}:
            found.links.append((path, os.readlink(path)))
        elif name in _MEANINGLESS and read_start(path, 64) == _MEANINGLESS[name].encode():
            continue  # another command's placeholder, or as good as one
        elif not _WRITTEN_BY_GIT.fullmatch(name) and not path.is_symlink():
            (found.masked if name == "hooks" and is_empty(path) else found.fixed).append(path)
    _missing(git, names, found)
    for path in _named(git, names):
        found.fixed.append(path)
    for kind in ("modules", "worktrees"):
        for folder in _inner(git / kind, found, nested=kind == "modules"):
            found.pinned += _between(git, folder)
            _repository(folder, found, seen)


def _missing(git: Path, names: Sequence[str], found: Guards) -> None:
    """Fill the places of files that git would obey and that are not there."""
    if "HEAD" not in names:
        return  # no repository: git does not look at the rest
    if "hooks" not in names:
        found.masked.append(git / "hooks")
    known = {path for path in (*found.fixed, *(link for link, _ in found.links)) if path.parent == git}
    found.placeholders += [(git / name, content) for name, content in _MEANINGLESS.items() if git / name not in known]
    if "info" in names and (git / "info").is_dir() and not (git / "info").is_symlink():
        attributes = git / "info" / "attributes"
        if attributes.is_symlink():
            found.links.append((attributes, os.readlink(attributes)))
        elif not os.path.lexists(attributes) or (attributes.is_file() and not attributes.lstat().st_size):
            found.placeholders.append((attributes, ""))
        elif attributes.is_file():
            found.fixed.append(attributes)
        found.pinned.append(git / "info")


def _named(git: Path, names: Sequence[str]) -> list[Path]:
    """Return the files of configuration and the folders of hooks that the repository's configuration names."""
    config = git / "config"
    if "config" not in names or not re.search(rb"(?i)include|hookspath", read_start(config)):
        return []
    program = find_program("git", {})
    if program is None:
        return []
    try:
        done = subprocess.run(
            [program, "config", "--file", str(config), "--includes", "--list", "--show-origin", "-z"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
            cwd="/",
            env={"LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"},
        )
    except (OSError, subprocess.SubprocessError):
        return []
    parts = [os.fsdecode(part) for part in done.stdout.split(b"\0")]
    found = [Path(origin.removeprefix("file:")) for origin in parts[::2] if origin.startswith("file:")]
    for entry in parts[1::2]:
        key, _, value = entry.partition("\n")
        if key == "core.hookspath":
            found.append(git.parent / value)
        elif key == "include.path" or key.startswith("includeif."):
            found.append(git / value)
    return [path.resolve() for path in found if path.exists() and path.resolve() != config]


def _inner(folder: Path, found: Guards, *, nested: bool) -> Iterator[Path]:
    """Yield the folders of git of submodules (whose names may hold slashes) or of worktrees.

    One that cannot be looked into is protected whole.
    """
    if folder.is_symlink():
        return

    def closed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            found.fixed.append(Path(os.fsdecode(error.filename)))

    for root, folders, files in os.walk(folder, onerror=closed):
        if "HEAD" in files:
            yield Path(root)
            folders[:] = []
        elif not nested and root != str(folder):
            folders[:] = []


def _between(folder: Path, path: Path) -> list[Path]:
    """Return the folders between two, the outer ones first: renamed, they would take what is fixed along."""
    return [parent for parent in reversed(path.parents) if parent != folder and parent.is_relative_to(folder)]


def is_empty(path: Path) -> bool:
    """Return whether there is nothing, or an empty folder, which another command's mask may be."""
    try:
        return not any(path.iterdir())
    except FileNotFoundError:
        return True
    except OSError:
        return False


def read_start(path: Path, size: int = 1 << 20) -> bytes:
    """Return the beginning of a regular file, empty without one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with open(descriptor, "rb") as file:
        return file.read(size) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
