"""Commands that go on in the background."""

from __future__ import annotations

import asyncio

from tui_agent import sandbox
from tui_agent.events import BackgroundEnded, Notice
from tui_agent.session.core import SessionCore
from tui_agent.session.errors import SessionError
from tui_agent.tools.spool import describe_end, newest_spool
from tui_agent.workflow.state import BackgroundCommand

BACKGROUND_SECONDS = 1.0
"""How often the commands in the background are looked at."""

END_SECONDS = 6.0
"""How long to wait for commands that were told to end; they are killed after 2."""


class BackgroundCommands:
    """Watches the background commands of one session."""

    def __init__(self, core: SessionCore) -> None:
        self._core = core
        self._begun = asyncio.Event()

    def changed(self) -> None:
        """Begin to watch, if a command has gone into the background."""
        if self._core.state.workflow.background:
            self._begun.set()

    @property
    def running(self) -> list[BackgroundCommand]:
        """The commands that go on in the background."""
        return list(self._core.state.workflow.background.values())

    async def end(self, step: str = "") -> None:
        """End a background command, all of them without `step`, and wait until that is recorded.

        Raises `SessionError` for one that is not running.
        """
        self._core.require_writable()
        running = self._core.state.workflow.background
        if step and step not in running:
            known = ", ".join(running) or "none"
            raise SessionError(f"no background command is {step!r}; running are: {known}")
        for known in [step] if step else list(running):
            spool = await asyncio.to_thread(newest_spool, self._core.services.steps_dir, known)
            if spool is not None:
                await asyncio.to_thread(sandbox.kill, spool)
        end_at = self._core.runtime.monotonic() + END_SECONDS
        while any(known in self._core.state.workflow.background for known in ([step] if step else list(running))):
            if self._core.runtime.monotonic() > end_at:
                return
            await self._look()
            await self._core.runtime.sleep(0.05)

    async def watch(self) -> None:
        """Record the end of each command in the background, when it comes."""
        while True:
            if not self._core.state.workflow.background:
                self._begun.clear()
                await self._begun.wait()
            await self._look()
            await self._core.runtime.sleep(BACKGROUND_SECONDS)

    async def _look(self) -> None:
        for command in self.running:
            spool = await asyncio.to_thread(newest_spool, self._core.services.steps_dir, command.step)
            record = await asyncio.to_thread(sandbox.inspect, spool) if spool is not None else None
            if record is not None and record.state in ("running", "never_started"):
                continue
            if command.step not in self._core.state.workflow.background:
                continue  # another look has recorded it
            died = record is None or record.state == "died"
            summary = "died; how far it got is not known" if died or record is None else describe_end(record, None)
            code = record.exit_code if record is not None else None
            await self._core.recorder.record(
                BackgroundEnded(step=command.step, title=command.title, summary=summary, exit_code=code),
                Notice(level="info", code="background", message=f"{command.title}: {summary}"),
            )
