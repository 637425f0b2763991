"""Reading a TOML file that somebody else wrote: every fault becomes a problem with its file and line."""

from __future__ import annotations

import re
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_BYTES = 256 * 1024
"""Bytes a settings file may have; more is a mistake, and would be read on every start."""

_AT_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)$")
_MOST_CANDIDATES = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in what the person or a project configured. `line` counts from 1, None if unknown.

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

    def problem(self, key: str, message: str) -> Problem:
        """Return a problem at the line where the top-level `key` is set."""
        return Problem(str(self.path), self.line_of(key), message)

    def line_of(self, key: str) -> int | None:
        """Return the line where the top-level `key` begins, or None if it is written in an unusual way."""
        written = "|".join(re.escape(form) for form in (key, f'"{key}"', f"'{key}'"))
        pattern = re.compile(rf"^[ \t]*(\[{{0,2}}[ \t]*)(?:{written})(?![\w-])", re.MULTILINE)
        for count, match in enumerate(pattern.finditer(self.text)):
            if count == _MOST_CANDIDATES:
                break
            closing = "]" * match.group(1).count("[") or " = 0"
            try:
                # the same text can stand inside a long string or another table: only the parser knows
                begun = tomllib.loads(self.text[: match.start()] + match.group() + closing)
            except (ValueError, RecursionError):
                continue
            if key in begun:
                return self.text.count("\n", 0, match.start()) + 1
        return None


def read_toml(path: Path) -> TomlFile | None:
    """Read a TOML file; None if there is none. Raises `TomlFileError` when it cannot be used."""
    name = str(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise TomlFileError(Problem(name, None, "not a regular file"))
        if status.st_size > MAX_BYTES:
            size = f"{status.st_size:,} bytes, at most {MAX_BYTES:,} are read"
            raise TomlFileError(Problem(name, None, f"too large: {size}"))
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise TomlFileError(Problem(name, None, f"cannot be read: {reason}")) from error
    try:
        text = data.decode("utf-8")
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
