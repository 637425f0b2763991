"""Input that no user reads and no parser is tested with: NUL bytes, invalid text, excessive length and depth.

Class of attack: differences between what is checked and what runs because one of the two cut the text
short, or gave up. The modules that deny run on such lines all the same; where a line has more in it than they
can look at, it is denied.
"""

from __future__ import annotations

from tui_agent.permissions.guard.model import PASS, Finding, Line, Surroundings
from tui_agent.permissions.guard.shell import MAX_DEPTH

MAX_BYTES = 4096
MAX_COMMANDS = 40
MAX_ARGUMENT = 128 * 1024
"""Bytes that Linux takes in one argument (`MAX_ARG_STRLEN`): a longer line cannot be run at all."""


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Ask about lines over the bounds."""
    if "\0" in line.text:
        return Finding("ask", "it holds a NUL character", firm=True)
    try:
        size = len(line.text.encode("utf-8"))
    except UnicodeEncodeError:
        return Finding("ask", "it is not valid Unicode", firm=True)
    if size >= MAX_ARGUMENT:
        return Finding("deny", f"it has {size:,} bytes; no system takes a command of {MAX_ARGUMENT:,} or more")
    if size > MAX_BYTES:
        return Finding("ask", f"it has {size:,} bytes; over {MAX_BYTES:,} are not read with care")
    if "too_deep" in line.features or line.depth > MAX_DEPTH:
        return Finding("ask", "it is nested too deep")
    if len(line.commands) > MAX_COMMANDS:
        return Finding("ask", f"it has {len(line.commands)} commands; over {MAX_COMMANDS} are not read with care")
    return PASS
