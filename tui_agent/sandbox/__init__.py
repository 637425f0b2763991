"""Where commands run: in processes of their own that a crash of this program does not touch.

This room decides nothing: whether a command may run is the permissions' business.
"""

from tui_agent.sandbox.command import (
    CommandError,
    CommandRecord,
    inspect,
    kill,
    shell_argv,
    start,
    wait,
)
from tui_agent.sandbox.environment import command_environment

__all__ = [
    "CommandError",
    "CommandRecord",
    "command_environment",
    "inspect",
    "kill",
    "shell_argv",
    "start",
    "wait",
]
