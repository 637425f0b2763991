"""The one way in: the screen, headless runs and tests open, resume and steer sessions through `SessionHandle`.

Importing this room is cheap; a name imports what it needs when it is first used, so that the screen can
paint before any of it is loaded.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui_agent.budget.limits import stop_text, warning_text
    from tui_agent.budget.state import BudgetState
    from tui_agent.context.conversation import ActiveRun, ConversationState
    from tui_agent.context.items import (
        AnswerBlock,
        AnswerItem,
        CompactionItem,
        Item,
        NoticeItem,
        PromptItem,
        RunEndItem,
        StepItem,
        TimelineEntry,
    )
    from tui_agent.context.window import Window, WindowPart, describe_window
    from tui_agent.permissions.state import Grant, PermissionsState
    from tui_agent.registry.metadata import CommandMetadata
    from tui_agent.registry.registry import load_commands
    from tui_agent.session.errors import SessionBusy, SessionError, SessionReadOnly
    from tui_agent.session.files import workspace_files
    from tui_agent.session.handle import SessionHandle
    from tui_agent.session.options import OpenOptions
    from tui_agent.session.reports import ToolReport, export_session, tool_reports
    from tui_agent.session.sessions import (
        SearchHit,
        SessionSummary,
        delete_session,
        list_sessions,
        search_sessions,
    )
    from tui_agent.session.state import SessionState, Update
    from tui_agent.session.verify import verify_session
    from tui_agent.workflow.state import Question, Step, WorkflowState

_HOMES = {
    "ActiveRun": "tui_agent.context.conversation",
    "AnswerBlock": "tui_agent.context.items",
    "AnswerItem": "tui_agent.context.items",
    "BudgetState": "tui_agent.budget.state",
    "CommandMetadata": "tui_agent.registry.metadata",
    "CompactionItem": "tui_agent.context.items",
    "ConversationState": "tui_agent.context.conversation",
    "Grant": "tui_agent.permissions.state",
    "Item": "tui_agent.context.items",
    "NoticeItem": "tui_agent.context.items",
    "OpenOptions": "tui_agent.session.options",
    "PermissionsState": "tui_agent.permissions.state",
    "PromptItem": "tui_agent.context.items",
    "Question": "tui_agent.workflow.state",
    "RunEndItem": "tui_agent.context.items",
    "SessionBusy": "tui_agent.session.errors",
    "SessionError": "tui_agent.session.errors",
    "SessionReadOnly": "tui_agent.session.errors",
    "SessionHandle": "tui_agent.session.handle",
    "SessionState": "tui_agent.session.state",
    "SessionSummary": "tui_agent.session.sessions",
    "Step": "tui_agent.workflow.state",
    "StepItem": "tui_agent.context.items",
    "TimelineEntry": "tui_agent.context.items",
    "Update": "tui_agent.session.state",
    "Window": "tui_agent.context.window",
    "WindowPart": "tui_agent.context.window",
    "WorkflowState": "tui_agent.workflow.state",
    "describe_window": "tui_agent.context.window",
    "SearchHit": "tui_agent.session.sessions",
    "ToolReport": "tui_agent.session.reports",
    "delete_session": "tui_agent.session.sessions",
    "export_session": "tui_agent.session.reports",
    "search_sessions": "tui_agent.session.sessions",
    "tool_reports": "tui_agent.session.reports",
    "workspace_files": "tui_agent.session.files",
    "stop_text": "tui_agent.budget.limits",
    "warning_text": "tui_agent.budget.limits",
    "list_sessions": "tui_agent.session.sessions",
    "load_commands": "tui_agent.registry.registry",
    "verify_session": "tui_agent.session.verify",
}

__all__ = [
    "ActiveRun",
    "AnswerBlock",
    "AnswerItem",
    "BudgetState",
    "CommandMetadata",
    "CompactionItem",
    "ConversationState",
    "Grant",
    "Item",
    "NoticeItem",
    "OpenOptions",
    "PermissionsState",
    "PromptItem",
    "Question",
    "RunEndItem",
    "SearchHit",
    "SessionBusy",
    "SessionError",
    "SessionHandle",
    "SessionReadOnly",
    "SessionState",
    "SessionSummary",
    "Step",
    "StepItem",
    "TimelineEntry",
    "ToolReport",
    "Update",
    "Window",
    "WindowPart",
    "WorkflowState",
    "delete_session",
    "describe_window",
    "export_session",
    "list_sessions",
    "load_commands",
    "search_sessions",
    "stop_text",
    "tool_reports",
    "verify_session",
    "warning_text",
    "workspace_files",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
