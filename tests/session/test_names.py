"""Folders whose names are not UTF-8: sessions in them work, come back, and are listed, verified and exported."""

from __future__ import annotations

import json
import os
from pathlib import Path

from click.testing import CliRunner

from tests.session.support import opened, options
from tui_agent.cli import cli
from tui_agent.runtime import Runtime
from tui_agent.session import list_sessions, verify_session
from tui_agent.session.state import dump_state, load_state
from tui_agent.submissions import Fork
from tui_agent.text import inert, storable, stored


async def test_a_session_in_a_folder_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    workspace = tmp_path / os.fsdecode(b"caf\xe9")
    workspace.mkdir()
    given = options(tmp_path, workspace=workspace, mode="bypass")
    async with opened(given) as session:
        await session.prompt("write a.txt: hi then read a.txt then list then run ls")
        assert [step.outcome for step in session.of("step.finished")] == ["ok"] * 4
        assert load_state(dump_state(session.handle.state)) == session.handle.state
        name = session.handle.session
    assert (workspace / "a.txt").read_text().strip() == "hi"
    async with opened(given, name) as session:
        assert session.handle.state.conversation.workspace == str(workspace)
        await session.prompt("edit a.txt: hi => ho then say 5")
        assert session.of("run.finished")[-1].outcome == "completed"
        copy = await session.handle.do(Fork())
    listed = await list_sessions(tmp_path / "data", workspace)
    assert {found.id for found in listed} == {name, copy}
    for one in (name, copy):
        assert (await verify_session(tmp_path / "data/sessions" / one / "session.db", Runtime())).ok


def test_the_commands_show_and_export_it(tmp_path: Path) -> None:
    workspace = tmp_path / os.fsdecode(b"caf\xe9")
    workspace.mkdir()
    asked = ["run", "--offline", "--cwd", str(workspace), "-o", "stream-json", "-p", "list"]
    done = CliRunner().invoke(cli, asked, obj=Runtime())
    assert done.exit_code == 0, done.output
    name = json.loads(done.stdout.splitlines()[0])["session"]
    assert "caf\\xe9" in CliRunner().invoke(cli, ["sessions"], obj=Runtime()).output
    exported = CliRunner().invoke(cli, ["export", name], obj=Runtime())
    assert exported.exit_code == 0
    created = json.loads(exported.stdout.splitlines()[0])
    assert created["workspace"] == str(workspace)
    audited = CliRunner().invoke(cli, ["audit", "--json"], obj=Runtime())
    assert json.loads(audited.stdout.splitlines()[0])["workspace"] == str(workspace)


def test_a_name_is_stored_as_it_is_and_shown_with_its_byte() -> None:
    for name in ("plain", "é", os.fsdecode(b"caf\xe9")):
        storable(name).encode()
        assert stored(storable(name)) == name
    assert inert(os.fsdecode(b"caf\xe9")) == "caf\\xe9"
