"""Where commands run: in processes of their own that a crash of this program does not touch.

This room decides nothing: whether a command may run is the permissions' business.
"""

from tui_agent.sandbox.command import (
    Box,
    CommandError,
    CommandRecord,
    Limits,
    inspect,
    kill,
    shell_argv,
    start,
    wait,
)
from tui_agent.sandbox.enclosure import Access, Enclosed, Sandbox
from tui_agent.sandbox.environment import command_environment, withheld
from tui_agent.sandbox.masks import Protection
from tui_agent.sandbox.probe import SandboxState, probe_sandbox
from tui_agent.sandbox.profile import SECRET_FILES, Profile, SandboxError, build_profile, holds_all
from tui_agent.sandbox.protected import own_code, own_installation
from tui_agent.sandbox.temporary import TemporaryFolder

__all__ = [
    "SECRET_FILES",
    "Access",
    "Box",
    "CommandError",
    "CommandRecord",
    "Enclosed",
    "Limits",
    "Profile",
    "Protection",
    "Sandbox",
    "SandboxError",
    "SandboxState",
    "TemporaryFolder",
    "build_profile",
    "command_environment",
    "holds_all",
    "inspect",
    "kill",
    "own_code",
    "own_installation",
    "probe_sandbox",
    "shell_argv",
    "start",
    "wait",
    "withheld",
]
