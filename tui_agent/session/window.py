"""What is in the model's window, read from an open session."""

from __future__ import annotations

import asyncio

from tui_agent.context import FileWatch, History, Window, mark_stale, window_parts
from tui_agent.events import MAIN_AGENT, Event
from tui_agent.journal import Journal
from tui_agent.models import Model
from tui_agent.session.state import SessionState


async def read_window(journal: Journal, state: SessionState, history: History, model: Model) -> Window:
    """Return the main agent's window, with the files marked that are not any more as it shows them."""
    start = state.conversation.history_start
    events: list[Event] = []
    if start:
        heads = await journal.read(0, agent=MAIN_AGENT, types=["context.loaded"])
        events += [event for event in heads if (event.seq or 0) < start]
    after = max(start - 1, 0)
    while page := await journal.read(after, agent=MAIN_AGENT):
        events += page
        after = page[-1].seq or 0
    parts = await asyncio.to_thread(window_parts, events)
    known = dict(history.file_hashes) | {part.path: part.sha256 for part in parts if part.path and part.sha256}
    changed = await asyncio.to_thread(FileWatch().changed, known)
    now = {file.path: file.sha256 for file in changed}
    return Window(model.id, model.context_window, state.budget.context_tokens, tuple(mark_stale(parts, now)))
