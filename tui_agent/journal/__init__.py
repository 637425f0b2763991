"""The journal: a session's events, each written once, in order, hash-chained, in one SQLite file.

One thread writes; readers never block it. The room knows events only by their envelope: it gives no
meaning to what they say, and nothing here folds state.
"""

from tui_agent.journal.errors import (
    FenceLost,
    InvalidEvent,
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalWriteError,
    NewerSchema,
    SessionLocked,
    SessionUnwritable,
)
from tui_agent.journal.export import copy_session, export_jsonl
from tui_agent.journal.index import SearchHit, SessionIndex
from tui_agent.journal.journal import Journal
from tui_agent.journal.lock import FileLock
from tui_agent.journal.reader import Changes
from tui_agent.journal.recorder import Recorder
from tui_agent.journal.records import (
    BootRecord,
    Committed,
    Durability,
    Gap,
    SalvageReport,
    Snapshot,
    Verification,
)
from tui_agent.journal.summary import SessionSummary

__all__ = [
    "BootRecord",
    "Changes",
    "Committed",
    "Durability",
    "FenceLost",
    "FileLock",
    "Gap",
    "InvalidEvent",
    "Journal",
    "JournalDamaged",
    "JournalError",
    "JournalFull",
    "JournalWriteError",
    "NewerSchema",
    "Recorder",
    "SalvageReport",
    "SearchHit",
    "SessionIndex",
    "SessionLocked",
    "SessionSummary",
    "SessionUnwritable",
    "Snapshot",
    "Verification",
    "copy_session",
    "export_jsonl",
]
