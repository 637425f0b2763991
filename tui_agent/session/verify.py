"""Checking a whole session: its hash chain, and that folding it from the first event gives the stored state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tui_agent.journal import Journal
from tui_agent.runtime import Runtime
from tui_agent.session.state import SessionState, apply, digest, dump_state, load_state


@dataclass(frozen=True, slots=True)
class SessionVerification:
    """Whether all is well, how many events were checked, and a sentence that says what was found."""

    ok: bool
    events: int
    message: str


async def verify_session(path: Path, runtime: Runtime) -> SessionVerification:
    """Check a session file without changing it; it may be open in another window meanwhile.

    Raises the journal's errors when the file cannot be read at all.
    """
    journal = await Journal.open(path, runtime, read_only=True)
    try:
        chain = await journal.verify()
        if not chain.ok:
            where = f"event {chain.bad_seq}: " if chain.bad_seq is not None else ""
            return SessionVerification(False, chain.events, where + chain.reason)
        lost = sum(gap.last - gap.first + 1 for gap in chain.gaps)
        found = f"{chain.events} events, chain whole"
        if lost:
            found += f", {lost} events lost to damage and declared so"
        fault, fold = await _check_fold(journal)
        return SessionVerification(not fault, chain.events, fault or f"{found}, {fold}, head {chain.head[:16]}")
    finally:
        await journal.close()


async def _check_fold(journal: Journal) -> tuple[str, str]:
    """Return what is wrong with the stored state, if anything is, and otherwise what was found."""
    snapshot = await journal.latest_snapshot()
    if snapshot is None:
        return "", "no stored state yet"
    if digest(snapshot.state) != snapshot.digest:
        return f"the stored state after event {snapshot.seq} does not have its own digest", ""
    try:
        load_state(snapshot.state)
    except ValueError:
        return "", "stored state of another version: not compared"
    state, after = SessionState(), 0
    while after < snapshot.seq and (page := await journal.read(after)):
        for event in page:
            if (event.seq or 0) <= snapshot.seq:
                state = apply(state, event)
        after = page[-1].seq or 0
    if digest(dump_state(state)) != snapshot.digest:
        return f"a fold of events 1 to {snapshot.seq} does not give the stored state", ""
    return "", "fold equal to the stored state"
