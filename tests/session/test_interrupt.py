"""Interrupting at any moment leaves a valid history; the offline model refuses an invalid one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.session.support import Watcher, opened, options
from tests.waiting import until
from tui_agent.events import RunFinished, StepFinished
from tui_agent.models.offline import OfflineServer
from tui_agent.submissions import Interrupt, Submit


async def goes_on(session: Watcher) -> None:
    """The next prompt is answered: the history is valid."""
    await session.prompt("say 5")
    assert session.of("run.finished")[-1].outcome == "completed", session.of("run.finished")[-1].reason


async def test_during_the_answer(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="say 20000 at 100"))
        await session.until(lambda: len(session.of("turn.delta")) > 3)
        await session.handle.do(Interrupt())
        await session.idle()
        failed = session.of("turn.failed")[0]
        assert failed.kind == "interrupted"
        shown = "".join(delta.text for delta in session.of("turn.delta"))
        # What may be the beginning of a secret is not shown until more has come; the partial answer has it.
        assert shown
        assert failed.partial[0]["text"].startswith(shown)
        assert failed.usage.estimated
        assert failed.usage.output_tokens > 0
        assert session.of("run.finished")[0].outcome == "interrupted"
        await goes_on(session)
        assert "interrupted" in str(session.handle._core.histories._histories["main"].messages_json())


async def test_while_a_permission_waits(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch made"))
        await session.event("permission.requested")
        await session.handle.do(Interrupt())
        await session.idle()
        assert session.handle.state.permissions.pending == ()
        assert session.of("step.finished")[0].outcome == "cancelled"
        assert not (isolated / "made").exists()
        await goes_on(session)


def command_lines() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_text(errors="replace"))
    return found


async def test_while_a_command_runs(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.handle.do(Submit(prompt="run echo begun; sleep 60.0815; touch made"))
        await session.event("step.output")
        await session.handle.do(Interrupt())
        await session.idle()
        assert session.of("step.finished")[0].outcome == "cancelled"
        # In a sandbox the command has process ids of its own: look for what it runs.
        assert not any("60.0815" in text for text in command_lines())
        assert not (isolated / "made").exists()
        await goes_on(session)


async def test_while_a_question_waits(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="ask which one?"))
        await session.event("question.asked")
        await session.handle.do(Interrupt())
        await session.idle()
        assert session.handle.state.workflow.questions == {}
        await goes_on(session)


async def test_while_a_subagent_works(tmp_path: Path, isolated: Path) -> None:
    server = OfflineServer(speed=50)
    base_url = await asyncio.to_thread(server.start)
    try:
        given = options(tmp_path, offline=False, base_url=base_url, api_key="k")
        async with opened(given) as session:
            await session.handle.do(Submit(prompt="explore needle"))
            await session.until(lambda: len(session.of("run.started")) == 2)
            await session.handle.do(Interrupt())
            await session.idle()
            assert session.handle.state.conversation.runs == ()
            assert session.handle.state.workflow.steps == {}
            await goes_on(session)
    finally:
        await asyncio.to_thread(server.stop)


async def test_while_it_waits_to_try_again(tmp_path: Path) -> None:
    given = options(tmp_path, offline=False, base_url="http://127.0.0.1:9", api_key="k")
    async with opened(given) as session:
        await session.handle.do(Submit(prompt="hello"))
        await session.event("turn.failed")
        await session.handle.do(Interrupt())
        await session.idle()
        assert session.of("run.finished")[0].outcome == "interrupted"
        assert session.of("turn.failed")[-1].kind == "interrupted"


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.01, 0.03, 0.06, 0.1, 0.2])
async def test_at_any_moment(tmp_path: Path, isolated: Path, delay: float) -> None:
    (isolated / "a.txt").write_text("hello\n")
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.handle.do(Submit(prompt="read a.txt then run echo hi then write b.txt: x then say 200 at 500"))
        await asyncio.sleep(delay)
        await session.handle.do(Interrupt())
        await session.idle()
        await goes_on(session)


async def test_a_queued_prompt_is_taken_up_by_the_interrupt(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="say 500 at 100"))
        await session.until(lambda: len(session.of("turn.delta")) > 1)
        await session.handle.do(Submit(prompt="say 7"))
        await session.handle.do(Interrupt())
        await session.idle()
        assert len(session.of("run.started")) == 1
        assert session.of("run.finished")[-1].outcome == "completed"
        assert session.handle.state.conversation.queued == ()


async def test_before_the_agent_has_begun(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch made"))
        await session.handle.do(Interrupt())
        await session.idle()
        assert session.of("run.finished")[0].outcome == "interrupted"
        await goes_on(session)


async def test_what_a_command_had_said_is_kept(tmp_path: Path) -> None:
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.handle.do(Submit(prompt="run echo begun; sleep 60"))
        await session.event("step.output")
        await session.handle.do(Interrupt())
        await session.idle()
        finished = session.of("step.finished")[0]
        assert finished.outcome == "cancelled"
        assert "begun" in str(finished.result)


async def test_a_write_that_happened_before_the_interrupt_is_told(tmp_path: Path, isolated: Path) -> None:
    interrupt: list[asyncio.Future[None]] = []
    loop = asyncio.get_running_loop()

    def at(name: str) -> None:
        if name == "effect.after" and not interrupt:
            interrupt.append(asyncio.run_coroutine_threadsafe(session.handle.do(Interrupt()), loop))  # type: ignore[arg-type]
            time.sleep(0.1)

    given = options(tmp_path, mode="bypass")
    async with opened(replace(given, runtime=replace(given.runtime, failpoint=at))) as session:
        await session.handle.do(Submit(prompt="write b.txt: hi"))
        await session.idle()
        assert interrupt
        assert (isolated / "b.txt").exists()
        assert session.of("step.finished")[0].outcome == "ok"
        assert session.of("run.finished")[0].outcome == "interrupted"
        await goes_on(session)


async def gone(argument: str) -> None:
    """Wait until no command has this argument: the runner that ends it may take longer than the run."""
    await until(lambda: not any(argument in text for text in command_lines()), f"the end of {argument}")


STUBBORN = "run trap '' TERM; echo begun; sleep 60.0816; sleep 60.0816; touch made"


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.5])
async def test_it_holds_when_the_session_is_closed_before_the_command_has_ended(
    tmp_path: Path, isolated: Path, delay: float
) -> None:
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.handle.do(Submit(prompt=STUBBORN))
        await session.event("step.output")
        await session.handle.do(Interrupt())
        name, events = session.handle.session, session.events
        await asyncio.sleep(delay)
    async with opened(options(tmp_path, mode="bypass"), name) as session:
        await session.idle()
        ended = [e for e in [*events, *session.events] if isinstance(e, RunFinished | StepFinished)]
        assert [event.outcome for event in ended] == ["cancelled", "interrupted"]
        await gone("60.0816")
        assert not (isolated / "made").exists()
        await goes_on(session)


async def test_it_holds_when_nothing_else_of_it_had_happened(
    tmp_path: Path, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.handle.do(Submit(prompt="run echo begun; sleep 60.0817; touch made"))
        await session.event("step.output")
        # As after a kill: the command has not been told to end.
        monkeypatch.setattr(session.handle._core.driver, "interrupt", lambda: None)
        await session.handle.do(Interrupt())
        name = session.handle.session
    async with opened(options(tmp_path, mode="bypass"), name) as session:
        await session.idle()
        assert session.of("run.finished")[0].outcome == "interrupted"
        await gone("60.0817")
        assert not (isolated / "made").exists()
        await goes_on(session)


async def test_it_holds_no_longer_once_the_run_has_gone_on_with_a_prompt(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="say 500 at 100"))
        await session.event("turn.delta")
        await session.handle.do(Submit(prompt="say 40 at 20"))
        await session.handle.do(Interrupt())
        await session.event("turn.started", 2)
        assert session.of("prompt.accepted")
        name = session.handle.session
    async with opened(options(tmp_path), name) as session:
        await session.idle()
        assert session.of("run.finished")[0].outcome == "completed"
