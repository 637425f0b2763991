"""Commands and arithmetic inside words.

Class of attack: `$( )`, backticks, `<( )`, array subscripts and `$(( ))`, all of which can run commands from a
place that looks like data.
"""

from __future__ import annotations

from tui_agent.permissions.guard.model import PASS, Finding, Line, Surroundings

_WORDS = {
    "substitution": "it puts the output of a command into another",
    "subscript": "it has an array subscript, which bash evaluates",
    "arithmetic": "it has arithmetic, which bash evaluates",
}


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Ask about all substitutions."""
    for feature, reason in _WORDS.items():
        if feature in line.features:
            return Finding("ask", f"{reason}: {line.features[feature]}")
    for command in line.commands:
        for word in command.words:
            if word.substitution:
                return Finding("ask", f"{word.raw} is expanded when it runs")
        if any(token in text for text in command.assignments for token in ("$(", "`", "<(")):
            return Finding("ask", "an assignment runs a command")
    return PASS
