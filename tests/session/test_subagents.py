"""Subagents that end early: what they did is told, one can be ended alone, and each has a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.session.support import opened, options
from tui_agent.session import OpenOptions, SessionError
from tui_agent.submissions import Answer, Interrupt, StopAgent, Submit


def delegating(tmp_path: Path, agents: int = 1) -> OpenOptions:
    """Options for a session whose model starts agents that write a file each and then wait for a pipe."""
    path = tmp_path / "scenario.toml"
    calls = "".join(
        f'[[turn.call]]\ntool = "task"\ninput = {{ agent = "general", prompt = "job {number}" }}\n'
        for number in range(agents)
    )
    sides = "".join(
        f'[[side]]\nmatch = "job {number}"\n[[side.turn]]\ntext = "I write."\n[[side.turn.call]]\ntool = "write"\n'
        f'input = {{ path = "made{number}.txt", content = "x" }}\n[[side.turn]]\n[[side.turn.call]]\ntool = "read"\n'
        f'input = {{ path = "made{number}.txt" }}\n[[side.turn]]\n[[side.turn.call]]\ntool = "ask"\n'
        f'input = {{ question = "go on {number}?" }}\n[[side.turn]]\ntext = "All done {number}."\n'
        for number in range(agents)
    )
    path.write_text(f'[[turn]]\n{calls}[[turn]]\ntext = "I see."\n{sides}')
    return options(tmp_path, scenario=path, mode="bypass")


async def test_an_interrupted_agent_leaves_word_of_what_it_did(tmp_path: Path, isolated: Path) -> None:
    async with opened(delegating(tmp_path)) as session:
        await session.handle.do(Submit(prompt="go"))
        await session.event("question.asked")
        await session.handle.do(Interrupt())
        await session.idle()
        (task,) = (done for done in session.of("step.finished") if done.tool == "task")
        assert task.outcome == "cancelled"
        assert all(word in str(task.result) for word in ("general-1", "made0.txt", "interrupted"))
        assert (isolated / "made0.txt").exists()
        await session.prompt("and now?")
        assert session.of("run.finished")[-1].outcome == "completed"


async def test_one_of_two_agents_is_ended_alone(tmp_path: Path) -> None:
    async with opened(delegating(tmp_path, 2)) as session:
        await session.handle.do(Submit(prompt="go"))
        await session.event("question.asked", 2)
        with pytest.raises(SessionError, match="general-1, general-2"):
            await session.handle.do(StopAgent())
        await session.handle.do(StopAgent(name="general-2"))
        await session.until(lambda: any(done.tool == "task" for done in session.of("step.finished")))
        (stopped,) = (done for done in session.of("step.finished") if done.tool == "task")
        assert stopped.outcome == "error"
        assert "user stopped this agent" in str(stopped.result)
        job = next(start.prompt for start in session.of("run.started") if start.agent == "general-2")
        assert f"made{job.removeprefix('job ')}.txt" in str(stopped.result)
        (question,) = session.handle.state.workflow.questions.values()
        await session.handle.do(Answer(question=question.id, answer="yes"))
        await session.idle()
        outcomes = {end.agent: end.outcome for end in session.of("run.finished")}
        assert outcomes == {"general-1": "completed", "general-2": "interrupted", "main": "completed"}
        with pytest.raises(SessionError):
            await session.handle.do(StopAgent(name="general-1"))


async def test_agents_are_numbered_and_their_work_is_shown_in_the_step(tmp_path: Path) -> None:
    async with opened(delegating(tmp_path)) as session:
        await session.handle.do(Submit(prompt="go"))
        question = await session.event("question.asked")
        shown = "".join(event.text for event in session.of("step.output") if event.agent == "main")
        assert "write made0.txt" in shown
        await session.handle.do(Answer(question=question.question, answer="yes"))
        await session.idle()
        (task,) = (done for done in session.of("step.finished") if done.tool == "task")
        assert "write made0.txt" in task.view
        assert "All done 0." in task.view
        assert "write made0.txt" not in str(task.result)
