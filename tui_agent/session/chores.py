"""Work of a session that nobody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tui_agent.events import Notice
from tui_agent.journal import Journal, JournalError, Recorder
from tui_agent.runtime import Runtime
from tui_agent.session.recovery import failure


class Chores:
    """Runs background work of one session; an error of it is recorded, or shown where it cannot be recorded.

    `show` shows a notice that is not in the journal.
    """

    def __init__(self, journal: Journal, runtime: Runtime, show: Callable[[Notice], None]) -> None:
        self._journal = journal
        self._runtime = runtime
        self._show = show
        self._recorder = Recorder(journal)
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Awaitable[None]) -> None:
        """Begin work that nobody waits for."""
        task = asyncio.create_task(self._run(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Wait until all of the work is done, that which it begins included."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def warn(self, message: str) -> None:
        """Show an error that cannot be recorded."""
        self._show(Notice(level="error", code="session", message=message, time=self._runtime.now()))

    async def _run(self, work: Awaitable[None]) -> None:
        try:
            await work
        except JournalError as error:
            self.warn(str(error))
        except Exception as error:
            crash = failure(self._journal, "Work in the background failed", error)
            try:
                await self._recorder.record(crash)
            except JournalError as unwritable:
                self.warn(f"{crash.reason}. It is not in the journal: {unwritable}")
