"""A journal to test with, and events to put in it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tui_agent.events import EventBase, RunStarted, SessionCreated, TurnFinished, TurnStarted, Usage
from tui_agent.journal import Journal
from tui_agent.runtime import Runtime


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sessions" / "session_1" / "session.db"


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
async def journal(path: Path, runtime: Runtime) -> AsyncIterator[Journal]:
    opened = await Journal.create(path, "session_1", runtime)
    yield opened
    await opened.close()


def turn(number: int, text: str = "an answer", cost: float | None = None) -> list[EventBase]:
    """The durable events of one prompt and its answer."""
    run, name = f"run_{number}", f"turn_{number}"
    return [
        RunStarted(run=run, prompt=f"prompt {number}"),
        TurnStarted(run=run, turn=name, model="m", number=1),
        TurnFinished(
            run=run,
            turn=name,
            model="m",
            content=[{"type": "text", "text": text}],
            stop_reason="end_turn",
            usage=Usage(input_tokens=10, output_tokens=5),
            cost=cost,
        ),
    ]


def created(title: str = "", workspace: str = "/work") -> SessionCreated:
    return SessionCreated(workspace=workspace, model="m", mode="ask", title=title)


def execute(path: Path, *statements: str) -> None:
    """Change a session file behind the journal's back."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def failing_at(name: str, error: type[BaseException] = RuntimeError) -> tuple[Runtime, Callable[[], None]]:
    """A runtime that raises at a failpoint until the second value is called."""
    armed = [True]

    def failpoint(reached: str) -> None:
        if armed[0] and reached == name:
            raise error(name)

    return Runtime(failpoint=failpoint), lambda: armed.clear() or armed.append(False)
