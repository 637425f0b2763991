"""Getting a journal's state: from its newest snapshot and the events after it."""

from __future__ import annotations

import contextlib

from tui_agent.journal import Journal
from tui_agent.session.state import SessionState, apply, digest, load_state


async def folded_state(journal: Journal) -> SessionState:
    """Return the state of a journal: its newest snapshot and the events after it, or all events."""
    state, after = SessionState(), 0
    until = journal.last_seq  # read-only, another window may be writing on: what comes later is followed
    snapshot = await journal.latest_snapshot()
    if snapshot is not None and snapshot.seq <= until and digest(snapshot.state) == snapshot.digest:
        # A snapshot of another fold version does not load: the state is then folded from the first event.
        with contextlib.suppress(ValueError):
            state, after = load_state(snapshot.state), snapshot.seq
    while page := await journal.read(after):
        for event in page:
            if (event.seq or 0) > until:
                return state
            state = apply(state, event)
        after = page[-1].seq or 0
    return state
