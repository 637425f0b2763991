"""Deleting a session, searching all of them, and what a session tells of itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.session.support import options
from tests.waiting import until
from tui_agent import sandbox
from tui_agent.runtime import Runtime
from tui_agent.session import (
    SessionBusy,
    SessionError,
    SessionHandle,
    delete_session,
    export_session,
    list_sessions,
    open_session,
    search_sessions,
    tool_reports,
    workspace_files,
)
from tui_agent.submissions import Submit


async def finished(tmp_path: Path, prompt: str) -> SessionHandle:
    handle = await open_session(options(tmp_path))
    await handle.start()
    await handle.do(Submit(prompt=prompt))
    await until(lambda: not handle.state.conversation.active_run)
    return handle


async def test_an_open_session_is_not_deleted_and_a_closed_one_is_gone(tmp_path):
    data = options(tmp_path).data_dir
    handle = await finished(tmp_path, "say 3")
    with pytest.raises(SessionBusy, match="open in a window"):
        await delete_session(data, handle.session)
    assert (data / "sessions" / handle.session / "session.db").exists()
    await handle.close()
    assert [s.id for s in await list_sessions(data)] == [handle.session]
    await delete_session(data, handle.session)
    assert not (data / "sessions" / handle.session).exists()
    assert await list_sessions(data) == []
    assert await search_sessions(data, "say") == ()
    await delete_session(data, handle.session)  # a row that was left behind goes without a folder


async def test_a_session_whose_command_still_runs_is_not_deleted(tmp_path):
    data = options(tmp_path).data_dir
    handle = await finished(tmp_path, "say 3")
    await handle.close()
    folder = data / "sessions" / handle.session
    spool = folder / "steps" / "step_1"
    runtime = Runtime()
    environment = {"PATH": "/usr/bin:/bin"}
    argv = sandbox.shell_argv("sleep 300")
    await sandbox.start(spool, argv, cwd=tmp_path, environment=environment, timeout=300, runtime=runtime)
    try:
        pid = sandbox.inspect(spool).pid
        with pytest.raises(SessionBusy, match=f"still runs, process {pid};"):
            await delete_session(data, handle.session)
        assert (folder / "session.db").exists()
    finally:
        sandbox.kill(spool)
        await sandbox.wait(spool, ignore, runtime)
    await delete_session(data, handle.session)
    assert not folder.exists()


async def ignore(data, skipped):
    pass


async def test_a_name_that_is_no_id_deletes_nothing(tmp_path):
    keep = tmp_path / "keep"
    keep.mkdir()
    with pytest.raises(ValueError, match="not a session id"):
        await delete_session(options(tmp_path).data_dir, "../../keep")
    assert keep.exists()


async def test_prompts_and_answers_are_found(tmp_path):
    handle = await finished(tmp_path, "read xylophone.txt")
    await handle.close()
    hits = await search_sessions(options(tmp_path).data_dir, "xyloph")
    assert (hits[0].session, hits[0].kind) == (handle.session, "prompt")
    assert "xylophone" in hits[0].snippet


async def test_export_as_markdown_and_as_events(tmp_path, isolated):
    (isolated / "a\x1b[2J.txt").write_text("x\n")
    handle = await finished(tmp_path, "list then say 5")
    target = tmp_path / "out.md"
    assert await export_session(handle, target)
    text = target.read_text()
    assert text.startswith("> list then say 5")
    assert "\x1b" not in text
    with pytest.raises(SessionError, match="exists"):
        await export_session(handle, target)
    assert target.read_text() == text
    with pytest.raises(SessionError, match="could not be written"):
        await export_session(handle, tmp_path / "no" / "such.md")
    lines = tmp_path / "out.jsonl"
    count = await export_session(handle, lines)
    events = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [event["seq"] for event in events] == list(range(1, count + 1))
    await handle.close()


async def test_the_pool_is_told_with_reasons(tmp_path):
    handle = await open_session(options(tmp_path))
    assert all(report.offered is None for report in await tool_reports(handle))
    await handle.close()
    handle = await finished(tmp_path, "say 3")
    reports = {report.tool.name: report for report in await tool_reports(handle)}
    assert reports["read"].offered
    assert all(report.reason for report in reports.values())
    await handle.close()


def test_the_workspace_files_leave_out_what_git_ignores(tmp_path):
    for name in ("a b.txt", "src/login.py", "src/deep/er.py", "build/x.o", ".git/config", "src/notes.log"):
        path = tmp_path / "w" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "w" / ".gitignore").write_text("build/\n")
    (tmp_path / "w" / "src" / ".gitignore").write_text("*.log\n")
    (tmp_path / "w" / "src" / "up").symlink_to(tmp_path / "w")
    found = workspace_files(tmp_path / "w")
    assert set(found) == {".gitignore", "a b.txt", "src/.gitignore", "src/login.py", "src/deep/er.py"}
    assert found.index("a b.txt") < found.index("src/login.py") < found.index("src/deep/er.py")


def test_no_more_entries_are_read_than_allowed(tmp_path):
    for number in range(60):
        folder = tmp_path / "w" / f"{number}"
        folder.mkdir(parents=True)
        for inside in range(10):
            (folder / f"{inside}").write_text("")
    assert len(workspace_files(tmp_path / "w", 100)) == 40
