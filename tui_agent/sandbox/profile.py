"""What a sandboxed command may see and change. The kinds of sandbox turn this into rules of their own."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tui_agent.sandbox.protected import Guards, guard, own_code, read_start
from tui_agent.sandbox.temporary import kept_names
from tui_agent.sandbox.tree import Tree

TOOLCHAINS = (
    ".asdf",
    ".bun",
    ".cache/pre-commit",
    ".cache/pypoetry/artifacts",
    ".cache/pypoetry/virtualenvs",
    ".cargo/bin",
    ".cargo/registry",
    ".cargo/git",
    ".config/git/config",
    ".config/git/ignore",
    ".deno",
    ".gitconfig",
    ".jenv",
    ".local/bin",
    ".local/lib",
    ".local/pipx",
    ".local/share/mise",
    ".local/share/pipx",
    ".local/share/pnpm",
    ".local/share/pypoetry",
    ".local/share/uv",
    ".local/share/virtualenvs",
    ".m2/repository",
    ".nix-profile",
    ".nvm",
    ".pyenv",
    ".rbenv",
    ".rustup",
    ".sdkman/candidates",
    ".volta",
    "go",
)
"""Of the home folder, what a command may read: programs, their libraries, and who makes git's commits.

Not the rest of Poetry's cache, which holds answers of private package indexes, and not `.npmrc`,
which can hold a token.
"""

SECRET_FILES = ("/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/sudoers.d", "/etc/ssh", "/etc/ssl/private")
"""What root could read outside the homes."""

_SYSTEM = (
    "/",
    "/usr",
    "/etc",
    "/var",
    "/home",
    "/opt",
    "/lib",
    "/bin",
    "/sbin",
    "/dev",
    "/proc",
    "/sys",
    "/run",
    "/tmp",
)


_TEMPORARY = (Path("/tmp"), Path("/var/tmp"), Path("/run"))
"""Folders that commands have of their own: programs in them are shown like those in the home folder."""


_SHOWN = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store", "/gnu/store",
    "/run/current-system", "/sys/devices/system", "/var/lib/dpkg", "/var/lib/rpm", "/var/lib/pacman/local",
)  # fmt: skip
"""Of the machine, what a command that only reads sees: programs, their libraries and settings, and what is
installed."""

_WORKTREE = re.compile(r"^[ \t]*worktree[ \t]*=[ \t]*\"?([^\"\n]+)", re.MULTILINE)
"""Where the configuration of a submodule's repository says that its files are."""


class SandboxError(Exception):
    """A sandbox cannot hold this command; nothing has run. The message says why."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The rules for the commands of one session. All paths are absolute and free of symbolic links.

    `hidden` are folders and files that look empty; `readable` shows parts of them again, `writable` (the
    workspace first) even more. `fixed` inside `writable` can be read only; `masked` are paths that do not
    exist (or are empty folders) and must not come to be. `pinned` are folders that cannot be renamed, because
    what is fixed in them could be swapped so. `placeholders` and `links` see `protected.Guards`. `kept_out` are
    files and folders that look empty, `scratch` holds the session's own `tmp` and `cache`.

    With `read_only` nothing in `writable` can be written, and of the rest of the machine only `shown` is seen: the
    system's folders, some of them symbolic links, and those of the PATH.
    """

    home: Path
    scratch: Path
    writable: tuple[Path, ...]
    hidden: tuple[Path, ...]
    readable: tuple[Path, ...]
    pinned: tuple[Path, ...] = ()
    fixed: tuple[Path, ...] = ()
    masked: tuple[Path, ...] = ()
    placeholders: tuple[tuple[Path, str], ...] = ()
    links: tuple[tuple[Path, str], ...] = ()
    kept_out: tuple[Path, ...] = ()
    read_only: bool = False
    shown: tuple[Path, ...] = ()

    @property
    def workspace(self) -> Path:
        """The folder that commands start in."""
        return self.writable[0]

    @property
    def kept_in_tmp(self) -> frozenset[str] | None:
        """The names in `/tmp` that are the machine's own there; None where the session's folder cannot be `/tmp`."""
        return kept_names((*self.writable, *self.readable, *self.hidden, self.home))

    @property
    def kept_in_cache(self) -> frozenset[str]:
        """The names in the home folder's `.cache` that lead to something readable; the rest is the session's own."""
        cache = self.home / ".cache"
        return frozenset(path.relative_to(cache).parts[0] for path in self.readable if cache in path.parents)


def build_profile(
    workspace: Path,
    home: Path,
    environment: Mapping[str, str],
    scratch: Path,
    *,
    own_folders: tuple[Path, ...] = (),
    additional: tuple[Path, ...] = (),
    outputs: Path | None = None,
    trees: Callable[[Sequence[Path]], Sequence[Tree]] | None = None,
    read_only: bool = False,
) -> Profile:
    """Look at the disk and return the rules for commands in `workspace`.

    `own_folders` are this program's data and configuration; `additional` folders are writable besides the
    workspace, `outputs` can be read. `trees` returns what is known of some of the writable folders; without it, all
    is looked at anew. With `read_only`, the rules are those for commands that only read. Raises `SandboxError` for a
    workspace so wide that nothing would be protected.
    """
    home = home.resolve()
    writable = [path.resolve() for path in (workspace, *additional)]
    for folder in writable:
        if holds_all(folder, home):
            raise SandboxError(
                f"{folder} holds the home folder or the system: a sandbox around it would protect nothing"
            )
    own = [path.resolve() for path in own_folders]
    for folder in writable:
        for path in own:
            if path.is_relative_to(folder):
                raise SandboxError(f"{folder} holds this program's own folder {path}")
    hidden = [home, Path("/home"), Path("/root"), *own, *(Path(path) for path in SECRET_FILES), *_closed_settings()]
    hidden += _listening([*hidden, *writable, *_TEMPORARY])
    around: list[Path] = []
    repositories: list[Path] = []
    for folder in list(writable):
        found = _repository(folder)
        if found is not None and not holds_all(found[0], home) and not holds_all(found[1], home):
            root, git = found
            if not any(root.is_relative_to(known) for known in writable):
                around.append(root)
            if not any(git.is_relative_to(known) for known in writable):
                writable.append(git)
            repositories.append(git)
    guards = Guards()
    if not read_only:
        nested = [folder for folder in writable if folder not in repositories]
        known = trees(nested) if trees is not None else [Tree(str(folder)) for folder in nested]
        guards = guard(writable, repositories, known, own_code())
    shown = _system(environment, [*hidden, *writable, *_TEMPORARY]) if read_only else ()
    return Profile(
        home=home,
        scratch=scratch.resolve(),
        writable=tuple(writable),
        hidden=_outermost([path for path in hidden if path.exists() and not path.is_symlink()]),
        readable=(
            *_toolchains(home, [*hidden, *_TEMPORARY], environment),
            *([outputs.resolve()] if outputs is not None and outputs.is_dir() else ()),
            *dict.fromkeys(around),
        ),
        pinned=tuple(guards.pinned),
        fixed=tuple(guards.fixed),
        masked=tuple(guards.masked),
        placeholders=tuple(guards.placeholders),
        links=tuple(guards.links),
        read_only=read_only,
        shown=shown,
    )


def holds_all(folder: Path, home: Path) -> bool:
    """Return whether `folder`, real, is or holds the home folder, or is a folder of the system."""
    return home.is_relative_to(folder) or str(folder) in _SYSTEM


def _repository(workspace: Path) -> tuple[Path, Path] | None:
    """Return the folder of files and the `.git` folder of the repository around `workspace`, as git finds it.

    A `.git` file can name any folder, so one that it names counts only if that names the file's folder in turn: as a
    worktree's or a submodule's does.
    """
    for folder in (workspace, *workspace.parents):
        dot_git = folder / ".git"
        if dot_git.is_symlink():
            # Git follows it; one that leads out of the folder opens nothing.
            real = dot_git.resolve()
            return (folder, real) if real.is_dir() and real.is_relative_to(folder) else None
        if dot_git.is_dir() and (folder == workspace or (dot_git / "HEAD").exists()):
            return folder, dot_git
        if dot_git.is_file():
            found = _named_repository(dot_git)
            return (folder, found) if found is not None else None
    return None


def _named_repository(dot_git: Path) -> Path | None:
    """Return the repository's folder that a `.git` file names, None if that does not name the file in turn."""
    try:
        named = _text(dot_git).removeprefix("gitdir:").strip()
        own = (dot_git.parent / named).resolve()
        if (own / "commondir").is_file():
            back = Path(_text(own / "gitdir"))
            common = (own / _text(own / "commondir")).resolve()
            return common if (own / back).resolve() == dot_git.resolve() and own.is_relative_to(common) else None
        tree = _WORKTREE.search(_text(own / "config"))
        if ".git" in own.parts and "modules" in own.parts and tree is not None:
            return own if (own / tree[1].strip()).resolve() == dot_git.parent.resolve() else None
    except (OSError, ValueError):
        pass
    return None


def _text(path: Path) -> str:
    return os.fsdecode(read_start(path)).strip()


def _toolchains(home: Path, hidden: list[Path], environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return what of the hidden folders programs need: the folders of PATH and well-known places."""
    found = [home / name for name in TOOLCHAINS]
    found.append(Path("/home/linuxbrew/.linuxbrew"))
    # For `forward`, which runs inside.
    found += [Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parent]
    virtual = environment.get("VIRTUAL_ENV", "")
    if virtual:
        found.append(Path(virtual))
    for entry in environment.get("PATH", "").split(":"):
        path = Path(entry)
        if path.is_absolute():
            # Programs find their libraries beside the folder they are in.
            found.append(path.parent if path.name in {"bin", "sbin"} and _is_prefix(path.parent) else path)
    seen = []
    roots = [str(root) for root in hidden]  # compared as text: this is done for every command
    for path in found:
        real = os.path.realpath(path)
        if any(_within(root, real) for root in roots) or not os.path.exists(real):
            continue
        if any(_within(real, root) for root in roots):
            seen.append(Path(real))
            if _within(str(path), str(home)) and str(path) != real:
                seen.append(path)
    return _outermost([path for path in seen if not path.is_symlink()])


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _system(environment: Mapping[str, str], elsewhere: Sequence[Path]) -> tuple[Path, ...]:
    """Return the folders and links of the system that a command that only reads sees.

    Folders of the PATH count too, unless they are in one of those that are shown or hidden for themselves.
    """
    found = [Path(name) for name in _SHOWN if os.path.lexists(name)]
    real = [path for path in found if not path.is_symlink()]
    for entry in environment.get("PATH", "").split(":"):
        folder = Path(os.path.realpath(entry))
        if folder.name in {"bin", "sbin"} and _is_prefix(folder.parent):
            folder = folder.parent  # with the libraries of its programs
        if not os.path.isabs(entry) or not folder.is_dir() or str(folder) in _SYSTEM:
            continue
        if not any(folder.is_relative_to(known) or known.is_relative_to(folder) for known in (*real, *elsewhere)):
            found.append(folder)
    return tuple(path for path in found if path.is_symlink() or str(path.resolve()) == str(path))


def _listening(elsewhere: Sequence[Path]) -> list[Path]:
    """Return the sockets in the file system that some program listens on: a command could act through them.

    Those in `elsewhere` are hidden already, or belong to the workspace.
    """
    try:
        with open("/proc/net/unix", "rb") as file:
            rows = file.read().splitlines()
    except OSError:
        return []
    names = {os.fsdecode(row.split(None, 7)[7]) for row in rows if row.count(b" /") == 1}
    return [
        path
        for path in map(Path, sorted(names))
        if not any(path.is_relative_to(known) for known in elsewhere) and path.resolve() == path
    ]


@cache
def _closed_settings() -> tuple[Path, ...]:
    """Return what in /etc an ordinary user could not read. Only root has to ask: it owns all that (blocking)."""
    found: list[Path] = []
    for root, folders, files in os.walk("/etc") if os.geteuid() == 0 else ():
        shut = [name for name in folders if _closed(os.path.join(root, name), 0o005)]
        folders[:] = [name for name in folders if name not in shut]
        found += [Path(root, name) for name in (*shut, *(f for f in files if _closed(os.path.join(root, f), 0o004)))]
    return tuple(found)


def _closed(path: str, bits: int) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return not stat.S_ISLNK(found.st_mode) and found.st_mode & bits != bits


def _is_prefix(folder: Path) -> bool:
    """Return whether `folder` is a tree of programs with libraries, not merely a folder that has a `bin`."""
    return any((folder / name).exists() for name in ("lib", "pyvenv.cfg", "libexec")) and not folder.name.startswith(
        (".cargo", ".local")
    )


def _outermost(paths: list[Path]) -> tuple[Path, ...]:
    kept: list[Path] = []
    for path in sorted(set(paths)):
        if not any(_within(str(path), str(other)) for other in kept):
            kept.append(path)
    return tuple(kept)
