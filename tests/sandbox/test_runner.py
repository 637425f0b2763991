"""Commands outlive the program, run once, and what is known of them is true."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.waiting import until
from tui_agent import sandbox
from tui_agent.runtime import Runtime
from tui_agent.sandbox import CommandError, CommandRecord

ENVIRONMENT = sandbox.command_environment({"PATH": os.environ["PATH"]})


async def launch(
    spool: Path, command: str, timeout: float | None = 30.0, runtime: Runtime | None = None, **more: int
) -> None:
    await sandbox.start(
        spool,
        sandbox.shell_argv(command),
        cwd=Path.cwd(),
        environment=ENVIRONMENT,
        timeout=timeout,
        runtime=runtime or Runtime(),
        **more,
    )


async def finish(spool: Path) -> tuple[CommandRecord, bytes]:
    seen = bytearray()

    async def show(data: bytes, skipped: int) -> None:
        assert skipped == 0
        seen.extend(data)

    record = await sandbox.wait(spool, show, Runtime())
    return record, bytes(seen)


def gone(pid: int) -> bool:
    """Return whether the process has ended, whoever is to reap it."""
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


async def test_output_and_exit_code(tmp_path: Path) -> None:
    await launch(tmp_path / "s", "echo out; echo err >&2; exit 3")
    record, seen = await finish(tmp_path / "s")
    assert record.state == "finished"
    assert record.exit_code == 3
    assert seen == b"out\nerr\n"
    assert record.output.read_bytes() == seen


async def test_a_signal_is_reported(tmp_path: Path) -> None:
    await launch(tmp_path / "s", "kill -SEGV $$")
    record, _ = await finish(tmp_path / "s")
    assert (record.exit_code, record.signal) == (None, signal.SIGSEGV)


async def test_there_is_no_input_and_no_terminal(tmp_path: Path) -> None:
    await launch(tmp_path / "s", "cat; tty; echo $PAGER $NO_COLOR; true > /dev/tty || echo none")
    _, seen = await finish(tmp_path / "s")
    assert b"not a tty\ncat 1\n" in seen
    assert seen.endswith(b"none\n")


async def test_time_out_ends_everything_the_command_started(tmp_path: Path) -> None:
    await launch(
        tmp_path / "s", "trap '' TERM; (trap '' TERM; set -m; sleep 300 & echo $!; wait) & wait", timeout=0.3
    )
    record, seen = await finish(tmp_path / "s")
    assert record.timed_out
    assert record.signal == signal.SIGKILL
    await until(lambda: gone(int(seen)))


async def test_the_time_out_holds_without_the_program(tmp_path: Path) -> None:
    spool = tmp_path / "s"
    kill_after("runner.launched", spool, "sleep 300", timeout=0.3)
    record, _ = await finish(spool)
    assert record.timed_out


async def test_kill_asks_first(tmp_path: Path) -> None:
    spool = tmp_path / "s"
    await launch(spool, "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done")
    await until((spool / "output").read_bytes)
    assert sandbox.kill(spool)
    record, seen = await finish(spool)
    assert seen.startswith(b"ready\n")
    assert seen.endswith(b"bye\n")
    assert record.cancelled
    assert record.exit_code == 7


async def test_kill_of_nothing(tmp_path: Path) -> None:
    assert not sandbox.kill(tmp_path)
    await launch(tmp_path / "s", "true")
    await finish(tmp_path / "s")
    await until(lambda: not sandbox.kill(tmp_path / "s"))


@pytest.mark.parametrize(
    ("start", "seconds"),
    [
        ("sleep 300.0701 &", "300.0701"),
        ("nohup sleep 300.0702 &", "300.0702"),
        ("setsid sleep 300.0703 &", "300.0703"),
        ("(sleep 300.0704 &) &", "300.0704"),
        ("trap '' TERM; sleep 300.0705 &", "300.0705"),
        ("setsid bash -c 'exec 100>&-; sleep 300.0706 & exit' &", "300.0706"),
    ],
)
async def test_what_a_command_leaves_running_is_ended_with_it(tmp_path: Path, start: str, seconds: str) -> None:
    await launch(tmp_path / "s", f"{start} echo begun; sleep 0.1")
    record, output = await finish(tmp_path / "s")
    assert (record.state, record.exit_code, record.timed_out, record.cancelled) == ("finished", 0, False, False)
    assert b"begun" in output
    assert record.left == (f"sleep {seconds}",)
    assert f"sleep {seconds}" not in subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout


async def test_the_other_end_of_a_pipe_has_time_to_end_by_itself(tmp_path: Path) -> None:
    await launch(tmp_path / "s", "echo one > >(sleep 0.2; cat; echo two)")
    record, output = await finish(tmp_path / "s")
    assert (output, record.left) == (b"one\ntwo\n", ())


async def test_a_time_out_ends_what_left_the_process_session(tmp_path: Path) -> None:
    await launch(tmp_path / "s", "setsid sleep 300.08 & sleep 300.08", timeout=0.5)
    record, _ = await finish(tmp_path / "s")
    assert record.timed_out
    assert "300.08" not in subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout


async def test_too_much_output_keeps_beginning_and_end(tmp_path: Path) -> None:
    command = "echo first; yes | head -c 3000000; echo; echo last"
    await launch(tmp_path / "s", command, limits=sandbox.Limits(output=1000))
    record = await sandbox.wait(tmp_path / "s", ignore, Runtime())
    output = record.output.read_bytes()
    assert output.startswith(b"first\ny\n")
    assert output.endswith(b"\nlast\n")
    assert record.dropped > 2_000_000
    assert len(output) < 400_000
    assert b"%d bytes of output dropped" % record.dropped in output


async def ignore(data: bytes, skipped: int) -> None:
    pass


async def test_binary_output(tmp_path: Path) -> None:
    await launch(tmp_path / "s", r"printf '\377\000\033[2J\n'")
    _, seen = await finish(tmp_path / "s")
    assert seen == b"\xff\x00\x1b[2J\n"


@pytest.mark.parametrize("command", ["echo a\0b", "x" * 200_000, "echo \ud800"])
def test_what_no_program_can_be_given_is_refused(command: str) -> None:
    with pytest.raises(CommandError):
        sandbox.shell_argv(command)


async def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    argv = sandbox.shell_argv("true")
    await sandbox.start(
        tmp_path / "s", argv, cwd=tmp_path / "gone", environment=ENVIRONMENT, timeout=5, runtime=Runtime()
    )
    record, seen = await finish(tmp_path / "s")
    assert record.exit_code == 127
    assert b"gone" in seen


async def test_a_spool_that_cannot_be_written_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "control").symlink_to("/nowhere/at/all")
    with pytest.raises(CommandError, match="did not start"):
        await launch(tmp_path / "s", "touch ran")
    assert not Path("ran").exists()
    assert sandbox.inspect(tmp_path / "s").state == "never_started"


# --- once, whatever dies --------------------------------------------------------------------------


def kill_after(failpoint: str, spool: Path, command: str, timeout: float = 30.0) -> None:
    """Launch a command from a program that is killed at `failpoint`."""
    program = f"""
import asyncio, os, signal
from pathlib import Path
from tui_agent import sandbox
from tui_agent.runtime import Runtime
def fail(name):
    if name == {failpoint!r}:
        os.kill(os.getpid(), signal.SIGKILL)
environment = {ENVIRONMENT!r}
argv = sandbox.shell_argv({command!r})
asyncio.run(sandbox.start(Path({str(spool)!r}), argv, cwd=Path.cwd(), environment=environment,
    timeout={timeout}, runtime=Runtime(failpoint=fail)))
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL


async def test_killed_before_the_launch_it_never_ran(tmp_path: Path) -> None:
    spool = tmp_path / "s"
    kill_after("effect.before", spool, "echo x >> ledger")
    assert sandbox.inspect(spool).state == "never_started"
    await launch(spool, "echo x >> ledger")
    await finish(spool)
    assert Path("ledger").read_text() == "x\n"


async def test_killed_while_it_runs_it_is_attached_to(tmp_path: Path) -> None:
    spool = tmp_path / "s"
    command = "echo x >> ledger; echo one; while [ ! -e go ]; do sleep 0.01; done; echo two"
    kill_after("runner.launched", spool, command)
    assert sandbox.inspect(spool).state == "running"
    await launch(spool, command)
    assert sandbox.inspect(spool).state == "running"
    Path("go").touch()
    record, seen = await finish(spool)
    assert seen == b"one\ntwo\n"
    assert record.exit_code == 0
    await launch(spool, command)
    assert Path("ledger").read_text() == "x\n"


async def test_launched_by_several_at_once_it_runs_once(tmp_path: Path) -> None:
    spool = tmp_path / "s"
    command = "echo x >> ledger; sleep 0.2"
    await asyncio.gather(*(launch(spool, command) for _ in range(4)))
    await finish(spool)
    await launch(spool, command)
    assert Path("ledger").read_text() == "x\n"


async def test_without_its_runner_a_command_still_counts_as_running_and_then_as_died(tmp_path: Path) -> None:
    spool = tmp_path / "s"
    await launch(spool, "sleep 300")
    os.kill(json.loads((spool / "start").read_text())["runner"], signal.SIGKILL)
    await until(lambda: orphaned(spool))
    assert sandbox.inspect(spool).state == "running"
    assert sandbox.kill(spool)
    record, _ = await finish(spool)
    assert record.state == "died"


def orphaned(spool: Path) -> bool:
    try:
        os.close(os.open(spool / "control", os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return True
    return False


async def test_a_stranger_with_the_old_id_is_not_killed(tmp_path: Path) -> None:
    stranger = subprocess.Popen(["sleep", "300"], start_new_session=True)
    try:
        record = {"runner": 1, "pid": stranger.pid, "pid_start": 1, "time": 0}
        (tmp_path / "start").write_text(json.dumps(record))
        os.mkfifo(tmp_path / "control")
        with (tmp_path / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert not sandbox.kill(tmp_path)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_session_whose_id_is_another_s_now_is_left_alone() -> None:
    from tui_agent.sandbox.runner import _signal_all

    stranger = subprocess.Popen(["sleep", "300"], start_new_session=True)
    try:
        _signal_all(stranger.pid, signal.SIGKILL, leader=False)
        with pytest.raises(subprocess.TimeoutExpired):
            stranger.wait(0.2)
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_closed_pipe_ends_a_program_in_the_command(tmp_path: Path) -> None:
    await launch(tmp_path / "s", "yes | head -1; echo ${PIPESTATUS[0]}")
    _, seen = await finish(tmp_path / "s")
    assert seen == b"y\n141\n"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    start=st.sampled_from([None, b"", b"{", b'{"pid": 5, "time": 1.5}', b"[]"]),
    locked=st.booleans(),
    end=st.sampled_from([None, b'{"exit_code": 0}', b'{"signal": 9, "timed_out": true}']),
)
def test_the_state_follows_from_the_records(
    tmp_path_factory: pytest.TempPathFactory, start: bytes | None, locked: bool, end: bytes | None
) -> None:
    spool = tmp_path_factory.mktemp("spool")
    if start is not None:
        (spool / "start").write_bytes(start)
    if end is not None:
        (spool / "exit").write_bytes(end)
    with (spool / "lock").open("w") as lock:
        if locked:
            fcntl.flock(lock, fcntl.LOCK_EX)
        state = sandbox.inspect(spool).state
    if end is not None:
        assert state == "finished"
    elif locked:
        assert state == "running"
    else:
        assert state == ("never_started" if start is None else "died")


async def test_the_start_is_synced_before_the_command_runs(tmp_path: Path) -> None:
    """The order of system calls: start created exclusively, file and folder synced, then exec."""
    trace = tmp_path / "trace"
    spool = tmp_path / "s"
    spool.mkdir()
    order = {"argv": ["/bin/true"], "cwd": "/", "timeout": 5, "output_limit": 1000, "secrets": {}}
    order["packages"] = str(Path(sandbox.__file__).parents[2])
    runner = Path(sandbox.__file__).with_name("runner.py")
    calls = "openat,fsync,execve,rename"
    await asyncio.to_thread(
        subprocess.run,
        ["strace", "-f", "-y", "-e", f"trace={calls}", "-o", trace, sys.executable, "-ISE", runner, spool],
        check=True,
        input=json.dumps(order).encode(),
    )
    await finish(spool)
    lines = trace.read_text().splitlines()

    def at(*parts: str, after: int = 0) -> int:
        return next(n for n, line in enumerate(lines) if n >= after and all(part in line for part in parts))

    begun = at('"start", O_WRONLY|O_CREAT|O_EXCL')
    synced = at("fsync(", "/start>", after=begun)
    folder = at("fsync(", f"{spool}>", after=synced)
    assert folder < at('execve("/bin/true"')
    written = at("fsync(", "/exit.tmp>")
    renamed = at('rename("exit.tmp", "exit")', after=written)
    assert at("fsync(", f"{spool}>", after=renamed)


async def test_a_launch_that_fails_has_run_nothing_unless_it_left_a_start_record(tmp_path: Path) -> None:
    spool = tmp_path / "s"
    (spool / "lock").mkdir(parents=True)  # the runner cannot take it
    with pytest.raises(CommandError, match="did not start"):
        await launch(spool, "true")
    spool = tmp_path / "t"
    (spool / "lock").mkdir(parents=True)
    (spool / "start").write_text("{}")
    await launch(spool, "true")  # what became of it is for those who look


# --- secrets --------------------------------------------------------------------------------------

TOKEN = "hunter2-\u00e4-hunter2"
SECRETS = Runtime(environment={"MY_TOKEN": TOKEN})


async def test_no_secret_is_ever_on_disk_not_while_the_command_runs_nor_after_a_kill(tmp_path: Path) -> None:
    spool = tmp_path / "s"
    await launch(spool, f"echo {TOKEN}; while [ ! -e go ]; do sleep 0.01; done; kill -9 $PPID", runtime=SECRETS)
    await until(lambda: b"\n" in (spool / "output").read_bytes())
    assert (spool / "output").read_bytes() == b"[redacted: MY_TOKEN]\n"
    Path("go").touch()
    await until(lambda: sandbox.inspect(spool).state == "died")
    files = [path for path in spool.iterdir() if path.is_file()]
    assert not [path.name for path in files if TOKEN.encode() in path.read_bytes()]


async def test_a_secret_that_comes_in_pieces(tmp_path: Path) -> None:
    pieces = "; ".join(f"printf '\\x{byte:02x}'; sleep 0.01" for byte in TOKEN.encode())
    await launch(tmp_path / "s", f"printf a; {pieces}; printf '\\xff|hunter'", runtime=SECRETS)
    record, _ = await finish(tmp_path / "s")
    assert record.output.read_bytes() == b"a[redacted: MY_TOKEN]\xff|hunter"


async def test_what_is_left_running_says_no_secret_either(tmp_path: Path) -> None:
    spool = tmp_path / "s"
    later = f"while [ -e here ]; do sleep 0.01; done; echo {TOKEN}; exec -a {TOKEN} sleep 300.09"
    await launch(spool, f"touch here; ({later}) & echo now; sleep 0.1; rm here", runtime=SECRETS)
    record, output = await finish(spool)
    assert output == b"now\n[redacted: MY_TOKEN]\n"
    assert record.left == ("[redacted: MY_TOKEN] 300.09",)


async def output_of(spool: Path) -> bytes:
    await until(lambda: sandbox.inspect(spool).state == "finished")
    return (spool / "output").read_bytes()


@pytest.mark.parametrize("before", [0, 50, 979, 980, 985, 990, 1000, 1005, 1010, 5000])
async def test_a_secret_near_the_limit_of_the_output(tmp_path: Path, before: int) -> None:
    command = f"head -c {before} /dev/zero | tr '\\0' .; echo {TOKEN}; head -c 100000 /dev/zero | tr '\\0' -"
    await launch(tmp_path / "s", command, runtime=SECRETS, limits=sandbox.Limits(output=1000))
    output = await output_of(tmp_path / "s")
    whole = output.replace(b"\n[... 0 bytes of output dropped ...]\n", b"")
    assert whole == b"." * before + b"[redacted: MY_TOKEN]\n" + b"-" * 100_000


@pytest.mark.parametrize("after", [0, 10, 262_125, 262_134, 262_144, 270_000])
async def test_a_secret_near_the_end_of_an_output_that_is_cut(tmp_path: Path, after: int) -> None:
    command = f"head -c 400000 /dev/zero | tr '\\0' .; echo {TOKEN}; head -c {after} /dev/zero | tr '\\0' -"
    await launch(tmp_path / "s", command, runtime=SECRETS, limits=sandbox.Limits(output=1000))
    output = await output_of(tmp_path / "s")
    assert b"hunter" not in output
    assert "ä".encode() not in output


# --- the environment ------------------------------------------------------------------------------


def test_no_secret_and_nothing_that_steers_bash_reaches_a_command() -> None:
    kept = sandbox.command_environment(
        {
            "PATH": "/bin",
            "HOME": "/home/me",
            "ANTHROPIC_API_KEY": "k",
            "GH_TOKEN": "k",
            "DB_PASSWORD": "k",
            "AWS_SECRET_ACCESS_KEY": "k",
            "BASH_ENV": "/evil",
            "BASH_FUNC_ls%%": "() { :; }",
            "TUI_AGENT_DATA_DIR": "/x",
            "TOKENIZERS_PARALLELISM": "false",
            "VIRTUAL_ENV": "/venv",
            "PAGER": "less",
        }
    )
    assert set(kept) >= {"PATH", "HOME", "TOKENIZERS_PARALLELISM", "VIRTUAL_ENV", "LANG"}
    assert "k" not in kept.values()
    assert not {"BASH_ENV", "BASH_FUNC_ls%%", "TUI_AGENT_DATA_DIR"} & set(kept)
    assert kept["PAGER"] == "cat"


def test_the_runner_needs_only_the_standard_library_and_little_of_it() -> None:
    """What it imports decides how fast a command starts."""
    runner = str(Path(sandbox.__file__).with_name("runner.py"))
    program = f"import sys; exec(open({runner!r}).read(), {{'__name__': 'runner'}}); print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-I", "-S", "-E", "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "json" in modules
    assert not {"subprocess", "asyncio", "typing", "tempfile", "tui_agent"} & set(modules)


def test_what_takes_out_secrets_needs_only_what_the_runner_has() -> None:
    folder = str(Path(sandbox.__file__).parents[2])
    program = f"import json, sys; sys.path.append({folder!r}); have = set(sys.modules); import tui_agent.redaction"
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-E", "-c", f"{program}; print(*set(sys.modules) - have)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert set(loaded) <= {"__future__", "binascii", "tui_agent", "tui_agent.redaction"}


async def test_a_launch_that_is_cancelled_has_ended_when_the_caller_goes_on(tmp_path: Path) -> None:
    launching = asyncio.create_task(launch(tmp_path / "spool", "sleep 300"))
    await asyncio.sleep(0)  # the thread has its work now
    launching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await launching
    assert sandbox.inspect(tmp_path / "spool").state == "running"
    assert sandbox.kill(tmp_path / "spool")
    record, _ = await finish(tmp_path / "spool")
    assert record.state == "finished"
