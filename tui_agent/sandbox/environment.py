"""The environment that a command gets."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from tui_agent.redaction import SECRET_NAME

# What makes bash or a tool run code, or read the command differently, without being part of the command.
_STEERING = re.compile(
    r"^(BASH_ENV|ENV|SHELLOPTS|BASHOPTS|CDPATH|GLOBIGNORE|PROMPT_COMMAND|PS4|BASH_FUNC_.*|TUI_AGENT_.*"
    r"|ANTHROPIC_.*)$"
)

_FIXED = {
    "TERM": "dumb",
    "NO_COLOR": "1",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "MANPAGER": "cat",
    "GIT_EDITOR": "true",
    "GIT_TERMINAL_PROMPT": "0",
    "PYTHONUNBUFFERED": "1",
}

FAIL_FAST = {"PIP_RETRIES": "0", "npm_config_fetch_retries": "0", "CARGO_NET_RETRY": "0", "UV_HTTP_RETRIES": "0"}
"""For commands without network: it is no use to try again."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The search path for commands where the session has none."""


def withheld(base: Mapping[str, str], passed: Collection[str] = ()) -> list[str]:
    """Return the names of the variables that commands do not get because they look like a secret's."""
    return sorted(name for name in base if SECRET_NAME.search(name) and name not in passed)


def command_environment(base: Mapping[str, str], passed: Collection[str] = ()) -> dict[str, str]:
    """Return the environment for a command: `base` without secrets, and with nothing that waits for a user.

    Variables whose name looks like a secret's go, unless they are `passed`, and so do those that inject code into
    bash. Pagers, editors and prompts are turned off, because there is no terminal.
    """
    kept = {
        name: value
        for name, value in base.items()
        if not _STEERING.match(name) and (name in passed or not SECRET_NAME.search(name))
    }
    return {"PATH": DEFAULT_PATH, "LANG": "C.UTF-8", **kept, **_FIXED}
