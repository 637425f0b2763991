"""The first word: a command, or a prompt; and where options may stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tui_agent import cli as door
from tui_agent.opening import Start
from tui_agent.runtime import Runtime


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would be shown on the screen, instead of the screen."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(door, "_screen", lambda start, **rest: calls.append({"start": start, **rest}))
    return calls


@pytest.fixture
def a_session(tmp_path: Path) -> Callable[[str], None]:
    """Makes what looks like a session on disk."""

    def make(name: str) -> None:
        folder = tmp_path / "data" / "sessions" / name
        folder.mkdir(parents=True)
        (folder / "session.db").touch()

    return make


def run(*arguments: str) -> Result:
    return CliRunner().invoke(door.cli, arguments, prog_name="tui-agent", obj=Runtime())


def test_nothing_at_all_opens_the_screen(shown: list[dict[str, Any]], isolated: Path) -> None:
    assert run().exit_code == 0
    assert shown[0]["prompt"] == ""
    start: Start = shown[0]["start"]
    assert (start.cwd, start.mode, start.offline, start.resume) == (isolated, "", False, "")


@pytest.mark.parametrize(
    ("arguments", "prompt"),
    [
        (["fix the test"], "fix the test"),
        (["run the tests"], "run the tests"),
        (["--", "run"], "run"),
        (["--", "--help"], "--help"),
        (["explain"], "explain"),
        (["commit"], "commit"),
        (["help me with the tests"], "help me with the tests"),
        (["--", "doctor"], "doctor"),
        (["--max-turns", "3", "--", "demo"], "demo"),
    ],
)
def test_a_prompt(shown: list[dict[str, Any]], arguments: list[str], prompt: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert shown[0]["prompt"] == prompt


@pytest.mark.parametrize(
    "arguments",
    [["--model", "opus", "fix it"], ["fix it", "--model", "opus"], ["-m", "opus", "--", "fix it"]],
)
def test_options_stand_before_or_after_the_prompt(shown: list[dict[str, Any]], arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 0
    assert shown[0]["prompt"] == "fix it"
    assert shown[0]["start"].model == "opus"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--resume"], ("", True, "")),
        (["--resume", "session_1"], ("session_1", False, "")),
        (["--resume=session_1", "go on"], ("session_1", False, "go on")),
        (["--resume", "--model", "opus"], ("", True, "")),
        (["go on", "--resume"], ("", True, "go on")),
    ],
)
def test_resume_with_and_without_a_session(
    shown: list[dict[str, Any]],
    a_session: Callable[[str], None],
    arguments: list[str],
    expected: tuple[str, bool, str],
) -> None:
    a_session("session_1")
    assert run(*arguments).exit_code == 0
    assert (shown[0]["start"].resume, shown[0]["choose"], shown[0]["prompt"]) == expected


def test_a_scenario_means_the_practice_model(shown: list[dict[str, Any]], isolated: Path) -> None:
    (isolated / "play.toml").touch()
    assert run("--scenario", "play.toml").exit_code == 0
    assert shown[0]["start"].offline
    assert shown[0]["start"].scenario == isolated / "play.toml"


def test_options_before_a_command_count_for_it(tmp_path: Path) -> None:
    result = run("--data-dir", str(tmp_path / "elsewhere"), "verify", "session_x")
    assert str(tmp_path / "elsewhere") in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "opus", "sessions"], "--model has no meaning for the command 'sessions'"),
        (["verfy"], "Did you mean 'verify'"),
        (["doctor"], "To send it as a prompt: tui-agent -- doctor"),
        (["--model", "opus", "Doctor"], "No such command 'Doctor'"),
        (["login"], "export ANTHROPIC_API_KEY"),
        (["resume"], "tui-agent --resume"),
        (["help"], "tui-agent --help"),
        (["version"], "tui-agent --version"),
        (["mcp"], "No such command 'mcp'"),
        (["fix", "the", "test"], "needs quotes: tui-agent 'fix the test'"),
        (["--mode", "yolo"], "'yolo' is not one of"),
        (["--max-turns", "-1"], "-1 is not in the range"),
        (["--allow", "Bash(ls"], "--allow: 'Bash(ls' is not a rule"),
        (["--ask", "Bahs(ls)"], "there is no tool 'Bahs'; the nearest is Bash"),
        (
            ["run", "-p", "x", "--deny", "Bash(ls; rm x)"],
            "--deny: Bash(ls; rm x): a rule is the words of one command",
        ),
        (["run", "-p", "x", "--allow", "Read(./a)", "--deny", "Frobnicate"], "there is no tool 'Frobnicate'"),
        (
            ["permissions", "check", "--allow", "Bash()", "--tool", "bash", "--input", "{}"],
            "nothing in the parentheses",
        ),
        (["--cwd", "nowhere"], "does not exist"),
        (["--continue", "--resume", "x"], "either --continue or --resume"),
        (["verify"], "Name a session, or use --all"),
        (["verify", "x", "--all"], "Name a session, or use --all"),
        (["verify", "x"], "No session 'x'"),
        (["export", "../../etc"], "No session '../../etc'"),
        (["run", "-p", " "], "The prompt is empty"),
        (["run"], "The prompt is empty"),
        (["--resume", "nowhere"], "No session 'nowhere'"),
    ],
)
def test_wrong_usage_says_what_to_do(shown: list[dict[str, Any]], arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert not shown


@pytest.mark.parametrize("arguments", [[], ["fix it"], ["demo"]])
def test_without_a_terminal_it_points_to_run(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "needs a terminal" in result.output
    assert "tui-agent run" in result.output


def test_a_part_of_an_id_is_enough_when_only_one_session_has_it(
    shown: list[dict[str, Any]], a_session: Callable[[str], None]
) -> None:
    a_session("session_aab")
    a_session("session_aac")
    assert run("--resume", "aab").exit_code == 0
    assert shown[0]["start"].resume == "session_aab"
    assert "2 sessions match 'session_aa': session_aac, session_aab" in run("export", "session_aa").output


def test_every_command_and_option_has_its_help() -> None:
    for name, command in [("", door.cli), *door.cli.commands.items()]:
        assert command.help, name
        for param in command.params:
            assert not isinstance(param, click.Option) or param.help, (name, param.name)
        text = run(*name.split(), "--help").output
        assert text.startswith(f"Usage: tui-agent {name}".rstrip())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_TUI_AGENT_COMPLETE" in result.output


@pytest.mark.parametrize(
    ("words", "current", "offered"),
    [
        (["tui-agent"], "ver", "verify"),
        (["tui-agent"], "--mo", "--mode"),
        (["tui-agent", "--mode"], "b", "bypass"),
        (["tui-agent", "run", "--output"], "str", "stream-json"),
        (["tui-agent", "verify"], "session_a", "session_abc"),
        (["tui-agent", "--resume"], "session_a", "session_abc"),
    ],
)
def test_completion(a_session: Callable[[str], None], words: list[str], current: str, offered: str) -> None:
    a_session("session_abc")
    variables = {
        "_TUI_AGENT_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join([*words, current]),
        "COMP_CWORD": str(len(words)),
    }
    result = CliRunner().invoke(
        door.cli, [], prog_name="tui-agent", complete_var="_TUI_AGENT_COMPLETE", env=variables
    )
    assert offered in [line.partition(",")[2] for line in result.output.splitlines()]
