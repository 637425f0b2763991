"""The real app on the real session with the offline model, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from textual.pilot import Pilot

from tests.waiting import until
from tui_agent.opening import Start
from tui_agent.runtime import Runtime
from tui_agent.ui.app import TuiAgentApp
from tui_agent.ui.permissions import GUARD_SECONDS


@dataclass
class Driven:
    """A running app and its pilot."""

    app: TuiAgentApp
    pilot: Pilot[int]

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait until something is so."""
        await until(condition, what)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Type text, key by key."""
        await self.pilot.press(*({" ": "space"}.get(character, character) for character in text))

    async def ask(self, prompt: str) -> None:
        """Put a prompt in and send it."""
        self.app.workbench.prompt.insert(prompt)
        await self.pilot.press("enter")

    async def request(self, prompt: str) -> None:
        """Send a prompt and wait for its permission request."""
        await self.ask(prompt)
        await self.until(lambda: self.queue.entries, "a request")

    async def idle(self, prompts: int = 1) -> None:
        """Wait until so many prompts were taken up and no run is going."""
        await self.until(
            lambda: self.state.conversation.prompts >= prompts and not self.state.conversation.active_run,
            "the run is over",
        )

    async def armed(self) -> None:
        """Let the guard time of the queue pass."""
        queue = self.queue
        queue._armed_from = min(queue._armed_from, queue._clock())
        await self.pilot.pause()

    @property
    def queue(self):
        return self.app.workbench._queue

    @property
    def handle(self):
        assert self.app.handle is not None
        return self.app.handle

    @property
    def state(self):
        return self.handle.state


@asynccontextmanager
async def driven(
    workspace: Path,
    *,
    size: tuple[int, int] = (120, 36),
    resume: str = "",
    keys: str = "",
    theme: str = "",
    theme_folders: tuple[Path, ...] = (),
    mode: str = "",
    prompt: str = "",
    opened: bool = True,
    scenario: Path | None = None,
) -> AsyncIterator[Driven]:
    """Run the app; `keys` are typed before the session is open."""
    start = Start(Runtime(), workspace, resume=resume, offline=True, mode=mode, scenario=scenario)
    app = TuiAgentApp(start.open, options=start.options, theme=theme, theme_folders=theme_folders, prompt=prompt)
    async with app.run_test(size=size) as pilot:
        me = Driven(app, pilot)
        if keys:
            await me.type(keys)
        if opened:
            await me.until(app._opened.is_set, "the session is open")
        try:
            yield me
        finally:
            await app.leave_session()


__all__ = ["GUARD_SECONDS", "Driven", "driven"]
