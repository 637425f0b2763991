"""Reading a TOML file that somebody else wrote: every fault becomes a problem with its file and line."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_agent.config.untrusted import UntrustedFileError, read_untrusted

MAX_BYTES = 256 * 1024
"""Bytes a settings file may have; more is a mistake, and would be read on every start."""

_AT_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)$")
_MOST_CANDIDATES = 40
"""Lines with a key's text that are looked at, so that no file takes long."""

_MOST_LINES = 200
"""Lines that one value may have for its place in it to be found."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in what the user or a project configured. `line` counts from 1, None if unknown.

    `message` can quote the file, so it is outside text: make it inert before it reaches a terminal.
    """

    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


class TomlFileError(Exception):
    """The file cannot be used at all; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class TomlFile:
    """The values of a file, with its text to find lines in."""

    path: Path
    text: str
    values: dict[str, Any]

    def problem(self, key: str, message: str, *below: str | int) -> Problem:
        """Return a problem at the line of the top-level `key`, or of what is `below` it: keys, places in arrays."""
        return Problem(str(self.path), self.line_of(key, *below), message)

    def line_of(self, *path: str | int) -> int | None:
        """Return the line, from 1, of the value at `path`; of the deepest part that is found, None where none is."""
        lines = self.text.splitlines(keepends=True)
        found: int | None = None
        for length in range(1, len(path) + 1):
            part, last = path[:length], path[length - 1]
            line = _line_of_key(lines, part) if isinstance(last, str) else _line_of_element(lines, part, found)
            found = line or found
        return found


def _line_of_key(lines: list[str], path: tuple[str | int, ...]) -> int | None:
    """Return the line at which the value at `path` comes to be, its last part being a key."""
    key = re.escape(str(path[-1]))
    mention = re.compile(rf"(?<![\w-]){key}(?![\w-])")
    candidates = [number for number, line in enumerate(lines) if mention.search(line)]
    for number in candidates[:_MOST_CANDIDATES]:
        # The same text can stand in a comment, a long string or another table: only the parser knows.
        before = _parsed("".join(lines[:number]))
        if before is None or _holds(before, path):
            continue
        for end in range(number + 1, min(number + 1 + _MOST_LINES, len(lines)) + 1):
            after = _parsed("".join(lines[:end]))
            if after is not None:
                if _holds(after, path):
                    return number + 1
                break
    return None


def _line_of_element(lines: list[str], path: tuple[str | int, ...], begin: int | None) -> int | None:
    """Return the line of an element of an array that begins at line `begin`, or of a table in an array of tables."""
    for end in range(begin or 1, min((begin or 1) + _MOST_LINES, len(lines)) + 1):
        text = "".join(lines[:end])
        for closing in ("", "]"):
            parsed = _parsed(text + closing)
            if parsed is not None and _holds(parsed, path):
                return end
    return None


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None


def _holds(value: Any, path: tuple[str | int, ...]) -> bool:
    for part in path:
        inside = range(len(value)) if isinstance(value, list) else value if isinstance(value, dict) else ()
        if part not in inside:
            return False
        value = value[part]
    return True


def read_toml(path: Path, *, beneath: Path | None = None) -> TomlFile | None:
    """Read a TOML file; None if there is none. Raises `TomlFileError` when it cannot be used.

    `beneath` is the project that brings the file and that it must really be in; None for the user's own file.
    """
    try:
        data = read_untrusted(path, beneath=beneath, limit=MAX_BYTES).data
    except FileNotFoundError:
        return None
    except UntrustedFileError as error:
        raise TomlFileError(Problem(str(path), None, f"not read: {error.reason}")) from error
    return parse_toml(path, data)


def parse_toml(path: Path, data: bytes) -> TomlFile:
    """Return what the bytes of a TOML file say. Raises `TomlFileError`; `path` is for its messages."""
    name = str(path)
    try:
        text = data.decode("utf-8-sig")  # editors on Windows put a byte order mark first
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TomlFileError(Problem(name, line, "not UTF-8 text")) from error
    try:
        return TomlFile(path, text, tomllib.loads(text))
    except (ValueError, RecursionError) as error:
        message = str(error)
        found = _AT_LINE.search(message)
        line_number = int(found.group(1)) if found else None
        if message.endswith("(at end of document)"):
            line_number = text.count("\n") + 1
        what = message[: found.start()] if found else message
        raise TomlFileError(Problem(name, line_number, f"not valid TOML: {what}")) from error
