"""Keeps the main agent at work: starts it, stops it, and watches the time it may take."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from tui_agent.agents import Agent, Services
from tui_agent.budget.meter import TIME_KEY
from tui_agent.events import Notice
from tui_agent.journal import InvalidEvent, JournalError, Recorder
from tui_agent.session.recovery import end_open_turns, failure
from tui_agent.session.view import SessionView, watched


class Driver:
    """The main agent's task in one session. Only ever one agent works on the main agent's run.

    `halted` says that the journal could not be written, so that the run waits for the user: `go_on` tries again.
    `spawn` runs work that nobody waits for; `release` gives back a reservation in the day's books.
    """

    def __init__(
        self,
        services: Services,
        view: SessionView,
        spawn: Callable[[Awaitable[None]], None],
        release: Callable[[str], Awaitable[None]],
    ) -> None:
        self.limits_changed = asyncio.Event()
        self.halted = False
        self._services = services
        self._view = view
        self._spawn = spawn
        self._release = release
        self._agent: asyncio.Task[None] | None = None
        self._clock: asyncio.Task[None] | None = None
        self._begun = False

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The tasks to cancel when the session closes."""
        return [task for task in (self._agent, self._clock) if task is not None]

    def go_on(self) -> None:
        """Let the main agent go on with its run, unless it is at it."""
        run = self._view.state.conversation.active_run
        if run is not None and (self._agent is None or self._agent.done()):
            agent = Agent(self._services, run.id, run.agent, run.agent_type)
            self._agent = watched(asyncio.create_task(self._drive(agent), name="agent"), self._spawn)

    def interrupt(self) -> None:
        """Stop the run in progress; its open steps are cancelled and the history stays valid."""
        if self.halted:
            self._services.interrupting = True  # the agent sees it as it begins
            self.go_on()
        elif self._agent is not None and not self._agent.done() and not self._services.interrupting:
            self._services.interrupting = True
            # A task that has not begun would be cancelled without a trace; it sees the flag when it begins.
            if self._begun:
                self._agent.cancel()

    async def _drive(self, agent: Agent) -> None:
        services = self._services
        self._begun = True
        try:
            await self._work(agent)
        except InvalidEvent as error:
            await self._give_up(agent, error)  # trying again would end in the same way
        except JournalError as error:
            # Nothing can be written, so nothing may be done: the run waits until the user tries again.
            self._halt(error)
        except Exception as error:
            await self._give_up(agent, error)
        finally:
            services.meter.forget()
            self._begun = False
            services.interrupting, services.time_up = False, None
        # A prompt that came between the run's end and this line has started a run of its own.
        next_run = self._view.state.conversation.active_run
        if next_run is not None and next_run.id != agent.run_id:
            self._agent = None
            self.go_on()

    async def _work(self, agent: Agent) -> None:
        """Let the agent work under a clock. Where the clock fails, so does this: no run is without its limits."""
        work = asyncio.current_task()
        assert work is not None
        clock = self._clock = asyncio.create_task(self._watch_time(work), name="clock")
        try:
            if self.halted:
                await self._end_turns("The journal could not be written.")
                self.halted = False
            await agent.run()
        except asyncio.CancelledError:
            failed = clock.exception() if clock.done() and not clock.cancelled() else None
            if failed is None or self._services.closing:
                raise
            work.uncancel()
            raise failed from None
        finally:
            clock.cancel()

    async def _give_up(self, agent: Agent, error: Exception) -> None:
        """Record an error of the agent loop, and finish the run that it ended."""
        services = self._services
        crash = failure(services.journal, "The agent loop failed", error)
        try:
            await agent.recorder.record(crash)
            await self._end_turns("tui-agent failed.")
            await agent.fail(f"an error in tui-agent: {error}")
        except JournalError as unwritable:
            self._halt(unwritable)

    def _halt(self, error: JournalError) -> None:
        self.halted = True
        now = self._services.runtime.now()
        self._view.warn(Notice(level="error", code="journal", message=str(error), time=now))

    async def _end_turns(self, message: str) -> None:
        services = self._services
        await end_open_turns(services.journal, self._view.state, services.catalog.cost, "error", message)

    async def _watch_time(self, work: asyncio.Task[None]) -> None:
        """Stop the run when a limit on time is reached, within a turn or a step too. An error ends `work`."""
        services = self._services
        try:
            while True:
                self.limits_changed.clear()
                left, stop = await services.meter.time_left(Recorder(services.journal))
                if stop is not None:
                    services.time_up = stop
                    self.interrupt()
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.limits_changed.wait(), left)
        except Exception:
            work.cancel()
            raise
        finally:
            if "day.time" in services.budget().limits and not services.closing:
                self._spawn(self._release(TIME_KEY))
