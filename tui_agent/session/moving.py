"""The folder of a session that is opened again: bringing the session along to another, and saying that it is gone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tui_agent.events import ContextNoted, SessionConfigured
from tui_agent.journal import Journal
from tui_agent.session.options import OpenOptions
from tui_agent.session.state import SessionState, apply


async def moved(journal: Journal, state: SessionState, options: OpenOptions) -> tuple[SessionState, str]:
    """Record that the session works in `options.workspace` from now on, and tell the model.

    Returns the state, and what to say to the user. Nothing is recorded where it works there already, or is not to
    be moved.
    """
    before, now = state.conversation.workspace, str(options.workspace)
    if not options.move or journal.read_only or not before or before == now:
        return state, ""
    text = (
        f"<session>\nThe workspace is now {now}; it was {before}, which may not exist any more. Paths below the old "
        "folder are not valid: use the new one.\n</session>"
    )
    for part in await journal.append(SessionConfigured(workspace=now), ContextNoted(text=text, facts={})):
        state = apply(state, part.event)
    return state, f"The session was brought along to {now}; its folder was {before}."


async def folder_remark(session: str, state: SessionState) -> str:
    """Return what to say where the session's folder does not exist any more, else nothing."""
    folder = state.conversation.workspace
    if not folder or await asyncio.to_thread(Path(folder).is_dir):
        return ""
    return (
        f"The folder of this session, {folder}, does not exist any more: calls of tools will fail. "
        f"To bring the session along to another folder: tui-agent --resume {session} --cwd FOLDER"
    )
