"""What the model sees, and what a user sees of it: conversation, message history, request, compaction."""

from tui_agent.context.agreement import Chosen, MemoryChoice, agree, choose_memory, describe_held, is_agreed
from tui_agent.context.cache import miss_reason
from tui_agent.context.claims import find_doubts
from tui_agent.context.compaction import (
    CarryOver,
    begin_anew,
    can_cut,
    compaction_due,
    cut_before,
    find_cut,
    summary_request,
)
from tui_agent.context.conversation import ActiveRun, ConversationState
from tui_agent.context.facts import SessionFacts, changed_facts, facts_note
from tui_agent.context.history import INTERRUPTED, History, LastTurn, fold_history
from tui_agent.context.memory import Memory, MemoryFile, load_memory, nested_memory
from tui_agent.context.receipt import choose_user_words, receipt_lines, split_lines
from tui_agent.context.record import read_record
from tui_agent.context.repair import find_fault
from tui_agent.context.request import PrefixRewritten, Request, build_request, guard_prefix
from tui_agent.context.stale import FileWatch
from tui_agent.context.stops import AnswerStop
from tui_agent.context.system_prompt import assemble_context
from tui_agent.context.window import Window, WindowPart, mark_stale, window_parts

__all__ = [
    "INTERRUPTED",
    "ActiveRun",
    "AnswerStop",
    "CarryOver",
    "Chosen",
    "ConversationState",
    "FileWatch",
    "History",
    "LastTurn",
    "Memory",
    "MemoryChoice",
    "MemoryFile",
    "PrefixRewritten",
    "Request",
    "SessionFacts",
    "Window",
    "WindowPart",
    "agree",
    "assemble_context",
    "begin_anew",
    "build_request",
    "can_cut",
    "changed_facts",
    "choose_memory",
    "choose_user_words",
    "compaction_due",
    "cut_before",
    "describe_held",
    "facts_note",
    "find_cut",
    "find_doubts",
    "find_fault",
    "fold_history",
    "guard_prefix",
    "is_agreed",
    "load_memory",
    "mark_stale",
    "miss_reason",
    "nested_memory",
    "read_record",
    "receipt_lines",
    "split_lines",
    "summary_request",
    "window_parts",
]
