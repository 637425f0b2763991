"""What the model sees, and what a person sees of it: conversation, message history, request, compaction."""

from tui_agent.context.compaction import build_receipt, carry_over, summary_request
from tui_agent.context.conversation import ActiveRun, ConversationState
from tui_agent.context.history import History, fold_history
from tui_agent.context.memory import load_memory, nested_memory
from tui_agent.context.request import PrefixRewritten, Request, build_request, guard_prefix
from tui_agent.context.system_prompt import assemble_context, git_branch

__all__ = [
    "ActiveRun",
    "ConversationState",
    "History",
    "PrefixRewritten",
    "Request",
    "assemble_context",
    "build_receipt",
    "build_request",
    "carry_over",
    "fold_history",
    "git_branch",
    "guard_prefix",
    "load_memory",
    "nested_memory",
    "summary_request",
]
