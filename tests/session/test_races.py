"""What happens at the same time, and what an error leaves behind: no run stuck, nothing kept, nothing held."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.session.support import Watcher, opened, options
from tests.waiting import until
from tui_agent.agents.loop import Agent
from tui_agent.events import EventBase, PromptAccepted, RunFinished, RunStarted, TurnProjected
from tui_agent.journal import Journal, JournalFull, Recorder, export
from tui_agent.models.offline import ScenarioError
from tui_agent.session import SessionError, list_sessions, open_session, prompts, resume_session
from tui_agent.session.mentions import expand_mentions
from tui_agent.submissions import Compact, Configure, Fork, Interrupt, Submit, Withdraw
from tui_agent.tools.read import Read
from tui_agent.tools.task import Task
from tui_agent.workflow import Outcome

SUBAGENT = """
[[turn]]
text = "I look."
[[turn.call]]
tool = "task"
input = { agent = "explore", prompt = "find the login code" }
[[turn]]
text = "Found."
[[side]]
match = "find the login code"
[[side.turn]]
text = "I read."
[[side.turn.call]]
tool = "read"
input = { path = "login.py" }
[[side.turn]]
text = "It is in login.py."
"""


def scenario(tmp_path: Path, text: str) -> Path:
    """Write a scenario file and return it."""
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    return path


async def test_several_who_ask_for_the_history_at_once_get_the_same_one(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.prompt("say hello")
        name = session.handle.session
    async with opened(options(tmp_path), name) as session:
        handle = session.handle
        window, prompts, _ = await asyncio.gather(
            handle.inspect.context(), handle.inspect.prompts_in_window(), handle.do(Submit(prompt="say 2"))
        )
        await session.idle()
        assert window.parts
        assert len(prompts) in {1, 2}
        assert session.of("run.finished")[-1].outcome == "completed"


async def test_the_history_of_a_subagent_goes_with_it(tmp_path: Path, isolated: Path) -> None:
    (isolated / "login.py").write_text("def login(): ...\n")
    async with opened(options(tmp_path, scenario=scenario(tmp_path, SUBAGENT), mode="bypass")) as session:
        await session.prompt("where is the login?")
        assert [run.outcome for run in session.of("run.finished")] == ["completed", "completed"]
        assert list(session.handle._core.histories._histories) == ["main"]


async def broken(*_args: object, **_kwargs: object) -> None:
    """Fail as no tool should."""
    raise RuntimeError("a bug")


async def test_an_error_in_a_subagent_ends_its_run_and_its_steps_too(
    tmp_path: Path, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (isolated / "login.py").write_text("def login(): ...\n")
    given = options(tmp_path, scenario=scenario(tmp_path, SUBAGENT), mode="bypass")
    with monkeypatch.context() as patch:
        patch.setattr(Read, "run", broken)
        async with opened(given) as session:
            await session.prompt("where is the login?")
            assert [run.outcome for run in session.of("run.finished")] == ["failed", "failed"]
            assert session.of("run.finished")[-1].agent == "main"
            state, name = session.handle.state, session.handle.session
            assert not state.conversation.runs
            assert not state.workflow.steps
    async with opened(options(tmp_path), name) as session:
        await session.prompt("say 5")
        assert session.of("run.finished")[-1].outcome == "completed"


async def test_a_step_that_cannot_be_looked_at_leaves_no_run_stuck(
    tmp_path: Path, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (isolated / "login.py").write_text("def login(): ...\n")
    monkeypatch.setattr(Read, "run", broken)
    monkeypatch.setattr(Read, "probe", broken)
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.prompt("read login.py")
        assert session.of("run.finished")[-1].outcome == "failed"
        assert "could not be looked at (RuntimeError: a bug)" in str(session.of("step.finished")[-1].result)
        await session.prompt("say 5")
        assert session.of("run.finished")[-1].outcome == "completed"


@pytest.mark.parametrize("outcome", ["interrupted", "completed"])
async def test_a_prompt_that_comes_while_the_run_ends_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    finish = Agent._finish
    coming: list[asyncio.Task[Any]] = []

    async def meanwhile(agent: Agent, *args: Any) -> None:
        if not coming:
            coming.append(asyncio.create_task(session.handle.do(Submit(prompt="say 5"))))
            if outcome == "completed":
                coming.append(asyncio.create_task(session.handle.do(Interrupt())))
        await finish(agent, *args)

    async with opened(options(tmp_path, mode="bypass")) as session:
        monkeypatch.setattr(Agent, "_finish", meanwhile)
        await session.handle.do(Submit(prompt="run sleep 30" if outcome == "interrupted" else "say 3"))
        if outcome == "interrupted":
            await session.event("step.started")
            await session.handle.do(Interrupt())
        await session.event("run.finished", 2)
        assert [run.outcome for run in session.of("run.finished")] == [outcome, "completed"]
        assert not session.handle.state.conversation.queued


async def test_a_subagent_that_had_only_begun_is_interrupted_too(
    tmp_path: Path, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Recorder.record

    async def interrupting(recorder: Recorder, *events: EventBase, **options: Any) -> tuple[EventBase, ...]:
        if any(isinstance(event, RunStarted) and event.parent_step for event in events):
            await session.handle.do(Interrupt())
        return await record(recorder, *events, **options)

    monkeypatch.setattr(Recorder, "record", interrupting)
    async with opened(options(tmp_path, scenario=scenario(tmp_path, SUBAGENT), mode="bypass")) as session:
        await session.prompt("where is the login?")
        assert [run.outcome for run in session.of("run.finished")] == ["interrupted", "interrupted"]
        assert not session.handle.state.conversation.runs


async def test_a_session_that_could_not_be_opened_is_not_held(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        name = session.handle.session
    wrong = scenario(tmp_path, "nonsense = 1")
    with pytest.raises(ScenarioError):
        await resume_session(name, options(tmp_path, scenario=wrong))
    async with opened(options(tmp_path), name) as session:
        assert not session.handle.read_only


async def test_a_session_that_could_not_be_begun_leaves_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_args: object, **_kwargs: object) -> None:
        raise JournalFull("The disk is full.")

    monkeypatch.setattr(Recorder, "record", full)
    before = set(threading.enumerate())
    with pytest.raises(JournalFull):
        await open_session(options(tmp_path))

    def left() -> list[threading.Thread]:
        return [thread for thread in set(threading.enumerate()) - before if not thread.name.startswith("asyncio")]

    await until(lambda: not left(), "every thread has ended")


async def test_nothing_is_left_of_a_fork_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_args: object, **_kwargs: object) -> None:
        raise JournalFull("The disk is full.")

    async with opened(options(tmp_path)) as session:
        await session.prompt("say 5")
        with monkeypatch.context() as patch:
            patch.setattr(Recorder, "record", full)
            with pytest.raises(JournalFull):
                await session.handle.do(Fork())
        (only,) = session.handle.path.parent.parent.iterdir()
        assert only.name == session.handle.session
        assert [known.id for known in await list_sessions(tmp_path / "data")] == [only.name]


async def test_a_subagent_that_had_finished_is_found_in_a_long_session(
    tmp_path: Path, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (isolated / "login.py").write_text("def login(): ...\n")
    given = options(tmp_path, scenario=scenario(tmp_path, SUBAGENT), mode="bypass")
    run = Task.run

    async def waiting(*args: Any) -> None:
        await run(*args)
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(Task, "run", waiting)
        async with opened(given) as session:
            name = session.handle.session
            for number in range(1_001):
                before = Recorder(session.handle._core.journal, f"run_{number}", f"agent_{number}")
                asking = RunStarted(prompt="", agent_type="explore", parent_step="step")
                await before.record(asking, RunFinished(outcome="completed"))
            await session.handle.do(Submit(prompt="where is the login?"))
            await session.until(lambda: any(e.agent.startswith("explore") for e in session.of("run.finished")))
    async with opened(given, name) as session:
        await session.idle()
        assert session.of("run.started") == []
        assert "It is in login.py." in str(session.of("step.finished")[-1].result)


async def halted_run(session: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run come upon a full disk in the middle of an answer."""
    record = Recorder.record

    async def full(self: Recorder, *events: EventBase, **given: Any) -> None:
        if any(event.type in {"turn.finished", "turn.failed"} for event in events):
            raise JournalFull("The disk is full.")
        await record(self, *events, **given)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "record", full)
        await session.handle.do(Submit(prompt="say 50"))
        await session.until(lambda: session.handle.halted)
    assert session.handle.state.conversation.active_run is not None


async def test_a_run_that_a_full_disk_halted_goes_on_with_the_next_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(options(tmp_path)) as session:
        await halted_run(session, monkeypatch)
        await session.prompt("say 5")
        assert not session.handle.halted
        assert [event.kind for event in session.of("turn.failed")] == ["error"]
        assert session.of("run.finished")[-1].outcome == "completed"
        assert not session.handle.state.budget.reserved


async def test_a_run_that_a_full_disk_halted_can_be_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(options(tmp_path)) as session:
        await halted_run(session, monkeypatch)
        await session.handle.do(Interrupt())
        await session.idle()
        assert session.of("run.finished")[-1].outcome == "interrupted"
        assert not session.handle.halted
        await session.prompt("say 5")
        assert session.of("run.finished")[-1].outcome == "completed"


async def test_what_cannot_be_stored_ends_the_run_and_not_the_session(
    tmp_path: Path, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unstorable(*_args: object) -> Outcome:
        return Outcome([{"type": "text", "text": object()}])

    (isolated / "login.py").write_text("def login(): ...\n")
    async with opened(options(tmp_path, mode="bypass")) as session:
        with monkeypatch.context() as patch:
            patch.setattr(Read, "run", unstorable)
            await session.prompt("read login.py")
        assert session.of("run.finished")[-1].outcome == "failed"
        assert "invalid-json-value" in session.of("run.finished")[-1].reason
        await session.prompt("say 5")
        assert session.of("run.finished")[-1].outcome == "completed"


async def test_a_prompt_that_the_agent_takes_up_can_no_longer_be_withdrawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Recorder.record
    late: list[asyncio.Task[None]] = []

    async def withdrawing(recorder: Recorder, *events: EventBase, **given: Any) -> tuple[EventBase, ...]:
        if isinstance(events[0], PromptAccepted):
            late.append(asyncio.create_task(session.handle.do(Withdraw(prompt_id=events[0].prompt_id))))
            await asyncio.sleep(0)
        return await record(recorder, *events, **given)

    monkeypatch.setattr(Recorder, "record", withdrawing)
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="say 20 at 100"))
        await session.handle.do(Submit(prompt="say 5"))
        await session.idle()
        await asyncio.gather(*late)
        assert session.of("prompt.accepted")
        assert not session.of("prompt.withdrawn")


async def test_a_compaction_that_is_stopped_as_it_begins_reserves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Recorder.record

    async def stopping(recorder: Recorder, *events: EventBase, **given: Any) -> tuple[EventBase, ...]:
        if isinstance(events[0], TurnProjected) and events[0].purpose == "compaction":
            await session.handle.do(Interrupt())
        return await record(recorder, *events, **given)

    async with opened(options(tmp_path)) as session:
        await session.prompt("say 20")
        await session.prompt("say 20")
        monkeypatch.setattr(Recorder, "record", stopping)
        with pytest.raises(SessionError, match="stopped"):
            await session.handle.do(Compact())
        await session.handle.do(Configure(title="after it"))
        assert not session.handle.state.budget.reserved


async def test_output_that_comes_while_its_step_is_read_again_is_shown_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, page = Journal._publish, Journal.page
    held: list[tuple[Any, ...]] = []
    holding = False

    def held_back(journal: Journal, *batch: Any) -> None:
        if holding:
            held.append(batch)
        else:
            publish(journal, *batch)

    def release(journal: Journal) -> None:
        nonlocal holding
        holding = False
        for batch in held:
            publish(journal, *batch)
        held.clear()

    async def late(journal: Journal, *given: Any) -> Any:
        nonlocal holding
        holding = True
        await asyncio.sleep(0.2)  # what is written meanwhile is in the page, and is told after it
        found = await page(journal, *given)
        asyncio.get_running_loop().call_later(0.02, release, journal)
        return found

    monkeypatch.setattr(Journal, "_publish", held_back)
    async with opened(options(tmp_path, mode="bypass")) as session:
        handle, items = session.handle, session.handle._core.view._items
        await handle.do(Submit(prompt="run for i in 1 2 3 4 5 6 7 8; do echo line-$i; sleep 0.1; done; sleep 60"))
        await session.event("step.output")
        items.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "page", late)
            await session.until(lambda: "line-8" in str(items))
        assert [str(items).count(f"line-{number}\\n") for number in range(1, 9)] == [1] * 8
        await handle.do(Interrupt())
        await session.idle()


@pytest.mark.parametrize("where", ["make_folder", "put_in_place"])
async def test_a_fork_for_which_the_disk_has_no_room_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with opened(options(tmp_path)) as session:
        await session.prompt("say 5")
        monkeypatch.setattr(export, where, full)
        with pytest.raises(JournalFull):
            await session.handle.do(Fork())
        assert len(list(session.handle.path.parent.parent.iterdir())) == 1


async def test_a_compaction_that_is_stopped_as_it_commits_is_not_called_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Recorder.record

    async def stopping(recorder: Recorder, *events: EventBase, **given: Any) -> tuple[EventBase, ...]:
        if any(event.type == "context.compacted" for event in events):
            await session.handle.do(Interrupt())
        return await record(recorder, *events, **given)

    async with opened(options(tmp_path)) as session:
        await session.prompt("say 20")
        await session.prompt("say 20")
        monkeypatch.setattr(Recorder, "record", stopping)
        await session.handle.do(Compact())
        assert len(session.of("context.compacted")) == 1
        await session.prompt("say 5")
        assert session.of("run.finished")[-1].outcome == "completed"


async def test_a_prompt_whose_files_take_long_keeps_its_place(
    tmp_path: Path, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*given: Any, **more: Any) -> Any:
        time.sleep(0.1)
        return expand_mentions(*given, **more)

    (isolated / "a.txt").write_text("a\n")
    monkeypatch.setattr(prompts, "expand_mentions", slow)
    async with opened(options(tmp_path)) as session:
        await asyncio.gather(
            session.handle.do(Submit(prompt="say 20 about @a.txt")), session.handle.do(Submit(prompt="say 5"))
        )
        assert session.of("run.started")[0].prompt == "say 20 about @a.txt"
        assert [queued.prompt for queued in session.of("prompt.queued")] == ["say 5"]
        await session.idle()
