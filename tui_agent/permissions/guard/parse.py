"""Lines that cannot be parsed, or hold constructs that nobody here reasoned about.

Class of attack: syntax that the parser gives up on and bash does not. For constructs beyond simple commands,
`bash -n` is asked too, which reads and runs nothing.
"""

from __future__ import annotations

import functools
import subprocess

from tui_agent.permissions.guard.model import PASS, Finding, Line, Surroundings

_SECONDS = 2.0


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Ask about syntax errors and unusual constructs."""
    features = line.features
    if "error" in features:
        return Finding("ask", f"it cannot be parsed near {features['error']!r}")
    if "node" in features:
        return Finding("ask", f"the construct {features['node']} is unusual")
    if not any(command.words for command in line.commands):
        return Finding("ask", "there is no command in it")
    unusual = any(r.operator.startswith("<<") for r in line.redirections) or any(
        word in line.text for word in ("for ", "while ", "until ", "if ", "{ ", "((")
    )
    if unusual and not features.keys() - {"loop_variable"} and "\0" not in line.text and not _bash_reads(line.text):
        return Finding("ask", "bash does not accept it")
    return PASS


@functools.lru_cache(maxsize=256)
def _bash_reads(text: str) -> bool:
    """Say whether `bash -n` accepts the line; it runs nothing. False where there is no bash."""
    try:
        done = subprocess.run(
            ["/bin/bash", "--noprofile", "--norc", "-n", "-c", text],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            env={"PATH": "/usr/bin:/bin"},
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return False
    # bash only warns of a heredoc without an end
    return done.returncode == 0 and not done.stderr
