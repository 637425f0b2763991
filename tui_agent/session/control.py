"""Steers a session: interrupts, configures, compacts, puts back, forks."""

from __future__ import annotations

import asyncio
import json

from tui_agent.agents import BudgetRefusedError, NothingToCompactError, compact
from tui_agent.config import Paths
from tui_agent.config.settings import DEFAULT_MAX_COST, EFFORTS, save_max_cost
from tui_agent.events import MAIN_AGENT, JsonObject, RunInterrupted, SessionConfigured
from tui_agent.journal import JournalError
from tui_agent.session.compaction import manual_cut, read_put_back
from tui_agent.session.core import SessionCore
from tui_agent.session.errors import SessionBusy, SessionError
from tui_agent.session.forking import write_fork
from tui_agent.session.limits import checked_limits
from tui_agent.session.sessions import delete_session
from tui_agent.session.starting import checked_mode
from tui_agent.submissions import Compact, Configure


class Control:
    """Steers the runs and the settings of one session."""

    def __init__(self, core: SessionCore) -> None:
        self._core = core
        self._compacting: asyncio.Task[None] | None = None

    async def interrupt(self, reason: str = "") -> None:
        """Stop the run in progress; its open steps are cancelled and the history stays valid.

        `reason` says what asked for it where that was not the user. It holds at the next start too, should the
        program end before the run has.
        """
        self._core.require_writable()
        if self._compacting is not None:
            self._compacting.cancel()
        run = self._core.state.conversation.active_run
        asked = self._core.services.interrupting
        self._core.services.interrupt_reason = self._core.services.interrupt_reason if asked else reason
        self._core.driver.interrupt()
        if run is not None and not asked:
            try:
                await self._core.recorder.scoped(run.id, run.agent).record(RunInterrupted(reason=reason))
            except JournalError as error:
                self._core.chores.warn(str(error))

    async def stop_agent(self, name: str = "") -> None:
        """End one subagent; the agent that asked for it is told what it had done, and goes on.

        Without a name, the only one at work. Raises `SessionError` when that is not clear.
        """
        self._core.require_writable()
        at_work = self._core.services.subagents
        if not name and len(at_work) == 1:
            name = next(iter(at_work))
        if name not in at_work:
            known = ", ".join(at_work) or "none; Esc interrupts the run"
            raise SessionError(f"say which agent to stop: /stop NAME. At work: {known}")
        self._core.services.stopping.add(name)
        at_work[name].cancel()

    async def configure(self, change: Configure) -> None:
        """Change settings of the session; they hold from the next turn.

        Under another mode requests that wait are decided anew: those that it allows or denies wait no longer. Limits
        count in place of the settings' and the flags'. Raises `SessionError` for an unknown mode or limit, and for
        `bypass`, which only the command line gives.
        """
        self._core.require_writable()
        if change.mode is not None:
            if change.mode == "bypass":
                raise SessionError("bypass comes only from the command line: tui-agent --mode bypass")
            checked_mode(change.mode)
        if change.effort is not None and change.effort not in {*EFFORTS, "default"}:
            raise SessionError(f"there is no effort {change.effort!r}; there are: {', '.join(EFFORTS)}, default")
        model = self._core.services.catalog.find(change.model).id if change.model is not None else None
        layers: dict[str, dict[str, float | None]] = {}
        if change.limits:
            known = self._core.state.budget.layers
            start = known.get("start", {})
            layers["person"] = {**known.get("person", {}), **checked_limits(change.limits)}
            layers["start"] = {key: value for key, value in start.items() if key not in change.limits}
        configured = SessionConfigured(
            title=change.title,
            model=model,
            mode=change.mode,
            effort=change.effort,
            max_turns=change.max_turns,
            limits=layers,
        )
        await self._core.recorder.record(configured)
        self._core.driver.limits_changed.set()
        if change.mode is not None:
            await self._core.rules.on_change()

    async def add_folder(self, path: str) -> str:
        """Let the session use another folder like its workspace, and return its real path.

        Raises `SessionError`, which says why, for one that may not be added.
        """
        self._core.require_writable()
        return await self._core.rules.add_folder(path)

    async def remove_folder(self, path: str) -> str:
        """Take back a folder that was added to the session, and return its real path.

        Requests that wait are decided anew. Raises `SessionError`, which says why, for one that was not added so.
        """
        self._core.require_writable()
        return await self._core.rules.remove_folder(path)

    async def save_layout(self, layout: JsonObject) -> None:
        """Keep the screen's layout with the session. Does nothing when read-only."""
        if not self._core.read_only and not self._core.closed:
            await self._core.journal.save_layout(json.dumps(layout))

    async def set_cost_limit(self, dollars: float) -> None:
        """Keep what a run may cost at most, 0 for no limit, in the settings, and let it hold from here on.

        Raises `SessionError` where the settings cannot be written; it holds for this session all the same.
        """
        self._core.require_writable()
        if dollars != DEFAULT_MAX_COST:
            await self.configure(Configure(limits={"run.cost": dollars or None}))
        path = Paths(self._core.options.data_dir, self._core.options.config_dir).settings
        try:
            await asyncio.to_thread(save_max_cost, path, dollars)
        except (OSError, ValueError) as error:
            raise SessionError(f"{path} could not be written: {error}") from error

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The tasks to cancel when the session closes."""
        return [] if self._compacting is None else [self._compacting]

    @property
    def compacting(self) -> bool:
        """Whether a compaction that the user asked for is under way; `interrupt` stops it."""
        return self._compacting is not None and not self._compacting.done()

    async def compact(self, asked: Compact) -> None:
        """Put a summary in the transcript's place for the model; prompts wait meanwhile, `interrupt` ends it.

        Raises `SessionBusy` during a run, `SessionError` when
        there is nothing to compact.
        """
        self._core.require_writable()
        async with self._core.services.prompts:
            if self._core.state.conversation.active_run is not None:
                raise SessionBusy("a run is in progress; interrupt it or wait for its end, then /compact")
            history = await self._core.histories.load(MAIN_AGENT)
            cut = manual_cut(history, asked.before, asked.since)
            work = compact(
                self._core.services,
                self._core.recorder,
                history,
                cut,
                trigger="manual",
                instructions=asked.instructions,
            )
            self._compacting = asyncio.create_task(work, name="compact")
            before_it = self._core.state.conversation.history_start
            try:
                await asyncio.wait({self._compacting})
                if self._compacting.cancelled() and self._core.state.conversation.history_start == before_it:
                    raise SessionError("the compaction was stopped; the conversation stays as it is")
                if not self._compacting.cancelled():
                    self._compacting.result()
            except (BudgetRefusedError, NothingToCompactError) as error:
                raise SessionError(str(error)) from error
            finally:
                self._compacting.cancel()

    async def put_back(self, seq: int) -> None:
        """Let what a compaction dropped (the event of a line in its receipt) go with the next message.

        Raises `SessionError` when the event holds nothing that could be put back.
        """
        self._core.require_writable()
        event = await read_put_back(self._core.journal, seq)
        await self._core.histories.load(MAIN_AGENT)
        await self._core.recorder.record(event)

    async def fork(self) -> str:
        """Copy the session up to now into a new one and return its id; nothing is left of it when it fails.

        Raises `SessionBusy` during a run, and the journal's errors.
        """
        if self._core.state.conversation.active_run is not None:
            raise SessionBusy("a run is in progress; interrupt it or wait for its end, then fork")
        session = self._core.runtime.new_id("session")
        try:
            await write_fork(self._core.journal, self._core.state, session, self._core.sessions, self._core.runtime)
        except BaseException:
            await delete_session(self._core.options.data_dir, session)
            raise
        return session
