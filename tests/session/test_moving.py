"""A session whose folder was renamed: said when it opens, one reason for each call, and a way to bring it along."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.cli.test_streams import tui_agent
from tests.session.support import opened, options
from tui_agent.runtime import Runtime
from tui_agent.session import list_sessions, verify_session


async def test_a_session_whose_folder_is_gone_says_so_and_its_calls_fail_with_one_reason(tmp_path: Path) -> None:
    given = options(tmp_path, mode="bypass")
    async with opened(given) as session:
        await session.prompt("list")
        name = session.handle.session
    (tmp_path / "workspace").rename(tmp_path / "renamed")
    async with opened(given, name) as session:
        assert any("does not exist any more" in notice.message for notice in session.of("notice"))
        await session.prompt("list then say 5")
        await session.prompt("run pwd")
        results = [str(finished.result) for finished in session.of("step.finished")]
        assert len(results) == 2
        assert all(f"folder {tmp_path / 'workspace'} does not exist any more" in result for result in results)


async def test_it_can_be_brought_along_and_the_model_is_told(tmp_path: Path) -> None:
    given = options(tmp_path, mode="bypass")
    async with opened(given) as session:
        await session.prompt("write a.txt: hello")
        name = session.handle.session
    new = tmp_path / "renamed"
    (tmp_path / "workspace").rename(new)
    async with opened(replace(given, workspace=new, move=True), name) as session:
        assert not any("does not exist" in notice.message for notice in session.of("notice"))
        await session.prompt("read a.txt then run pwd")
        results = [str(finished.result) for finished in session.of("step.finished")]
        assert "hello" in results[0]
        assert str(new) in results[1]
        history = await session.handle._core.histories.load("main")
        assert f"The workspace is now {new}" in str(history.messages())
    (listed,) = await list_sessions(tmp_path / "data", new)
    assert listed.id == name
    async with opened(replace(given, workspace=tmp_path), name) as session:
        assert session.handle.state.conversation.workspace == str(new)
    assert (await verify_session(tmp_path / "data/sessions" / name / "session.db", Runtime())).ok


def test_run_with_resume_and_cwd_brings_the_session_along_and_says_so(isolated: Path, tmp_path: Path) -> None:
    first = tui_agent("run", "--offline", "-o", "json", "-p", "list")
    name = json.loads(first.out)["session"]
    new = tmp_path / "renamed"
    isolated.rename(new)
    done = tui_agent("run", "--offline", "--resume", name, "--cwd", str(new), "-p", "list")
    assert done.code == 0
    assert f"The session was brought along to {new}" in done.err.decode()
