"""The dry run over JSON lines."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.permissions.support import lines
from tui_agent.cli import cli
from tui_agent.permissions.check import CheckDefaults, check_lines
from tui_agent.runtime import Runtime

DEFAULTS = CheckDefaults("/work/p", "/home/dev", ("/home/dev/.config/tui-agent",))


def run(*calls: object) -> list[dict[str, object]]:
    return [json.loads(answer) for answer in check_lines([json.dumps(call) for call in calls], DEFAULTS)]


def test_a_call_is_answered_with_every_reason() -> None:
    (answer,) = run(
        {
            "tool": "bash",
            "input": {"command": "git push"},
            "cwd": "/work/p",
            "mode": "ask",
            "allow": ["Bash(git *)"],
            "deny": ["Bash(git push *)"],
        }
    )
    assert answer["verdict"] == "deny"
    assert {"rule": "Bash(git push *)", "verdict": "deny", "source": "user", "file": "<deny>", "line": 1} in answer[
        "rules"
    ]  # type: ignore[operator]
    assert len(answer["modules"]) == 23  # type: ignore[arg-type]
    assert "git push" in str(answer["reason"])


def test_other_programs_names_for_tools_are_known() -> None:
    answers = run(
        {"tool": "Read", "input": {"file_path": "a"}},
        {"tool": "Bash", "input": {"command": "ls"}},
        {"tool": "MultiEdit", "input": {"file_path": "a"}},
    )
    assert [answer["verdict"] for answer in answers] == ["allow", "allow", "ask"]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"\xff",
        b"[]",
        b"1",
        b"null",
        b'"x"',
        b'{"tool": 1, "input": {}}',
        b'{"tool": "bash"}',
        b'{"tool": "bash", "input": []}',
        b'{"tool": "bash", "input": {"command": "ls"}, "mode": "yolo"}',
        b'{"tool": "bash", "input": {"command": "ls"}, "cwd": "x"}',
        b'{"tool": "bash", "input": {"command": "ls"}, "allow": [1]}',
        b'{"tool": "bash", "input": {"command": "ls"}, "cwd": "/a\\u0000"}',
        b"[" * 100_000,
    ],
)
def test_a_bad_line_is_an_error_with_its_number(line: bytes) -> None:
    answers = [
        json.loads(answer)
        for answer in check_lines([b'{"tool": "bash", "input": {"command": "ls"}}', b"", line], DEFAULTS)
    ]
    assert answers[0]["verdict"] == "allow"
    assert answers[1]["line"] == 3
    assert answers[1]["error"]


@pytest.mark.parametrize("command", ["\ud800", "ls \udcff", None, 1, {}, "ls\0x", "x" * 300_000])
def test_odd_commands_are_never_allowed(command: object) -> None:
    (answer,) = run({"tool": "bash", "input": {"command": command}})
    assert answer["verdict"] in ("ask", "deny")


def test_200_calls_a_second() -> None:
    calls = [
        json.dumps({"tool": "bash", "input": {"command": line}, "allow": ["Bash(git *)"]})
        for line, _ in lines("ordinary.txt")
    ]
    list(check_lines(calls[:5], DEFAULTS))
    began = time.process_time()
    list(check_lines(calls, DEFAULTS))
    # CPU time, and a quarter of what is promised, for a busy machine fails nothing
    assert len(calls) / (time.process_time() - began) > 50


def command_line(*arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(cli, ["permissions", "check", *arguments], prog_name="tui-agent", obj=Runtime())
    assert done.exit_code == 0, done.output
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_the_dry_run_says_what_the_app_does_with_its_sandbox() -> None:
    from tui_agent.sandbox import probe_sandbox

    call = ("--tool", "bash", "--input", '{"command": "touch zz9"}')
    state = probe_sandbox()
    expected = "ask" if state.kind == "none" else "allow"
    assert command_line(*call, "--mode", "sandboxed")["verdict"] == expected
    assert command_line(*call, "--mode", "sandboxed", "--sandbox", "none")["verdict"] == "ask"
    assert command_line(*call, "--mode", "sandboxed", "--sandbox", "available")["verdict"] == "allow"


def test_the_dry_run_knows_access_agent_types_and_grants() -> None:
    sandboxed = ("--mode", "sandboxed", "--sandbox", "available")
    network = ("--tool", "bash", "--input", '{"command": "touch x", "access": "network"}')
    plain = ("--tool", "bash", "--input", '{"command": "touch x"}')
    assert command_line(*network, *sandboxed)["verdict"] == "ask"
    assert command_line(*plain, "--agent", "explore")["verdict"] == "deny"
    assert command_line(*plain, "--grant", "Bash(touch *)", "--sandbox", "none")["verdict"] == "allow"


def test_a_line_can_name_all_of_it() -> None:
    base = {"tool": "bash", "input": {"command": "touch x", "access": "full"}}
    answers = run(
        {**base, "allow": ["Bash(touch *)"], "sandbox": "available"},
        {**base, "allow": ["Bash(touch *)"], "sandbox": "none"},
        {**base, "grants": ["Bash(touch *)"], "sandbox": "none"},
        {**base, "sandbox": "yes"},
        {"tool": "todo", "input": {"items": []}},
    )
    assert [answer.get("verdict") for answer in answers] == ["ask", "allow", "allow", None, "allow"]


def test_the_dry_run_knows_added_folders(tmp_path: Path) -> None:
    folder = tmp_path / "other"
    (folder / "sub").mkdir(parents=True)
    call = {"path": f"{folder}/a.txt"}
    arguments = ("--tool", "Read", "--input", json.dumps(call), "--cwd", "/usr/share")
    assert command_line(*arguments)["verdict"] == "ask"
    assert command_line(*arguments, "--add-dir", str(folder / "sub"))["verdict"] == "ask"
    assert command_line(*arguments, "--add-dir", str(folder))["verdict"] == "allow"
    line = {"tool": "Read", "input": call, "folders": [str(folder)]}
    assert run(line)[0]["verdict"] == "allow"
    assert "absolute" in str(run({**line, "folders": ["sub"]})[0]["error"])


def test_the_help_names_what_a_line_can_say() -> None:
    done = CliRunner().invoke(cli, ["permissions", "check", "--help"], prog_name="tui-agent", obj=Runtime())
    for word in ("sandbox", "agent_type", "grants", "access", "--agent", "--grant"):
        assert word in done.output
