"""Folders that a session may use like its workspace: who adds them, and which may be added.

They come from three sources, the keys of `ConversationState.folders`: `session` (`--add-dir` and `/add-dir`, kept
when the session is resumed), `settings` (the user's `additional_directories`, as they are at each start) and `files`
(`permissions.additionalDirectories` of `.claude/settings.json`, of a project only while it is trusted).

What is written in an added folder decides nothing: its own rules and memory files do not count.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tui_agent.permissions import LoadedRules, as_spelled, secret_level
from tui_agent.sandbox import SECRET_FILES, holds_all
from tui_agent.session.errors import SessionError
from tui_agent.text import inert_line

_STEERING = frozenset({".git", ".claude", ".tui-agent"})
_KERNEL = ("/dev", "/proc", "/sys")


@dataclass(frozen=True, slots=True)
class FolderGuard:
    """Decides which folders may be added to a session in `workspace`. `own` are this program's own folders."""

    workspace: Path
    home: Path
    own: Sequence[Path]

    def checked(self, text: str) -> str:
        """Return the real path of a folder to add, relative to the workspace; `~` is the home. Blocking.

        Raises `SessionError`, which says why, for what may not be added.
        """
        shown = inert_line(text)
        try:
            os.fsencode(text)
        except UnicodeEncodeError:
            raise SessionError(f"{shown} cannot be added: a path cannot hold these characters") from None
        if not text.strip() or "\0" in text:
            raise SessionError("no folder was named: write its path")
        path = str(self.home) + text[1:] if text == "~" or text.startswith("~/") else text
        real = os.path.realpath(as_spelled(os.path.join(self.workspace, path)))  # noqa: PTH118 -- Path drops what is odd
        if reason := self.refusal(real):
            raise SessionError(f"{shown} cannot be added: {reason}")
        return real

    def named(self, text: str) -> str:
        """Return the path that a folder's name stands for, as `checked` does, whether or not it may be added."""
        path = str(self.home) + text[1:] if text == "~" or text.startswith("~/") else text
        whole = os.path.normpath(os.path.join(self.workspace, path))  # noqa: PTH118 -- as in `checked`
        return os.path.realpath(whole) if os.path.lexists(whole) and "\0" not in text else whole

    def refusal(self, real: str) -> str:
        """Return why the folder at a real path may not be used like the workspace, empty if it may. Blocking.

        It is asked again before each use: the folder may have become a link, or be gone.
        """
        path = Path(real)
        try:
            if not os.path.lexists(real):
                return "it does not exist"
            if os.path.realpath(real) != real:
                return "it has become a link to another place"
            if not path.is_dir():
                return "it is not a folder"
            if not os.access(real, os.R_OK | os.X_OK):
                return "it cannot be read"
        except (OSError, ValueError) as error:
            return f"it cannot be read: {error}"
        if holds_all(path, self.home.resolve()):
            return "it is the home folder, holds it, or is a folder of the system; name a folder further down"
        for own in (folder.resolve() for folder in self.own):
            if own.is_relative_to(path) or path.is_relative_to(own):
                return f"this program keeps its own data or settings there ({own})"
        if steering := _STEERING.intersection(part.casefold() for part in path.parts):
            return f"what is in {min(steering)} steers git or an agent, and stays protected"
        if any(path.is_relative_to(folder) for folder in _KERNEL):
            return "it holds devices or kernel settings"
        if secret_level(f"{real}/") or any(path.is_relative_to(secret) for secret in SECRET_FILES):
            return "it holds keys or credentials"
        return ""

    def is_open(self, real: str) -> bool:
        """Say whether a real path is in the workspace, where nothing needs to be added. Blocking."""
        return Path(real).is_relative_to(os.path.realpath(self.workspace))

    def listed(self, named: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
        """Return the real paths of the folders that may be added, and what to say of the others. Blocking.

        `named` are folders as written, each with where that stands.
        """
        found: list[str] = []
        problems: list[str] = []
        for text, where in named:
            try:
                real = self.checked(text)
            except SessionError as error:
                problems.append(f"{where}: {error}")
                continue
            if real not in found and not self.is_open(real):
                found.append(real)
        return found, problems

    def usable(self, folders: Iterable[str]) -> tuple[str, ...]:
        """Return those of the added folders that may be used now. Blocking."""
        return tuple(folder for folder in folders if not self.is_open(folder) and not self.refusal(folder))

    def from_settings(self, folders: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return the folders that the settings add, and what to say of those that they may not. Blocking."""
        return self.listed((folder, "additional_directories in settings.toml") for folder in folders)

    def from_files(self, rules: LoadedRules) -> tuple[list[str], list[str]]:
        """Return the folders that rule files add, and what to say of those that they may not. Blocking."""
        return self.listed((named.text, f"{named.file}:{named.line}") for named in rules.folders)
