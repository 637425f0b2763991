"""Builtins that evaluate data as code.

Class of attack: `eval`, `.`, `source`, `exec`, `printf -v`, `mapfile -C`, `test -v 'a[$(id)]'` and
`[[ x -eq 'a[$(id)]' ]]`, which run what looks like data.
"""

from __future__ import annotations

import re

from tui_agent.permissions.guard.model import PASS, Command, Finding, Line, Surroundings

_ALWAYS = frozenset(
    [
        "eval",
        ".",
        "source",
        "exec",
        "let",
        "mapfile",
        "readarray",
        "read",
        "getopts",
        "wait",
        "coproc",
        "fc",
        "history",
        "bind",
        "select",
    ]
)
_NUMBERS = frozenset(["-eq", "-ne", "-lt", "-le", "-gt", "-ge"])


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Ask about each of them."""
    for command in line.commands:
        reason = _problem(command)
        if reason:
            return Finding("ask", reason)
    return PASS


def _problem(command: Command) -> str:
    name, arguments = command.name, command.argv[1:]
    if name in _ALWAYS and not (name in ("history", "wait") and not arguments):
        return f"{name} evaluates what it is given, or assigns it"
    if name == "printf" and arguments[:1] and arguments[0].startswith("-v"):
        return "printf -v assigns"
    if name in ("test", "[", "[["):
        if any(text in ("-v", "-R") for text in arguments):
            return "the test -v evaluates subscripts"
        for position, text in enumerate(arguments):
            if text in _NUMBERS and position:
                sides = [arguments[position - 1], *arguments[position + 1 : position + 2]]
                if not all(re.fullmatch(r"-?\d+|\$[?#]", side) for side in sides):
                    return "comparing numbers evaluates what is compared"
    if name in ("unset", "declare", "export", "typeset", "local", "readonly") and any("[" in a for a in arguments):
        return f"{name} evaluates subscripts"
    return ""
