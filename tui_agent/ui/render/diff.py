"""A unified diff as lines: old or new line number in the gutter, then the sign and the text."""

from __future__ import annotations

import re

from tui_agent.text import inert
from tui_agent.ui.render.lines import Line, Prefix, displayable, wrap
from tui_agent.ui.render.palette import Palette

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")


def diff_lines(diff: str, palette: Palette, width: int, indent: str, limit: int) -> list[Line]:
    """Return at most `limit` source rows of the diff, and a row that says how many more there are."""
    rows = inert(diff).removesuffix("\n").split("\n")
    if sum(row.startswith("+++ ") for row in rows[:2]) == 1 and not any(row.startswith("--- ") for row in rows[2:]):
        rows = rows[2:]  # one file, and the step's head names it
    lines: list[Line] = []
    old = new = 0
    digits = 4
    for row in rows[:limit]:
        style, number = palette.dim, ""
        if hunk := _HUNK.match(row):
            old, new = int(hunk[1]), int(hunk[2])
        elif row.startswith(("--- ", "+++ ")) and not (old or new):
            pass
        elif row.startswith("+"):
            style, number = palette.added, str(new)
            new += 1
        elif row.startswith("-"):
            style, number = palette.removed, str(old)
            old += 1
        elif row.startswith(" ") or not row:
            style, number = palette.base, str(new) if new else ""
            old += 1
            new += 1
        digits = max(digits, len(number))
        first = [Prefix(f"{indent}{number:>{digits}} ", palette.dim)]
        rest = [Prefix(indent + " " * (digits + 1), palette.dim)]
        lines.extend(wrap([(displayable(row), style)], width, first, rest, words=False))
    if len(rows) > limit:
        more = f"… {len(rows) - limit:,} more lines"
        lines.extend(wrap([(more, palette.dim)], width, [Prefix(indent, palette.dim)]))
    return lines


def is_diff(text: str) -> bool:
    """Return whether a preview is a unified diff and not other text, e.g. a command."""
    first, _, rest = text.partition("\n")
    return first.startswith("--- ") and rest.startswith("+++ ")


def changed_lines(diff: str) -> tuple[int, int]:
    """Return how many lines a unified diff adds and removes."""
    added = removed = 0
    inside = False
    for row in diff.split("\n"):
        if row.startswith("@@"):
            inside = True
        elif inside or not row.startswith(("+++ ", "--- ")):
            added += row.startswith("+")
            removed += row.startswith("-")
    return added, removed
