"""The two registries: tools that the model can call, commands that a user can call.

Both are data: listing them imports no implementation.
"""

from tui_agent.registry.metadata import CommandMetadata, RegistryError, ToolMetadata
from tui_agent.registry.pool import Pool, assemble_pool, lacks_tools
from tui_agent.registry.registry import implementation, load_commands, load_tools, validate_input

__all__ = [
    "CommandMetadata",
    "Pool",
    "RegistryError",
    "ToolMetadata",
    "assemble_pool",
    "implementation",
    "lacks_tools",
    "load_commands",
    "load_tools",
    "validate_input",
]
