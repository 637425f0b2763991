"""The session's door: open, resume, submit, decide, answer, interrupt, subscribe."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

from tui_agent import sandbox
from tui_agent.agents import BudgetRefusedError, NothingToCompactError, Services, compact, narrowing_for
from tui_agent.budget import Meter
from tui_agent.config import Paths, find_paths
from tui_agent.config.settings import DEFAULT_MAX_COST, EFFORTS, Effort, LoadedSettings, save_max_cost
from tui_agent.context import (
    Chosen,
    History,
    Memory,
    Window,
    agree,
    choose_memory,
    describe_held,
    is_agreed,
    load_memory,
    nested_memory,
)
from tui_agent.context.items import Item, TimelineEntry
from tui_agent.events import (
    MAIN_AGENT,
    BackgroundEnded,
    BudgetBooked,
    BudgetClocked,
    ContextCompacted,
    ContextNoted,
    ContextPutBack,
    EventBase,
    JsonObject,
    Notice,
    PermissionDecided,
    PermissionRequested,
    PermissionRevoked,
    PoolAssembled,
    PoolEntry,
    PromptQueued,
    PromptWithdrawn,
    QuestionAnswered,
    RunFinished,
    RunInterrupted,
    RunStarted,
    SandboxProbed,
    SessionConfigured,
    StepResolved,
    TurnFailed,
    TurnFinished,
)
from tui_agent.journal import (
    Committed,
    Journal,
    JournalDamaged,
    JournalError,
    Recorder,
    SessionLocked,
    SessionUnwritable,
)
from tui_agent.journal.lock import is_free
from tui_agent.models import Model, ModelClient, ModelError, RequestOptions, retirement
from tui_agent.permissions import (
    LoadedRules,
    NoSuchRequest,
    PermissionBroker,
    RuleSet,
    SandboxState,
    load_rules,
)
from tui_agent.registry import load_tools
from tui_agent.runtime import Runtime
from tui_agent.sandbox import Sandbox
from tui_agent.session.audit import Audit, RulePreview
from tui_agent.session.backend import Backend, start_backend
from tui_agent.session.blackbox import BlackBox
from tui_agent.session.compaction import manual_cut, read_put_back
from tui_agent.session.driver import Driver
from tui_agent.session.edits import Hunk, edited, hunks_of, with_hunks
from tui_agent.session.errors import SessionBusy, SessionError, SessionNotFound, SessionReadOnly
from tui_agent.session.folding import folded_state
from tui_agent.session.forking import write_fork
from tui_agent.session.histories import Histories
from tui_agent.session.limits import asks_for_cost, checked_limits
from tui_agent.session.mentions import Expansion, expand_mentions
from tui_agent.session.moving import folder_remark, moved
from tui_agent.session.options import OpenOptions
from tui_agent.session.recovery import failure, record_interruptions
from tui_agent.session.repair import repair_salvaged
from tui_agent.session.sessions import Sessions, delete_session
from tui_agent.session.starting import (
    changed,
    checked_mode,
    created,
    folder_guard,
    read_folders,
    read_interruption,
    read_settings,
    start_rules,
)
from tui_agent.session.state import SessionState, digest, dump_state
from tui_agent.session.view import Listener, SessionView, watched
from tui_agent.session.window import read_window
from tui_agent.text import well_formed
from tui_agent.tools.base import locate
from tui_agent.tools.grants import grant_scope
from tui_agent.tools.spool import describe_end, newest_spool
from tui_agent.workflow.state import BackgroundCommand

FOLLOW_SECONDS = 1.0
"""How often a read-only session looks for what another window has written."""

MODES_AFTER_PLAN = ("ask", "accept-edits", "sandboxed")
"""The modes that the user can choose when they approve a plan."""

HELD = "another window holds it"
LEFT = "the other window has left it; a prompt takes over"
"""Why a session is read-only: while its lock is held, and after that."""

BACKGROUND_SECONDS = 1.0
"""How often the commands in the background are looked at."""

END_SECONDS = 6.0
"""How long to wait for commands that were told to end; they are killed after 2."""

SNAPSHOT_EVERY = 500
"""Events between snapshots of the folded state: what a start has to fold anew at most."""


_LISTED = (
    RunStarted,
    RunFinished,
    SessionConfigured,
    TurnFinished,
    TurnFailed,
    ContextCompacted,
    BudgetBooked,
    BudgetClocked,
)
"""Events that change what the list of sessions, its search and its ledger say."""


class SessionHandle:
    """One open session.

    After `open` or `resume`: `subscribe`, then `start`. Everything a caller changes goes to the journal
    first and comes back as an update. All methods are for the event loop that opened the session.
    `read_only_because` says why a session is read-only, `can_take_over` that the window that held it has left, so
    that resuming it again makes it writable. `start` gives notice of the `remarks` that its opener left.
    """

    def __init__(
        self,
        journal: Journal,
        state: SessionState,
        options: OpenOptions,
        settings: LoadedSettings,
        backend: Backend,
    ) -> None:
        self.session = journal.session
        self.read_only = journal.read_only
        self.read_only_because = ""
        self.can_take_over = False
        self.remarks: list[str] = []
        self.options = options
        self.settings = settings
        self._journal = journal
        self._runtime: Runtime = options.runtime
        self._recorder = Recorder(journal)
        self._tasks: set[asyncio.Task[None]] = set()
        self._submitting = asyncio.Lock()
        self._preparing: asyncio.Task[None] | None = None
        self._compacting: asyncio.Task[None] | None = None
        self._view = SessionView(journal, state, self._spawn)
        self._histories = Histories(journal)
        self._sessions = Sessions(options.data_dir)
        self._ledger = self._sessions.ledger(journal.session)
        self._since_snapshot = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._background_begun = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._rule_problems: tuple[str, ...] = ()
        self._folder_guard = folder_guard(options, Path(state.conversation.workspace or options.workspace))
        self._file_folders: tuple[str, ...] = ()  # as the rule files were when last read
        self._recording_folders = asyncio.Lock()
        self._last_written = state.conversation.updated  # before this start writes anything
        self._closed = False
        self._backend = backend
        self._sandbox = Sandbox(
            self._runtime,
            workspace=Path(state.conversation.workspace or options.workspace),
            data=options.data_dir,
            config=options.config_dir,
            scratch=journal.path.parent / "scratch",
            enabled=settings.settings.sandbox == "on",
            domains=settings.settings.network_domains,
            passed=settings.settings.pass_environment,
            additional=self._usable_folders,
        )
        self._services = Services(
            runtime=self._runtime,
            journal=journal,
            workspace=Path(state.conversation.workspace or options.workspace),
            config_dir=options.config_dir,
            steps_dir=journal.path.parent / "steps",
            tools=load_tools(),
            client=ModelClient(
                base_url=backend.base_url,
                api_key=backend.api_key,
                runtime=self._runtime,
                # The offline model has another address at each start.
                capabilities_file=None if backend.offline else options.data_dir / "servers.json",
            ),
            catalog=backend.catalog,
            broker=PermissionBroker(
                self._runtime,
                lambda: self.state.permissions,
                Path(state.conversation.workspace or options.workspace),
                self._rules,
                self._sandbox_state,
                lambda agent: narrowing_for(agent, self.state.conversation, self.state.workflow, self._runtime.home),
                protected=(str(options.config_dir), str(options.data_dir)),
                folders=self._open_folders,
                temporary=self._sandbox.temporary,
                unattended=options.unattended,
            ),
            conversation=lambda: self.state.conversation,
            workflow=lambda: self.state.workflow,
            budget=lambda: self.state.budget,
            meter=Meter(self._runtime, lambda: self.state.budget, self._ledger),
            mode=lambda: self.state.conversation.mode,
            load_history=self._load_history,
            find_events=journal.read,
            request_options=self._request_options,
            sandbox=self._sandbox,
            compact_at=settings.settings.compact_at,
            memory_files=options.memory_files or settings.settings.memory_files,
            system_prompt=_joined(settings.settings.append_system_prompt, options.system_prompt),
        )
        self._blackbox = BlackBox(journal.path.parent)
        self._driver = Driver(self._services, self._view, self._spawn, self._ledger.release)
        journal.on_commit(self._committed)

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
            handle = cls(journal, SessionState(), options, settings, backend)
            undo.push_async_callback(handle._sessions.close)
            await handle._recorder.record(*created(options, settings.settings, backend, folders))
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
            handle = cls(journal, state, options, settings, backend)
            undo.push_async_callback(handle._sessions.close)
            handle.read_only_because = because
            if remark := remark or await folder_remark(session, state):
                handle.remarks.append(remark)
            handle.remarks += [*problems, *await handle._lost_folders()]
            if not journal.read_only:
                await repair_salvaged(journal, handle.state)
            if not journal.read_only and not state.conversation.session:
                # A crash came between the making of the file and its first event.
                await handle._recorder.record(*created(options, settings.settings, backend, folders))
            elif not journal.read_only and (changes := changed(state, options, settings.settings, backend, folders)):
                await handle._recorder.record(*changes)
            undo.pop_all()
        return handle

    async def start(self) -> None:
        """Begin to work: say what a crash cut off, go on with unfinished runs, make the model client ready.

        Read-only, begin to follow the window that holds the session.
        """
        remarks = [Notice(level="warning", code="start", message=text) for text in self.remarks]
        if self.read_only:
            for remark in remarks:
                self._view.warn(remark)
            self._preparing = watched(asyncio.create_task(self._follow(), name="follow"), self._spawn)
            return
        if problems := [*remarks, *_problems(self.settings), *self._backend.problems]:
            await self._recorder.record(*problems)
        await self._settle_budget()
        self._loop = asyncio.get_running_loop()
        self._watching = watched(asyncio.create_task(self._watch_background(), name="background"), self._spawn)
        await asyncio.to_thread(self._rules)
        await self._record_file_folders()
        self._spawn(self._probe_sandbox())
        self._spawn(self._check_file())
        self._preparing = watched(asyncio.create_task(self._prepare(), name="prepare"), self._spawn)
        interrupted = await read_interruption(self._journal, self.state)
        self._services.interrupting = interrupted is not None
        self._services.interrupt_reason = interrupted.reason if interrupted is not None else ""
        self._driver.go_on()
        if self.options.mode is not None:
            self._spawn(self._reconsider())

    async def close(self) -> None:
        """Close the session. A run in progress is left as it is and goes on when the session is resumed.

        Raises the journal's errors where the end could not be written; the session is closed all the same.
        """
        if self._closed:
            return
        self._closed = True
        self._services.closing = True
        own = [task for task in (self._preparing, self._compacting, self._watching) if task is not None]
        working = [*self._driver.tasks, *own]
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if not self.read_only:
            try:
                await self._save_snapshot()
                await self._sessions.record(self.session, self.state)
            except JournalError:
                pass  # what is on disk stands; the next start folds it anew
        await self._services.client.close()
        await self._sandbox.close()
        await asyncio.to_thread(self._backend.stop)
        try:
            if self.read_only:
                await self._journal.close()
            else:
                async with self._sessions.closing(self.session):
                    await self._journal.close()
                await asyncio.to_thread(self._blackbox.disarm)
        finally:
            await self._sessions.close()

    # Commands in the background

    @property
    def background(self) -> list[BackgroundCommand]:
        """The commands that go on in the background."""
        return list(self.state.workflow.background.values())

    async def end_background(self, step: str = "") -> None:
        """End a background command, all of them without `step`, and wait until that is recorded.

        Raises `SessionError` for one that is not running.
        """
        self._writable()
        running = self.state.workflow.background
        if step and step not in running:
            known = ", ".join(running) or "none"
            raise SessionError(f"no background command is {step!r}; running are: {known}")
        for known in [step] if step else list(running):
            spool = await asyncio.to_thread(newest_spool, self._services.steps_dir, known)
            if spool is not None:
                await asyncio.to_thread(sandbox.kill, spool)
        end_at = self._runtime.monotonic() + END_SECONDS
        while any(known in self.state.workflow.background for known in ([step] if step else list(running))):
            if self._runtime.monotonic() > end_at:
                return
            await self._look_at_background()
            await self._runtime.sleep(0.05)

    async def _watch_background(self) -> None:
        """Record the end of each command in the background, when it comes."""
        while True:
            if not self.state.workflow.background:
                self._background_begun.clear()
                await self._background_begun.wait()
            await self._look_at_background()
            await self._runtime.sleep(BACKGROUND_SECONDS)

    async def _look_at_background(self) -> None:
        for command in self.background:
            spool = await asyncio.to_thread(newest_spool, self._services.steps_dir, command.step)
            record = await asyncio.to_thread(sandbox.inspect, spool) if spool is not None else None
            if record is not None and record.state in ("running", "never_started"):
                continue
            if command.step not in self.state.workflow.background:
                continue  # another look has recorded it
            died = record is None or record.state == "died"
            summary = "died; how far it got is not known" if died or record is None else describe_end(record, None)
            code = record.exit_code if record is not None else None
            await self._recorder.record(
                BackgroundEnded(step=command.step, title=command.title, summary=summary, exit_code=code),
                Notice(level="info", code="background", message=f"{command.title}: {summary}"),
            )

    def let_go(self) -> None:
        """Prepare for the end of the program: from here on, cancelling the work ends no command that runs."""
        self._services.closing = True

    async def crash(self, what: str, error: Exception) -> None:
        """Record that the program failed, and close the session; `what` names the part that failed.

        Commands go on, as when the process is killed; a resumed session picks their results up. Raises as `close`.
        """
        if self._closed:
            return
        self.let_go()
        if not self.read_only:
            with contextlib.suppress(JournalError):  # closing says what is wrong with the journal
                await self._recorder.record(failure(self._journal, what, error))
        await self.close()

    # Looking

    @property
    def path(self) -> Path:
        """The session's file."""
        return self._journal.path

    @property
    def state(self) -> SessionState:
        """Everything folded so far."""
        return self._view.state

    @property
    def item_count(self) -> int:
        """How many items the conversation has."""
        return self._view.item_count

    @property
    def entry_count(self) -> int:
        """How many entries the timeline has."""
        return self._view.entry_count

    @property
    def compacting(self) -> bool:
        """Whether a compaction that the user asked for is under way; `interrupt` stops it."""
        return self._compacting is not None and not self._compacting.done()

    @property
    def halted(self) -> bool:
        """Whether the run waits because the journal cannot be written; a prompt or `interrupt` tries again."""
        return self._driver.halted

    def subscribe(self, on_update: Listener) -> Callable[[], None]:
        """Call `on_update` on the loop with each update, in commit order; return the function that ends it."""
        return self._view.subscribe(on_update)

    async def items(self, start: int, stop: int) -> dict[int, Item]:
        """Return a page of the conversation, by position."""
        return await self._view.items(start, stop)

    async def entries(self, start: int, stop: int) -> dict[int, TimelineEntry]:
        """Return a page of the timeline, by position."""
        return await self._view.entries(start, stop)

    async def pool(self) -> dict[str, PoolEntry]:
        """Return what the main agent's newest pool says of each tool, by name; empty before the first turn."""
        entries: dict[str, PoolEntry] = {}
        after = 0
        while found := await self._journal.read(after, agent=MAIN_AGENT, types=["pool.assembled"]):
            after = found[-1].seq or 0
            newest = found[-1]
            if isinstance(newest, PoolAssembled):
                entries = {entry.name: entry for entry in newest.entries}
        return entries

    async def layout(self) -> JsonObject | None:
        """Return the screen's layout as it was saved last; None for a new session or one that is damaged."""
        text = await self._journal.layout()
        if text is None:
            return None
        try:
            layout = json.loads(text)
        except ValueError:
            return None
        return layout if isinstance(layout, dict) else None

    async def save_layout(self, layout: JsonObject) -> None:
        """Keep the screen's layout with the session. Does nothing when read-only."""
        if not self.read_only and not self._closed:
            await self._journal.save_layout(json.dumps(layout))

    # Steering

    async def submit(self, prompt: str, content: list[JsonObject] | None = None) -> str:
        """Take up a prompt; return the id of its run, or of the queued prompt while another run is going.

        `content` are the content blocks to send in place of the plain text; without them, files that the prompt
        mentions (`@path`) come along.
        """
        self._writable()
        prompt = well_formed(prompt)
        async with self._submitting:  # first come, first taken up, however long the files take
            expansion = Expansion(content) if content else await self._expand(prompt)
            return await self._take_up(prompt, expansion)

    async def _take_up(self, prompt: str, expansion: Expansion) -> str:
        content, files, memory = expansion.content, expansion.files, expansion.memory
        mentions = expansion.mentions
        async with self._services.prompts:
            if self.state.conversation.active_run is not None:
                prompt_id = self._runtime.new_id("prompt")
                queued = PromptQueued(
                    prompt_id=prompt_id, prompt=prompt, content=content, files=files, memory=memory, mentions=mentions
                )
                await self._recorder.record(queued)
                self._driver.go_on()
                return queued.prompt_id
            run = self._runtime.new_id("run")
            started = RunStarted(prompt=prompt, content=content, files=files, memory=memory, mentions=mentions)
            await self._recorder.scoped(run, MAIN_AGENT).record(started)
        self._driver.go_on()
        return run

    async def withdraw(self, prompt_id: str) -> bool:
        """Take a queued prompt back; return False, and do nothing, once the agent has seen it."""
        self._writable()
        async with self._services.prompts:
            waits = any(prompt.prompt_id == prompt_id for prompt in self.state.conversation.queued)
            if waits:
                await self._recorder.record(PromptWithdrawn(prompt_id=prompt_id))
            return waits

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
        self._writable()
        if mode and mode not in MODES_AFTER_PLAN:
            raise SessionError(f"after a plan the mode can be {' or '.join(MODES_AFTER_PLAN)}, not {mode!r}")
        await self._services.broker.resolve(
            request,
            verdict,
            scope=scope,
            comment=comment,
            recorder=self._recorder,
            by="unattended" if unattended else "person",
            mode=mode,
        )
        if verdict == "allow" and scope == "session":
            await self._reconsider()

    async def edit(self, request: str, call_input: JsonObject) -> None:
        """Change a waiting call; it is decided anew. Raises `SessionError` when it is not valid, `NoSuchRequest`."""
        self._writable()
        await self._edit(self._services.broker.waiting(request), call_input, "")

    async def hunks(self, request: str) -> list[Hunk]:
        """Return the parts of the change that a waiting call would make to a file. Raises as `edit`."""
        waiting = self._services.broker.waiting(request)
        return await asyncio.to_thread(hunks_of, waiting, self._locate)

    async def choose_hunks(self, request: str, chosen: Collection[int]) -> None:
        """Leave only these hunks (by number, from 0) in a waiting call; it is decided anew. Raises as `edit`."""
        self._writable()
        waiting = self._services.broker.waiting(request)
        call_input, note = await asyncio.to_thread(with_hunks, waiting, self._locate, chosen)
        await self._edit(waiting, call_input, note)

    async def suggest_rules(self, request: str) -> list[str]:
        """Return a rule for each command of a waiting line that asks; empty if none is known to.

        They are for the exact commands where only that lets the line go. Raises `NoSuchRequest`.
        """
        mode = self.state.conversation.mode
        commands = await self._services.broker.asking(request, mode=mode)
        exact = list(dict.fromkeys(f"Bash({command})" for command in commands))
        wide = list(dict.fromkeys(grant_scope(command) or f"Bash({command})" for command in commands))
        for rules in (wide, exact):
            more = self.audit.allowing(rules, self.state.conversation.workspace)
            if (await self._services.broker.would(request, more, mode=mode)).verdict == "allow":
                return rules
        return wide

    def _locate(self, path: str) -> Path:
        """Return the file that the path of a call that writes names, as the tool sees it. Raises `ToolError`."""
        return locate(path, self._services.workspace, self._runtime.home, self._sandbox, reading=False).real

    async def preview_rules(self, request: str, *rules: str) -> RulePreview:
        """Return what rules would allow: this waiting call or not, and which past ones. Raises `NoSuchRequest`."""
        more = self.audit.allowing(rules, self.state.conversation.workspace)
        if more.problems:
            return RulePreview(problem=more.problems[0].partition(": ")[2])
        found = await self._services.broker.would(request, more, mode=self.state.conversation.mode)
        calls, allowed = await asyncio.to_thread(self.audit.newly_allowed, *rules)
        return RulePreview(found.verdict, found.reason, calls, allowed)

    async def always(self, *rules: str) -> Path:
        """Save rules that allow to the user's file, all or none, and return that; requests they cover go on.

        Raises `RuleFileError`.
        """
        self._writable()
        path = await asyncio.to_thread(self.audit.add_rules, rules, "allow")
        await self._reconsider()
        return path

    async def revoke(self, grant: str) -> None:
        """Take a grant of this session back; does nothing when there is none such."""
        self._writable()
        if any(known.pattern == grant for known in self.state.permissions.grants):
            await self._recorder.record(PermissionRevoked(grant=grant))

    async def trust(self) -> LoadedRules:
        """Let the project's files allow what they want to, as they are now. Raises `SessionError`, `OSError`."""
        self._writable()
        rules = await asyncio.to_thread(self.audit.trust, self.state.conversation.workspace)
        await asyncio.to_thread(self._rules)
        await self._record_file_folders()
        await self._reconsider()
        return rules

    async def held_memory(self) -> list[str]:
        """Return the project's memory files that wait for the user's agreement, a line for each with its size."""
        return describe_held((await self._choose_memory())[1].held)

    async def agree_to_memory(self) -> None:
        """Give the project's memory files to the model from now on, as they are. Raises `OSError`."""
        self._writable()
        memory, chosen = await self._choose_memory()
        await asyncio.to_thread(agree, memory, self.options.config_dir)
        history = await self._load_history(MAIN_AGENT)
        if history.system and chosen.held:
            text = "\n\n".join(file.block() for file in chosen.held)
            await self._recorder.record(ContextNoted(text=f"<memory>\n{text}\n</memory>"))

    async def _choose_memory(self) -> tuple[Memory, Chosen]:
        services, config = self._services, self.options.config_dir
        memory = await asyncio.to_thread(load_memory, config, services.workspace, services.runtime.home)
        return memory, await asyncio.to_thread(choose_memory, memory, services.memory_files, config)

    async def why(self, step: str) -> list[EventBase]:
        """Return what was asked, changed and decided about a step, oldest first."""
        types = ["permission.requested", "permission.decided", "step.edited"]
        return list(await self._journal.read(subject=step, types=types))

    @property
    def audit(self) -> Audit:
        """The trail of all sessions, and the rules."""
        return Audit(Paths(self.options.data_dir, self.options.config_dir), self._runtime)

    async def answer(self, question: str, text: str) -> None:
        """Answer a question of the model; does nothing when it is not open any more."""
        self._writable()
        text = well_formed(text)
        known = self.state.workflow.questions.get(question)
        if known is not None:
            step = self.state.workflow.steps[known.step]
            answered = QuestionAnswered(step=known.step, question=question, answer=text)
            await self._recorder.scoped(step.run, step.agent).record(answered)
            async with self._services.resolved:
                self._services.resolved.notify_all()

    async def resolve(
        self, step: str, resolution: Literal["happened", "run_again", "skip"], comment: str = ""
    ) -> None:
        """Decide about a step that a crash left uncertain; does nothing when it is not so any more."""
        self._writable()
        known = self.state.workflow.steps.get(step)
        if known is not None and known.status == "uncertain":
            resolved = StepResolved(step=step, resolution=resolution, comment=comment)
            await self._recorder.scoped(known.run, known.agent).record(resolved)
            async with self._services.resolved:
                self._services.resolved.notify_all()

    @property
    def damage(self) -> str:
        """What was wrong with the session's file when it was opened, and what became of it; empty if nothing."""
        report = self._journal.salvage
        return report.message if report is not None else ""

    async def interrupt(self, reason: str = "") -> None:
        """Stop the run in progress; its open steps are cancelled and the history stays valid.

        `reason` says what asked for it where that was not the user. It holds at the next start too, should the
        program end before the run has.
        """
        self._writable()
        if self._compacting is not None:
            self._compacting.cancel()
        run = self.state.conversation.active_run
        asked = self._services.interrupting
        self._services.interrupt_reason = self._services.interrupt_reason if asked else reason
        self._driver.interrupt()
        if run is not None and not asked:
            try:
                await self._recorder.scoped(run.id, run.agent).record(RunInterrupted(reason=reason))
            except JournalError as error:
                self._warn(str(error))

    async def stop_agent(self, name: str = "") -> None:
        """End one subagent; the agent that asked for it is told what it had done, and goes on.

        Without a name, the only one at work. Raises `SessionError` when that is not clear.
        """
        self._writable()
        at_work = self._services.subagents
        if not name and len(at_work) == 1:
            name = next(iter(at_work))
        if name not in at_work:
            known = ", ".join(at_work) or "none; Esc interrupts the run"
            raise SessionError(f"say which agent to stop: /stop NAME. At work: {known}")
        self._services.stopping.add(name)
        at_work[name].cancel()

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
        self._writable()
        if mode is not None:
            if mode == "bypass":
                raise SessionError("bypass comes only from the command line: tui-agent --mode bypass")
            checked_mode(mode)
        if effort is not None and effort not in {*EFFORTS, "default"}:
            raise SessionError(f"there is no effort {effort!r}; there are: {', '.join(EFFORTS)}, default")
        if model is not None:
            model = self._services.catalog.find(model).id
        layers: dict[str, dict[str, float | None]] = {}
        if limits:
            known = self.state.budget.layers
            layers["person"] = {**known.get("person", {}), **checked_limits(limits)}
            layers["start"] = {key: value for key, value in known.get("start", {}).items() if key not in limits}
        await self._recorder.record(
            SessionConfigured(title=title, model=model, mode=mode, effort=effort, max_turns=max_turns, limits=layers)
        )
        self._driver.limits_changed.set()
        if mode is not None:
            await self._reconsider()

    async def add_folder(self, path: str) -> str:
        """Let the session use another folder like its workspace, and return its real path.

        Requests that wait are decided anew. Raises `SessionError`, which says why, for one that may not be added.
        """
        self._writable()
        folder = await asyncio.to_thread(self._folder_guard.checked, path)
        if await asyncio.to_thread(self._folder_guard.is_open, folder):
            raise SessionError(f"{path} is in the workspace already")
        held = self.state.conversation.folders.get("session", ())
        if folder not in held:
            await self._recorder.record(SessionConfigured(folders={"session": [*held, folder]}))
            await self._reconsider()
        return folder

    async def folders(self) -> list[str]:
        """Return the folders that the session uses besides its workspace; those not usable now are left out."""
        return list(await asyncio.to_thread(self._usable_folders))

    @property
    def asks_for_cost(self) -> bool:
        """Whether the user has not said yet what a run may cost at most; the default holds meanwhile."""
        return not self.read_only and asks_for_cost(self.settings, self.state, self._backend.catalog)

    async def say_cost(self, dollars: float) -> None:
        """Keep what a run may cost at most, 0 for no limit, in the settings, and let it hold from here on.

        Raises `SessionError` where the settings cannot be written; it holds for this session all the same.
        """
        self._writable()
        if dollars != DEFAULT_MAX_COST:
            await self.configure(limits={"run.cost": dollars or None})
        path = Paths(self.options.data_dir, self.options.config_dir).settings
        try:
            await asyncio.to_thread(save_max_cost, path, dollars)
        except (OSError, ValueError) as error:
            raise SessionError(f"{path} could not be written: {error}") from error

    async def compact(self, instructions: str = "", *, before: int | None = None, since: int | None = None) -> None:
        """Put a summary in the transcript's place for the model; prompts wait meanwhile, `interrupt` ends it.

        With `before`, the event of a prompt in the window, only what is older than that prompt is summarised;
        with `since` only that prompt and what follows. Raises `SessionBusy` during a run, `SessionError` when
        there is nothing to compact.
        """
        self._writable()
        async with self._services.prompts:
            if self.state.conversation.active_run is not None:
                raise SessionBusy("a run is in progress; interrupt it or wait for its end, then /compact")
            history = await self._load_history(MAIN_AGENT)
            cut = manual_cut(history, before, since)
            work = compact(self._services, self._recorder, history, cut, trigger="manual", instructions=instructions)
            self._compacting = asyncio.create_task(work, name="compact")
            before_it = self.state.conversation.history_start
            try:
                await asyncio.wait({self._compacting})
                if self._compacting.cancelled() and self.state.conversation.history_start == before_it:
                    raise SessionError("the compaction was stopped; the conversation stays as it is")
                if not self._compacting.cancelled():
                    self._compacting.result()
            except (BudgetRefusedError, NothingToCompactError) as error:
                raise SessionError(str(error)) from error
            finally:
                self._compacting.cancel()

    async def context(self) -> Window:
        """Return what is in the main agent's window, by source."""
        history = await self._load_history(MAIN_AGENT)
        model = self._services.catalog.find(self.state.conversation.model)
        return await read_window(self._journal, self.state, history, model)

    @property
    def models(self) -> tuple[Model, ...]:
        """The models of the catalog and of the settings; a server may know others."""
        return tuple(self._services.catalog.models.values())

    async def receipts(self) -> list[ContextCompacted]:
        """Return the compactions of the main agent's history, the newest last, each with its receipt."""
        found = await self._journal.read(agent=MAIN_AGENT, types=["context.compacted"])
        return [event for event in found if isinstance(event, ContextCompacted)]

    async def put_back_since(self, seq: int) -> frozenset[int]:
        """Return the events that were put back after event `seq`, by their numbers."""
        found = await self._journal.read(seq, agent=MAIN_AGENT, types=["context.put_back"])
        return frozenset(event.source for event in found if isinstance(event, ContextPutBack))

    async def prompts_in_window(self) -> list[int]:
        """Return the events of the prompts that the model still has before it, oldest first."""
        history = await self._load_history(MAIN_AGENT)
        return [seq for _, seq in history.prompts]

    async def put_back(self, seq: int) -> None:
        """Let what a compaction dropped (the event of a line in its receipt) go with the next message.

        Raises `SessionError` when the event holds nothing that could be put back.
        """
        self._writable()
        event = await read_put_back(self._journal, seq)
        await self._load_history(MAIN_AGENT)
        await self._recorder.record(event)

    async def fork(self) -> str:
        """Copy the session up to now into a new one and return its id; nothing is left of it when it fails.

        Raises `SessionBusy` during a run, and the journal's errors.
        """
        if self.state.conversation.active_run is not None:
            raise SessionBusy("a run is in progress; interrupt it or wait for its end, then fork")
        session = self._runtime.new_id("session")
        try:
            await write_fork(self._journal, self.state, session, self._sessions, self._runtime)
        except BaseException:
            await delete_session(self.options.data_dir, session)
            raise
        return session

    # Inside

    async def _expand(self, prompt: str) -> Expansion:
        if "@" not in prompt:
            return Expansion()
        model = self._services.catalog.find(self.state.conversation.model)
        workspace, home = self._services.workspace, self._runtime.home
        found = await asyncio.to_thread(
            expand_mentions, prompt, workspace, home, images=model.images, documents=model.documents
        )
        if not found.files:
            return found
        loaded = (await self._load_history(MAIN_AGENT)).memory_loaded
        memory = await asyncio.to_thread(nested_memory, workspace, found.files, loaded, home)
        choice, config = self._services.memory_files, self.options.config_dir
        agreed = await asyncio.to_thread(is_agreed, memory.project, choice, config)
        return found.with_memory(memory.files if agreed else ())

    def _request_options(self) -> RequestOptions:
        """Return what the settings and the session ask of every request."""
        given = self.settings.settings
        effort = cast("Effort | None", self.state.conversation.effort or given.effort)
        return RequestOptions(display=given.thinking, effort=effort, fallbacks=given.fallbacks)

    def _writable(self) -> None:
        if self.read_only:
            raise SessionReadOnly(f"this session is read-only here: {self.read_only_because}")

    def _committed(self, committed: tuple[Committed, ...]) -> None:
        self._histories.take(committed)
        self._view.take(committed)
        durable = sum(part.event.durable for part in committed)
        self._since_snapshot += durable
        if self._since_snapshot >= SNAPSHOT_EVERY:
            self._since_snapshot = 0
            self._spawn(self._save_snapshot())
        listed = [part.event for part in committed if isinstance(part.event, _LISTED)]
        if listed:
            self._spawn(self._sessions.record(self.session, self.state, listed))
        if self.state.workflow.background:
            self._background_begun.set()
        if any(isinstance(part.event, PermissionDecided | PermissionRevoked) for part in committed):
            self._spawn(self._sessions.take_decisions(self.session))

    async def _follow(self) -> None:
        """Show what the window that holds the session writes, and say when that one has left it or come back."""
        locked = self.read_only_because == HELD
        try:
            while True:
                await self._view.follow()
                await asyncio.sleep(FOLLOW_SECONDS)
                if locked and (left := await asyncio.to_thread(is_free, self._journal.path)) != self.can_take_over:
                    self.can_take_over = left
                    self.read_only_because = LEFT if left else HELD
                    message = f"Read-only: {self.read_only_because}."
                    self._view.warn(Notice(level="warning", code="follow", message=message, time=self._runtime.now()))
        except JournalError as error:
            message = f"This window no longer follows the other one: {error}"
            self._view.warn(Notice(level="error", code="follow", message=message, time=self._runtime.now()))

    async def _prepare(self) -> None:
        with contextlib.suppress(ModelError):  # the first request meets it again, and says so
            await self._services.client.prepare()
        if self._backend.offline:
            return
        # Of a server that is not the API nothing is known: what it says of its models counts from the first turn.
        model = self.state.conversation.model
        facts = await self._services.client.ask_facts(model)
        if facts is not None:
            self._services.catalog.learn(facts)
            if said := retirement(facts, self._runtime.now()):
                await self._recorder.record(Notice(level="warning", code="retirement", message=said))

    async def _settle_budget(self) -> None:
        """Book what an earlier start left: the time of its run, requests that were cut off, the day's books."""
        meter, crashed = self._services.meter, self._journal.crashed_boot is not None
        clocked = meter.clocked_until(self._last_written)
        if clocked:
            await self._recorder.record(*clocked)
        cause = await asyncio.to_thread(self._blackbox.cause) if crashed else ("", "")
        await record_interruptions(self._journal, self.state, self._backend.catalog.cost, cause)
        await asyncio.to_thread(self._blackbox.arm)
        under_way = {f"{projected.turn}.{projected.attempt}" for projected in self.state.budget.reserved}
        if self._last_written:
            # Not waited for: a lost index is filled from all sessions. It comes before whatever is reserved next.
            self._spawn(self._ledger.settle(under_way))

    async def _load_history(self, agent: str) -> History:
        start = self.state.conversation.history_start if agent == MAIN_AGENT else 0
        return await self._histories.load(agent, start)

    async def _edit(self, request: PermissionRequested, call_input: JsonObject, note: str) -> None:
        step = self.state.workflow.steps.get(request.step)
        if (step is not None and step.withheld) or self._journal.redactor.value(call_input) is not call_input:
            raise SessionError(
                "a call with a secret in it cannot be changed, as no secret is kept: allow or deny it as it is"
            )
        metadata = self._services.tools[request.tool]
        change = await asyncio.to_thread(edited, request, metadata, call_input, self._services.workspace, note)
        await self._services.broker.edit(change, self._recorder)

    async def _reconsider(self) -> None:
        """Decide what waits anew, since rules, grants or the mode changed."""
        for request in self.state.permissions.pending:
            with contextlib.suppress(NoSuchRequest):  # the user was faster
                await self._services.broker.reconsider(
                    request.request, mode=self._services.mode, recorder=self._recorder
                )

    def _rules(self) -> RuleSet:
        """Read the rules that hold (blocking: for a thread); problems in their files that are new are recorded."""
        workspace = Path(self.state.conversation.workspace)
        loaded = load_rules(self.options.config_dir, workspace, self._runtime.home)
        folders, refused = self._folder_guard.from_files(loaded)
        self._file_folders = tuple(folders)
        rules = loaded.rules.plus(RuleSet(problems=tuple(refused))).plus(start_rules(self.options, workspace))
        if not self.read_only and self._loop is not None and self._files_changed_folders():
            self._loop.call_soon_threadsafe(self._tell_folders)
        if rules.problems != self._rule_problems and not self.read_only and self._loop is not None:
            new = [problem for problem in rules.problems if problem not in self._rule_problems]
            self._rule_problems = rules.problems
            if new:
                self._loop.call_soon_threadsafe(self._tell_rules, new)
        return rules

    def _usable_folders(self) -> tuple[str, ...]:
        """Return the added folders that may be used now: recorded, still in order, still in the files (blocking)."""
        sources = self.state.conversation.folders
        kept = [folder for name, paths in sources.items() if name != "files" for folder in paths]
        kept += [folder for folder in sources.get("files", ()) if folder in self._file_folders]
        return self._folder_guard.usable(dict.fromkeys(kept))

    def _open_folders(self) -> tuple[str, ...]:
        """Return what calls may use besides the workspace: the session's own folders, and those added (blocking)."""
        own = (str(self._journal.path.parent / name) for name in ("steps", "outputs", "scratch/tmp"))
        return (*own, *self._usable_folders())

    async def _lost_folders(self) -> list[str]:
        """Return what to say of the folders that the session was given and cannot use any more."""
        given = self.state.conversation.folders.get("session", ())
        refusals = [(folder, await asyncio.to_thread(self._folder_guard.refusal, folder)) for folder in given]
        return [f"The added folder {folder} is not used: {reason}" for folder, reason in refusals if reason]

    def _files_changed_folders(self) -> bool:
        return self.state.conversation.folders.get("files", ()) != self._file_folders

    def _tell_folders(self) -> None:
        if not self._closed:
            self._spawn(self._record_file_folders())

    async def _record_file_folders(self) -> None:
        """Record which folders the rule files add, where that is not as before; requests are decided anew."""
        async with self._recording_folders:
            if self._files_changed_folders():
                await self._recorder.record(SessionConfigured(folders={"files": list(self._file_folders)}))
                await self._reconsider()

    def _tell_rules(self, problems: Sequence[str]) -> None:
        if not self._closed:
            notices = [Notice(level="warning", code="permissions", message=problem) for problem in problems]
            self._spawn(self._record_all(notices))

    async def _record_all(self, events: Sequence[EventBase]) -> None:
        await self._recorder.record(*events)

    async def _sandbox_state(self) -> SandboxState:
        found = await self._sandbox.state()
        return "none" if found.kind == "none" else "reduced" if found.reduced else "available"

    async def _check_file(self) -> None:
        """Check what the opening of a large file left out."""
        found = await self._journal.check()
        if found:
            message = f"The session's file is damaged: {found}. It is salvaged the next time the session is opened."
            await self._recorder.record(Notice(level="error", code="journal.damaged", message=message))

    async def _probe_sandbox(self) -> None:
        """Find out what commands run in, and record it when that is not as before."""
        found = await self._sandbox.state()
        shown = "reduced" if found.reduced else found.kind
        if shown != self.state.conversation.sandbox:
            await self._recorder.record(SandboxProbed(kind=found.kind, detail=found.detail, reduced=found.reduced))

    async def _save_snapshot(self) -> None:
        seq, text = self._journal.last_seq, dump_state(self.state)
        await self._journal.save_snapshot(seq, text, digest(text))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.create_task(self._told(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _told(self, work: Awaitable[None]) -> None:
        """Do what nobody waits for: an error of it is recorded, or shown where it cannot be."""
        try:
            await work
        except JournalError as error:
            self._warn(str(error))
        except Exception as error:
            crash = failure(self._journal, "Work in the background failed", error)
            try:
                await self._recorder.record(crash)
            except JournalError as unwritable:
                self._warn(f"{crash.reason}. It is not in the journal: {unwritable}")

    def _warn(self, message: str) -> None:
        self._view.warn(Notice(level="error", code="session", message=message, time=self._runtime.now()))


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


def _joined(*texts: str) -> str:
    return "\n\n".join(text.strip() for text in texts if text.strip())


def _problems(settings: LoadedSettings) -> list[EventBase]:
    return [Notice(level="warning", code="settings", message=str(problem)) for problem in settings.problems]
