"""Memory files: AGENTS.md and CLAUDE.md, which tell the agent how a person or a project wants things done."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

NAMES = ("AGENTS.md", "CLAUDE.md")
"""In each folder the first of these that exists is taken; many projects link one to the other."""

SIZE_LIMIT = 40_000
"""Bytes of one memory file that are taken; the rest is dropped with a remark."""


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """One memory file: where it is, what it says, the SHA-256 of its bytes."""

    path: Path
    text: str
    sha256: str


def _read(folder: Path) -> MemoryFile | None:
    for name in NAMES:
        path = folder / name
        try:
            data = path.read_bytes()
        except OSError:
            continue
        text = data[:SIZE_LIMIT].decode("utf-8", "replace").strip()
        if len(data) > SIZE_LIMIT:
            text += f"\n[cut at {SIZE_LIMIT} bytes; read {path} for the rest]"
        if text:
            return MemoryFile(path, text, hashlib.sha256(data).hexdigest())
    return None


def load_memory(config_dir: Path, workspace: Path) -> list[MemoryFile]:
    """Return the person's own memory file, then the project's, from the repository's root down to the workspace."""
    folders = [config_dir, *reversed(_up_to_repository(workspace))]
    return [found for folder in folders if (found := _read(folder))]


def nested_memory(workspace: Path, touched: Path, loaded: Collection[str]) -> list[MemoryFile]:
    """Return memory files of folders between the workspace and a touched path that are not loaded yet."""
    found = []
    try:
        parts = touched.resolve().relative_to(workspace.resolve()).parts[:-1]
    except (ValueError, OSError):
        return []
    folder = workspace.resolve()
    for part in parts:
        folder /= part
        memory = _read(folder)
        if memory and str(memory.path) not in loaded:
            found.append(memory)
    return found


def _up_to_repository(workspace: Path) -> list[Path]:
    """Return the workspace and its parents up to the repository that holds it; only itself outside of one."""
    chain = [workspace, *workspace.parents]
    for index, folder in enumerate(chain):
        if (folder / ".git").exists():
            return chain[: index + 1]
    return [workspace]
