"""Redirections that write, or that open what is no file.

Class of attack: a harmless command whose output goes into a file that another program trusts, bash's own
network sockets (`/dev/tcp`), and writing to the terminal that shows the requests.
"""

from __future__ import annotations

import os
import re

from tui_agent.permissions.guard.model import PASS, Finding, Line, Surroundings

_SINKS = frozenset(["/dev/null", "/dev/stdout", "/dev/stderr"])
_STANDARD = frozenset(["0", "1", "2"])
"""Descriptors every command has; what another one leads to, whoever started the shell knows."""

_SOCKET = re.compile(r"^/dev/(tcp|udp)/", re.IGNORECASE)
_TERMINAL = re.compile(r"^/dev/(tty\w*|pts/|console|ptmx|vcs)|^/proc/[^/]+/fd(/|$)")


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Deny sockets and terminals, ask about every other write."""
    found = PASS
    for redirection in line.redirections:
        operator, target = redirection.operator, redirection.target
        place = os.path.normpath(target.text).replace("//", "/") if target.text else ""
        if _SOCKET.match(place):
            return Finding("deny", f"{target.raw} is a network connection of bash's own")
        if _TERMINAL.match(place) and operator not in ("<<", "<<<"):
            return Finding("deny", f"{target.raw} is a terminal, or another way to a file")
        if operator in ("<", "<<", "<<<") or operator.endswith("-"):
            continue
        if operator in (">&", "<&") and target.text in _STANDARD and target.constant:
            continue
        if target.constant and target.text in _SINKS and operator in (">", ">>", "&>", "&>>", ">|", ">&"):
            continue
        if not found.reason:
            found = Finding("ask", f"it writes to {target.raw or operator}")
    return found
