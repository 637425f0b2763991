"""The tools that the model can call. Each is two files: `NAME.toml`, its metadata, and `NAME.py`, what it does.

A tool never asks for permission, never writes the journal and never talks to the model: the workflow does.
"""

from tui_agent.tools.tool import (
    Call,
    Finding,
    Outcome,
    Plan,
    Tool,
    ToolContext,
    ToolError,
)

__all__ = ["Call", "Finding", "Outcome", "Plan", "Tool", "ToolContext", "ToolError"]
