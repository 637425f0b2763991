"""Verifying a session file: its chain, and that folding it anew gives the state that was saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tui_agent.journal import Journal, Verification
from tui_agent.runtime import Runtime
from tui_agent.session.state import FOLD_VERSION, SessionState, apply, digest, dump_state, snapshot_version


async def verify_session(path: Path, runtime: Runtime) -> Verification:
    """Check a session file without changing it, also while a window has it open.

    The chain must be whole, every event must fold, and the fold up to the newest snapshot must give its digest,
    if the snapshot is of this program's fold version. Raises the journal's errors when the file cannot be read
    at all.
    """
    journal = await Journal.open(path, runtime, read_only=True)
    try:
        verification = await journal.verify()
        if not verification.ok:
            return verification
        snapshot = await journal.latest_snapshot()
        if snapshot is None:
            return verification
        version = snapshot_version(snapshot.state)
        state, after = SessionState(), 0
        while after < snapshot.seq:
            page = await journal.read(after)
            if not page:
                break
            for event in page:
                after = event.seq or 0
                if after > snapshot.seq:
                    break
                state = apply(state, event)
        compared = version == FOLD_VERSION
        saved_whole = digest(snapshot.state) == snapshot.digest
        if not saved_whole or (compared and digest(dump_state(state)) != snapshot.digest):
            reason = f"the state saved at event {snapshot.seq} is not what its events fold to"
            return replace(verification, ok=False, bad_seq=snapshot.seq, reason=reason)
        if not compared:
            return replace(verification, note=f"snapshot of another version ({version}): not compared")
        return verification
    finally:
        await journal.close()
