"""`tui-agent run --protocol stdio`: another program uses a session."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from tests.session.support import kill_all, opened, options
from tests.waiting import until
from tui_agent import cli as door
from tui_agent.submissions import Submit


class Client:
    """A program that sends submissions and reads what comes."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tui_agent", "run", "--offline", "--protocol", "stdio", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[dict[str, Any]] = []

    def send(self, line: object) -> None:
        assert self.process.stdin
        self.process.stdin.write((line if isinstance(line, str) else json.dumps(line)) + "\n")
        self.process.stdin.flush()

    def until(self, kind: str) -> dict[str, Any]:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if self.lines[-1]["type"] == kind:
                return self.lines[-1]
        raise AssertionError(f"never: {kind}; {self.process.stderr and self.process.stderr.read()}")

    def end(self) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.lines += [json.loads(line) for line in self.process.stdout]
        return self.process.wait()


@pytest.fixture
def client(isolated):
    (isolated / "hello.py").write_text("x = 1\nprint('hi')\n")
    started: list[Client] = []

    def start(*arguments: str) -> Client:
        started.append(Client(*arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def printed(*arguments: str) -> Any:
    result = CliRunner().invoke(door.cli, list(arguments))
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_a_program_prompts_decides_and_is_told_all(client, isolated):
    program = client()
    hello = program.until("hello")
    assert hello["protocol"] == 1
    program.send({"type": "submit", "id": 1, "prompt": "edit hello.py: print => PRINT"})
    run = program.until("done")
    assert run["id"] == 1
    request = program.until("permission.requested")
    program.send({"type": "decide", "request": "no such", "verdict": "allow", "id": "x"})
    assert program.until("refused")["id"] == "x"
    program.send({"type": "decide", "request": request["request"], "verdict": "allow"})
    finished = program.until("run.finished")
    assert finished["run"] == run["result"]
    assert "PRINT('hi')" in (isolated / "hello.py").read_text()
    program.send({"type": "configure", "title": "renamed", "id": 2})
    assert program.until("session.configured")["title"] == "renamed"
    assert program.end() == 0
    again = client("--resume", hello["session"])
    assert again.until("hello")["session"] == hello["session"]
    assert again.end() == 0


def test_at_the_end_of_the_input_what_asks_is_denied_and_the_run_ends(client, isolated):
    program = client()
    program.send({"type": "submit", "prompt": "edit hello.py: print => PRINT"})
    program.until("permission.requested")
    assert program.end() == 0
    assert [line["verdict"] for line in program.lines if line["type"] == "permission.decided"] == ["deny"]
    assert "run.finished" in [line["type"] for line in program.lines]
    assert "print('hi')" in (isolated / "hello.py").read_text()


def test_a_signal_interrupts_the_run_and_ends_the_program(client):
    program = client()
    program.send({"type": "submit", "prompt": "run touch made; sleep 100"})
    request = program.until("permission.requested")
    program.send({"type": "decide", "request": request["request"], "verdict": "allow"})
    program.until("step.started")
    program.process.send_signal(signal.SIGTERM)
    assert program.until("run.finished")["outcome"] == "interrupted"
    assert program.process.wait() == 128 + signal.SIGTERM


def test_a_lost_output_ends_the_program(client):
    program = client()
    program.until("hello")
    program.process.stdout.close()
    program.send({"type": "configure", "title": "nobody reads this"})
    assert program.process.wait() == 141


def test_a_second_program_is_told_that_the_session_is_held(client):
    program = client()
    session = program.until("hello")["session"]
    program.send({"type": "submit", "prompt": "say 3"})
    program.until("run.finished")
    other = client("--resume", session)
    assert "another window holds it" in other.until("hello")["read_only"]
    other.send({"type": "submit", "prompt": "say 4", "id": 1})
    assert "read-only" in other.until("refused")["message"]
    assert other.end() == 0
    assert program.end() == 0


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "3",
        "null",
        "{}",
        "[" * 100_000,
        '{"type": "no such"}',
        '{"type": 3}',
        '{"type": "submit"}',
        '{"type": "submit", "prompt": 3}',
        '{"type": "submit", "prompt": "x", "extra": 1}',
        '{"type": "configure", "mode": "bypass"}',
        '{"type": "configure", "limits": {"run.cost": -1}}',
        '{"type": "put_back", "seq": 99}',
        '{"request": "r", "verdict": "perhaps"}',
        "\ud800".encode("utf-16", "surrogatepass").decode("latin-1"),
    ],
)
def test_a_line_that_is_nothing_is_refused_with_its_reason(line):
    from tui_agent.headless.answers import read_submission
    from tui_agent.submissions import SubmissionError

    try:
        submission = read_submission(line.encode("utf-8", "surrogatepass"))
    except SubmissionError as error:
        assert str(error)
    else:
        assert submission.type in {"configure", "put_back"}  # refused by the session


def test_refusals_leave_the_program_going(client, tmp_path):
    program = client()
    program.until("hello")
    (tmp_path / "config").mkdir(exist_ok=True)
    (tmp_path / "config" / "permissions.toml").write_text("allow = [\n")
    for line in (
        '{"type": "allow_always", "rules": ["Bash(ls)"]}',
        '{"type": "allow_always", "rules": ["Nothing(x"]}',
        '{"type": "trust_project", "shown": "other"}',
        '{"type": "choose_hunks", "request": "none", "chosen": [0]}',
        '{"type": "add_folder", "path": "/nowhere\\u0000"}',
        '{"type": "end_background", "step": "none"}',
        '{"type": "stop_agent"}',
        '{"type": "compact"}',
        "{",
        "[" * 100_000,
        '{"type": "no such"}',
        '{"type": "configure", "mode": "bypass"}',
    ):
        program.send(line)
        assert program.until("refused")["message"]
    program.send({"type": "submit", "id": "last", "prompt": "say 3"})
    assert program.until("done")["id"] == "last"
    assert program.end() == 0


def test_what_is_written_and_taken_has_a_schema(client):
    events, submissions = printed("schema", "events"), printed("schema", "submissions")
    jsonschema.Draft202012Validator.check_schema(events)
    jsonschema.Draft202012Validator.check_schema(submissions)
    jsonschema.validate({"type": "submit", "prompt": "hello"}, submissions)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"type": "submit"}, submissions)
    program = client()
    program.send({"type": "submit", "prompt": "say 3"})
    program.until("run.finished")
    for line in program.lines:
        if line["type"] not in {"hello", "done", "refused"}:
            jsonschema.validate(line, events)
    assert program.end() == 0


async def test_a_step_that_only_the_user_can_decide_about_keeps_no_program_waiting(client, tmp_path, isolated):
    command = "run echo begun > ledger; sleep 100"
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.handle.do(Submit(prompt=command))
        started = await session.event("step.started")
        await until((isolated / "ledger").exists)
        name = session.handle.session
    kill_all(started.intent.spool)
    program = client("--resume", name)
    recovered = program.until("step.recovered")
    assert program.end() == 4
    again = client("--resume", name)
    again.until("hello")
    again.send({"type": "resolve", "step": recovered["step"], "resolution": "skip"})
    again.until("run.finished")
    assert again.end() == 0
