"""Names that mean something else than they say.

Class of attack: a function, an alias, a hashed path or a file in the workspace that takes the place of a
known program.
"""

from __future__ import annotations

import os

from tui_agent.permissions.guard.model import PASS, Finding, Line, Surroundings
from tui_agent.permissions.guard.places import is_inside
from tui_agent.permissions.guard.usage import SYSTEM_FOLDERS

_DEFINING = frozenset(["alias", "unalias", "enable", "trap", "bind", "complete", "compgen", "compopt", "shopt"])


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Ask about definitions, and about programs named by a path outside the system's folders."""
    if "function" in line.features:
        return Finding("ask", "it defines a function")
    allowed: str = ""
    for command in line.commands:
        name = command.words[0].text if command.words else ""
        if name in _DEFINING or (name == "hash" and any(a.startswith("-p") for a in command.argv)):
            return Finding("ask", f"{name} changes what names mean")
        if "/" in name and not (name.startswith(SYSTEM_FOLDERS) and ".." not in name):
            allowed = name
    if allowed and not _named_by_rule(line, surroundings):
        place = os.path.realpath(os.path.join(surroundings.cwd, allowed))
        where = " in the workspace" if is_inside(place, os.path.realpath(surroundings.places.workspace)) else ""
        return Finding("ask", f"{allowed} is a program of unknown origin{where}")
    return PASS


def _named_by_rule(line: Line, surroundings: Surroundings) -> bool:
    """Say whether rules of the user name each such program by that very path."""
    named = {rule.first_token for rule in surroundings.rules.bash("allow")}
    return all(
        command.words[0].text in named
        for command in line.commands
        if command.words and "/" in command.words[0].text and not command.words[0].text.startswith(SYSTEM_FOLDERS)
    )
