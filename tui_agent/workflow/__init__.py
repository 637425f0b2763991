"""Workflow state, apart from the conversation: every step's state, effect class and recovery.

Steps are planned, decided on, started (the intent is on disk), run, and finished (the outcome is on
disk), in that order. Knows nothing of models or of the screen.
"""

from tui_agent.workflow.executor import StepExecutor, output_stream, text_result
from tui_agent.workflow.state import Question, Step, StepStatus, WorkflowState
from tui_agent.workflow.tool import Call, Finding, Outcome, Plan, Tool, ToolContext, ToolError, Unknowable

__all__ = [
    "Call",
    "Finding",
    "Outcome",
    "Plan",
    "Question",
    "Step",
    "StepExecutor",
    "StepStatus",
    "Tool",
    "ToolContext",
    "ToolError",
    "Unknowable",
    "WorkflowState",
    "output_stream",
    "text_result",
]
