"""Commands that only look: an allow-list of commands, flags and operands.

Class of attack: a command known as harmless with the one flag or operand that writes a file or runs a program.
What is not in the tables is not allowed.
"""

from __future__ import annotations

from tui_agent.permissions.guard.model import PASS, Finding, Line, Surroundings


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Allow the commands of the line that are known to change nothing."""
    allowed = frozenset(
        command.index
        for command in line.commands
        if command.index in line.usages
        and not command.wrapper
        and (not command.appended or line.usages[command.index].appended)
    )
    return Finding("allow", allowed=allowed) if allowed else PASS
