"""What a start finds when the one before ended in the middle: it looks, and never guesses."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.session.support import kill_all, opened, options
from tests.waiting import wait_until
from tui_agent.session import verify_session
from tui_agent.submissions import Answer, Decide, Resolve, Submit

COMMAND = "run echo begun >> ledger; sleep 2; echo ended >> ledger"


async def test_a_command_that_outlives_the_program_is_picked_up(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.handle.do(Submit(prompt=COMMAND))
        await session.event("step.started")
        await asyncio.to_thread(_wait_for, isolated / "ledger")
        name = session.handle.session
    assert session.of("step.finished") == []
    async with opened(options(tmp_path, mode="bypass"), name) as session:
        await session.idle()
        assert session.of("step.recovered")[0].finding in {"running", "finished"}
        assert session.of("step.finished")[0].outcome == "ok"
        assert (isolated / "ledger").read_text() == "begun\nended\n"
        assert session.of("run.finished")[0].outcome == "completed"


@pytest.mark.parametrize("resolution", ["happened", "run_again", "skip"])
async def test_a_command_that_died_unseen_waits_for_the_user(tmp_path: Path, isolated: Path, resolution: str) -> None:
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.handle.do(Submit(prompt=COMMAND))
        started = await session.event("step.started")
        await asyncio.to_thread(_wait_for, isolated / "ledger")
        name = session.handle.session
    kill_all(started.intent.spool)
    async with opened(options(tmp_path, mode="bypass"), name) as session:
        recovered = await session.event("step.recovered")
        assert recovered.finding == "uncertain"
        assert recovered.evidence
        await asyncio.sleep(0.1)
        assert (isolated / "ledger").read_text() == "begun\n"
        name = session.handle.session
    # It still waits after another start, and nothing has run meanwhile.
    async with opened(options(tmp_path, mode="bypass"), name) as session:
        await session.until(
            lambda: any(s.status == "uncertain" for s in session.handle.state.workflow.steps.values())
        )
        await session.handle.do(Resolve(step=recovered.step, resolution=resolution))  # type: ignore[arg-type]
        await session.idle()
        expected = {"happened": "ok", "run_again": "ok", "skip": "skipped"}[resolution]
        assert session.of("step.finished")[0].outcome == expected
        runs = 2 if resolution == "run_again" else 1
        assert (isolated / "ledger").read_text().count("begun") == runs
        assert session.of("run.finished")[0].outcome == "completed"


async def test_a_request_for_permission_is_simply_there_again(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="write b.txt: hi"))
        request = await session.event("permission.requested")
        name = session.handle.session
    async with opened(options(tmp_path), name) as session:
        pending = session.handle.state.permissions.pending
        assert [waiting.request for waiting in pending] == [request.request]
        await session.handle.do(Decide(request=request.request, verdict="allow"))
        await session.idle()
        assert (isolated / "b.txt").exists()
        assert session.of("permission.requested") == []


async def test_a_question_is_simply_there_again(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="ask which colour?"))
        question = await session.event("question.asked")
        name = session.handle.session
    async with opened(options(tmp_path), name) as session:
        await session.handle.do(Answer(question=question.question, answer="green"))
        await session.idle()
        assert "green" in str(session.of("step.finished")[0].result)
        assert session.of("question.asked") == []


async def test_an_answer_cut_off_stays_and_the_run_goes_on(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="say 300 at 100"))
        await session.until(lambda: len(session.of("turn.delta")) > 2)
        name = session.handle.session
    shown = "".join(delta.text for delta in session.of("turn.delta"))
    async with opened(options(tmp_path), name) as session:
        await session.idle()
        failed = session.of("turn.failed")[0]
        assert failed.kind == "closed"
        assert failed.partial[0]["text"] == shown
        assert failed.usage.estimated
        assert session.of("run.finished")[0].outcome == "completed"


async def test_a_denied_step_is_not_run_by_a_restart(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="write b.txt: hi"))
        request = await session.event("permission.requested")
        await session.handle.do(Decide(request=request.request, verdict="deny"))
        name = session.handle.session
    async with opened(options(tmp_path), name) as session:
        await session.idle()
        assert not (isolated / "b.txt").exists()
    path = tmp_path / "data" / "sessions" / name / "session.db"
    assert (await verify_session(path, options(tmp_path).runtime)).ok


def _wait_for(path: Path) -> None:
    wait_until(path.exists, str(path))


async def test_the_time_in_which_nothing_ran_is_not_booked(tmp_path: Path, isolated: Path) -> None:
    (isolated / "hello.py").write_text("print('hi')\n")
    given, later = options(tmp_path), 36_000.0
    tomorrow = replace(given.runtime, now=lambda: time.time() + later)
    async with opened(given) as session:
        await session.handle.do(Submit(prompt="edit hello.py: print => PRINT"))
        await session.event("permission.requested")
        name = session.handle.session
    # This start writes what it is asked for before it comes to the books.
    async with opened(replace(given, runtime=tomorrow, mode="plan"), name) as session:
        assert session.of("budget.clocked")
        assert session.handle.state.budget.seconds < later / 10


async def test_a_command_that_dies_with_its_runner_is_for_the_user_to_judge(tmp_path: Path, isolated: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.toml").write_text('sandbox = "off"\n')
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.handle.do(
            Submit(prompt="run echo before; echo once >> ran; while [ ! -e go ]; do sleep 0.01; done")
        )
        await session.event("step.output")
        spool = Path((await session.event("step.started")).intent.spool)
        os.kill(json.loads((spool / "start").read_text())["runner"], signal.SIGKILL)
        (isolated / "go").touch()
        recovered = await session.event("step.recovered")
        assert (recovered.finding, recovered.action) == ("uncertain", "ask")
        assert "before" in recovered.evidence
        await session.handle.do(Resolve(step=recovered.step, resolution="skip"))
        await session.idle()
        assert session.of("step.finished")[0].outcome == "skipped"
    assert (isolated / "ran").read_text() == "once\n"
