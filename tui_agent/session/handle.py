"""The session's door: open, resume, submit, decide, answer, interrupt, subscribe."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Collection, Coroutine, Mapping
from pathlib import Path
from typing import Literal

from tui_agent.config import find_paths
from tui_agent.config.settings import LoadedSettings
from tui_agent.context import (
    Window,
)
from tui_agent.context.items import Item, TimelineEntry
from tui_agent.events import (
    ContextCompacted,
    EventBase,
    JsonObject,
    Notice,
    PoolEntry,
)
from tui_agent.journal import (
    Journal,
    JournalDamaged,
    JournalError,
    SessionLocked,
    SessionUnwritable,
)
from tui_agent.models import Model
from tui_agent.permissions import (
    LoadedRules,
)
from tui_agent.runtime import Runtime
from tui_agent.session.approvals import Approvals
from tui_agent.session.assembly import assemble
from tui_agent.session.audit import Audit, RulePreview
from tui_agent.session.backend import start_backend
from tui_agent.session.background import BackgroundCommands
from tui_agent.session.control import Control
from tui_agent.session.core import SessionCore
from tui_agent.session.edits import Hunk
from tui_agent.session.errors import SessionNotFound
from tui_agent.session.folding import folded_state
from tui_agent.session.inspection import Inspection
from tui_agent.session.moving import folder_remark, moved
from tui_agent.session.options import OpenOptions
from tui_agent.session.prompts import Prompts
from tui_agent.session.recovery import failure
from tui_agent.session.repair import repair_salvaged
from tui_agent.session.sessions import delete_session
from tui_agent.session.starting import (
    changed,
    checked_mode,
    created,
    read_folders,
    read_interruption,
    read_settings,
)
from tui_agent.session.state import SessionState
from tui_agent.session.upkeep import HELD, Upkeep
from tui_agent.session.view import Listener, watched
from tui_agent.workflow.state import BackgroundCommand


class SessionHandle:
    """One open session.

    After `open` or `resume`: `subscribe`, then `start`. Everything a caller changes goes to the journal
    first and comes back as an update. All methods are for the event loop that opened the session.
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
        self._inspection = Inspection(core)
        self._background = BackgroundCommands(core)
        self._upkeep = Upkeep(core, self._background.changed)
        core.rules.on_change = self._approvals.reconsider
        core.journal.on_commit(self._upkeep.committed)

    # Opening and closing

    @classmethod
    async def open(cls, options: OpenOptions) -> SessionHandle:
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
            handle = cls(assemble(journal, SessionState(), options, settings, backend))
            undo.push_async_callback(handle._core.sessions.close)
            await handle._core.recorder.record(*created(options, settings.settings, backend, folders))
            handle.remarks += problems
            undo.pop_all()
        return handle

    @classmethod
    async def resume(cls, session: str, options: OpenOptions) -> SessionHandle:
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
            handle = cls(assemble(journal, state, options, settings, backend))
            undo.push_async_callback(handle._core.sessions.close)
            handle._core.read_only_because = because
            if remark := remark or await folder_remark(session, state):
                handle.remarks.append(remark)
            handle.remarks += [*problems, *await handle._core.rules.lost_folders()]
            if not journal.read_only:
                await repair_salvaged(journal, handle.state)
            if not journal.read_only and not state.conversation.session:
                # A crash came between the making of the file and its first event.
                await handle._core.recorder.record(*created(options, settings.settings, backend, folders))
            elif not journal.read_only and (changes := changed(state, options, settings.settings, backend, folders)):
                await handle._core.recorder.record(*changes)
            undo.pop_all()
        return handle

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
    def audit(self) -> Audit:
        """The trail of all sessions, and the rules."""
        return self._core.audit

    @property
    def damage(self) -> str:
        """What was wrong with the session's file when it was opened, and what became of it; empty if nothing."""
        return self._inspection.damage

    @property
    def asks_for_cost(self) -> bool:
        """Whether the user has not said yet what a run may cost at most; the default holds meanwhile."""
        return self._inspection.asks_for_cost

    @property
    def models(self) -> tuple[Model, ...]:
        """The models of the catalog and of the settings; a server may know others."""
        return self._inspection.models

    @property
    def path(self) -> Path:
        """The session's file."""
        return self._core.journal.path

    @property
    def state(self) -> SessionState:
        """Everything folded so far."""
        return self._core.view.state

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

    async def save_layout(self, layout: JsonObject) -> None:
        """Keep the screen's layout with the session. Does nothing when read-only."""
        if not self.read_only and not self._core.closed:
            await self._core.journal.save_layout(json.dumps(layout))

    async def end_background(self, step: str = "") -> None:
        """End a background command, all of them without `step`, and wait until that is recorded.

        Raises `SessionError` for one that is not running.
        """
        await self._background.end(step)

    async def add_folder(self, path: str) -> str:
        """Let the session use another folder like its workspace, and return its real path.

        Requests that wait are decided anew. Raises `SessionError`, which says why, for one that may not be added.
        """
        self._core.require_writable()
        return await self._core.rules.add_folder(path)

    async def folders(self) -> list[str]:
        """Return the folders that the session uses besides its workspace; those not usable now are left out."""
        return await self._core.rules.folders()

    # Steering

    async def pool(self) -> dict[str, PoolEntry]:
        """Return what the main agent's newest pool says of each tool, by name; empty before the first turn."""
        return await self._inspection.pool()

    async def layout(self) -> JsonObject | None:
        """Return the screen's layout as it was saved last; None for a new session or one that is damaged."""
        return await self._inspection.layout()

    async def submit(self, prompt: str, content: list[JsonObject] | None = None) -> str:
        """Take up a prompt; return the id of its run, or of the queued prompt while another run is going.

        `content` are the content blocks to send in place of the plain text; without them, files that the prompt
        mentions (`@path`) come along.
        """
        return await self._prompts.submit(prompt, content)

    async def withdraw(self, prompt_id: str) -> bool:
        """Take a queued prompt back; return False, and do nothing, once the agent has seen it."""
        return await self._prompts.withdraw(prompt_id)

    async def decide(
        self,
        request: str,
        verdict: Literal["allow", "deny"],
        *,
        scope: Literal["once", "session"] = "once",
        comment: str = "",
        unattended: bool = False,
        mode: str = "",
    ) -> None:
        """Decide on a waiting request. Raises `NoSuchRequest` when it is not waiting any more.

        What is allowed for the session lets other requests that it covers go on. `unattended` says that nobody
        decided it: nobody was there. `mode` is the session's mode after a plan that is approved, `ask` if empty;
        raises `SessionError` for one that cannot be chosen so.
        """
        return await self._approvals.decide(
            request, verdict, scope=scope, comment=comment, unattended=unattended, mode=mode
        )

    async def edit(self, request: str, call_input: JsonObject) -> None:
        """Change a waiting call; it is decided anew. Raises `SessionError` when it is not valid, `NoSuchRequest`."""
        return await self._approvals.edit(request, call_input)

    async def hunks(self, request: str) -> list[Hunk]:
        """Return the parts of the change that a waiting call would make to a file. Raises as `edit`."""
        return await self._approvals.hunks(request)

    async def choose_hunks(self, request: str, chosen: Collection[int]) -> None:
        """Leave only these hunks (by number, from 0) in a waiting call; it is decided anew. Raises as `edit`."""
        return await self._approvals.choose_hunks(request, chosen)

    async def suggest_rules(self, request: str) -> list[str]:
        """Return a rule for each command of a waiting line that asks; empty if none is known to.

        They are for the exact commands where only that lets the line go. Raises `NoSuchRequest`.
        """
        return await self._approvals.suggest_rules(request)

    async def preview_rules(self, request: str, *rules: str) -> RulePreview:
        """Return what rules would allow: this waiting call or not, and which past ones. Raises `NoSuchRequest`."""
        return await self._approvals.preview_rules(request, *rules)

    async def always(self, *rules: str) -> Path:
        """Save rules that allow to the user's file, all or none, and return that; requests they cover go on.

        Raises `RuleFileError`.
        """
        return await self._approvals.always(*rules)

    async def revoke(self, grant: str) -> None:
        """Take a grant of this session back; does nothing when there is none such."""
        return await self._approvals.revoke(grant)

    async def trust(self, shown: str) -> LoadedRules:
        """Let the project's files allow what they want to, as long as they have the hash that was `shown`.

        Raises `SessionError`, also when they have changed since, and `OSError`.
        """
        return await self._approvals.trust(shown)

    async def held_memory(self) -> list[str]:
        """Return the project's memory files that wait for the user's agreement, a line for each with its size."""
        return await self._inspection.held_memory()

    async def agree_to_memory(self) -> None:
        """Give the memory files that `held_memory` returned last to the model from now on. Raises `OSError`.

        One that has changed since is held back.
        """
        return await self._approvals.agree_to_memory()

    async def why(self, step: str) -> list[EventBase]:
        """Return what was asked, changed and decided about a step, oldest first."""
        return await self._inspection.why(step)

    async def answer(self, question: str, text: str) -> None:
        """Answer a question of the model; does nothing when it is not open any more."""
        return await self._approvals.answer(question, text)

    async def resolve(
        self, step: str, resolution: Literal["happened", "run_again", "skip"], comment: str = ""
    ) -> None:
        """Decide about a step that a crash left uncertain; does nothing when it is not so any more."""
        return await self._approvals.resolve(step, resolution, comment)

    async def interrupt(self, reason: str = "") -> None:
        """Stop the run in progress; its open steps are cancelled and the history stays valid.

        `reason` says what asked for it where that was not the user. It holds at the next start too, should the
        program end before the run has.
        """
        return await self._control.interrupt(reason)

    async def stop_agent(self, name: str = "") -> None:
        """End one subagent; the agent that asked for it is told what it had done, and goes on.

        Without a name, the only one at work. Raises `SessionError` when that is not clear.
        """
        return await self._control.stop_agent(name)

    async def configure(
        self,
        *,
        title: str | None = None,
        model: str | None = None,
        mode: str | None = None,
        effort: str | None = None,
        max_turns: int | None = None,
        limits: Mapping[str, float | None] | None = None,
    ) -> None:
        """Change settings of the session; they hold from the next turn. `max_turns` 0 lifts the limit.

        `effort` is a level, or `default` for what the settings say.
        Under another mode requests that wait are decided anew: those that it allows or denies wait no longer.
        `limits` are by `scope.kind`, in turns, tokens, dollars or seconds; None lifts one. They count in place of
        the settings' and the flags'. Raises `SessionError` for an unknown mode or limit, and for `bypass`, which
        only the command line gives.
        """
        return await self._control.configure(
            title=title, model=model, mode=mode, effort=effort, max_turns=max_turns, limits=limits
        )

    async def say_cost(self, dollars: float) -> None:
        """Keep what a run may cost at most, 0 for no limit, in the settings, and let it hold from here on.

        Raises `SessionError` where the settings cannot be written; it holds for this session all the same.
        """
        return await self._control.say_cost(dollars)

    async def compact(self, instructions: str = "", *, before: int | None = None, since: int | None = None) -> None:
        """Put a summary in the transcript's place for the model; prompts wait meanwhile, `interrupt` ends it.

        With `before`, the event of a prompt in the window, only what is older than that prompt is summarised;
        with `since` only that prompt and what follows. Raises `SessionBusy` during a run, `SessionError` when
        there is nothing to compact.
        """
        return await self._control.compact(instructions, before=before, since=since)

    async def context(self) -> Window:
        """Return what is in the main agent's window, by source."""
        return await self._inspection.context()

    async def receipts(self) -> list[ContextCompacted]:
        """Return the compactions of the main agent's history, the newest last, each with its receipt."""
        return await self._inspection.receipts()

    async def put_back_since(self, seq: int) -> frozenset[int]:
        """Return the events that were put back after event `seq`, by their numbers."""
        return await self._inspection.put_back_since(seq)

    async def prompts_in_window(self) -> list[int]:
        """Return the events of the prompts that the model still has before it, oldest first."""
        return await self._inspection.prompts_in_window()

    async def put_back(self, seq: int) -> None:
        """Let what a compaction dropped (the event of a line in its receipt) go with the next message.

        Raises `SessionError` when the event holds nothing that could be put back.
        """
        return await self._control.put_back(seq)

    async def fork(self) -> str:
        """Copy the session up to now into a new one and return its id; nothing is left of it when it fails.

        Raises `SessionBusy` during a run, and the journal's errors.
        """
        return await self._control.fork()

    def _watched(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return watched(asyncio.create_task(work), self._core.chores.spawn)


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


def _problems(settings: LoadedSettings) -> list[EventBase]:
    return [Notice(level="warning", code="settings", message=str(problem)) for problem in settings.problems]
