"""Unified diffs that stay quick: only what lies between the equal head and tail is compared."""

from __future__ import annotations

from difflib import SequenceMatcher

CONTEXT = 3
_MOST_LINES = 1_000
"""Lines on either side that are compared in full: the comparison's time grows with their product."""


def unified_diff(path: str, before: str, after: str) -> str:
    """Return the unified diff, without line ends' CR; empty if the lines are equal.

    A change of more than 1,000 lines is shown as all old lines out, all new lines in.
    """
    old, new = _lines(before), _lines(after)
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    head = max(0, head - CONTEXT)
    tail = max(0, tail - CONTEXT)
    old_part, new_part = old[head : len(old) - tail], new[head : len(new) - tail]
    if old_part == new_part:
        return ""
    if max(len(old_part), len(new_part)) > _MOST_LINES:
        hunks = [[("replace", 0, len(old_part), 0, len(new_part))]]
    else:
        matcher = SequenceMatcher(None, old_part, new_part, autojunk=False)
        hunks = [list(group) for group in matcher.get_grouped_opcodes(CONTEXT)]
    out = [f"--- {path if before else '/dev/null'}", f"+++ {path}"]
    for hunk in hunks:
        first, last = hunk[0], hunk[-1]
        out.append(f"@@ -{_range(head, first[1], last[2])} +{_range(head, first[3], last[4])} @@")
        for tag, i1, i2, j1, j2 in hunk:
            if tag == "equal":
                out += [f" {line}" for line in old_part[i1:i2]]
            else:
                out += [f"-{line}" for line in old_part[i1:i2]]
                out += [f"+{line}" for line in new_part[j1:j2]]
    return "\n".join(out) + "\n"


def count_changes(diff: str) -> str:
    """Return the size of a unified diff in lines, as `+3 −1`."""
    lines = diff.split("\n")[2:]
    added = sum(line.startswith("+") for line in lines)
    removed = sum(line.startswith("-") for line in lines)
    return f"+{added} −{removed}"


_NO_END = "\n\\ No newline at end of file"


def _lines(text: str) -> list[str]:
    if not text:
        return []
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[-1]:
        lines[-1] += _NO_END
    else:
        lines.pop()
    return lines


def _range(head: int, start: int, stop: int) -> str:
    length = stop - start
    first = head + start + (1 if length else 0)
    return f"{first}" if length == 1 else f"{first},{length}"
