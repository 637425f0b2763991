"""Exact replacements in a text, and help for when they do not fit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from tui_agent.workflow import ToolError

_LINES_NAMED = 8
_LINES_SEARCHED = 5_000


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace `old` by `new`: its only occurrence, or with `all` every one."""

    old: str
    new: str
    all: bool = False


def apply_edits(text: str, edits: Sequence[Edit], *, crlf: bool = False) -> tuple[str, int]:
    r"""Return the text with all edits applied in order, and the number of replacements.

    A newline in `old` matches LF as well as CR LF; newlines in `new` become CR LF if `crlf`. Raises
    `ToolError` if one does not fit; then none counts.
    """
    replaced = 0
    for number, edit in enumerate(edits, 1):
        label = f"edit {number} of {len(edits)}" if len(edits) > 1 else "the edit"
        text, times = _apply(text, edit, crlf, label)
        replaced += times
    return text, replaced


def _apply(text: str, edit: Edit, crlf: bool, label: str) -> tuple[str, int]:
    old, new = edit.old.replace("\r\n", "\n"), edit.new.replace("\r\n", "\n")
    if old == new:
        raise ToolError(f"{label}: old and new are the same")
    if crlf:
        new = new.replace("\n", "\r\n")
    pattern = r"\r?\n".join(map(re.escape, old.split("\n"))) if "\r" in text else re.escape(old)
    if edit.all:
        result, times = re.subn(pattern, lambda _: new, text)
        if times:
            return result, times
    # A lookahead finds occurrences that overlap too: `aa` is not unique in `aaa`.
    starts = [match.start() for match in re.finditer(f"(?={pattern})", text)]
    if not starts:
        raise ToolError(f"{label}: old was not found. {_nearest(text, old)}")
    if len(starts) > 1:
        raise ToolError(
            f"{label}: old occurs {len(starts)} times, in {_line_list(text, starts)}. "
            "Add lines around it until it is unique, or set all."
        )
    match = re.compile(pattern).match(text, starts[0])
    assert match is not None
    return text[: match.start()] + new + text[match.end() :], 1


def _line_list(text: str, starts: list[int]) -> str:
    lines = [str(text.count("\n", 0, start) + 1) for start in starts[:_LINES_NAMED]]
    more = ", …" if len(starts) > _LINES_NAMED else ""
    return f"line{'s' if len(lines) > 1 else ''} {', '.join(lines)}{more}"


def _nearest(text: str, old: str) -> str:
    """Return what in the file comes nearest to `old`, and how it differs."""
    lines = text.replace("\r\n", "\n").split("\n")
    wanted = old.strip("\n").split("\n")
    if all(re.match(r"\s*\d+\t", line) for line in wanted):
        return "It begins with line numbers, which are not part of the file: leave them out."
    stripped = [line.strip() for line in wanted]
    for start in range(min(len(lines), _LINES_SEARCHED) - len(wanted) + 1):
        if all(lines[start + i].strip() == line for i, line in enumerate(stripped)):
            return "The same lines with other white space are\n" + _excerpt(lines, start, len(wanted))
    longest = max(stripped, key=len)
    near = get_close_matches(longest, [line.strip() for line in lines[:_LINES_SEARCHED]], n=1, cutoff=0.6)
    if near:
        at = next(i for i, line in enumerate(lines) if line.strip() == near[0])
        first = max(0, at - stripped.index(longest))
        return "The nearest lines are\n" + _excerpt(lines, first, len(wanted) + 1)
    return "Nothing in the file is like it: read the file again."


def _excerpt(lines: list[str], start: int, count: int) -> str:
    shown = lines[start : start + min(count, 12)]
    return "\n".join(f"{start + i}\t{line[:300]}" for i, line in enumerate(shown, 1))
