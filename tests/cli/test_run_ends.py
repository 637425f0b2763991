"""How `run` ends when its surroundings do: signals, closed terminals, full disks, damage, threads that hang."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_run import COMMAND, result, tui_agent
from tests.session.support import opened, options
from tui_agent.events import Notice
from tui_agent.headless.progress import Progress
from tui_agent.headless.reports import JsonReport
from tui_agent.session.blackbox import BlackBox


def slow(tmp_path: Path) -> str:
    path = tmp_path / "slow.toml"
    path.write_text(f'[[turn]]\nspeed = 20\ntext = """{"word " * 3000}"""\n')
    return str(path)


def ended(tmp_path: Path) -> dict[str, Any]:
    (folder,) = (tmp_path / "data" / "sessions").iterdir()
    events = [json.loads(line) for line in tui_agent("export", folder.name).stdout.splitlines()]
    found: dict[str, Any] = next(event for event in events if event["type"] == "run.finished")
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_the_reason_of_the_end(tmp_path: Path, number: signal.Signals) -> None:
    command = [*COMMAND, "run", "--offline", "--output", "stream-json", "--scenario", slow(tmp_path), "-p", "go"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "turn.delta" in line)
        process.send_signal(number)
        process.stdout.read()
    assert process.returncode == 128 + number
    end = ended(tmp_path)
    assert (end["outcome"], number.name in end["reason"]) == ("interrupted", True)


def test_a_closed_terminal_ends_with_the_code_of_a_hang_up(tmp_path: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*COMMAND, "run", "--offline", "--scenario", slow(tmp_path), "-p", "go"])
    while b"word word" not in os.read(terminal, 4096):
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 129
    assert "SIGHUP" in ended(tmp_path)["reason"]


def test_a_run_that_cannot_be_written_any_more_has_failed() -> None:
    progress = Progress()
    progress.see(Notice(level="error", code="journal", message="the disk is full"))
    out = io.StringIO()
    JsonReport(out).end("s", progress, progress.exit_code(None))
    found = json.loads(out.getvalue())
    assert (found["outcome"], found["reason"], found["exit_code"]) == ("failed", "the disk is full", 1)


def test_what_was_found_at_the_opening_is_on_standard_error(tmp_path: Path) -> None:
    session = result("-p", "say 5 then read a then read b")["session"]
    database = tmp_path / "data" / "sessions" / session / "session.db"
    with database.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(os.urandom(4096))
    done = tui_agent("run", "--offline", "--resume", session, "-p", "say 5")
    assert "damaged" in done.stderr


def test_a_thread_that_hangs_is_named_and_keeps_nothing() -> None:
    program = textwrap.dedent("""
        import threading
        from tui_agent.exit_watch import ExitWatch
        threading.Thread(target=threading.Event().wait, name="stuck").start()
        ExitWatch(0.1).begin(3)
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 3
    assert "stuck" in done.stderr


def cause(folder: Path, **changes: object) -> str:
    """Return what is found out about a process that left its records, changed in this way."""
    alive = folder / "alive.json"
    alive.write_text(json.dumps(json.loads(alive.read_text()) | changes))
    return BlackBox(folder).cause()[0]


def test_the_causes_of_a_crash_are_told_apart(tmp_path: Path) -> None:
    box = BlackBox(tmp_path)
    box.arm()
    assert "killed from outside" in box.cause()[0]
    assert "machine went down" in cause(tmp_path, machine="another")
    box.arm()
    assert "memory ran out" in cause(tmp_path, oom_kills=-1)
    (tmp_path / "alive.json").write_text("no json")
    assert "killed, crashed, or" in box.cause()[0]
    box.disarm()
    assert list(tmp_path.glob("*.json")) == list(tmp_path.glob("*.log")) == []


async def test_a_crash_of_the_process_itself_is_named_with_its_stack(tmp_path: Path) -> None:
    program = textwrap.dedent(f"""
        import asyncio, ctypes
        from pathlib import Path
        from tests.session.support import options
        from tui_agent.session import SessionHandle, open_session
        from tui_agent.submissions import Submit

        async def main():
            handle = await open_session(options(Path({str(tmp_path)!r})))
            await handle.start()
            await handle.do(Submit(prompt="say 5"))
            print(handle.session, flush=True)
            ctypes.string_at(0)

        asyncio.run(main())
    """)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, cwd=root, check=False
    )
    assert done.returncode == -signal.SIGSEGV, done.stderr
    async with opened(options(tmp_path), done.stdout.strip()) as session:
        crash = await session.event("crash")
        assert "Segmentation fault" in crash.reason
        assert "string_at" in crash.traceback
