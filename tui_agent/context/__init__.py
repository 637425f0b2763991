"""What the model sees, and what a person sees of it: conversation, message history, request, compaction."""

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
from tui_agent.context.memory import MemoryFile, load_memory, nested_memory
from tui_agent.context.receipt import choose_person, receipt_lines, split_lines
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
    "ConversationState",
    "FileWatch",
    "History",
    "LastTurn",
    "MemoryFile",
    "PrefixRewritten",
    "Request",
    "SessionFacts",
    "Window",
    "WindowPart",
    "assemble_context",
    "begin_anew",
    "build_request",
    "can_cut",
    "changed_facts",
    "choose_person",
    "compaction_due",
    "cut_before",
    "facts_note",
    "find_cut",
    "find_doubts",
    "find_fault",
    "fold_history",
    "guard_prefix",
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
