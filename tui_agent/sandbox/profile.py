"""What a sandboxed command may see and change. The kinds of sandbox turn this into rules of their own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tui_agent.sandbox.temporary import kept_names

PROTECTED = (".tui-agent", ".claude", ".mcp.json")
"""Settings of a workspace that steer this program or other agents: fixed for a command even where missing."""

PROTECTED_IF_THERE = (".vscode", ".idea", ".envrc")
"""Settings of other programs that run code when the folder is opened."""

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
    what is fixed in them could be swapped so. `kept_out` are files and folders in `writable` that look empty.
    `scratch` holds the session's own `tmp` and `cache`.
    """

    home: Path
    scratch: Path
    writable: tuple[Path, ...]
    hidden: tuple[Path, ...]
    readable: tuple[Path, ...]
    pinned: tuple[Path, ...] = ()
    fixed: tuple[Path, ...] = ()
    masked: tuple[Path, ...] = ()
    kept_out: tuple[Path, ...] = ()

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
) -> Profile:
    """Look at the disk and return the rules for commands in `workspace`.

    `own_folders` are this program's data and configuration; `additional` folders are writable besides the
    workspace, `outputs` can be read. Raises `SandboxError` for a workspace so wide that nothing would be protected.
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
    hidden = [home, Path("/home"), Path("/root"), *own, *(Path(path) for path in SECRET_FILES)]
    pinned: list[Path] = []
    fixed: list[Path] = []
    masked: list[Path] = []
    around: list[Path] = []
    for folder in list(writable):
        found = _repository(folder)
        if found is not None and not holds_all(found[0], home):
            root, git = found
            if not any(root.is_relative_to(known) for known in writable):
                around.append(root)
            if not any(git.is_relative_to(known) for known in writable):
                writable.append(git)
            if git.is_dir():
                pinned.append(git)
                if not (git / "hooks").is_symlink():
                    (masked if _is_empty(git / "hooks") else fixed).append(git / "hooks")
                fixed += [git / name for name in ("config", "config.worktree") if _is_plain(git / name)]
        if _is_plain(folder / ".git"):
            fixed.append(folder / ".git")
        for path in (folder / name for name in PROTECTED):
            if not path.is_symlink():
                (masked if _is_empty(path) else fixed).append(path)
        fixed += [
            folder / name
            for name in PROTECTED_IF_THERE
            if (folder / name).exists() and not (folder / name).is_symlink()
        ]
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
        pinned=tuple(pinned),
        fixed=tuple(fixed),
        masked=tuple(masked),
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
            return None
        if dot_git.is_dir() and (folder == workspace or (dot_git / "HEAD").exists()):
            return folder, dot_git
        if dot_git.is_file():
            found = _named_repository(dot_git)
            return (folder, found) if found is not None else None
    return None


def _named_repository(dot_git: Path) -> Path | None:
    """Return the repository's folder that a `.git` file names, None if that does not name the file in turn."""
    try:
        named = dot_git.read_text().removeprefix("gitdir:").strip()
        own = (dot_git.parent / named).resolve()
        if (own / "commondir").is_file():
            back = Path((own / "gitdir").read_text().strip())
            common = (own / (own / "commondir").read_text().strip()).resolve()
            return common if (own / back).resolve() == dot_git.resolve() and own.is_relative_to(common) else None
        tree = _WORKTREE.search((own / "config").read_text())
        if ".git" in own.parts and "modules" in own.parts and tree is not None:
            return own if (own / tree[1].strip()).resolve() == dot_git.parent.resolve() else None
    except (OSError, UnicodeDecodeError):
        pass
    return None


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
    for path in found:
        real = Path(os.path.realpath(path))
        if any(real == root or root.is_relative_to(real) for root in hidden) or not real.exists():
            continue
        if any(real.is_relative_to(root) for root in hidden):
            seen.append(real)
            if path.is_relative_to(home) and path != real:
                seen.append(path)
    return _outermost([path for path in seen if not path.is_symlink()])


def _is_prefix(folder: Path) -> bool:
    """Return whether `folder` is a tree of programs with libraries, not merely a folder that has a `bin`."""
    return any((folder / name).exists() for name in ("lib", "pyvenv.cfg", "libexec")) and not folder.name.startswith(
        (".cargo", ".local")
    )


def _outermost(paths: list[Path]) -> tuple[Path, ...]:
    kept: list[Path] = []
    for path in sorted(set(paths)):
        if not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
    return tuple(kept)


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_empty(path: Path) -> bool:
    """Return whether there is nothing, or an empty folder, which another command's mask may be."""
    try:
        return not any(path.iterdir())
    except FileNotFoundError:
        return True
    except OSError:
        return False
