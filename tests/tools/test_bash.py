from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.support import Bench, text
from tests.waiting import until
from tui_agent import sandbox
from tui_agent.sandbox import Sandbox, probe_sandbox
from tui_agent.tools.grants import grant_scope
from tui_agent.workflow import ToolError, Unknowable


async def test_output_is_shown_while_it_runs_and_told_at_the_end(bench: Bench) -> None:
    outcome = await bench.do("bash", command="echo one; pwd")
    assert text(outcome) == f"one\n{bench.workspace}"
    assert "".join(bench.live) == f"one\n{bench.workspace}\n"
    assert (outcome.exit_code, outcome.error, outcome.summary) == (0, False, "exit code 0")


@pytest.mark.parametrize(
    ("command", "end"),
    [("exit 3", "exit code 3"), ("kill -9 $$", "was ended by signal 9"), ("true", "")],
)
async def test_the_end_is_told(bench: Bench, command: str, end: str) -> None:
    outcome = await bench.do("bash", command=command)
    assert text(outcome) == "(no output)" + (f"\n[{end}]" if end else "")
    assert outcome.error == bool(end)


async def test_a_time_out_is_told(bench: Bench) -> None:
    outcome = await bench.do("bash", command="echo begun; sleep 300", timeout=0.3)
    assert text(outcome) == "begun\n[timed out after 0.3 s and was ended]"
    assert outcome.error


async def test_long_output_is_cut_in_the_middle(bench: Bench) -> None:
    outcome = await bench.do("bash", command="seq 1 100000")
    result = text(outcome)
    assert result.startswith("1\n2\n")
    assert result.endswith("\n99999\n100000")
    assert len(result) < 25_000
    assert f"bytes in {bench.root}/outputs/step_1.txt; read it with offset" in result


async def test_live_output_becomes_a_trickle(bench: Bench) -> None:
    await bench.do("bash", command="for i in $(seq 30); do head -c 60000 /dev/zero | tr '\\0' x; sleep 0.03; done")
    assert len("".join(bench.live)) < 600_000


async def test_binary_output_becomes_text(bench: Bench) -> None:
    outcome = await bench.do("bash", command=r"printf 'a\000\377\033[31mred\033[0m\007\n'")
    assert text(outcome) == "a\\x00\\xffred"


async def test_what_cannot_be_run_is_refused_before_anyone_is_asked(bench: Bench) -> None:
    with pytest.raises(ToolError, match="NUL"):
        await bench.plan(bench.call("bash", command="echo a\0b"))


async def test_cancelling_ends_all_the_command_started(bench: Bench) -> None:
    call = bench.call("bash", command="sleep 300 & echo $!; wait")
    plan = await bench.plan(call)
    task = asyncio.ensure_future(bench.run(call, plan.intent))
    await until(lambda: bench.live)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    finding = await bench.probe(call, plan.intent)
    assert finding.state == "finished"
    assert "was ended on request" in finding.evidence
    pid = int("".join(bench.live))
    assert not Path(f"/proc/{pid}").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()


async def test_when_the_program_closes_the_command_goes_on(bench: Bench) -> None:
    call = bench.call("bash", command="echo one; while [ ! -e go ]; do sleep 0.01; done; echo two")
    plan = await bench.plan(call)
    task = asyncio.ensure_future(bench.run(call, plan.intent))
    await until(lambda: bench.live)
    bench.closing = True
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await bench.probe(call, plan.intent)).state == "running"
    bench.file("go", "")
    assert text(await bench.attach(call, plan.intent)) == "one\ntwo"


async def test_killed_while_it_runs_it_is_picked_up(bench: Bench) -> None:
    command = "echo x >> ledger; echo one; while [ ! -e go ]; do sleep 0.01; done; echo two"
    call = bench.call("bash", command=command)
    intent = (await bench.plan(call)).intent
    assert (await bench.probe(call, intent)).state == "not_started"
    program = f"""
import asyncio, os, signal
from pathlib import Path
from tests.tools.support import Bench
async def main():
    bench = Bench(Path({str(bench.root)!r}))
    task = asyncio.ensure_future(bench.do("bash", command={command!r}))
    while not bench.live:
        await asyncio.sleep(0.005)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == -signal.SIGKILL
    finding = await bench.probe(call, intent)
    assert finding.state == "running"
    bench.file("go", "")
    outcome = await bench.attach(call, intent)
    assert text(outcome) == "one\ntwo"
    assert (await bench.probe(call, intent)).outcome == outcome
    assert text(await bench.run(call, intent)) == "one\ntwo"
    assert (bench.workspace / "ledger").read_text() == "x\n"


async def test_a_command_that_died_is_for_the_user(bench: Bench) -> None:
    call = bench.call("bash", command="echo begun; exec sleep 300")
    plan = await bench.plan(call)
    task = asyncio.ensure_future(bench.run(call, plan.intent))
    await until(lambda: bench.live)
    start = json.loads((Path(plan.intent.spool) / "start").read_text())
    for process in (start["runner"], start["pid"]):
        os.kill(process, signal.SIGKILL)
    with pytest.raises(Unknowable, match="begun"):
        await task
    finding = await bench.probe(call, plan.intent)
    assert finding.state == "uncertain"
    assert finding.evidence.endswith("begun")


async def test_background(bench: Bench) -> None:
    call = bench.call("bash", command="echo one; while [ ! -e go ]; do sleep 0.01; done; echo two", background=True)
    plan = await bench.plan(call)
    outcome = await bench.run(call, plan.intent)
    assert "id step_1" in text(outcome)
    finding = await bench.probe(call, plan.intent)
    assert (finding.state, finding.outcome) == ("finished", outcome)
    bench.file("go", "")
    later = await bench.do("bash_output", id="step_1", wait=60)
    assert text(later) == "one\ntwo\n[ended: exit code 0; 8 bytes of output]"


@pytest.mark.skipif(probe_sandbox().kind != "bubblewrap", reason="needs bubblewrap")
async def test_a_repository_made_to_run_something_in_the_background_is_told(bench: Bench) -> None:
    folders = {name: bench.root / name for name in ("data", "config", "scratch")}
    bench.sandbox = Sandbox(bench.runtime, workspace=bench.workspace, **folders)
    await bench.do("bash", command="git init -q new; git -C new config core.fsmonitor ./x", background=True)
    later = await bench.do("bash_output", id="step_1", wait=60)
    assert "changed what makes git run programs: " in text(later)
    assert "new/.git/config" in text(later)


async def test_background_commands_can_be_ended(bench: Bench) -> None:
    await bench.do("bash", command="sleep 300", background=True)
    assert "still running" in text(await bench.do("bash_output", id="step_1"))
    assert "was ended on request" in text(await bench.do("bash_output", id="step_1", kill=True))


async def test_the_newest_attempt_is_looked_at(bench: Bench) -> None:
    environment = sandbox.command_environment(os.environ)
    for name, word in (("step_7", "old"), ("step_7.2", "new")):
        await sandbox.start(
            bench.root / "steps" / name,
            sandbox.shell_argv(f"echo {word}"),
            cwd=bench.workspace,
            environment=environment,
            timeout=5,
            runtime=bench.runtime,
        )
    assert text(await bench.do("bash_output", id="step_7", wait=60)).startswith("new\n")


@pytest.mark.parametrize("step", ["nothing", "..", "../steps/step_1", "a/b", ""])
async def test_unknown_commands(bench: Bench, step: str) -> None:
    await bench.do("bash", command="true")
    with pytest.raises(ToolError, match="no command of this session"):
        await bench.do("bash_output", id=step)


@pytest.mark.parametrize(
    ("command", "scope"),
    [
        ("pytest -q tests", "Bash(pytest *)"),
        ("ls", "Bash(ls *)"),
        ("git log -3 --stat", "Bash(git log *)"),
        ("npm run build -- --watch", "Bash(npm run build *)"),
        ("pytest -k 'a or b'", "Bash(pytest *)"),
    ],
)
def test_a_grant_covers_the_first_words_of_a_simple_command(command: str, scope: str) -> None:
    assert grant_scope(command) == scope


@pytest.mark.parametrize(
    "command",
    [
        "pytest; rm -rf /",
        "pytest\nrm x",
        "pytest\rrm x",
        "pytest && x",
        "pytest > out",
        "echo $(x)",
        "echo `x`",
        "A=b pytest",
        "python -c 1",
        "sudo pytest",
        "rm x",
        "git -c core.pager=x log",
        "git",
        "./run.sh",
        "'pytest' -q",
        "pytest 'unclosed",
        " pytest",
        "bash -c x",
        "pytest\u202e",
        "!pytest",
    ],
)
def test_a_grant_for_anything_else_covers_just_that(command: str) -> None:
    assert grant_scope(command) == ""


@given(st.text("abc ;&|$`\n'\"<>(){}=\\", min_size=1, max_size=20))
def test_a_grant_for_words_never_covers_an_operator(command: str) -> None:
    scope = grant_scope(command)
    assert scope == "" or command.startswith(scope.removeprefix("Bash(").removesuffix(" *)"))
    if scope:
        assert not set(command) & set(";&|$`\n<>()\\")


async def test_a_progress_bar_is_its_last_frame(bench: Bench) -> None:
    command = r'for i in $(seq 1 300); do printf "\r\033[KDownloading %d%%" $i; done; echo; echo done'
    outcome = await bench.do("bash", command=command)
    assert text(outcome) == "Downloading 300%\ndone"
    assert outcome.view == "Downloading 300%\ndone"


async def test_a_long_progress_bar_hides_nothing_around_it(bench: Bench) -> None:
    command = r'echo first; for i in $(seq 1 9000); do printf "\rFrame %d" $i; done; echo; echo last'
    outcome = await bench.do("bash", command=command)
    assert text(outcome) == "first\nFrame 9000\nlast"


async def test_bash_output_without_an_id_lists_what_runs(bench: Bench) -> None:
    assert text(await bench.do("bash_output")) == "No command runs in the background."


async def test_without_a_sandbox_nothing_runs_that_something_is_to_be_kept_from(bench: Bench) -> None:
    call = bench.call("bash", command="touch made")
    plan = await bench.plan(call)
    context = replace(bench.context(call.step), hidden=[str(bench.file(".env", "x"))], sandbox=None)
    with pytest.raises(ToolError, match=r"no sandbox that keeps .*\.env from it"):
        await bench.tool("bash").run(call, plan.intent, context)
    assert not (bench.workspace / "made").exists()
