"""Errors of work that nobody waits for: none vanishes, and none takes a run's limits or the state with it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.session.support import opened, options
from tests.waiting import until
from tui_agent.budget import Meter
from tui_agent.journal import JournalFull, Recorder
from tui_agent.models import ModelClient
from tui_agent.sandbox import Sandbox
from tui_agent.session import Update, open_session
from tui_agent.session.folding import folded_state
from tui_agent.session.state import dump_state
from tui_agent.submissions import Configure, Submit


async def broken(*_args: object, **_kwargs: object) -> Any:
    """Fail as nothing should."""
    raise RuntimeError("a bug")


async def test_an_error_in_the_background_becomes_an_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sandbox, "state", broken)
    async with opened(options(tmp_path)) as session:
        crash = await session.event("crash")
    assert crash.reason == "Work in the background failed: RuntimeError: a bug"
    assert "in broken" in crash.traceback


async def test_an_error_while_the_client_is_made_ready_becomes_an_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelClient, "prepare", broken)
    async with opened(options(tmp_path)) as session:
        assert "a bug" in (await session.event("crash")).reason


async def test_an_error_in_the_background_that_cannot_be_written_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_args: object, **_kwargs: object) -> None:
        raise JournalFull("The disk is full.")

    handle = await open_session(options(tmp_path))
    shown: list[str] = []
    handle.subscribe(lambda update: shown.extend(getattr(event, "message", "") for event in update.events))
    with monkeypatch.context() as patch:
        patch.setattr(ModelClient, "prepare", broken)
        await handle.start()
        patch.setattr(Recorder, "record", full)
        await until(lambda: any("a bug" in text and "The disk is full." in text for text in shown))
    await handle.close()


@pytest.mark.parametrize("prompt", ["say 500 at 50", "run sleep 60"])
async def test_a_run_whose_clock_fails_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prompt: str) -> None:
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.handle.do(Submit(prompt=prompt))
        await session.event("turn.delta" if prompt.startswith("say") else "step.started")
        with monkeypatch.context() as patch:
            patch.setattr(Meter, "time_left", broken)
            await session.handle.do(Configure(limits={"run.time": 1000}))
            await session.idle()
        assert session.of("run.finished")[0].outcome == "failed"
        assert "a bug" in session.of("crash")[0].reason
        assert not session.handle.state.workflow.steps
        await session.prompt("say 5")
        assert session.of("run.finished")[1].outcome == "completed"


async def test_a_run_whose_clock_cannot_write_waits_for_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_args: object) -> None:
        raise JournalFull("The disk is full.")

    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="say 50 at 50"))
        await session.event("turn.delta")
        with monkeypatch.context() as patch:
            patch.setattr(Meter, "time_left", full)
            await session.handle.do(Configure(limits={"run.time": 1000}))
            await session.until(lambda: session.handle.halted)
        await session.prompt("say 5")
        assert session.of("run.finished")[-1].outcome == "completed"


async def test_a_listener_that_fails_harms_nobody_else_and_is_told_of(tmp_path: Path) -> None:
    def fails(_update: Update) -> None:
        raise RuntimeError("a bug in the screen")

    again: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, told: again.append(str(told["exception"])))
    handle = await open_session(options(tmp_path))
    handle.subscribe(fails)
    seen: list[str] = []
    handle.subscribe(lambda update: seen.extend(event.type for event in update.events))
    await handle.start()
    # Both are in one batch of the writer.
    await asyncio.gather(handle.do(Configure(title="one")), handle.do(Configure(model="offline")))
    await until(lambda: "crash" in seen)
    assert seen.count("session.configured") == 2
    assert seen.count("crash") == 1
    assert handle.state.conversation.title == "one"
    assert dump_state(handle.state) == dump_state(await folded_state(handle._core.journal))
    assert set(again) == {"a bug in the screen"}
    await handle.close()
