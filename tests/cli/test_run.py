"""`tui-agent run` and the commands over sessions, as processes, on the offline model."""

from __future__ import annotations

import asyncio
import io
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from tests.waiting import MAX_WAIT_SECONDS
from tui_agent.cli import cli
from tui_agent.headless.reports import TextReport
from tui_agent.headless.run import HeadlessRun, waiting_for_user
from tui_agent.runtime import Runtime
from tui_agent.sandbox.runner import first_inside
from tui_agent.session import OpenOptions, SessionHandle, SessionState, open_session
from tui_agent.submissions import Interrupt, Submission, Submit

COMMAND = [sys.executable, "-m", "tui_agent"]


def tui_agent(*arguments: str, input: str = "") -> Result:
    """Run the command line in this process, with the environment as it is now."""
    return CliRunner().invoke(cli, arguments, prog_name="tui-agent", obj=Runtime(), input=input)


def run(*arguments: str, input: str = "") -> Result:
    return tui_agent("run", "--offline", *arguments, input=input)


def result(*arguments: str) -> dict[str, Any]:
    done = run("--output", "json", *arguments)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["exit_code"] == done.exit_code
    return found


def test_a_process_answers_on_stdout_and_tells_of_steps_on_stderr(isolated: Path) -> None:
    (isolated / "notes.txt").write_text("buy milk\n")
    done = subprocess.run(
        [*COMMAND, "run"],
        input="read notes.txt",
        capture_output=True,
        text=True,
        check=False,
        timeout=MAX_WAIT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert "buy milk" in done.stdout
    assert done.stderr.startswith("✓ read notes.txt (ok)")
    assert len(done.stderr.splitlines()) == 1


def test_a_dash_reads_the_prompt_from_standard_input() -> None:
    done = run("-p", "-", input="say 5")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip()


def test_what_would_ask_is_denied_and_said_so(isolated: Path) -> None:
    found = result("-p", "write new.txt: hello")
    assert found["exit_code"] == 4
    assert found["outcome"] == "completed"
    assert found["denied"] == ["write new.txt"]
    assert not (isolated / "new.txt").exists()


def test_an_added_folder_is_used_like_the_workspace_and_a_bad_one_is_wrong_usage(isolated: Path) -> None:
    other = isolated.parent / "other"
    other.mkdir()
    added = ("--mode", "accept-edits", "--add-dir", str(other))
    assert result(*added, "-p", f"write {other}/new.txt: hello")["exit_code"] == 0
    assert (other / "new.txt").read_text().strip() == "hello"
    assert result("--continue", "--mode", "accept-edits", "-p", f"write {other}/more.txt: hello")["exit_code"] == 0
    assert result("--mode", "accept-edits", "-p", f"write {other}/third.txt: hello")["exit_code"] == 4
    for bad, reason in (("/", "home folder"), (str(other / "new.txt"), "is a file"), (str(other / "x"), "not exist")):
        done = run("--add-dir", bad, "-p", "say 3")
        assert done.exit_code == 2
        assert reason in done.stderr


def test_bypass_runs_it_and_does_not_come_back_on_resume(isolated: Path) -> None:
    found = result("--mode", "bypass", "-p", "write new.txt: hello then run cat new.txt")
    assert (found["exit_code"], found["denied"]) == (0, [])
    assert (isolated / "new.txt").read_text().strip() == "hello"
    again = result("--resume", found["session"], "-p", "write other.txt: hello")
    assert again["session"] == found["session"]
    assert again["exit_code"] == 4
    assert not (isolated / "other.txt").exists()


def test_bypass_in_the_settings_is_refused_by_name(tmp_path: Path, isolated: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.toml").write_text('\nmode = "bypass"\n')
    done = run("-p", "write new.txt: hello")
    assert done.exit_code == 4
    assert f"{tmp_path}/config/settings.toml:2: mode 'bypass' cannot be set in a file" in done.stderr
    assert not (isolated / "new.txt").exists()


def test_a_limit_stops_the_run_with_its_own_code() -> None:
    found = result("--max-turns", "1", "-p", "read a then read b then read c")
    assert (found["outcome"], found["exit_code"]) == ("stopped", 3)


def test_a_question_is_answered_with_nobody() -> None:
    found = result("-p", "ask which colour?")
    assert found["outcome"] == "completed"
    assert "obody" in found["answer"]


def test_stream_json_is_what_the_journal_holds(tmp_path: Path) -> None:
    done = run("--output", "stream-json", "-p", "say 30")
    assert done.exit_code == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [events[0]["type"], events[-1]["type"]] == ["run.started", "run.finished"]
    assert any(event["type"] == "turn.delta" for event in events)
    exported = tui_agent("export", events[0]["session"]).stdout.splitlines()
    stored = {event["seq"]: event for event in map(json.loads, exported)}
    durable = [event for event in events if event["seq"] is not None]
    assert durable
    assert all(stored[event["seq"]] == event for event in durable)


def test_continue_takes_this_folders_latest_session(tmp_path: Path, isolated: Path) -> None:
    nothing = run("--continue", "-p", "say 5")
    assert (nothing.exit_code, "No session in" in nothing.stderr) == (2, True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    first = result("-p", "say 5")
    result("--cwd", str(elsewhere), "-p", "say 5")
    assert result("--continue", "-p", "say 6")["session"] == first["session"]


def test_sessions_verify_and_export(tmp_path: Path) -> None:
    session = result("-p", "say 5")["session"]
    (listed,) = json.loads(tui_agent("sessions", "--json").stdout)
    assert (listed["id"], listed["prompts"], listed["title"]) == (session, 1, "say 5")
    text = tui_agent("sessions").stdout
    assert session in text
    assert "  1 prompt " in text
    verified = tui_agent("verify", "--all")
    assert (verified.exit_code, verified.stdout[:3]) == (0, "ok "), verified.stdout + verified.stderr
    assert json.loads(tui_agent("export", session).stdout.splitlines()[0])["type"] == "session.created"


def tampered(session: str, tmp_path: Path, statement: str) -> Result:
    database = tmp_path / "data" / "sessions" / session / "session.db"
    connection = sqlite3.connect(database)
    assert connection.execute(statement).rowcount
    connection.commit()
    connection.close()
    return tui_agent("verify", session)


def test_verify_names_a_changed_event(tmp_path: Path) -> None:
    session = result("-p", "say 5")["session"]
    statement = "UPDATE event SET body = replace(body, 'say 5', 'say 6') WHERE type = 'run.started'"
    done = tampered(session, tmp_path, statement)
    assert done.exit_code == 1
    assert done.stdout.startswith(f"BAD {session}")
    assert "event " in done.stdout


def test_verify_names_a_stored_state_that_no_fold_gives(tmp_path: Path) -> None:
    session = result("-p", "say 5")["session"]
    done = tampered(session, tmp_path, "UPDATE snapshot SET digest = 'x'")
    assert done.exit_code == 1
    assert "is not what its events fold to" in done.stdout


def test_verify_all_goes_on_after_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    good, broken = result("-p", "say 5")["session"], result("-p", "say 6")["session"]
    database = tmp_path / "data" / "sessions" / broken / "session.db"
    os.truncate(database, 9000)
    done = tui_agent("verify", "--all")
    assert done.exit_code == 1
    assert f"ok  {good}" in done.stdout
    assert f"BAD {broken}" in done.stdout
    assert done.stdout.endswith("2 sessions checked, 1 bad.\n")


def test_export_of_a_damaged_session_says_so(tmp_path: Path) -> None:
    session = result("-p", "say 5")["session"]
    os.truncate(tmp_path / "data" / "sessions" / session / "session.db", 9000)
    done = tui_agent("export", session)
    assert done.exit_code == 2
    assert "is damaged" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("output", ["text", "json", "stream-json"])
def test_an_output_that_is_full_ends_the_run_with_a_message(output: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "run", "-o", output, "-p", "say 5"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=MAX_WAIT_SECONDS,
        )
    assert done.returncode == 1
    assert "The output cannot be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_closed_standard_streams_are_no_error() -> None:
    command = " ".join([*COMMAND, "run", "-p", "'say 5'", "<&-", ">&-"])
    done = subprocess.run(
        ["sh", "-c", command], stderr=subprocess.PIPE, text=True, check=False, timeout=MAX_WAIT_SECONDS
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("fault", "said"),
    [("auth", "Set ANTHROPIC_API_KEY"), ("overloaded", "next attempt in")],
    ids=["final", "retried"],
)
def test_what_ends_a_run_is_said_once(isolated: Path, fault: str, said: str) -> None:
    turn = f'[[turn]]\ntext = "never"\nfault = {{ kind = "{fault}", retry_after = 0 }}\n'
    (isolated / "play.toml").write_text(turn)
    done = run("--scenario", "play.toml", "-p", "go")
    assert len([line for line in done.stderr.splitlines() if said in line]) == 1, done.stderr
    assert done.exit_code == (1 if fault == "auth" else 0)


def test_a_limit_that_stops_a_run_is_said_once() -> None:
    done = run("--max-turns", "1", "-p", "list then list")
    assert done.exit_code == 3
    assert len([line for line in done.stderr.splitlines() if "is reached" in line]) == 1, done.stderr


def test_a_scenario_with_a_mistake_is_named_with_its_line(isolated: Path) -> None:
    (isolated / "play.toml").write_text('title = "x"\nbogus = 1\n')
    done = run("--scenario", "play.toml", "-p", "go")
    assert done.exit_code == 2
    assert "play.toml:2:" in done.stderr


def started(*arguments: str, until: str = "turn.delta") -> subprocess.Popen[str]:
    """Start a run and wait until the first event of the type `until` is out."""
    process = subprocess.Popen(
        [*COMMAND, "run", "--offline", "--output", "stream-json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        if f'"{until}"' in line:
            return process
    raise AssertionError(process.communicate()[1])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_interrupts_the_run_and_leaves_a_session_to_go_on_with(number: int, code: int) -> None:
    process = started("-p", "say 20000 at 50")
    process.send_signal(number)
    out, err = process.communicate(timeout=MAX_WAIT_SECONDS)
    assert process.returncode == code, err
    last = json.loads(out.splitlines()[-1])
    assert (last["type"], last["outcome"]) == ("run.finished", "interrupted")
    assert result("--resume", last["session"], "-p", "say 5")["outcome"] == "completed"


def test_interrupting_a_command_ends_it(isolated: Path) -> None:
    process = started("--mode", "bypass", "-p", "run sleep 300; echo late > late.txt", until="step.started")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=MAX_WAIT_SECONDS)
    assert process.returncode == 130, err
    finished = [json.loads(line) for line in out.splitlines() if '"step.finished"' in line]
    assert [event["outcome"] for event in finished] == ["cancelled"]
    spools = [start.parent for start in Path(os.environ["TUI_AGENT_DATA_DIR"]).glob("sessions/*/steps/*/start")]
    assert all((spool / "exit").exists() for spool in spools)


def test_a_journal_that_takes_nothing_more_ends_the_run() -> None:
    process = started("-p", "say 20000 at 500")
    # Whatever a start needs is written by now: only the answer goes on growing.
    files = Path(os.environ["TUI_AGENT_DATA_DIR"]).rglob("*")
    limit = max(file.stat().st_size for file in files) + 100_000
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    _, told = process.communicate(timeout=MAX_WAIT_SECONDS)
    assert process.returncode == 1, told
    assert "Traceback" not in told
    assert "session.db" in told


def test_a_closed_pipe_interrupts_the_run() -> None:
    process = started("-p", "say 20000 at 50")
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.wait(timeout=MAX_WAIT_SECONDS) == 141
    assert process.stderr.read() == ""
    process.stderr.close()
    (session,) = json.loads(tui_agent("sessions", "--json").stdout)
    events = [json.loads(line) for line in tui_agent("export", session["id"]).stdout.splitlines()]
    assert [event["outcome"] for event in events if event["type"] == "run.finished"] == ["interrupted"]


def test_a_killed_run_is_brought_to_its_end_before_the_next_prompt(isolated: Path) -> None:
    process = started("-p", "say 100 at 100")
    session = Path(os.environ["TUI_AGENT_DATA_DIR"], "sessions").iterdir().__next__().name
    process.kill()
    process.communicate()
    done = run("--output", "stream-json", "--resume", session, "-p", "say 5")
    assert done.exit_code == 0, done.stderr
    assert "crash" in done.stderr
    ended = [json.loads(line) for line in done.stdout.splitlines() if '"run.finished"' in line]
    assert [event["outcome"] for event in ended] == ["completed", "completed"]


def test_a_session_that_is_open_elsewhere_is_refused() -> None:
    process = started("-p", "say 20000 at 50")
    try:
        session = Path(os.environ["TUI_AGENT_DATA_DIR"], "sessions").iterdir().__next__().name
        done = run("--resume", session, "-p", "say 5")
        assert done.exit_code == 2
        assert "another window holds it" in done.stderr
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=MAX_WAIT_SECONDS)


def test_a_step_that_only_a_user_can_decide_on_ends_the_run_with_its_own_code() -> None:
    process = started("--mode", "bypass", "-p", "run echo begun; exec sleep 300", until="step.output")
    process.kill()
    process.communicate()
    (record,) = Path(os.environ["TUI_AGENT_DATA_DIR"]).glob("sessions/*/steps/*/start")
    pids = json.loads(record.read_text())
    inside = first_inside(str(record.parent))
    for pid in (pids["runner"], pids["pid"], inside):
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
    session = record.parents[2].name
    found = result("--resume", session, "-p", "say 5")
    assert (found["exit_code"], found["outcome"]) == (4, "waiting")
    done = run("--resume", session, "-p", "say 5")
    assert "only you can say what became of it: bash echo begun; exec sleep 300" in done.stderr
    assert f"tui-agent --resume {session}" in done.stderr
    events = [json.loads(line)["type"] for line in tui_agent("export", session).stdout.splitlines()]
    assert events.count("step.started") == 1
    assert "run.finished" not in events


@pytest.mark.parametrize(
    ("prompt", "line"),
    [
        ("write new.txt: hello", "waits for your permission: write new.txt"),
        ("ask which colour?", "the model asks you: which colour?"),
    ],
)
async def test_what_waits_in_a_session_is_left_to_the_user(
    tmp_path: Path, isolated: Path, prompt: str, line: str
) -> None:
    handle = await open_session(OpenOptions(tmp_path / "data", tmp_path / "config", isolated, offline=True))
    waits = asyncio.Event()
    handle.subscribe(lambda update: waits.set() if waiting_for_user(update.state) else None)
    await handle.start()
    await handle.do(Submit(prompt=prompt))
    await waits.wait()
    await handle.close()
    done = await asyncio.to_thread(
        subprocess.run,
        [*COMMAND, "run", "--offline", "--resume", handle.session, "-p", "say 5"],
        capture_output=True,
        text=True,
        timeout=MAX_WAIT_SECONDS,
    )
    assert done.returncode == 4, done.stderr
    assert line in done.stderr
    assert not (isolated / "new.txt").exists()


class StuckInspection:
    """What a headless run asks about a session that is stuck."""

    damage = ""
    asks_for_cost = False


class StuckSession:
    """A session whose run cannot be interrupted, which a healthy one never is."""

    session = "session_1"
    state = SessionState()
    inspect = StuckInspection()

    def __init__(self) -> None:
        self.submitted = asyncio.Event()

    def subscribe(self, on_update: object) -> Callable[[], None]:
        return lambda: None

    async def start(self) -> None:
        return

    async def do(self, submission: Submission) -> str:
        if isinstance(submission, Interrupt):
            await asyncio.Event().wait()
        self.submitted.set()
        return "run_1"


async def test_a_second_signal_does_not_wait_for_the_run_to_end() -> None:
    stuck = StuckSession()
    out = io.StringIO()
    headless = HeadlessRun(cast(SessionHandle, stuck), TextReport(out), out, out)
    running = asyncio.create_task(headless.run("go on"))
    await stuck.submitted.wait()
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.01)
    assert await running == 143


def test_ctrl_c_before_the_session_is_open_has_the_exit_code_of_an_interrupt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def interrupted(options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tui_agent.session.open_session", interrupted)
    assert run("-p", "say 5").exit_code == 130


def test_a_broken_rule_file_is_told_on_stderr_and_what_it_denies_is_denied(tmp_path: Path, isolated: Path) -> None:
    (tmp_path / "config").mkdir(exist_ok=True)
    file = tmp_path / "config" / "permissions.toml"
    file.write_text('deny = ["Bash(touch *)"\n')
    done = run("--mode", "bypass", "-p", "run touch x")
    assert f"{file}:2: not valid TOML" in done.stderr
    assert not (isolated / "x").exists()
    file.write_text('deny = ["Bsh(git push *)"]\n')
    done = run("--mode", "bypass", "-p", "say 5")
    assert f"{file}:1: 'Bsh(git push *)': there is no tool 'Bsh'; the nearest is Bash" in done.stderr


def decisions(tmp_path: Path) -> list[dict[str, Any]]:
    """What the audit says of all sessions."""
    done = tui_agent("audit", "--json")
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_rules_of_the_command_line_hold_for_that_start_and_are_named(tmp_path: Path, isolated: Path) -> None:
    prompt = "run touch new then run rm new"
    rules = ("--allow", "bash(touch *)", "--allow", "Bash(rm *)", "--deny", "Bash(rm *)")
    result("-p", prompt, *rules)
    assert (isolated / "new").exists()
    first, second = decisions(tmp_path)
    assert (first["verdict"], second["verdict"]) == ("allow", "deny")
    named = [rule for rule in first["judgement"]["rules"] if rule["source"] == "flag"]
    assert named == [{"rule": "bash(touch *)", "verdict": "allow", "source": "flag", "file": "--allow", "line": None}]
    assert first["judgement"]["winner"] == "bash(touch *) (--allow)"
    assert not list(tmp_path.rglob("permissions.toml"))

    (isolated / "new").unlink()
    resumed = result("--continue", "-p", "run touch new")
    assert resumed["denied"]
    assert not (isolated / "new").exists()


def test_a_changed_rule_is_judged_with_the_rules_of_the_command_line_that_held(isolated: Path) -> None:
    result("-p", "run touch new", "--allow", "Bash(touch *)")
    done = tui_agent("audit", "what-if", "--deny", "Bash(touch *)", "--json")
    (change,) = json.loads(done.stdout)["changes"]
    assert (change["before"], change["after"]) == ("allow", "deny")
    assert json.loads(tui_agent("audit", "what-if", "--allow", "Bash(touch *)", "--json").stdout)["changes"] == []


@pytest.mark.parametrize("verdict", ["allow", "ask", "deny"])
def test_the_dry_run_takes_the_rules_of_a_start(isolated: Path, verdict: str) -> None:
    call = ("--tool", "bash", "--input", '{"command": "touch new"}', "--mode", "ask")
    answer = json.loads(tui_agent("permissions", "check", *call, f"--{verdict}", "Bash(touch *)").stdout)
    assert answer["verdict"] == verdict
    assert [(rule["source"], rule["file"]) for rule in answer["rules"]] == [("flag", f"--{verdict}")]
