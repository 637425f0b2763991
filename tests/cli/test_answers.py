"""`tui-agent run --permissions stdio`: a program answers what asks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tui_agent import cli as door
from tui_agent.runtime import Runtime


class Program:
    """A run in a process, answered by the test."""

    def __init__(self, prompt: str) -> None:
        command = [sys.executable, "-m", "tui_agent", "run", "--offline", "--permissions", "stdio"]
        self.process = subprocess.Popen(
            [*command, "--output", "stream-json", "-p", prompt],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.events: list[dict[str, Any]] = []

    def until(self, kind: str) -> dict[str, Any]:
        """Read events until one of this type."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if self.events[-1].get("type") == kind:
                return self.events[-1]
        raise AssertionError(f"never: {kind}; {self.process.stderr and self.process.stderr.read()}")

    def answer(self, answer: object) -> None:
        assert self.process.stdin
        self.process.stdin.write((answer if isinstance(answer, str) else json.dumps(answer)) + "\n")
        self.process.stdin.flush()

    def code(self) -> int:
        """Read on to the end and return the exit code."""
        assert self.process.stdout
        self.events += [json.loads(line) for line in self.process.stdout]
        return self.process.wait(20)


@contextmanager
def answered(prompt: str) -> Iterator[Program]:
    program = Program(prompt)
    try:
        yield program
    finally:
        program.process.kill()
        program.process.communicate()


def test_a_program_allows(isolated: Path) -> None:
    with answered("run touch made") as program:
        request = program.until("permission.requested")
        program.answer("nonsense")
        program.answer({"request": "no such", "verdict": "allow"})
        program.answer({"request": request["request"], "verdict": "allow"})
        assert program.code() == 0
    assert (isolated / "made").exists()


def test_a_program_denies_with_a_comment(isolated: Path) -> None:
    with answered("run touch made") as program:
        request = program.until("permission.requested")
        program.answer({"request": request["request"], "verdict": "deny", "comment": "not now"})
        decided = program.until("permission.decided")
        assert (decided["by"], decided["comment"]) == ("person", "not now")
        assert program.code() == 0
    assert not (isolated / "made").exists()


def test_a_program_changes_the_call(isolated: Path) -> None:
    with answered("run touch made") as program:
        request = program.until("permission.requested")
        program.answer({"request": request["request"], "input": {**request["input"], "command": "touch other"}})
        again = program.until("permission.requested")
        program.answer({"request": again["request"], "verdict": "allow"})
        assert program.code() == 0
    assert (isolated / "other").exists()
    assert not (isolated / "made").exists()


def test_when_the_input_ends_what_asks_is_denied(isolated: Path) -> None:
    with answered("run touch made") as program:
        program.until("permission.requested")
        assert program.process.stdin
        program.process.stdin.close()
        program.process.stdin = None
        assert program.until("permission.decided")["by"] == "unattended"
        assert program.code() == 4
    assert not (isolated / "made").exists()


def test_it_needs_the_stream_and_the_prompt() -> None:
    for arguments in (["-p", "x"], ["--output", "stream-json"]):
        done = CliRunner().invoke(
            door.cli, ["run", "--offline", "--permissions", "stdio", *arguments], obj=Runtime(), input="x"
        )
        assert done.exit_code == 2
