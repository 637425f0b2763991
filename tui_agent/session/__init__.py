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
    from tui_agent.journal import JournalError
    from tui_agent.models.catalog import Model
    from tui_agent.permissions.audit import WhatIf
    from tui_agent.permissions.broker import NoSuchRequest
    from tui_agent.permissions.policy import MODES
    from tui_agent.permissions.state import Grant, PermissionsState
    from tui_agent.permissions.trail import AuditEntry, Query, Trail
    from tui_agent.registry.metadata import CommandMetadata
    from tui_agent.registry.registry import load_commands
    from tui_agent.session.audit import RuleChange, RulePreview, revoke_grant
    from tui_agent.session.edits import Hunk
    from tui_agent.session.errors import SessionBusy, SessionError, SessionReadOnly
    from tui_agent.session.files import workspace_files
    from tui_agent.session.handle import SessionHandle
    from tui_agent.session.opening import open_session, resume_session
    from tui_agent.session.options import OpenOptions
    from tui_agent.session.protocol import Session
    from tui_agent.session.reports import ToolReport, export_session, tool_reports
    from tui_agent.session.sessions import (
        SearchHit,
        SessionSummary,
        delete_session,
        discard_empty_sessions,
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
    "AuditEntry": "tui_agent.permissions.trail",
    "BudgetState": "tui_agent.budget.state",
    "CommandMetadata": "tui_agent.registry.metadata",
    "CompactionItem": "tui_agent.context.items",
    "ConversationState": "tui_agent.context.conversation",
    "Grant": "tui_agent.permissions.state",
    "Hunk": "tui_agent.session.edits",
    "Item": "tui_agent.context.items",
    "JournalError": "tui_agent.journal",
    "MODES": "tui_agent.permissions.policy",
    "Model": "tui_agent.models.catalog",
    "NoSuchRequest": "tui_agent.permissions.broker",
    "NoticeItem": "tui_agent.context.items",
    "OpenOptions": "tui_agent.session.options",
    "open_session": "tui_agent.session.opening",
    "resume_session": "tui_agent.session.opening",
    "Session": "tui_agent.session.protocol",
    "PermissionsState": "tui_agent.permissions.state",
    "PromptItem": "tui_agent.context.items",
    "Query": "tui_agent.permissions.trail",
    "Question": "tui_agent.workflow.state",
    "RuleChange": "tui_agent.session.audit",
    "RulePreview": "tui_agent.session.audit",
    "RunEndItem": "tui_agent.context.items",
    "SearchHit": "tui_agent.session.sessions",
    "SessionBusy": "tui_agent.session.errors",
    "SessionError": "tui_agent.session.errors",
    "SessionHandle": "tui_agent.session.handle",
    "SessionReadOnly": "tui_agent.session.errors",
    "SessionState": "tui_agent.session.state",
    "SessionSummary": "tui_agent.session.sessions",
    "Step": "tui_agent.workflow.state",
    "StepItem": "tui_agent.context.items",
    "TimelineEntry": "tui_agent.context.items",
    "ToolReport": "tui_agent.session.reports",
    "Trail": "tui_agent.permissions.trail",
    "Update": "tui_agent.session.state",
    "WhatIf": "tui_agent.permissions.audit",
    "Window": "tui_agent.context.window",
    "WindowPart": "tui_agent.context.window",
    "WorkflowState": "tui_agent.workflow.state",
    "delete_session": "tui_agent.session.sessions",
    "discard_empty_sessions": "tui_agent.session.sessions",
    "describe_window": "tui_agent.context.window",
    "export_session": "tui_agent.session.reports",
    "list_sessions": "tui_agent.session.sessions",
    "load_commands": "tui_agent.registry.registry",
    "revoke_grant": "tui_agent.session.audit",
    "search_sessions": "tui_agent.session.sessions",
    "stop_text": "tui_agent.budget.limits",
    "tool_reports": "tui_agent.session.reports",
    "verify_session": "tui_agent.session.verify",
    "warning_text": "tui_agent.budget.limits",
    "workspace_files": "tui_agent.session.files",
}

__all__ = [
    "MODES",
    "ActiveRun",
    "AnswerBlock",
    "AnswerItem",
    "AuditEntry",
    "BudgetState",
    "CommandMetadata",
    "CompactionItem",
    "ConversationState",
    "Grant",
    "Hunk",
    "Item",
    "JournalError",
    "Model",
    "NoSuchRequest",
    "NoticeItem",
    "OpenOptions",
    "PermissionsState",
    "PromptItem",
    "Query",
    "Question",
    "RuleChange",
    "RulePreview",
    "RunEndItem",
    "SearchHit",
    "Session",
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
    "Trail",
    "Update",
    "WhatIf",
    "Window",
    "WindowPart",
    "WorkflowState",
    "delete_session",
    "describe_window",
    "discard_empty_sessions",
    "export_session",
    "list_sessions",
    "load_commands",
    "open_session",
    "resume_session",
    "revoke_grant",
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
