"""Opening real sessions on the offline model, and waiting for what they do."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.waiting import MAX_WAIT_SECONDS
from tui_agent.events import EventBase
from tui_agent.runtime import Runtime
from tui_agent.session import OpenOptions, SessionHandle, Update, open_session, resume_session
from tui_agent.submissions import Submit


def options(tmp_path: Path, **changes: Any) -> OpenOptions:
    """Options for a session in the test's own folders."""
    return replace(
        OpenOptions(
            data_dir=tmp_path / "data",
            config_dir=tmp_path / "config",
            workspace=tmp_path / "workspace",
            offline=True,
            memory_files="always",
            runtime=Runtime(home=tmp_path / "home", environment={"PATH": "/usr/bin:/bin"}),
        ),
        **changes,
    )


class Watcher:
    """Follows a session: its events so far, and waiting for the next that matters."""

    def __init__(self, handle: SessionHandle) -> None:
        self.handle = handle
        self.events: list[EventBase] = []
        self.updates: list[Update] = []
        self._changed = asyncio.Event()
        handle.subscribe(self._take)

    def _take(self, update: Update) -> None:
        self.updates.append(update)
        self.events += update.events
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds; it is looked at after each update."""
        async with asyncio.timeout(MAX_WAIT_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def event(self, kind: str, number: int = 1) -> Any:
        """Wait for the nth event of a type and return it."""
        await self.until(lambda: len(self.of(kind)) >= number)
        return self.of(kind)[number - 1]

    def of(self, kind: str) -> list[Any]:
        """Return the events of a type so far."""
        return [event for event in self.events if event.type == kind]

    async def idle(self) -> None:
        """Wait until no run is in progress."""
        await self.until(lambda: self.handle.state.conversation.active_run is None)

    async def prompt(self, text: str) -> None:
        """Submit a prompt and wait for the end of its run."""
        await self.handle.do(Submit(prompt=text))
        await self.idle()


@asynccontextmanager
async def opened(given: OpenOptions, session: str = "") -> AsyncIterator[Watcher]:
    """Open a new session, or resume one, and start it."""
    if session:
        handle = await resume_session(session, given)
    else:
        handle = await open_session(given)
    watcher = Watcher(handle)
    await handle.start()
    try:
        yield watcher
    finally:
        await handle.close()


def kill_all(spool: str) -> None:
    """Kill the runner of a spool folder and the command it runs, at once."""
    victims = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
            links = [str(entry.readlink()) for entry in (process / "fd").iterdir()]
        except OSError:
            continue
        if spool.encode() in line or any(spool in link for link in links):
            victims.append(int(process.name))
    victims = [victim for victim in victims if victim != os.getpid()]
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    while any(_alive(victim) for victim in victims):
        signal.sigtimedwait([], 0.01)


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
