"""The two registries: tools that the model can call, commands that a person can call.

Both are data: listing them imports no implementation.
"""

from tui_agent.registry.metadata import CommandMetadata, RegistryError, ToolMetadata
from tui_agent.registry.pool import assemble_pool
from tui_agent.registry.registry import load_commands, load_tools

__all__ = [
    "CommandMetadata",
    "RegistryError",
    "ToolMetadata",
    "assemble_pool",
    "load_commands",
    "load_tools",
]
