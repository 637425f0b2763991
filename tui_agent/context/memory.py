"""Memory files: AGENTS.md and CLAUDE.md, which tell the agent how a person or a project wants things done.

A line of one can bring another file along: `@path`, from the file's own folder, `~` for the home. Code blocks and
code spans bring nothing. A project's file brings only what is inside the project; the person's own, anything.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tui_agent.events import FileState

NAMES = ("AGENTS.md", "CLAUDE.md")
"""In each folder the first of these that exists is taken; many projects link one to the other."""

SIZE_LIMIT = 40_000
"""Bytes of one memory file that are taken; the rest is dropped with a remark."""

IMPORT_DEPTH = 5
"""How far imports of imports go."""

MOST_IMPORTS = 20
"""Files that one memory file brings along, with their own imports."""

_IMPORT = re.compile(r"(?<!\S)@(?P<path>(?:\\ |[^\s`])+)")
_CODE_SPAN = re.compile(r"(`+).*?\1")
_FENCE = re.compile(r"\s*(```|~~~)")


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """One memory file: where it is, what it says, the SHA-256 of its bytes, and the file that imports it, if any."""

    path: Path
    text: str
    sha256: str
    imported_by: Path | None = None

    def block(self) -> str:
        """Return what the model reads of it."""
        origin = f" (imported by {self.imported_by})" if self.imported_by else ""
        return f"Instructions from {self.path}{origin}:\n\n{self.text}"


def _read(path: Path, imported_by: Path | None = None) -> MemoryFile | None:
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            data = file.read(64 * SIZE_LIMIT)
    except OSError:
        return None
    if b"\0" in data:
        return None
    text = data[:SIZE_LIMIT].decode("utf-8", "replace").strip()
    if len(data) > SIZE_LIMIT:
        text += f"\n[cut at {SIZE_LIMIT} bytes; read {path} for the rest]"
    return MemoryFile(path, text, hashlib.sha256(data).hexdigest(), imported_by) if text else None


def _in_folder(folder: Path) -> MemoryFile | None:
    return next((found for name in NAMES if (found := _read(folder / name))), None)


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


class _Loader:
    """Reads memory files with what they import; each file is taken once."""

    def __init__(self, home: Path, loaded: Collection[str] = ()) -> None:
        self._home = home
        self._seen = {str(Path(path).resolve()) for path in loaded}

    def load(self, folder: Path, inside: Path | None) -> list[MemoryFile]:
        """Return the folder's memory file and its imports; `inside` is the folder they may not leave."""
        found = _in_folder(folder)
        if found is None or not self._take(found.path):
            return []
        return [found, *self._imports(found, inside, 1)][: MOST_IMPORTS + 1]

    def _imports(self, file: MemoryFile, inside: Path | None, depth: int) -> Iterator[MemoryFile]:
        if depth > IMPORT_DEPTH:
            return
        for written in import_paths(file.text):
            path = self._target(written, file.path.parent)
            if path is None or (inside is not None and not path.is_relative_to(inside)):
                continue
            found = _read(path, file.path)
            if found is not None and self._take(path):
                yield found
                yield from self._imports(found, inside, depth + 1)

    def _target(self, written: str, folder: Path) -> Path | None:
        for name in (written, written.rstrip(".,;:!?)")):
            path = self._home / name[2:] if name.startswith("~/") else folder / name
            try:
                real = path.resolve()
                if real.is_file():
                    return real
            except (OSError, ValueError):
                continue
        return None

    def _take(self, path: Path) -> bool:
        real = str(path.resolve())
        if real in self._seen:
            return False
        self._seen.add(real)
        return True


def load_memory(config_dir: Path, workspace: Path, home: Path) -> list[MemoryFile]:
    """Return the person's own memory file, then the project's, from the repository's root down to the workspace.

    Each is followed by what it imports. Blocking.
    """
    loader = _Loader(home)
    chain = _up_to_repository(workspace)
    project = chain[-1].resolve()
    files = loader.load(config_dir, None)
    for folder in reversed(chain):
        files += loader.load(folder, project)
    return files


def nested_memory(
    workspace: Path, touched: Iterable[FileState], loaded: Collection[str], home: Path
) -> list[MemoryFile]:
    """Return memory files of folders between the workspace and the touched files that are not loaded yet.

    Each is followed by what it imports. Blocking.
    """
    root = workspace.resolve()
    loader = _Loader(home, loaded)
    found = []
    for file in touched:
        try:
            parts = Path(file.path).resolve().relative_to(root).parts[:-1]
        except (ValueError, OSError):
            continue
        folder = root
        for part in parts:
            folder /= part
            found += loader.load(folder, root)
    return found


def _up_to_repository(workspace: Path) -> list[Path]:
    """Return the workspace and its parents up to the repository that holds it; only itself outside of one."""
    chain = [workspace, *workspace.parents]
    for index, folder in enumerate(chain):
        if (folder / ".git").exists():
            return chain[: index + 1]
    return [workspace]
