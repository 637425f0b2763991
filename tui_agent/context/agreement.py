"""Which projects' memory files the user has agreed to give to the model.

Kept in `AGREED_FILE` of the configuration folder: for each project folder the SHA-256 of the memory files that the
user agreed to. A file that has changed since is held back until they agree again. Files of folders below come with
the first file that is read there; they need the user's agreement to the project, whatever it had then.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tui_agent.config.untrusted import UntrustedFileError, read_untrusted
from tui_agent.context.memory import Memory, MemoryFile

AGREED_FILE = "agreed-memory.json"

MemoryChoice = Literal["ask", "always", "never"]
"""What is done with a project's memory files: ask the user once, give them to the model, or leave them out."""

_LARGEST = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Chosen:
    """The memory files that go to the model, and those of the project that wait for the user's agreement."""

    given: tuple[MemoryFile, ...]
    held: tuple[MemoryFile, ...]


def choose_memory(memory: Memory, choice: MemoryChoice, config: Path) -> Chosen:
    """Return which files go to the model. Blocking."""
    agreed = frozenset(_read(config).get(str(memory.project), ()))
    given, held = [], []
    for file in memory.files:
        if file.own or choice == "always" or (choice == "ask" and file.sha256 in agreed):
            given.append(file)
        elif choice == "ask":
            held.append(file)
    return Chosen(tuple(given), tuple(held))


def is_agreed(project: Path, choice: MemoryChoice, config: Path) -> bool:
    """Say whether memory files of folders below the project go to the model. Blocking."""
    return choice == "always" or (choice == "ask" and str(project) in _read(config))


def agree(memory: Memory, shown: Collection[str], config: Path) -> None:
    """Remember that the user agrees to the project's memory files whose SHA-256 is among those they were `shown`.

    Raises `OSError`.
    """
    entries = _read(config)
    project = [file.sha256 for file in memory.files if not file.own and file.sha256 in shown]
    entries[str(memory.project)] = sorted({*project, *entries.get(str(memory.project), ())})
    _write(config / AGREED_FILE, entries)


def describe_held(held: Iterable[MemoryFile]) -> list[str]:
    """Return a line for each file: its path, its lines and its bytes."""
    lines = []
    for file in held:
        count = file.text.count("\n") + 1
        size = len(file.text.encode("utf-8", "surrogatepass"))
        lines.append(f"{file.path} ({count:,} line{'' if count == 1 else 's'}, {size:,} bytes)")
    return lines


def _read(config: Path) -> dict[str, Sequence[str]]:
    """Return what the user agreed to; nothing where the file is missing or damaged."""
    try:
        found = json.loads(read_untrusted(config / AGREED_FILE, beneath=None, limit=_LARGEST).data)
    except (FileNotFoundError, UntrustedFileError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(name): [str(item) for item in value] for name, value in found.items() if isinstance(value, list)}


def _write(path: Path, entries: dict[str, Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(entries, file, indent=1)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
