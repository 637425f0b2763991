"""Mentions: `@path`, `@path:10-20` and `@"path with spaces"` in a prompt, and completing them.

Pure text; the files to choose from come from outside.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

SHOWN = 50
"""Completions offered at most."""

_BEGINS = re.compile(r'(?:^|(?<=[\s(\[{,;]))@(?:"([^"]*)|([^\s"]*))$')
_PLAIN = re.compile(r'[^\s"`\\:,;(){}\[\]]+')


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention being typed: it begins at column `start` with its `@`; `path` is what stands there so far."""

    start: int
    path: str


def mention_before(line: str) -> Mention | None:
    """Return the mention that the end of `line` is part of. One with a line range is complete: None."""
    match = _BEGINS.search(line)
    if match is None:
        return None
    path = match[1] if match[1] is not None else match[2]
    return None if ":" in path else Mention(match.start(), path)


def mention_text(path: str) -> str:
    """Return the mention of a file as it is written in a prompt."""
    return f"@{path}" if _PLAIN.fullmatch(path) else f'@"{path}"'


def matching_files(files: Iterable[str], typed: str) -> list[str]:
    """Return the files that `typed` may mean, the likeliest first: every letter of it, in order, in the path."""
    wanted = _folded(typed)
    ranked = sorted(
        (rank, len(path), path) for path in files if '"' not in path and (rank := _rank(_folded(path), wanted)) < 9
    )
    return [path for _, _, path in ranked[:SHOWN]]


def _folded(text: str) -> str:
    """Return a text without regard to case, and to how its accents are composed."""
    return (text if text.isascii() else unicodedata.normalize("NFC", text)).casefold()


def _rank(path: str, wanted: str) -> int:
    name = path.rpartition("/")[2]
    if path.startswith(wanted):
        return 0 if wanted else min(8, path.count("/"))
    if name.startswith(wanted):
        return 1
    if wanted in name:
        return 2
    if wanted in path:
        return 3
    letters = iter(path)
    return 4 if all(letter in letters for letter in wanted) else 9
