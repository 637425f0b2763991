"""Opens sessions: a new one, or one that was there before."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from tui_agent.config import find_paths
from tui_agent.journal import Journal, JournalDamaged, SessionLocked, SessionUnwritable
from tui_agent.runtime import Runtime
from tui_agent.session.assembly import assemble
from tui_agent.session.backend import start_backend
from tui_agent.session.errors import SessionNotFound
from tui_agent.session.folding import folded_state
from tui_agent.session.handle import SessionHandle
from tui_agent.session.moving import folder_remark, moved
from tui_agent.session.options import OpenOptions
from tui_agent.session.repair import repair_salvaged
from tui_agent.session.sessions import delete_session
from tui_agent.session.starting import changed, checked_mode, created, read_folders, read_settings
from tui_agent.session.state import SessionState
from tui_agent.session.upkeep import HELD


async def open_session(options: OpenOptions) -> SessionHandle:
    """Make a new session. Raises the journal's errors and `SessionError`."""
    paths = find_paths(options.runtime.environment, data_dir=options.data_dir, config_dir=options.config_dir)
    settings = await read_settings(options)
    checked_mode(options.mode or settings.settings.mode)
    async with contextlib.AsyncExitStack() as undo:
        folders, problems = await read_folders(options, settings.settings, options.workspace)
        backend = await start_backend(options, settings.settings)
        undo.push_async_callback(asyncio.to_thread, backend.stop)
        session = options.runtime.new_id("session")
        path = paths.session_database(session)
        journal = await Journal.create(path, session, options.runtime)
        undo.push_async_callback(delete_session, options.data_dir, session)
        undo.push_async_callback(journal.close)
        core = assemble(journal, SessionState(), options, settings, backend)
        handle = SessionHandle(core)
        undo.push_async_callback(core.sessions.close)
        await core.recorder.record(*created(options, settings.settings, backend, folders))
        handle.remarks += problems
        undo.pop_all()
    return handle


async def resume_session(session: str, options: OpenOptions) -> SessionHandle:
    """Open a session again as it was.

    Where another window holds it, or its folder cannot be written, it opens read-only. Mode `bypass` never
    comes back by itself. Raises `SessionNotFound` and the journal's errors.
    """
    paths = find_paths(options.runtime.environment, data_dir=options.data_dir, config_dir=options.config_dir)
    path = paths.session_database(session)
    if not path.exists():
        raise SessionNotFound(f"there is no session {session} in {paths.sessions}; see: tui-agent sessions")
    settings = await read_settings(options)
    because = ""
    async with contextlib.AsyncExitStack() as undo:
        try:
            journal = await Journal.open(path, options.runtime)
        except (SessionLocked, SessionUnwritable) as error:
            locked = isinstance(error, SessionLocked)
            because = HELD if locked else "its folder cannot be written"
            journal = await Journal.open(path, options.runtime, read_only=True)
        journal, state = await _folded(journal, options.runtime)
        undo.push_async_callback(journal.close)
        state, remark = await moved(journal, state, options)
        workspace = Path(state.conversation.workspace or options.workspace)
        folders, problems = await read_folders(options, settings.settings, workspace)
        backend = await start_backend(options, settings.settings)
        undo.push_async_callback(asyncio.to_thread, backend.stop)
        core = assemble(journal, state, options, settings, backend)
        handle = SessionHandle(core)
        undo.push_async_callback(core.sessions.close)
        core.read_only_because = because
        if remark := remark or await folder_remark(session, state):
            handle.remarks.append(remark)
        handle.remarks += [*problems, *await core.rules.lost_folders()]
        if not journal.read_only:
            await repair_salvaged(journal, handle.state)
        if not journal.read_only and not state.conversation.session:
            # A crash came between the making of the file and its first event.
            await core.recorder.record(*created(options, settings.settings, backend, folders))
        elif not journal.read_only and (changes := changed(state, options, settings.settings, backend, folders)):
            await core.recorder.record(*changes)
        undo.pop_all()
    return handle


async def _folded(journal: Journal, runtime: Runtime) -> tuple[Journal, SessionState]:
    """Return the journal and its state; a journal that turns out to be damaged is salvaged and opened again."""
    try:
        return journal, await folded_state(journal)
    except BaseException as error:
        await journal.close()
        if journal.read_only or not isinstance(error, JournalDamaged):
            raise
        journal = await Journal.open(journal.path, runtime, damage=str(error))
    try:
        return journal, await folded_state(journal)
    except BaseException:
        await journal.close()
        raise
