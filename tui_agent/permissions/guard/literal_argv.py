"""Words whose value is not known before the line runs.

Class of attack: `$x`, `${IFS}`, `${x@P}`, braces and globs that become other words, or another command, than
the ones that were checked.
"""

from __future__ import annotations

import re

from tui_agent.permissions.guard.model import PASS, Command, Finding, Line, Surroundings, Word

_LOOP = re.compile(r"\bfor\s+([a-z][a-z0-9_]*)\s+in\b")
_BRACES = re.compile(r"(?<!\$)\{")
_PRINTERS = frozenset(["echo", "printf", ":", "true"])


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Ask about every word that is no constant; printing a harmless variable is fine."""
    loops = frozenset(_LOOP.findall(line.text))
    for command in line.commands:
        for position, word in enumerate(command.words):
            reason = (
                "" if _prints_loop_variable(command, position, word, loops) else _problem(command, position, word)
            )
            if reason:
                return Finding("ask", reason)
    for redirection in line.redirections:
        target = redirection.target
        if redirection.operator != "<<" and (not target.constant or target.glob):
            return Finding("ask", f"where it redirects to is not known: {target.raw}")
    return PASS


def _prints_loop_variable(command: Command, position: int, word: Word, loops: frozenset[str]) -> bool:
    """Say whether a word that is printed holds nothing unknown but variables of the line's own loops."""
    if word.constant or word.substitution or not loops or position < (2 if command.name == "printf" else 1):
        return False
    if command.name not in _PRINTERS or word.glob:
        return False
    names = re.findall(r"\$\{?(\w+)\}?", word.text)
    return (
        bool(names) and set(names) <= loops and word.text.count("$") == len(names) and not _BRACES.search(word.text)
    )


def _problem(command: Command, position: int, word: Word) -> str:
    if position == 0 and ((word.glob and word.text not in ("[", "[[")) or not word.constant):
        return f"the command's name is not a constant: {word.raw}"
    if word.constant:
        return ""
    printed = command.name in _PRINTERS and position >= (2 if command.name == "printf" else 1)
    tested = command.name in ("[", "test") and word.raw in ("$?", "$#", '"$?"', '"$#"')
    if word.opaque and not word.substitution and (printed or tested):
        return ""
    if command.wrapper and word.substitution is False and position > 0:
        return ""  # the inner command's own words say the same
    return f"the value of {word.raw} is not known before it runs"
