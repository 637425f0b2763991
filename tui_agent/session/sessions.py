"""The sessions of a data folder: list and search, from `index.db`, and deleting."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from tui_agent.budget import Account
from tui_agent.config import Paths
from tui_agent.events import Amounts, EventBase
from tui_agent.journal import FileLock, JournalError, SearchHit, SessionIndex, SessionLocked, SessionSummary
from tui_agent.journal.empty import holds_nothing
from tui_agent.sandbox import inspect
from tui_agent.session.errors import SessionBusy, SessionError
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
                offline=conversation.offline,
            ),
            events,
        )

    async def take_decisions(self, session: str) -> None:
        """Take what was decided in a session up into the index; doing it again changes nothing."""
        await self._index.take_decisions(session)

    @asynccontextmanager
    async def closing(self, session: str) -> AsyncIterator[None]:
        """Take up what was decided in a session, whose file is closed inside; an audit need not open that then."""
        taken = False
        with suppress(JournalError):  # the next one who asks does it
            await self._index.take_decisions(session)
            taken = True
        yield
        with suppress(JournalError):
            if taken:
                await self._index.seal_decisions(session)

    def ledger(self, session: str) -> Ledger:
        """Return the day's books for one session to draw on."""
        return Ledger(self._index, session)

    async def close(self) -> None:
        """Finish what is still to be written."""
        await self._index.close()


class Ledger:
    """The books of all sessions by day, as one session draws on them."""

    def __init__(self, index: SessionIndex, session: str) -> None:
        self._index = index
        self._session = session

    async def reserve(self, key: str, day: str, decide: Callable[[Account], Amounts | None]) -> Account:
        """Ask `decide`, in one transaction, what to reserve under `key`, and reserve it; see `DayLedger`."""
        amounts = await self._index.reserve(
            self._session, key, day, lambda used, reserved: decide(Account(used, reserved))
        )
        return Account(*amounts)

    async def book(self, events: Sequence[EventBase]) -> None:
        """Book what these events cost, in place of what was reserved for them."""
        await self._index.book(self._session, events)

    async def release(self, key: str) -> None:
        """Give a reservation back."""
        await self._index.release(self._session, key)

    async def account(self, day: str) -> Account:
        """Return what all sessions have used and reserved of a day."""
        return Account(*await self._index.day(day))

    async def settle(self, under_way: set[str]) -> None:
        """Book what an earlier start had not come to, and give back what it held beside the keys `under_way`."""
        await self._index.settle(self._session, under_way)


async def list_sessions(data_dir: Path, workspace: Path | None = None) -> list[SessionSummary]:
    """Return the sessions of a data folder, the last used first; a lost or damaged index is rebuilt.

    Those in which nothing was asked, and that hold no draft, are left out.
    """
    index = _index(data_dir)
    try:
        found = await index.list(str(workspace) if workspace is not None else None)
    finally:
        await index.close()
    empty = await asyncio.to_thread(_empty, found)
    return [session for session in found if session.id not in empty]


def _empty(found: Sequence[SessionSummary]) -> set[str]:
    asked = (session for session in found if not (session.prompts or session.problem))
    return {session.id for session in asked if holds_nothing(Path(session.path))}


async def discard_empty_sessions(data_dir: Path) -> None:
    """Remove the sessions in which nothing was asked, and that no window has open: what closing left, or a crash."""
    index = _index(data_dir)
    try:
        for session in await asyncio.to_thread(_empty, await index.list(None)):
            with suppress(SessionBusy, SessionError):  # it is in use, or stays until the next time
                folder = Paths(data_dir, data_dir).session_folder(session)
                if await asyncio.to_thread(_remove_folder, folder, only_empty=True):
                    await index.remove(session)
    finally:
        await index.close()


async def search_sessions(data_dir: Path, text: str) -> tuple[SearchHit, ...]:
    """Return the prompts and answers of all sessions with all the words of `text`, best first."""
    index = _index(data_dir)
    try:
        return await index.search(text)
    finally:
        await index.close()


async def delete_session(data_dir: Path, session: str) -> None:
    """Remove a session for good: its folder with all it holds, and its line in the index.

    What it cost stays in the ledger. Raises `SessionBusy` when a window has it open or a command of it still runs,
    `SessionError` when its folder cannot be removed.
    """
    folder = Paths(data_dir, data_dir).session_folder(session)
    await asyncio.to_thread(_remove_folder, folder)
    index = _index(data_dir)
    try:
        await index.remove(session)
    finally:
        await index.close()


def _remove_folder(folder: Path, *, only_empty: bool = False) -> bool:
    """Remove a session's folder and say so; `only_empty`: unless something was asked in it meanwhile."""
    if not folder.exists():
        return True
    try:
        lock = FileLock(folder / "session.db")
    except SessionLocked as error:
        raise SessionBusy("this session is open in a window; close it there, then delete it") from error
    try:
        if only_empty and not holds_nothing(folder / "session.db"):
            return False
        _refuse_running(folder / "steps")
        # The session's file goes first: a folder without one is no session any more, should this be cut off.
        for name in ("session.db", "session.db-wal", "session.db-shm"):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder)
        return True
    except OSError as error:
        raise SessionError(f"{folder} could not be removed: {error}") from error
    finally:
        lock.release()


@contextmanager
def closing_index(data_dir: Path) -> Iterator[SessionIndex]:
    """Open the index of a data folder for methods that block."""
    index = _index(data_dir)
    try:
        yield index
    finally:
        index.shut()


def _refuse_running(steps: Path) -> None:
    for spool in steps.glob("*"):
        command = inspect(spool)
        if command.state == "running":
            raise SessionBusy(
                f"a command of this session still runs, process {command.pid}; end it or wait for its end, then "
                "delete the session"
            )


def _index(data_dir: Path) -> SessionIndex:
    paths = Paths(data_dir, data_dir)
    return SessionIndex(paths.index, paths.sessions)


__all__ = [
    "SearchHit",
    "SessionSummary",
    "Sessions",
    "closing_index",
    "delete_session",
    "discard_empty_sessions",
    "list_sessions",
    "search_sessions",
]
