"""Folders added to a session: used like its workspace, kept, told, and refused where they may not be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.session.support import Watcher, opened, options
from tui_agent.sandbox import probe_sandbox
from tui_agent.session import OpenOptions, SessionError, open_session
from tui_agent.submissions import AddFolder, RemoveFolder, Submit, TrustProject

boxed = pytest.mark.skipif(probe_sandbox().kind == "none", reason="needs a sandbox")


@pytest.fixture
def other(tmp_path: Path, isolated: Path) -> Path:
    """Return a folder beside the workspace, with a file in it."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "notes.txt").write_text("one needle\n")
    (tmp_path / "outside").mkdir()
    return folder


def editing(tmp_path: Path, **more: Any) -> OpenOptions:
    return options(tmp_path, mode="accept-edits", unattended=True, **more)


def outcomes(session: Watcher) -> list[str]:
    return [event.outcome for event in session.of("step.finished")]


async def test_an_added_folder_is_read_searched_and_edited_as_the_workspace_is(tmp_path: Path, other: Path) -> None:
    async with opened(editing(tmp_path, folders=(str(other),))) as session:
        for prompt in (
            f"read {other}/notes.txt",
            f"edit {other}/notes.txt: one => two",
            f"write {other}/new/a.txt: hello",
            f"search needle in {other}",
            f"run cat {other}/notes.txt",
            f"run ls {other}",
        ):
            await session.prompt(prompt)
        assert outcomes(session) == ["ok"] * 6
        assert (other / "notes.txt").read_text() == "two needle\n"
        assert (other / "new" / "a.txt").read_text().strip() == "hello"
        await session.prompt(f"write {tmp_path}/outside/a.txt: hello")
        await session.prompt(f"write {other}/../outside/a.txt: hello")
        assert outcomes(session)[6:] == ["denied", "denied"]
        assert not list((tmp_path / "outside").iterdir())


async def test_in_the_mode_ask_a_write_in_an_added_folder_asks_and_reading_does_not(
    tmp_path: Path, other: Path
) -> None:
    async with opened(options(tmp_path, unattended=True, folders=(str(other),))) as session:
        await session.prompt(f"write {other}/a.txt: hello")
        await session.prompt(f"read {other}/notes.txt")
        assert outcomes(session) == ["denied", "ok"]


@boxed
async def test_commands_write_in_an_added_folder_and_its_steering_files_stay_protected(
    tmp_path: Path, other: Path
) -> None:
    (other / ".git" / "hooks").mkdir(parents=True)
    (other / ".git" / "config").write_text("[core]\n")
    (other / ".claude").mkdir()
    (other / ".claude" / "settings.json").write_text("{}")
    given = options(tmp_path, mode="sandboxed", unattended=True, folders=(str(other),))
    async with opened(given) as session:
        await session.prompt(f"run sh -c 'echo made > {other}/made.txt'")
        assert outcomes(session) == ["ok"]
        assert (other / "made.txt").read_text() == "made\n"
        for place in (".git/hooks/pre-commit", ".git/config", ".tui-agent/permissions.toml", ".claude/settings.json"):
            await session.prompt(f"run sh -c 'p={other}/{place}; mkdir -p $(dirname $p); echo x >> $p'")
        await session.prompt(f"run sh -c 'echo x > {tmp_path}/outside/x'")
    assert (other / ".git" / "config").read_text() == "[core]\n"
    assert (other / ".claude" / "settings.json").read_text() == "{}"
    assert not (other / ".git" / "hooks" / "pre-commit").exists()
    assert not (other / ".tui-agent" / "permissions.toml").exists()
    assert not (tmp_path / "outside" / "x").exists()


async def test_steering_files_of_an_added_folder_are_not_written_by_the_file_tools(
    tmp_path: Path, other: Path
) -> None:
    async with opened(editing(tmp_path, folders=(str(other),))) as session:
        for place in (".git/hooks/pre-commit", ".tui-agent/permissions.toml", ".claude/settings.json", ".envrc"):
            await session.prompt(f"write {other}/{place}: x")
        assert outcomes(session) == ["denied"] * 4


async def test_a_link_out_of_an_added_folder_asks(tmp_path: Path, other: Path) -> None:
    (tmp_path / "outside" / "secret.txt").write_text("x")
    (other / "out").symlink_to(tmp_path / "outside")
    (other / "file.txt").symlink_to(tmp_path / "outside" / "secret.txt")
    async with opened(editing(tmp_path, folders=(str(other),))) as session:
        for prompt in (
            f"read {other}/out/secret.txt",
            f"read {other}/file.txt",
            f"write {other}/out/a.txt: x",
            f"run cat {other}/file.txt",
        ):
            await session.prompt(prompt)
        assert outcomes(session) == ["denied"] * 4


async def test_a_folder_that_is_added_lets_a_waiting_call_go_on(tmp_path: Path, other: Path) -> None:
    async with opened(options(tmp_path, mode="accept-edits")) as session:
        await session.handle.do(Submit(prompt=f"write {other}/a.txt: hello"))
        await session.event("permission.requested")
        assert await session.handle.do(AddFolder(path="../other")) == str(other)
        await session.idle()
        assert outcomes(session) == ["ok"]
        assert await session.handle.inspect.folders() == [str(other)]


async def test_a_folder_that_is_taken_back_is_asked_about_again_and_stays_so(tmp_path: Path, other: Path) -> None:
    async with opened(editing(tmp_path, folders=(str(other),))) as session:
        await session.prompt(f"write {other}/a.txt: hello")
        assert await session.handle.do(RemoveFolder(path="../other")) == str(other)
        assert await session.handle.inspect.folders() == []
        with pytest.raises(SessionError, match="not one of the session's added folders"):
            await session.handle.do(RemoveFolder(path=str(other)))
        await session.handle.do(Submit(prompt=f"write {other}/b.txt: hello"))
        await session.event("permission.requested")
        assert session.of("context.noted")[-1].facts["folders"].startswith("No folder is added")
        name = session.handle.session
    async with opened(editing(tmp_path), name) as session:
        assert await session.handle.inspect.folders() == []


async def test_a_folder_that_is_gone_can_be_taken_back(tmp_path: Path, other: Path) -> None:
    async with opened(editing(tmp_path, folders=(str(other),))) as session:
        other.rename(tmp_path / "elsewhere")
        assert await session.handle.do(RemoveFolder(path=str(other))) == str(other)
        assert session.handle.state.conversation.added == ()


async def test_added_folders_come_back_on_resume_and_the_model_is_told(tmp_path: Path, other: Path) -> None:
    async with opened(editing(tmp_path)) as session:
        await session.prompt("say 3")
        await session.handle.do(AddFolder(path=str(other)))
        await session.prompt("say 3")
        told = session.of("context.noted")
        assert [str(other) in event.facts.get("folders", "") for event in told] == [True]
        name = session.handle.session
    more = tmp_path / "more"
    more.mkdir()
    async with opened(editing(tmp_path, folders=(str(more),)), name) as session:
        assert await session.handle.inspect.folders() == [str(other), str(more)]
        await session.prompt(f"write {other}/a.txt: hello")
        assert outcomes(session) == ["ok"]


async def test_folders_given_at_the_start_are_in_the_system_prompt(tmp_path: Path, other: Path) -> None:
    async with opened(editing(tmp_path, folders=(str(other),))) as session:
        await session.prompt("say 3")
        loaded = session.of("context.loaded")[0]
        assert str(other) in loaded.facts["folders"]


async def test_a_folder_that_became_a_link_or_is_gone_is_not_used_any_more(tmp_path: Path, other: Path) -> None:
    (tmp_path / "outside" / "x.txt").write_text("x")
    async with opened(editing(tmp_path, folders=(str(other),))) as session:
        other.rename(tmp_path / "moved")
        other.symlink_to(tmp_path / "outside")
        assert await session.handle.inspect.folders() == []
        await session.prompt(f"read {other}/x.txt")
        await session.prompt("run ls")
        assert outcomes(session) == ["denied", "ok"]
        name = session.handle.session
    async with opened(editing(tmp_path), name) as session:
        notice = await session.event("notice")
        assert notice.message == f"The added folder {other} is not used: it has become a link to another place"


REFUSED = {
    "/": "home folder",
    "~": "home folder",
    "/usr": "system",
    "{tmp}": "home folder",
    "{tmp}/data": "own data",
    "{tmp}/data/sessions": "own data",
    "{tmp}/config": "own data",
    "{tmp}/missing": "does not exist",
    "{tmp}/other/notes.txt": "not a folder",
    "{tmp}/to-home": "home folder",
    "{tmp}/other/.git/hooks": "protected",
    "~/.ssh": "keys",
    "/proc/self": "kernel",
    "": "no folder",
    "a\0b": "no folder",
    "\ud800": "characters",
}


@pytest.mark.parametrize(("path", "reason"), REFUSED.items())
async def test_a_folder_that_may_not_be_added_is_refused_with_the_reason(
    tmp_path: Path, other: Path, path: str, reason: str
) -> None:
    for folder in ("home/.ssh", "config", "other/.git/hooks"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / "to-home").symlink_to(tmp_path / "home")
    given = options(tmp_path)
    async with opened(given) as session:
        with pytest.raises(SessionError, match=reason):
            await session.handle.do(AddFolder(path=path.format(tmp=tmp_path)))
        assert session.handle.state.conversation.added == ()
    if path:
        with pytest.raises(SessionError, match=reason):
            await open_session(options(tmp_path, folders=(path.format(tmp=tmp_path),)))


async def test_a_folder_in_the_workspace_is_open_already(tmp_path: Path, isolated: Path) -> None:
    (isolated / "sub").mkdir()
    async with opened(options(tmp_path, folders=(str(isolated), "sub"))) as session:
        with pytest.raises(SessionError, match="in the workspace already"):
            await session.handle.do(AddFolder(path="sub"))
        assert session.handle.state.conversation.added == ()


async def test_the_settings_add_folders_and_say_which_they_may_not(tmp_path: Path, other: Path) -> None:
    (tmp_path / "config").mkdir(exist_ok=True)
    settings = tmp_path / "config" / "settings.toml"
    settings.write_text(f'additional_directories = ["{other}", "~", "../missing"]\n')
    async with opened(editing(tmp_path)) as session:
        assert await session.handle.inspect.folders() == [str(other)]
        said = [event.message for event in session.of("notice")]
        assert any("~ cannot be added: it is the home" in message for message in said)
        assert any("../missing cannot be added: it does not exist" in message for message in said)
        await session.prompt(f"write {other}/a.txt: hello")
        assert outcomes(session) == ["ok"]
        name = session.handle.session
    settings.write_text("")
    async with opened(editing(tmp_path), name) as session:
        assert await session.handle.inspect.folders() == []
        await session.prompt(f"write {other}/b.txt: hello")
        assert outcomes(session) == ["denied"]
        assert "No folder is added" in session.of("context.noted")[-1].facts["folders"]


async def test_a_project_s_settings_add_no_folder_of_our_own_setting(tmp_path: Path, other: Path) -> None:
    project = tmp_path / "workspace" / ".tui-agent"
    project.mkdir()
    (project / "settings.toml").write_text(f'additional_directories = ["{other}"]\n')
    async with opened(editing(tmp_path)) as session:
        assert await session.handle.inspect.folders() == []
        assert any("may not set 'additional_directories'" in event.message for event in session.of("notice"))


def claude_settings(folder: Path, *paths: str) -> Path:
    file = folder / ".claude" / "settings.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"permissions": {"additionalDirectories": list(paths)}}))
    return file


async def test_a_project_adds_folders_only_while_it_is_trusted(tmp_path: Path, other: Path) -> None:
    file = claude_settings(tmp_path / "workspace", "../other")
    async with opened(editing(tmp_path)) as session:
        assert await session.handle.inspect.folders() == []
        held = session.handle.inspect.audit.rules(str(tmp_path / "workspace"))
        assert [line.startswith("the folder ../other") for line in held.held_back_lines] == [True]
        await session.prompt(f"write {other}/a.txt: hello")
        shown = session.handle.inspect.audit.rules(session.handle.state.conversation.workspace).project_hash
        await session.handle.do(TrustProject(shown=shown))
        assert await session.handle.inspect.folders() == [str(other)]
        await session.prompt(f"write {other}/b.txt: hello")
        claude_settings(tmp_path / "workspace", "../other", "../outside")
        await session.prompt(f"write {other}/c.txt: hello")
        assert outcomes(session) == ["denied", "ok", "denied"]
        await session.until(lambda: session.handle.state.conversation.added == ())
        file.unlink()


async def test_the_user_s_own_claude_settings_add_folders_and_what_is_no_list_is_told(
    tmp_path: Path, other: Path
) -> None:
    file = claude_settings(tmp_path / "home", str(other), "~")
    async with opened(editing(tmp_path)) as session:
        assert await session.handle.inspect.folders() == [str(other)]
        await session.event("notice")
        assert any("~ cannot be added" in event.message for event in session.of("notice"))
        await session.prompt(f"write {other}/a.txt: hello")
        file.write_text('{"permissions": {"additionalDirectories": "x"}}')
        await session.prompt(f"write {other}/b.txt: hello")
        assert outcomes(session) == ["ok", "denied"]
        await session.until(lambda: any("not a list of folders" in event.message for event in session.of("notice")))


async def test_the_rules_of_an_added_folder_do_not_count(tmp_path: Path, other: Path) -> None:
    (other / ".tui-agent").mkdir()
    (other / ".tui-agent" / "permissions.toml").write_text('allow = ["Bash(touch x)"]\n')
    claude_settings(other, str(tmp_path / "outside"))
    async with opened(editing(tmp_path, folders=(str(other),))) as session:
        await session.prompt("run touch x")
        await session.prompt(f"write {tmp_path}/outside/a.txt: x")
        assert outcomes(session) == ["denied", "denied"]


@boxed
async def test_a_command_that_reads_the_session_s_own_tmp_is_not_asked_about(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path, mode="accept-edits")) as session:
        await session.prompt("write /tmp/notes.txt: hello")
        await session.prompt("run cat /tmp/notes.txt")
        assert outcomes(session) == ["ok", "ok"]
        scratch = session.handle.path.parent / "scratch" / "tmp"
        (scratch / "link").symlink_to(tmp_path / "secret.txt")
        await session.handle.do(Submit(prompt="run cat /tmp/link"))
        await session.event("permission.requested")
