"""What version 0.1.0 wrote can be listed, verified, exported, resumed and gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.session.older import NAMES, unpack
from tests.session.support import opened, options
from tui_agent.cli import cli
from tui_agent.runtime import Runtime
from tui_agent.session import list_sessions, verify_session
from tui_agent.submissions import Answer, Decide, Interrupt


async def test_all_are_listed_with_their_prompts(tmp_path: Path) -> None:
    unpack(tmp_path / "data")
    found = {session.id: session for session in await list_sessions(tmp_path / "data")}
    assert sorted(found) == NAMES
    assert {name: session.prompts for name, session in found.items()} == {
        "approvals": 3,
        "budget": 1,
        "compaction": 7,
        "crash_in_a_command": 1,
        "crash_in_an_answer": 2,
        "forked": 2,
        "forked_fork": 2,
        "interrupted": 2,
        "plan": 2,
        "question": 2,
        "subagent": 1,
        "tools": 5,
    }
    assert all(session.title and not session.problem for session in found.values())


def test_all_are_verified_and_exported_and_stay_as_they_are(tmp_path: Path) -> None:
    unpack(tmp_path / "data")
    files = {name: tmp_path / "data/sessions" / name / "session.db" for name in NAMES}
    before = {name: path.read_bytes() for name, path in files.items()}
    verified = CliRunner().invoke(cli, ["verify", "--all"], obj=Runtime())
    assert verified.exit_code == 0, verified.output
    assert f"{len(NAMES)} sessions checked, 0 bad." in verified.output
    for name in NAMES:
        exported = CliRunner().invoke(cli, ["export", name], obj=Runtime())
        assert exported.exit_code == 0, exported.output
        types = [json.loads(line)["type"] for line in exported.stdout.splitlines()]
        assert "session.created" in types
    assert {name: path.read_bytes() for name, path in files.items()} == before


@pytest.mark.parametrize("name", NAMES)
async def test_each_goes_on_with_a_prompt_and_verifies_afterwards(name: str, tmp_path: Path) -> None:
    unpack(tmp_path / "data", name)
    async with opened(options(tmp_path), name) as session:
        handle = session.handle
        items = await handle.items(0, handle.item_count)
        assert len(items) == handle.item_count > 0
        entries = await handle.entries(0, handle.entry_count)
        assert len(entries) == handle.entry_count
        if handle.state.conversation.active_run is not None:
            await handle.do(Interrupt())
            await session.idle()
        await session.prompt("say 5")
        assert session.of("run.finished")[-1].outcome == "completed"
        assert not session.of("crash")[1:]
    found = await verify_session(tmp_path / "data/sessions" / name / "session.db", Runtime())
    assert (found.ok, found.note) == (True, ""), found.message


async def test_a_question_that_was_open_is_still_open(tmp_path: Path) -> None:
    unpack(tmp_path / "data", "question")
    async with opened(options(tmp_path), "question") as session:
        (question,) = session.handle.state.workflow.questions
        await session.handle.do(Answer(question=question, answer="large"))
        await session.idle()
        assert session.of("run.finished")[-1].outcome == "completed"


async def test_a_request_that_waited_still_waits(tmp_path: Path) -> None:
    unpack(tmp_path / "data", "approvals")
    async with opened(options(tmp_path), "approvals") as session:
        (waiting,) = session.handle.state.permissions.pending
        assert waiting.input["path"] == "e.txt"
        await session.handle.do(Decide(request=waiting.request, verdict="deny"))
        await session.idle()
        assert [grant.pattern for grant in session.handle.state.permissions.grants]


async def test_what_0_1_0_told_the_model_is_not_rewritten(tmp_path: Path) -> None:
    unpack(tmp_path / "data", "interrupted")
    async with opened(options(tmp_path), "interrupted") as session:
        await session.prompt("say 3")
        assert [event for event in session.of("notice") if event.code == "prefix-changed"] == []
