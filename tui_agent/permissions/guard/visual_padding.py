"""Long runs of blanks or newlines.

Class of attack: a tail that is pushed off the screen, so that a user approves what they cannot see.
"""

from __future__ import annotations

import re

from tui_agent.permissions.guard.model import PASS, Finding, Line, Surroundings

_PADDING = re.compile(r"(?<![ \t])[ \t]{20,}+\S|(?<!\t)\t{6,}+\S|(?<![ \t\n])(?:[ \t]*+\n){4,}+[ \t]*+\S")


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Ask about 20 blanks, 6 tabs or 4 newlines in a row that something follows."""
    if _PADDING.search(line.text):
        return Finding("ask", "a long run of blanks or newlines hides what follows")
    return PASS
