"""Copying a session up to now into a new one."""

from __future__ import annotations

from tui_agent import __version__
from tui_agent.events import ForkPoint, SessionCreated
from tui_agent.journal import Journal, Recorder, copy_session
from tui_agent.runtime import Runtime
from tui_agent.session.folding import folded_state
from tui_agent.session.sessions import Sessions
from tui_agent.session.state import SessionState
from tui_agent.threads import to_the_end


async def write_fork(
    journal: Journal, state: SessionState, session: str, sessions: Sessions, runtime: Runtime
) -> None:
    """Write what `journal` holds into a new session, and list it. Raises the journal's errors."""
    target = journal.path.parent.parent / session / journal.path.name
    until = journal.last_seq
    await to_the_end(copy_session, journal.path, target, session, until, runtime)
    conversation = state.conversation
    forked = SessionCreated(
        workspace=conversation.workspace,
        model=conversation.model,
        mode="ask" if conversation.mode == "bypass" else conversation.mode,
        title=f"{conversation.title} (fork)",
        app_version=__version__,
        offline=conversation.offline,
        forked_from=ForkPoint(session=journal.session, seq=until),
    )
    fork = await Journal.open(target, runtime)
    try:
        await Recorder(fork).record(forked)
        await sessions.record(session, await folded_state(fork))
    finally:
        await fork.close()
