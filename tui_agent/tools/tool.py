"""The tool protocol, which the workflow room defines."""

from tui_agent.workflow.tool import Call, Finding, Outcome, Plan, Tool, ToolContext, ToolError

__all__ = ["Call", "Finding", "Outcome", "Plan", "Tool", "ToolContext", "ToolError"]
