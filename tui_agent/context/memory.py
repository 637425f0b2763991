"""Memory files: AGENTS.md and CLAUDE.md, which tell the agent how the user or a project wants things done.

A line of one can bring another file along: `@path`, from the file's own folder, `~` for the home. Code blocks and
code spans bring nothing. A project's file brings only what is inside the project; the user's own, anything. What is
refused or missing is among the problems.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tui_agent.config.untrusted import UntrustedFileError, read_untrusted
from tui_agent.events import FileState
from tui_agent.permissions import secret_level

NAMES = ("AGENTS.md", "CLAUDE.md", ".claude/CLAUDE.md", "CLAUDE.local.md")
"""In each folder all of these that exist are taken, in this order; of two that say the same, one is."""

OWN_NAMES = ("AGENTS.md", "CLAUDE.md")
"""The user's own, in the configuration folder; besides, `~/.claude/CLAUDE.md`."""

SIZE_LIMIT = 40_000
"""Bytes of one memory file that are taken; the rest is dropped with a remark."""

LARGEST = 2 * 1024 * 1024
"""Bytes of a file that is read at all."""

IMPORT_DEPTH = 5
"""How far imports of imports go."""

MOST_IMPORTS = 20
"""Files that one memory file brings along, with their own imports."""

_IMPORT = re.compile(r"(?<!\S)@(?P<path>(?:\\ |[^\s`])+)")
_CODE_SPAN = re.compile(r"(`+).*?\1")
_FENCE = re.compile(r"\s*(```|~~~)")


_LIKE_A_FILE = re.compile(r"(?:~/|\./|\.\./|/).*|.*\.[A-Za-z][A-Za-z0-9]{0,4}")
"""What is meant as an import; other words after an @ are names of people and packages."""


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """One memory file: where it is, what it says, the SHA-256 of its bytes, and the file that imports it, if any.

    `own` says that it is the user's and not the project's.
    """

    path: Path
    text: str
    sha256: str
    imported_by: Path | None = None
    own: bool = False

    def block(self) -> str:
        """Return what the model reads of it."""
        origin = f" (imported by {self.imported_by})" if self.imported_by else ""
        return f"Instructions from {self.path}{origin}:\n\n{self.text}"


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory files of a session in the order they are sent, and what was not read and why.

    `project` is the folder that the project's files belong to: the repository, or the workspace.
    """

    project: Path
    files: tuple[MemoryFile, ...]
    problems: tuple[str, ...] = ()


def import_paths(text: str) -> Iterator[str]:
    """Return the paths that a memory file imports, as they are written."""
    fence = ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if mark:
            fence = "" if fence == mark[1] else fence or mark[1]
            continue
        if not fence:
            for match in _IMPORT.finditer(_CODE_SPAN.sub(" ", line)):
                yield match["path"].replace("\\ ", " ")


@dataclass
class _Loader:
    """Reads memory files with what they import; each file, and each content, is taken once."""

    home: Path
    seen: set[str] = field(default_factory=set)
    contents: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def load(self, paths: Iterable[Path], inside: Path | None) -> list[MemoryFile]:
        """Return the files among `paths` with their imports; `inside` is the folder they may not leave."""
        found: list[MemoryFile] = []
        for path in paths:
            file = self._read(path, inside)
            if file is not None:
                imports = list(self._imports(file, inside, 1))
                if len(imports) > MOST_IMPORTS:
                    self.problems.append(f"{path} imports more than {MOST_IMPORTS} files; the others are not read")
                found += [file, *imports[:MOST_IMPORTS]]
        return found

    def _imports(self, file: MemoryFile, inside: Path | None, depth: int) -> Iterator[MemoryFile]:
        for written in import_paths(file.text):
            if depth > IMPORT_DEPTH:
                self.problems.append(f"{file.path}: @{written} is not read: imports go {IMPORT_DEPTH} files deep")
                return
            found = self._import(written, file, inside)
            if found is not None:
                yield found
                yield from self._imports(found, inside, depth + 1)

    def _import(self, written: str, file: MemoryFile, inside: Path | None) -> MemoryFile | None:
        names = dict.fromkeys((written, written.rstrip(".,;:!?)")))
        for name in names:
            path = self.home / name[2:] if name.startswith("~/") else file.path.parent / name
            try:
                if path.is_file():
                    return self._read(path, inside, file.path)
            except (OSError, ValueError):
                continue
        likely = next((name for name in reversed(names) if _LIKE_A_FILE.fullmatch(name)), "")
        if likely:
            self.problems.append(f"{file.path} imports @{likely}, which is no file")
        return None

    def _read(self, path: Path, inside: Path | None, imported_by: Path | None = None) -> MemoryFile | None:
        try:
            found = read_untrusted(path, beneath=inside, limit=LARGEST)
        except FileNotFoundError:
            return None
        except UntrustedFileError as error:
            self.problems.append(str(error))
            return None
        if inside is not None and secret_level(str(found.path), len(str(inside))):
            self.problems.append(f"{path} is not read: {found.path.name} is a file for secrets")
            return None
        shown = path if imported_by is None else found.path
        if str(found.path) in self.seen or found.sha256 in self.contents:
            return None
        if b"\0" in found.data:
            self.problems.append(f"{path} is not read: it is no text")
            return None
        text = found.data[:SIZE_LIMIT].decode("utf-8", "replace").strip()
        if not text:
            return None
        if len(found.data) > SIZE_LIMIT:
            text += f"\n[cut at {SIZE_LIMIT} bytes; read {path} for the rest]"
        self.seen.add(str(found.path))
        self.contents.add(found.sha256)
        return MemoryFile(shown, text, found.sha256, imported_by, own=inside is None)


def load_memory(config_dir: Path, workspace: Path, home: Path) -> Memory:
    """Return the user's own memory files, then the project's, from the repository's root down to the workspace.

    Each is followed by what it imports. Blocking.
    """
    loader = _Loader(home)
    chain = _up_to_repository(workspace)
    project = chain[-1].resolve()
    own = [*(config_dir / name for name in OWN_NAMES), home / ".claude" / "CLAUDE.md"]
    files = loader.load(own, None)
    for folder in reversed(chain):
        if folder != home:  # its .claude/CLAUDE.md is the user's own
            files += loader.load((folder / name for name in NAMES), project)
    return Memory(project, tuple(files), tuple(loader.problems))


def nested_memory(workspace: Path, touched: Iterable[FileState], loaded: Collection[str], home: Path) -> Memory:
    """Return memory files of folders between the workspace and the touched files that are not loaded yet.

    Each is followed by what it imports. Blocking.
    """
    root = workspace.resolve()
    loader = _Loader(home, {str(Path(path).resolve()) for path in loaded})
    found: list[MemoryFile] = []
    for file in touched:
        try:
            parts = Path(file.path).resolve().relative_to(root).parts[:-1]
        except (ValueError, OSError):
            continue
        folder = root
        for part in parts:
            folder /= part
            found += loader.load((folder / name for name in NAMES), root)
    return Memory(_up_to_repository(workspace)[-1].resolve(), tuple(found), tuple(loader.problems))


def _up_to_repository(workspace: Path) -> list[Path]:
    """Return the workspace and its parents up to the repository that holds it; only itself outside of one."""
    chain = [workspace, *workspace.parents]
    for index, folder in enumerate(chain):
        if (folder / ".git").exists():
            return chain[: index + 1]
    return [workspace]
