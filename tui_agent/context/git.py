"""What git says of the workspace when a session starts: the branch, and whether there are changes.

Nothing of the repository is run for it. Git is looked up outside the workspace, hooks and the file system monitor are
off, submodules are left out, no protocol is allowed, and a repository whose own configuration names filter programs
gets no status at all, because git would run them to compare files.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tui_agent.programs import find_program

PATIENCE = 2.0
"""Seconds that one call of git may take. A repository too large for it is described without its changes."""

_OPTIONS = (
    "--no-pager", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null",
    "-c", "core.pager=cat", "-c", "protocol.ext.allow=never", "-c", "safe.bareRepository=explicit",
)  # fmt: skip
_STATUS = ("status", "--porcelain=v2", "--branch", "--no-renames", "--ignore-submodules=all")
_RUNS_PROGRAMS = re.compile(r"^filter\..*\.(clean|process)$", re.IGNORECASE | re.DOTALL)


def describe_git(workspace: Path, environment: Mapping[str, str]) -> str:
    """Return one line on the repository that `workspace` is in; empty outside a repository. Blocking."""
    git = _Git.find(workspace, environment)
    if git is None:
        return ""
    keys = git.run("config", "--list", "--name-only", "-z", "--local", "--includes")
    if keys is None:
        return ""
    harmless = not any(_RUNS_PROGRAMS.match(key) for key in keys.split("\0"))
    status = git.run(*_STATUS) if harmless else None
    if status is not None:
        return _described(status)
    branch = git.run("branch", "--show-current")
    return "" if branch is None else f"{_branch(branch.strip())}; changes not looked at"


class _Git:
    """The program, how it is called, and where."""

    def __init__(self, program: str, workspace: Path, environment: Mapping[str, str]) -> None:
        self._command = [program, "-C", str(workspace), *_OPTIONS]
        kept = {name: environment[name] for name in ("PATH", "HOME", "XDG_CONFIG_HOME") if name in environment}
        self._environment = {
            **kept,
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_NO_LAZY_FETCH": "1",
        }

    @classmethod
    def find(cls, workspace: Path, environment: Mapping[str, str]) -> _Git | None:
        """Return git as the system or the user installed it, never one of the workspace; None without one."""
        program = find_program("git", environment, writable=[workspace])
        return None if program is None else cls(program, workspace, environment)

    def run(self, *arguments: str) -> str | None:
        """Return what git prints; None when it fails or takes too long."""
        try:
            done = subprocess.run(
                [*self._command, *arguments],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=PATIENCE,
                check=False,
                env=self._environment,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def _branch(name: str) -> str:
    return f"on branch {name}" if name and name != "(detached)" else "no branch checked out (detached HEAD)"


def _described(status: str) -> str:
    counts = {"staged": 0, "modified": 0, "in conflict": 0, "untracked": 0}
    parts = []
    for line in status.splitlines():
        kind, _, rest = line.partition(" ")
        if line.startswith("# branch.head "):
            parts.append(_branch(line.removeprefix("# branch.head ")))
        elif line.startswith("# branch.ab "):
            ahead, behind = rest.removeprefix("branch.ab ").split()
            if ahead != "+0" or behind != "-0":
                parts.append(f"{ahead[1:]} ahead and {behind[1:]} behind its upstream")
        elif kind == "1":
            counts["staged"] += rest[0] != "."
            counts["modified"] += rest[1] != "."
        elif kind == "u":
            counts["in conflict"] += 1
        elif kind == "?":
            counts["untracked"] += 1
    changes = [f"{number} {what}" for what, number in counts.items() if number]
    return ", ".join([*parts, *changes] if changes else [*parts, "no uncommitted changes"])
