"""Variables set for a command or for the shell.

Class of attack: `GIT_SSH_COMMAND`, `PAGER`, `LD_PRELOAD`, `BASH_ENV`, `PATH`: a harmless command runs another. A
`for` loop sets its variable as well.
"""

from __future__ import annotations

import re

from tui_agent.permissions.guard.model import PASS, Finding, Line, Surroundings

_HARMLESS = re.compile(r"(LC_ALL|LANG|TZ|NO_COLOR)=[A-Za-z0-9_.,:/+@-]*")
_DECLARING = frozenset(["export", "declare", "typeset", "local", "readonly", "unset", "set", "shopt", "let"])


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Ask about every assignment but a few harmless ones."""
    if "loop_variable" in line.features:
        return Finding("ask", f"the loop sets the variable {line.features['loop_variable']}")
    for command in line.commands:
        for text in command.assignments:
            if not _HARMLESS.fullmatch(text) or ".." in text or "=/" in text or "=:" in text:
                return Finding("ask", f"it sets the variable {text.split('=')[0]}")
        if command.name in _DECLARING:
            return Finding("ask", f"{command.name} changes the shell's variables or options")
    return PASS
