"""Control characters.

Class of attack: carriage returns, escapes and form feeds that show a user another line than the one that
runs, or that bash takes as part of a word where a parser sees a blank.
"""

from __future__ import annotations

import re

from tui_agent.permissions.guard.model import PASS, Finding, Line, Surroundings

_CONTROL = re.compile("[\x01-\x08\x0b-\x1f\x7f-\x9f]")


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Ask about every control character but newline and tab."""
    match = _CONTROL.search(line.text)
    if match:
        return Finding("ask", f"it holds the control character U+{ord(match.group()):04X}")
    for command in line.commands:
        for word in command.words[:1]:
            if _CONTROL.search(word.text):
                return Finding("ask", "a command's name holds a control character")
    return PASS
