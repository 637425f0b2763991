"""Commands that outlive the program: launch one, look how far it is, wait for it, end it.

All that is known of a command stands in its spool folder (see `runner`), so any process can ask, in
particular the one that is started after a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tui_agent import redaction
from tui_agent.private import FOLDER_MODE, close_to_others, make_missing, make_private_file
from tui_agent.programs import find_program
from tui_agent.runtime import Runtime
from tui_agent.sandbox.runner import first_inside
from tui_agent.threads import to_the_end

OUTPUT_LIMIT = 64 * 1024 * 1024
"""Bytes of output that a command may leave on disk; of more, the beginning and the end are kept."""

LONGEST_COMMAND = 100_000
"""Bytes of a command line. Linux takes 131,072 in one argument."""

_READ_AT_ONCE = 64 * 1024
_LOG_SHOWN = 2_000


class CommandError(Exception):
    """The command could not be launched; nothing has run. The message says why."""


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """What a spool folder says about its command.

    `died` means that it started and that neither it nor its runner lives, without an exit record: nobody
    knows how far it got. `started` is in seconds since the epoch, `seconds` how long it ran; both are None
    where unknown. `dropped` counts bytes of output that are not in `output`. `left` are the command lines of
    processes that it left running and that were ended with it. `over_limit` says which limit ended it, `restored` are
    protected links that it replaced and that were put back.
    """

    state: Literal["never_started", "running", "finished", "died"]
    output: Path
    output_bytes: int = 0
    exit_code: int | None = None
    signal: int | None = None
    timed_out: bool = False
    cancelled: bool = False
    started: float | None = None
    seconds: float | None = None
    dropped: int = 0
    pid: int | None = None
    problem: str = ""
    left: tuple[str, ...] = ()
    over_limit: str = ""
    restored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one command may take, all that it starts together; 0 is no limit, but for `core`.

    `processes` counts threads too. In bytes: `memory` that is its own, `written` to disk in all, the size of one
    `file`, the `output` that is kept. `open` are open files of one process, `core` the bytes of a memory dump.
    """

    processes: int = 4_000
    memory: int = 0
    written: int = 50 * 1024**3
    file: int = 20 * 1024**3
    open: int = 65_536
    core: int = 0
    output: int = OUTPUT_LIMIT

    def order(self) -> dict[str, int]:
        """Return them as the runner takes them; without a limit of memory, three quarters of the machine's."""
        try:
            machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError):
            machine = 0
        return {
            "processes": self.processes,
            "memory": self.memory or machine * 3 // 4,
            "written": self.written,
            "file": self.file,
            "open": self.open,
            "core": self.core,
        }


def shell_argv(command: str) -> list[str]:
    """Return the argument list that runs `command` in the system's bash, which reads no start-up files.

    Raises `CommandError` for a command that cannot be passed to it, or without a bash.
    """
    if "\0" in command:
        raise CommandError("the command holds a NUL character, which no program can be given")
    try:
        size = len(command.encode())
    except UnicodeEncodeError:
        raise CommandError("the command holds a lone surrogate, which is no character") from None
    if size > LONGEST_COMMAND:
        raise CommandError(
            f"the command has {size} bytes, at most {LONGEST_COMMAND} can be passed: put it in a script file"
        )
    bash = find_program("bash", {})
    if bash is None:
        raise CommandError("there is no bash in the folders of the system")
    return [bash, "--noprofile", "--norc", "-c", command]


@dataclass(frozen=True, slots=True)
class Box:
    """What the runner needs for a command whose argument list puts it in a sandbox.

    `seccomp` is the filter for bubblewrap, empty for other kinds. `masked` are missing paths that bubblewrap
    makes in the workspace, to be removed again, `placeholders` files with their contents that the runner makes for
    the same reason; `links` are put back; `record` is the file in which all commands of the workspace keep theirs.
    """

    seccomp: bytes = b""
    masked: tuple[Path, ...] = ()
    placeholders: tuple[tuple[Path, str], ...] = ()
    links: tuple[tuple[Path, str], ...] = ()
    record: Path | None = None


async def start(
    spool: Path,
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    timeout: float | None,  # noqa: ASYNC109 -- the command's own limit, not this function's
    runtime: Runtime,
    limits: Limits | None = None,
    box: Box | None = None,
) -> None:
    """Launch `argv` in the folder `cwd`; return once its start is on disk.

    `argv[0]` is an absolute path. `timeout` in seconds, None for none; the runner enforces it, whether
    or not this program lives. A spool launches its command at most once, whoever calls this how often:
    launched before, nothing happens. Secrets are taken out of the output. `box` belongs to an `argv` that
    `Sandbox.enclose` made. Cancelled, it returns when the launch is over, so that the caller can kill what was
    launched. Without `limits` the usual ones hold. Raises `CommandError` if it could not be launched.
    """
    runtime.failpoint("effect.before")
    limits = limits or Limits()
    order: dict[str, Any] = {
        "argv": list(argv),
        "cwd": str(cwd),
        "timeout": timeout,
        "output_limit": limits.output,
        "limits": limits.order(),
        "boxed": bool(box and box.seccomp),
        "secrets": redaction.Redactor(runtime.environment).secrets,
        "packages": str(Path(redaction.__file__).parents[1]),
    }
    if box and box.record:
        order["masks"] = {
            "paths": [str(path) for path in box.masked],
            "files": [[str(path), content] for path, content in box.placeholders],
            "links": [[str(path), target] for path, target in box.links],
            "record": str(box.record),
        }
    await to_the_end(_launch, spool, order, dict(environment), box.seccomp if box else b"")
    runtime.failpoint("runner.launched")


def _launch(spool: Path, order: dict[str, Any], environment: dict[str, str], seccomp: bytes) -> None:
    try:
        make_folder(spool)
        if seccomp and not (spool / "start").exists():
            make_private_file(spool / "seccomp")
            (spool / "seccomp").write_bytes(seccomp)
        make_private_file(spool / "runner.log")
        with (spool / "runner.log").open("ab") as log:
            runner = subprocess.run(
                [sys.executable, "-I", "-S", "-E", str(Path(__file__).with_name("runner.py")), str(spool)],
                input=json.dumps(order).encode(),
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment,
                start_new_session=True,
                check=False,
            )
    except OSError as error:
        raise CommandError(f"the command runner did not start: {error}") from error
    # With a start record it may have begun all the same: whoever waits for it will see how far it got.
    if runner.returncode != 0 and not (spool / "start").exists():
        raise CommandError(f"the command runner did not start: {_log_end(spool) or 'it said nothing'}")


def make_folder(folder: Path) -> None:
    """Make `folder` and what is missing above it, for this user alone, each on disk before the next."""
    make_missing(folder)
    close_to_others(folder, FOLDER_MODE)


def inspect(spool: Path) -> CommandRecord:
    """Look how far the command of `spool` is; changes nothing. Quick, but reads files: not for the loop."""
    output = spool / "output"
    # In this order, because the runner takes the locks, writes `start`, writes `exit`, lets go of the lock:
    # a start seen before free locks, without an exit after it, is a runner that died.
    started = _read_json(spool / "start")
    locked = _alive(spool)
    ended = _read_json(spool / "exit")
    state: Literal["never_started", "running", "died"]
    state = "running" if locked else "never_started" if started is None else "died"
    try:
        size = output.stat().st_size
    except FileNotFoundError:
        size = 0
    pid = (started or {}).get("pid")
    if ended is None:
        problem = "" if state == "never_started" else _log_end(spool)
        return CommandRecord(state, output, size, started=(started or {}).get("time"), pid=pid, problem=problem)
    return CommandRecord(
        "finished",
        output,
        size,
        exit_code=ended.get("exit_code"),
        signal=ended.get("signal"),
        timed_out=bool(ended.get("timed_out")),
        cancelled=bool(ended.get("cancelled")),
        started=ended.get("started"),
        seconds=ended.get("seconds"),
        dropped=int(ended.get("dropped", 0)),
        pid=pid,
        problem=str(ended.get("output_error", "")),
        left=tuple(str(name) for name in ended.get("left") or ()),
        over_limit=str(ended.get("over_limit") or ""),
        restored=tuple(str(path) for path in ended.get("restored") or ()),
    )


OutputCallback = Callable[[bytes, int], Awaitable[None]]
"""Takes some output and how many bytes before it were skipped, because more came than can be shown."""


async def wait(spool: Path, on_output: OutputCallback, runtime: Runtime) -> CommandRecord:
    """Wait until the command has ended (or died) and return its record; show its output as it comes.

    Looks at the spool at most 20 times a second. Safe to cancel: the command goes on.
    """
    offset = 0
    pause = 0.005
    while True:
        record = await asyncio.to_thread(inspect, spool)
        data, skipped = await asyncio.to_thread(_read_on, record.output, offset)
        offset += skipped + len(data)
        if data:
            await on_output(data, skipped)
        if record.state != "running":
            return record
        await runtime.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def kill(spool: Path) -> bool:
    """Ask for the end of the command, all of its process session: SIGTERM, then SIGKILL after 2 seconds.

    Returns at once, whether there was something to end; `wait` tells when it has ended. Without its
    runner, a command is killed at once.
    """
    try:
        control = os.open(spool / "control", os.O_WRONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return _kill_orphan(spool)
    try:
        os.write(control, b"k")
    finally:
        os.close(control)
    return True


def _kill_orphan(spool: Path) -> bool:
    """Kill a command whose runner is gone; its id is trusted only while it is the process of the record."""
    started = _read_json(spool / "start")
    if not started or not started.get("pid_start") or not _alive(spool):
        return False
    pid = int(started["pid"])
    killed = False
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        if int(stat[stat.rindex(")") + 2 :].split()[19]) == started["pid_start"]:
            os.killpg(pid, signal.SIGKILL)
            killed = True
    except (OSError, ValueError, IndexError):
        pass  # it has ended; what it left in its sandbox is killed below
    inside = first_inside(str(spool))
    if inside is not None:
        with contextlib.suppress(OSError):
            os.kill(inside, signal.SIGKILL)
            killed = True
    return killed


def _alive(spool: Path) -> bool:
    """Return whether the runner lives, or its command, which has a lock of its own to let go of."""
    return _locked(spool / "lock") or _locked(spool / "alive")


def _locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who look do not see each other; given back when the descriptor closes.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _read_json(path: Path) -> dict[str, Any] | None:
    """Return the record, `{}` for one that a power loss has torn, None if there is no file."""
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _read_on(output: Path, offset: int) -> tuple[bytes, int]:
    """Return what is new in the output from `offset` on, its end if it is much, and what was skipped."""
    try:
        with output.open("rb") as file:
            new = os.fstat(file.fileno()).st_size - offset
            skipped = max(0, new - _READ_AT_ONCE)
            file.seek(offset + skipped)
            return file.read(_READ_AT_ONCE), skipped
    except FileNotFoundError:
        return b"", 0


def _log_end(spool: Path) -> str:
    try:
        return (spool / "runner.log").read_text(errors="replace")[-_LOG_SHOWN:].strip()
    except FileNotFoundError:
        return ""
