"""The sessions of a data folder: the list, from `index.db`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tui_agent.config import Paths
from tui_agent.events import EventBase
from tui_agent.journal import SessionIndex, SessionSummary
from tui_agent.session.state import SessionState


class Sessions:
    """The index of all sessions, as one open session writes to it."""

    def __init__(self, data_dir: Path) -> None:
        self._data = Paths(data_dir, data_dir)
        self._index = _index(data_dir)

    async def record(self, session: str, state: SessionState, events: Sequence[EventBase] = ()) -> None:
        """Put what the list shows of a session, and the text and cost of these events, into the index.

        The session's own file stays the truth; doing it again changes nothing.
        """
        conversation = state.conversation
        run = conversation.active_run
        await self._index.record(
            SessionSummary(
                id=session,
                path=str(self._data.sessions / session / "session.db"),
                title=conversation.title,
                workspace=conversation.workspace,
                model=conversation.model,
                created=conversation.created,
                updated=conversation.updated,
                prompts=conversation.prompts,
                cost=state.budget.cost,
                state="running" if run is not None else "idle",
            ),
            events,
        )

    async def close(self) -> None:
        """Finish what is still to be written."""
        await self._index.close()


async def list_sessions(data_dir: Path, workspace: Path | None = None) -> list[SessionSummary]:
    """Return the sessions of a data folder, the last used first; a lost or damaged index is rebuilt."""
    index = _index(data_dir)
    try:
        return await index.list(str(workspace) if workspace is not None else None)
    finally:
        await index.close()


def _index(data_dir: Path) -> SessionIndex:
    paths = Paths(data_dir, data_dir)
    return SessionIndex(paths.index, paths.sessions)


__all__ = ["SessionSummary", "Sessions", "list_sessions"]
