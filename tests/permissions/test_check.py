"""The dry run over JSON lines."""

from __future__ import annotations

import json
import time

import pytest

from tests.permissions.support import lines
from tui_agent.permissions.check import CheckDefaults, check_lines

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
    assert len(answer["modules"]) == 22  # type: ignore[arg-type]
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
