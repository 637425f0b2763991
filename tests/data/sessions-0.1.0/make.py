"""Makes the session files of this folder. It was run with version 0.1.0 and is kept to show what is in them.

PYTHONPATH=CHECKOUT_OF_0.1.0 python make.py   (its own folder below /tmp; about half a minute)

Each session is compacted with VACUUM and packed with xz. They must never be made again with a later version: what
they are good for is that 0.1.0 wrote them.
"""

from __future__ import annotations

import asyncio
import lzma
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tui_agent
from tui_agent.events import EventBase
from tui_agent.runtime import Runtime
from tui_agent.session import OpenOptions, SessionHandle

ROOT = Path("/tmp/tui-agent-0.1.0")
HERE = Path(__file__).parent
FILES = {
    "README.md": "# Basket\n\nA shopping basket.\n",
    "AGENTS.md": "Keep the tests green.\n",
    "src/basket.py": "def total(prices):\n    return sum(prices)\n",
    "src/login.py": "def login(user):\n    if user:\n        return True\n    return False\n",
}


@dataclass
class NamedRuntime(Runtime):
    """Gives the sessions the names that were asked for."""

    name: str = ""

    def new_id(self, kind: str) -> str:
        if kind == "session" and self.name:
            name, self.name = self.name, f"{self.name}_fork"
            return name
        return super().new_id(kind)


def options(name: str, **changes: Any) -> OpenOptions:
    environment = {"PATH": "/usr/bin:/bin"}
    given = OpenOptions(
        data_dir=ROOT / "data",
        config_dir=ROOT / "config",
        workspace=ROOT / "project",
        offline=True,
        runtime=NamedRuntime(home=ROOT / "home", environment=environment, name=name),
    )
    return replace(given, **changes)


class Watched:
    """A session and its events so far."""

    def __init__(self, handle: SessionHandle) -> None:
        self.handle = handle
        self.events: list[EventBase] = []
        self._changed = asyncio.Event()
        handle.subscribe(self._take)

    def _take(self, update: Any) -> None:
        self.events += update.events
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def event(self, kind: str, number: int = 1) -> Any:
        await self.until(lambda: len([e for e in self.events if e.type == kind]) >= number)
        return [e for e in self.events if e.type == kind][number - 1]

    async def prompt(self, text: str) -> None:
        await self.handle.submit(text)
        await self.idle()

    async def idle(self) -> None:
        await self.until(lambda: self.handle.state.conversation.active_run is None)


@asynccontextmanager
async def opened(given: OpenOptions, session: str = "") -> AsyncIterator[Watched]:
    handle = await (SessionHandle.resume(session, given) if session else SessionHandle.open(given))
    watched = Watched(handle)
    await handle.start()
    try:
        yield watched
    finally:
        await handle.close()


async def tools() -> None:
    """Every tool once, a failing step, a long output, two prompts, a layout with a draft."""
    async with opened(options("tools", mode="bypass")) as session:
        await session.prompt("read README.md\nlist\nsearch def in src\nplan read it; change it; test it")
        await session.prompt("write src/new.py: print('new')\nedit src/new.py: new => newer\nrun python3 src/new.py")
        await session.prompt("read no-such-file.txt")
        await session.prompt("run seq 1 400")
        await session.prompt("Fix it in @src/login.py\nsay 30")
        await session.handle.save_layout({"draft": {"text": "an unsent draft"}})


async def approvals() -> None:
    """Allowed once, for the session, denied with a comment, changed before it was allowed; one still waits."""
    async with opened(options("approvals")) as session:
        await session.handle.submit(
            "write a.txt: one then run touch b.txt then run touch b.txt then write c.txt: three"
        )
        first = await session.event("permission.requested", 1)
        await session.handle.decide(first.request, "allow")
        second = await session.event("permission.requested", 2)
        await session.handle.decide(second.request, "allow", scope="session")
        third = await session.event("permission.requested", 3)
        await session.handle.decide(third.request, "deny", comment="not that file")
        await session.idle()
        await session.handle.submit("write d.txt: four")
        fourth = await session.event("permission.requested", 4)
        await session.handle.edit(fourth.request, {"path": "d.txt", "content": "five\n"})
        fifth = await session.event("permission.requested", 5)
        await session.handle.decide(fifth.request, "allow")
        await session.idle()
        await session.handle.submit("write e.txt: waits")
        await session.event("permission.requested", 6)


async def subagent() -> None:
    """A subagent of type explore."""
    async with opened(options("subagent")) as session:
        await session.prompt("explore where is the login handled")


async def compaction() -> None:
    """Six prompts, a compaction, one line put back, and a prompt after it."""
    async with opened(options("compaction")) as session:
        for number in range(6):
            await session.prompt(f"read README.md then say {40 + number}")
        await session.handle.compact("keep the names of the files")
        await session.prompt("read src/login.py then say 20")


async def fork() -> None:
    """A session and its copy, which went on by itself."""
    async with opened(options("forked")) as session:
        await session.prompt("read README.md")
        copy = await session.handle.fork()
        await session.prompt("say 10")
    async with opened(options(""), copy) as session:
        await session.prompt("say 12")


async def question() -> None:
    """A question that was answered, one that is open."""
    async with opened(options("question")) as session:
        await session.handle.submit("ask Which colour?")
        asked = await session.event("question.asked")
        await session.handle.answer(asked.question, "green")
        await session.idle()
        await session.handle.submit("ask Which size?")
        await session.event("question.asked", 2)


async def interrupted() -> None:
    """Interrupted within an answer, and a prompt after it."""
    async with opened(options("interrupted")) as session:
        await session.handle.submit("say 300 at 100")
        await session.event("turn.delta", 3)
        await session.handle.interrupt()
        await session.idle()
        await session.prompt("say 10")


async def plan() -> None:
    """Begun in plan mode; then mode ask."""
    async with opened(options("plan", mode="plan")) as session:
        await session.prompt("read README.md")
        await session.handle.configure(mode="ask")
        await session.prompt("say 10")


async def budget() -> None:
    """Stopped by the limit on turns, then given more."""
    async with opened(options("budget", max_turns=1)) as session:
        await session.prompt("read README.md then read src/login.py then say 10")


async def crash_in_a_command() -> None:
    """Killed while a command ran."""
    async with opened(options("crash_in_a_command", mode="bypass")) as session:
        await session.handle.submit("read README.md then run touch begun; sleep 1; echo ended")
        await session.event("step.started", 2)
        while not (ROOT / "project/begun").exists():
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)


async def crash_in_an_answer() -> None:
    """Killed while an answer came in, after a turn that was whole."""
    async with opened(options("crash_in_an_answer")) as session:
        await session.prompt("read README.md")
        await session.handle.submit("say 300 at 100")
        await session.event("turn.delta", 5)
        os.kill(os.getpid(), signal.SIGKILL)


SESSIONS: tuple[Callable[[], Awaitable[None]], ...] = (
    tools,
    approvals,
    subagent,
    compaction,
    fork,
    question,
    interrupted,
    plan,
    budget,
    crash_in_a_command,
    crash_in_an_answer,
)


def make(work: Callable[[], Awaitable[None]]) -> None:
    shutil.rmtree(ROOT / "project", ignore_errors=True)
    for name, text in FILES.items():
        path = ROOT / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run([sys.executable, __file__, work.__name__], check=False)


def pack(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (HERE / f"{database.parent.name}.db.xz").write_bytes(lzma.compress(database.read_bytes(), preset=9))


def main() -> None:
    assert tui_agent.__version__ == "0.1.0", "only 0.1.0 makes these"
    if len(sys.argv) > 1:
        asyncio.run(next(work() for work in SESSIONS if work.__name__ == sys.argv[1]))  # type: ignore[arg-type]
        return
    shutil.rmtree(ROOT, ignore_errors=True)
    for folder in ("home", "config", "data", "project"):
        (ROOT / folder).mkdir(parents=True)
    for work in SESSIONS:
        make(work)
    for database in sorted((ROOT / "data/sessions").glob("*/session.db")):
        pack(database)


if __name__ == "__main__":
    main()
