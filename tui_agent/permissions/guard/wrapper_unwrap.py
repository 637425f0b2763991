"""Commands that run commands: `sudo`, `env`, `timeout`, `xargs`, `sh -c`, `busybox` and many more.

Class of attack: a name that is allowed, with the real command as its argument. The inner commands are commands
of the line for every module; here stands which wrappers add something of their own.
"""

from __future__ import annotations

from tui_agent.permissions.guard.model import PASS, Finding, Line, Surroundings


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Allow wrappers that add nothing; ask about scripts and words that cannot be known."""
    if "dynamic_script" in line.features:
        return Finding("ask", f"the script that it runs is not known: {line.features['dynamic_script']}")
    for command in line.commands:
        if command.wrapper and command.assignments and command.name == "sudo":
            return Finding("ask", "sudo with variables")
    safe = frozenset(c.index for c in line.commands if c.wrapper and c.safe_wrapper and _plain_path(c.words[0].text))
    return Finding("allow", allowed=safe) if safe else PASS


def _plain_path(name: str) -> bool:
    from tui_agent.permissions.guard.usage import SYSTEM_FOLDERS

    return "/" not in name or (name.startswith(SYSTEM_FOLDERS) and ".." not in name)
