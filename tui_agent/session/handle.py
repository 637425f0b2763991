"""The session of this process: the implementation of `Session` that works on a session file."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import assert_never

from tui_agent.config.settings import LoadedSettings
from tui_agent.context.items import Item, TimelineEntry
from tui_agent.events import EventBase, Notice
from tui_agent.journal import JournalError
from tui_agent.permissions.rule_file import RuleFileError
from tui_agent.session.approvals import Approvals
from tui_agent.session.background import BackgroundCommands
from tui_agent.session.control import Control
from tui_agent.session.core import SessionCore
from tui_agent.session.errors import SessionError
from tui_agent.session.inspection import Inspection
from tui_agent.session.prompts import Prompts
from tui_agent.session.recovery import failure
from tui_agent.session.starting import read_interruption
from tui_agent.session.state import SessionState
from tui_agent.session.upkeep import Upkeep
from tui_agent.session.view import Listener, watched
from tui_agent.submissions import (
    AddFolder,
    AgreeToMemory,
    AllowAlways,
    Answer,
    ChooseHunks,
    Compact,
    Configure,
    Decide,
    EditCall,
    EndBackground,
    Fork,
    Interrupt,
    PutBack,
    RemoveFolder,
    Resolve,
    Revoke,
    SaveLayout,
    SetCostLimit,
    StopAgent,
    Submission,
    Submit,
    TrustProject,
    Withdraw,
)
from tui_agent.workflow import ToolError
from tui_agent.workflow.state import BackgroundCommand


class SessionHandle:
    """One open session.

    After `open_session` or `resume_session`: `subscribe`, then `start`. Everything a caller changes goes to the
    journal first and comes back as an update. All methods are for the event loop that opened the session.
    `read_only_because` says why a session is read-only, `can_take_over` that the window that held it has left, so
    that resuming it again makes it writable. `start` gives notice of the `remarks` that its opener left.
    """

    def __init__(self, core: SessionCore) -> None:
        self.session = core.session
        self.read_only = core.read_only
        self.remarks: list[str] = []
        self.options = core.options
        self.settings = core.settings
        self._core = core
        self._preparing: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._prompts = Prompts(core)
        self._approvals = Approvals(core)
        self._control = Control(core)
        self.inspect = Inspection(core)
        self._background = BackgroundCommands(core)
        self._upkeep = Upkeep(core, self._background.changed)
        core.rules.on_change = self._approvals.reconsider
        core.journal.on_commit(self._upkeep.committed)

    async def start(self) -> None:
        """Begin to work: say what a crash cut off, go on with unfinished runs, make the model client ready.

        Read-only, begin to follow the window that holds the session.
        """
        remarks = [Notice(level="warning", code="start", message=text) for text in self.remarks]
        if self.read_only:
            for remark in remarks:
                self._core.view.warn(remark)
            self._preparing = self._watched(self._upkeep.follow())
            return
        if problems := [*remarks, *_problems(self.settings), *self._core.backend.problems]:
            await self._core.recorder.record(*problems)
        await self._upkeep.settle_budget()
        self._watching = self._watched(self._background.watch())
        await self._core.rules.begin()
        self._core.chores.spawn(self._upkeep.probe_sandbox())
        self._core.chores.spawn(self._upkeep.check_file())
        self._preparing = self._watched(self._upkeep.prepare())
        interrupted = await read_interruption(self._core.journal, self.state)
        self._core.services.interrupting = interrupted is not None
        self._core.services.interrupt_reason = interrupted.reason if interrupted is not None else ""
        self._core.driver.go_on()
        if self.options.mode is not None:
            self._core.chores.spawn(self._core.rules.on_change())

    async def close(self) -> None:
        """Close the session. A run in progress is left as it is and goes on when the session is resumed.

        Raises the journal's errors where the end could not be written; the session is closed all the same.
        """
        if self._core.closed:
            return
        self._core.closed = True
        self._core.services.closing = True
        self._core.rules.end()
        own = [task for task in (self._preparing, self._watching) if task is not None]
        working = [*self._core.driver.tasks, *self._control.tasks, *own]
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await self._core.chores.drain()
        if not self.read_only:
            try:
                await self._upkeep.save_snapshot()
                await self._core.sessions.record(self.session, self.state)
            except JournalError:
                pass  # what is on disk stands; the next start folds it anew
        await self._core.services.client.close()
        await self._core.sandbox.close()
        await asyncio.to_thread(self._core.backend.stop)
        try:
            if self.read_only:
                await self._core.journal.close()
            else:
                async with self._core.sessions.closing(self.session):
                    await self._core.journal.close()
                await asyncio.to_thread(self._core.blackbox.disarm)
        finally:
            await self._core.sessions.close()

    def let_go(self) -> None:
        """Prepare for the end of the program: from here on, cancelling the work ends no command that runs."""
        self._core.services.closing = True

    async def crash(self, what: str, error: Exception) -> None:
        """Record that the program failed, and close the session; `what` names the part that failed.

        Commands go on, as when the process is killed; a resumed session picks their results up. Raises as `close`.
        """
        if self._core.closed:
            return
        self.let_go()
        if not self.read_only:
            with contextlib.suppress(JournalError):  # closing says what is wrong with the journal
                await self._core.recorder.record(failure(self._core.journal, what, error))
        await self.close()

    # Looking

    @property
    def read_only_because(self) -> str:
        """Why the session is read-only; empty if it is not."""
        return self._core.read_only_because

    @property
    def can_take_over(self) -> bool:
        """Whether the window that held the session has left it."""
        return self._core.can_take_over

    @property
    def background(self) -> list[BackgroundCommand]:
        """The commands that go on in the background."""
        return self._background.running

    @property
    def path(self) -> Path:
        """The session's file."""
        return self._core.journal.path

    @property
    def state(self) -> SessionState:
        """Everything folded so far."""
        return self._core.state

    @property
    def item_count(self) -> int:
        """How many items the conversation has."""
        return self._core.view.item_count

    @property
    def entry_count(self) -> int:
        """How many entries the timeline has."""
        return self._core.view.entry_count

    @property
    def compacting(self) -> bool:
        """Whether a compaction that the user asked for is under way; `interrupt` stops it."""
        return self._control.compacting

    @property
    def halted(self) -> bool:
        """Whether the run waits because the journal cannot be written; a prompt or `interrupt` tries again."""
        return self._core.driver.halted

    def subscribe(self, on_update: Listener) -> Callable[[], None]:
        """Call `on_update` on the loop with each update, in commit order; return the function that ends it."""
        return self._core.view.subscribe(on_update)

    async def items(self, start: int, stop: int) -> dict[int, Item]:
        """Return a page of the conversation, by position."""
        return await self._core.view.items(start, stop)

    async def entries(self, start: int, stop: int) -> dict[int, TimelineEntry]:
        """Return a page of the timeline, by position."""
        return await self._core.view.entries(start, stop)

    async def do(self, submission: Submission) -> str:
        """Do what a user or a program asks of the session, and return the id or path of what it made, if any.

        Raises `SessionError` where it cannot be done, also where a file of rules or settings cannot be written,
        `NoSuchRequest` for a permission request that does not wait any more, and the journal's errors.
        """
        try:
            return await self._do(submission)
        except (RuleFileError, ToolError, OSError) as error:
            raise SessionError(str(error)) from error

    async def _do(self, submission: Submission) -> str:
        match submission:
            case Submit():
                return await self._prompts.submit(submission)
            case Withdraw():
                return await self._prompts.withdraw(submission.prompt_id)
            case Decide():
                await self._approvals.decide(submission)
            case EditCall():
                await self._approvals.edit(submission.request, submission.input)
            case ChooseHunks():
                await self._approvals.choose_hunks(submission.request, submission.chosen)
            case AllowAlways():
                return str(await self._approvals.always(submission.rules))
            case Revoke():
                await self._approvals.revoke(submission.grant)
            case TrustProject():
                await self._approvals.trust(submission.shown)
            case AgreeToMemory():
                await self._approvals.agree_to_memory()
            case Answer():
                await self._approvals.answer(submission.question, submission.answer)
            case Resolve():
                await self._approvals.resolve(submission)
            case Interrupt():
                await self._control.interrupt(submission.reason)
            case StopAgent():
                await self._control.stop_agent(submission.name)
            case Configure():
                await self._control.configure(submission)
            case SetCostLimit():
                await self._control.set_cost_limit(submission.dollars)
            case AddFolder():
                return await self._control.add_folder(submission.path)
            case RemoveFolder():
                return await self._control.remove_folder(submission.path)
            case EndBackground():
                await self._background.end(submission.step)
            case Compact():
                await self._control.compact(submission)
            case PutBack():
                await self._control.put_back(submission.seq)
            case Fork():
                return await self._control.fork()
            case SaveLayout():
                await self._control.save_layout(submission.layout)
            case _:
                assert_never(submission)
        return ""

    def _watched(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return watched(asyncio.create_task(work), self._core.chores.spawn)


def _problems(settings: LoadedSettings) -> list[EventBase]:
    return [Notice(level="warning", code="settings", message=str(problem)) for problem in settings.problems]
