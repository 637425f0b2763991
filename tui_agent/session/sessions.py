"""The sessions of a data folder: the list, from `index.db`."""

from __future__ import annotations

from pathlib import Path

from tui_agent.journal import SessionIndex, SessionSummary
from tui_agent.runtime import Runtime
from tui_agent.session.state import SessionState


class Sessions:
    """The index of all sessions, as one open session writes to it."""

    def __init__(self, data_dir: Path, runtime: Runtime) -> None:
        self._index = SessionIndex(data_dir, runtime)

    async def record(self, session: str, state: SessionState) -> None:
        """Put what the list shows of a session into the index; the session's own file stays the truth."""
        conversation = state.conversation
        run = conversation.active_run
        await self._index.record(
            SessionSummary(
                id=session,
                title=conversation.title,
                workspace=conversation.workspace,
                model=conversation.model,
                created=conversation.created,
                updated=conversation.updated,
                prompts=conversation.prompts,
                cost=state.budget.cost,
                state="running" if run is not None else "idle",
            )
        )

    async def close(self) -> None:
        """Finish what is still to be written."""
        await self._index.close()


async def list_sessions(data_dir: Path, workspace: Path | None = None) -> list[SessionSummary]:
    """Return the sessions of a data folder, the last used first; a lost or damaged index is rebuilt."""
    index = SessionIndex(data_dir, Runtime())
    try:
        return await index.list(str(workspace) if workspace is not None else None)
    finally:
        await index.close()
