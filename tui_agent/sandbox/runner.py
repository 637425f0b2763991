"""The command runner: a small process of its own that lets a command outlive the program that asked for it.

Run as `python -I -S -E runner.py SPOOL`, in a process session of its own; standard library only, so that
it starts fast. It returns (exit status 0) as soon as the command is launched, or has been launched by an
earlier runner; its second self stays and looks after the command. What it leaves in the folder SPOOL:

    lock          flock held while the runner lives; no command has it open
    alive         flock held while the command lives, which inherits it and can do no more than let go of it
    start         JSON, created exclusively and synced before the command runs: there is one start a spool
    output        stdout and stderr, merged, without secrets
    control       FIFO: the byte `k` asks for the end of the command
    exit          JSON, renamed into place and synced after the command ended
    runner.log    what went wrong in the runner itself
    seccomp       for a command in bubblewrap: the filter; written by the launcher
    inside        for a command in bubblewrap: JSON lines of bubblewrap's own, the first names its process 1

What to run comes as JSON on its standard input, with the values of secret variables: nothing of that is written
down, because a command line may hold a secret as well.

Output goes through a pipe that the runner empties: so it never is on disk with a secret in it, and can be held to
a size. Beyond that the runner goes on emptying the pipe, counts what it drops, and keeps the end.

Processes that the command leaves running (`&`, `nohup`, `setsid`, daemons) are ended with it, after `LEFT_GRACE`; the
exit record names them. Outside of bubblewrap the runner is made their parent, so that they are found whatever process
session they are in.

A command in bubblewrap has a process namespace of its own: all that it starts descends from the namespace's
process 1, whatever process session it is in, and ends with it. Paths that must not come to be in the
workspace are masked by bubblewrap, which leaves empty folders; see `_Masks`.

A command is held to limits: of the size of a file, of open files, and, looked at every `LOOK` seconds, of processes,
memory and bytes written to disk. One that is over such a limit is ended, and the exit record says which.
"""

from __future__ import annotations

import codecs
import errno
import fcntl
import json
import os
import resource
import select
import signal
import sys
import time

TYPE_CHECKING = False  # importing typing would take a fifth of the start-up time
if TYPE_CHECKING:
    from typing import Any

    from tui_agent.redaction import Redactor

KILL_AFTER = 2.0
"""Seconds between the request to end (SIGTERM) and the order (SIGKILL)."""

LEFT_GRACE = 1.0
"""Seconds that what a command leaves running has to end by itself, as the other end of a pipe does."""

MOST_LEFT = 5
"""Processes left running that the exit record names."""

TAIL_BYTES = 256 * 1024
"""Bytes kept of the end of an output that is over its cap."""

MARGIN = 16 * 1024
"""Bytes kept before that end, to know a secret there that began earlier."""

EXIT_ATTEMPTS = 60
"""How often to try to write the exit record, a second apart, before giving up on a full disk."""

LOCK = 100
"""Descriptor of `alive` in the command. Bubblewrap holds it in its process 1."""

LOOK = 0.25
"""Seconds between two looks at how much a command takes: some milliseconds of work each."""

MAGNITUDES = ((1 << 30, "GB"), (1 << 20, "MB"))

LINKS_LOOKED_AT = 0.5
"""Seconds between two looks at the links that no mount can hold."""

INSIDE, SECCOMP = 101, 102
"""Descriptors that bubblewrap gets: where it tells what it started, and the filter."""

_PR_SET_CHILD_SUBREAPER = 36

_LOCK_PATIENCE = 5.0
"""Seconds to try for the lock; whoever merely looks at it holds it for microseconds."""


def main(spool: str) -> int:
    """Launch the command of `spool`; the process that was started ends with 0, or 1 if that failed.

    Returns, in the process that stayed, when there is nothing left to look after.
    """
    os.chdir(spool)
    with open(0, "rb") as order:
        command = json.load(order)
    ready_read, ready_write = os.pipe()
    if os.fork():
        # The launcher waits for this process alone: it ends once the start record is on disk.
        os.close(ready_write)
        launched = os.read(ready_read, 1) == b"+"
        # Without the interpreter's cleaning up: the launcher is waiting, and there is nothing to clean.
        os._exit(0 if launched else 1)
    os.close(ready_read)
    lock = _take_lock()
    if lock is None:
        os.write(ready_write, b"+")
        return 0
    try:
        return _Command(command, ready_write).supervise()
    except BaseException:
        os.close(lock)  # before the launcher hears of it: it must not find a runner at work
        raise


def _take_lock() -> int | None:
    """Return the descriptor of the lock, held from now on; None if launched already."""
    descriptor = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    give_up = time.monotonic() + _LOCK_PATIENCE
    while True:
        if os.path.exists("start"):
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.005)
        else:
            return descriptor


def _hold_alive() -> int:
    """Return the descriptor that the command inherits, out of the way of its own; the lock on it tells it lives."""
    descriptor = os.open("alive", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o400)
    # Whoever merely looks at it holds it for microseconds.
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.dup2(descriptor, LOCK, inheritable=False)
    os.close(descriptor)
    return LOCK


class _Command:
    """The command and the loop that looks after it."""

    def __init__(self, command: dict[str, Any], ready: int) -> None:
        self.command = command
        self.ready = ready
        self.status: int | None = None
        self.timed_out = False
        self.cancelled = False
        self.recorded = False
        self.kill_at: float | None = None
        self.end_at: float | None = None
        self.grace_until: float | None = None
        self.left: list[str] = []
        self.boxed = bool(command.get("boxed"))
        self.masks = _Masks(command["masks"]) if command.get("masks") else None
        self.limits: dict[str, int] = command.get("limits") or {}
        self.over = ""
        self.restored: list[str] = []
        self.look_at = time.monotonic() + LOOK
        self.links_at = time.monotonic() + LINKS_LOOKED_AT

    def supervise(self) -> int:
        """Run the command to its end and write the exit record; stay for what it left running."""
        gate_read, gate_write = os.pipe()
        pipe_read, pipe_write = os.pipe()
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        if not os.path.exists("control"):
            os.mkfifo("control", 0o600)
        # Opened for both, so that it never reports end of file when a writer leaves.
        control = os.open("control", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        file = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

        if self.masks is not None:
            self.masks.hold()
        if not self.boxed:
            _adopt_orphans()
        alive = _hold_alive()
        self.pid = os.fork()
        if self.pid == 0:
            _become_command(self.command, gate_read, gate_write, pipe_write, alive)
        os.close(alive)
        os.close(pipe_write)
        os.close(gate_read)
        self.started = time.time()
        self.began = time.monotonic()
        if not self._write_start():
            # Launched by another; the child sees the gate close and ends without having run anything.
            os.close(gate_write)
            os.waitpid(self.pid, 0)
            os.write(self.ready, b"+")
            return 0
        os.write(gate_write, b"+")
        os.close(gate_write)
        try:
            os.write(self.ready, b"+")
        except BrokenPipeError:
            pass  # the launcher is gone; the command goes on
        os.close(self.ready)
        # Only now, while the command works already.
        sys.path.append(self.command["packages"])
        from tui_agent.redaction import Redactor

        self.output = _Output(file, self.command["output_limit"], Redactor(self.command["secrets"]))

        timeout: float | None = self.command["timeout"]
        self.end_at = None if timeout is None else self.began + timeout
        os.set_blocking(pipe_read, False)
        open_pipe = True
        # Bubblewrap's process 1 has the pipe open too: the loop ends when nothing lives inside any more.
        while open_pipe or not self.recorded:
            watched = [control, wake_read] + ([pipe_read] if open_pipe else [])
            ready, _, _ = select.select(watched, [], [], self._patience())
            if wake_read in ready:
                os.read(wake_read, 4096)
            if control in ready and b"k" in os.read(control, 4096):
                self.cancelled = self.cancelled or not self.recorded
                self._ask_to_end()
            if pipe_read in ready:
                open_pipe = self._pump(pipe_read)
            self._look_at_clock()
            self._reap()
            if self.status is not None and not self.recorded and self._ended() and not self._waits_for_left():
                while open_pipe and select.select([pipe_read], [], [], 0)[0]:
                    open_pipe = self._pump(pipe_read)
                self._look_at_links()
                self._write_exit()
        self.output.finish()
        if self.masks is not None:
            self.masks.clean()
        return 0

    def _first_inside(self) -> int | None:
        return first_inside(".") if self.boxed else None

    def _members(self) -> list[int]:
        """Return the living processes of the command, as targets for `os.kill`."""
        first = self._first_inside() if self.boxed else os.getpid()
        found = set(_members(self.pid))
        if first is not None:
            found.update(_descendants(first))
        if self.status is not None:
            found.discard(self.pid)
        return list(found)

    def _waits_for_left(self) -> bool:
        """Return whether the end must wait for what the command left running; end that when its time is over."""
        if self.boxed and self._first_inside() is None:
            return False  # the namespace is gone, and all that was in it
        left = self._members()
        if not left:
            return False
        if self.grace_until is None:
            self.grace_until = time.monotonic() + LEFT_GRACE
        elif time.monotonic() >= self.grace_until:
            self.left = [*self.left, *(name for name in map(_shown, left[:MOST_LEFT]) if name)]
            self._ask_to_end()
        return True

    def _signal_all(self, number: int) -> None:
        """Signal all of the command. Bubblewrap itself gets SIGKILL alone: what is inside outlives it."""
        first = self._first_inside()
        if first is not None:
            inside = _descendants(first)
            for pid in inside if number != signal.SIGKILL else [first, *inside]:
                _send(pid, number)
        if not self.boxed or number == signal.SIGKILL:
            _signal_all(self.pid, number, leader=self.status is None)
        if not self.boxed:
            for pid in _descendants(os.getpid()):
                if pid != self.pid:
                    _send(pid, number)

    def _patience(self) -> float | None:
        """Return the seconds until something is due, None if nothing is."""
        now = time.monotonic()
        if self.kill_at is not None:
            # While waiting for leftovers of a killed command to go, look often.
            return min(0.02, max(0.0, self.kill_at - now))
        if self.recorded:
            return None
        if self.grace_until is not None:
            return 0.02
        due = [self.end_at] if self.end_at is not None else []
        due += [self.look_at] if self.limits else []
        due += [self.links_at] if self.masks is not None and self.masks.links else []
        return max(0.0, min(due) - now) if due else None

    def _look_at_clock(self) -> None:
        now = time.monotonic()
        if self.end_at is not None and now >= self.end_at and not self.recorded and self.status is None:
            self.timed_out = True
            self.end_at = None
            self._ask_to_end()
        if self.kill_at is not None and now >= self.kill_at:
            self.kill_at = None
            self._signal_all(signal.SIGKILL)
        if self.limits and now >= self.look_at and not self.recorded:
            self._look_at_limits()
            self.look_at = time.monotonic() + LOOK
        if now >= self.links_at:
            self._look_at_links()
            self.links_at = time.monotonic() + LINKS_LOOKED_AT

    def _look_at_limits(self) -> None:
        """End the command if it takes more than it may: at once, as it may make more processes than can be asked."""
        if self.over or self.status is not None:
            return
        taken = _taken(self._members())
        for name, unit in (("processes", "processes and threads"), ("memory", "of memory"), ("written", "written")):
            most = self.limits.get(name, 0)
            if most and taken[name] > most:
                self.over = f"{_amount(taken[name], name)} {unit}, at most {_amount(most, name)}"
                self._signal_all(signal.SIGKILL)
                self.kill_at = time.monotonic() + KILL_AFTER
                return

    def _look_at_links(self) -> None:
        """Put the links back that were replaced."""
        if self.masks is not None and not self.recorded:
            self.restored += self.masks.restore_links()

    def _ask_to_end(self) -> None:
        if self.kill_at is None:
            self.kill_at = time.monotonic() + KILL_AFTER
            self._signal_all(signal.SIGTERM)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            if pid == self.pid:  # others are orphans of the command's
                self.status = status
                self.seconds = time.monotonic() - self.began
                if self.boxed and os.WIFSIGNALED(status):
                    # Somebody killed bubblewrap, and the command in it goes on: that must not be taken for its end.
                    self._ask_to_end()
                    self.kill_at = time.monotonic()

    def _ended(self) -> bool:
        """Return whether the end can be recorded: of a killed command, when nothing of it is left."""
        if self.kill_at is None:
            return True
        if not self._members():
            self.kill_at = None
            return True
        return False

    def _pump(self, pipe: int) -> bool:
        """Move what the pipe holds to the output file; return False at the end of the output."""
        try:
            data = os.read(pipe, 1 << 20)
        except BlockingIOError:
            return True
        if not data:
            return False
        self.output.take(data)
        return True

    def _write_start(self) -> bool:
        """Write the start record; return False if there is one."""
        record = {
            "runner": os.getpid(),
            "pid": self.pid,
            "pid_start": _process_start(self.pid),
            "time": self.started,
        }
        try:
            file = os.open("start", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return False
        try:
            os.write(file, json.dumps(record).encode())
            os.fsync(file)
        except OSError:
            # The gate is still shut: nothing has run, and nothing must say that it has.
            os.unlink("start")
            raise
        os.close(file)
        _sync_folder()
        return True

    def _write_exit(self) -> None:
        """Write the exit record, and try again for a while if the disk is full."""
        self.output.finish()
        assert self.status is not None
        record = {
            "exit_code": os.WEXITSTATUS(self.status) if os.WIFEXITED(self.status) else None,
            "signal": os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else None,
            "timed_out": self.timed_out,
            "cancelled": self.cancelled,
            "started": self.started,
            "seconds": self.seconds,
            "left": [self.output.redactor.text(name) for name in self.left[:MOST_LEFT]],
            "over_limit": self.over,
            "restored": self.restored[:MOST_LEFT],
            "dropped": self.output.dropped,
            "output_error": self.output.error,
        }
        for attempt in range(1, EXIT_ATTEMPTS + 1):
            try:
                os.fsync(self.output.file)
                _write_synced("exit", json.dumps(record).encode())
                break
            except OSError:
                if attempt == EXIT_ATTEMPTS:
                    raise
                time.sleep(1)
        self.recorded = True


class _Output:
    """The output file: what the command says without its secrets, up to a limit, and the end of what is beyond."""

    def __init__(self, file: int, limit: int, redactor: Redactor) -> None:
        self.file = file
        self.limit = limit
        self.redactor = redactor
        self.dropped = 0
        self.error = ""
        self._written = 0
        self._tail = bytearray()
        self._begin()

    def _begin(self) -> None:
        # Bytes that are no text come out as they went in.
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._stream = self.redactor.stream()

    def take(self, data: bytes) -> None:
        """Take some output. The end of it may be held back until more has come."""
        if self._written < self.limit:
            self._put(self._stream.feed(self._decoder.decode(data)))
        else:
            self._keep(data)

    def finish(self) -> None:
        """Write what was held back, and the end of what is beyond the limit. What was left running may say more."""
        if self._written < self.limit:
            self._put(self._stream.feed(self._decoder.decode(b"", final=True)) + self._stream.end())
        if self._tail:
            self._begin()
            before = max(0, len(self._tail) - TAIL_BYTES)
            self.dropped -= len(self._tail) - before
            # What is cut off may be the beginning of a secret, and may itself begin in the midst of one.
            self._stream.feed(self._decoder.decode(self._tail[:before]))
            end = self._stream.feed(self._decoder.decode(self._tail[before:], final=True)) + self._stream.end()
            self._write(b"\n[... %d bytes of output dropped ...]\n" % self.dropped)
            self._write(end.encode("utf-8", "surrogateescape"))
            self._tail.clear()
        self._begin()

    def _put(self, text: str) -> None:
        data = text.encode("utf-8", "surrogateescape")
        room = self.limit - self._written
        done = self._write(data[:room])
        self.dropped += min(len(data), room) - done
        self._written += done
        if self._written >= self.limit:
            held = self._stream.take_back().encode("utf-8", "surrogateescape")
            self._keep(data[room:] + held + self._decoder.getstate()[0])

    def _keep(self, data: bytes) -> None:
        self.dropped += len(data)
        self._tail += data
        del self._tail[: -TAIL_BYTES - MARGIN]

    def _write(self, data: bytes) -> int:
        """Append to the file; return how many bytes it took. A full disk is noted, not fatal."""
        done = 0
        try:
            while done < len(data):
                done += os.write(self.file, data[done:])
        except OSError as error:
            self.error = str(error)
        return done


def _become_command(command: dict[str, Any], gate: int, gate_write: int, output: int, alive: int) -> None:
    """Turn this forked child into the command, once the gate opens. Does not return."""
    try:
        os.close(gate_write)
        os.setsid()
        if os.read(gate, 1) != b"+":
            os._exit(0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.set_inheritable(alive, True)
        if command.get("boxed"):
            _give(INSIDE, os.open("inside", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
            _give(SECCOMP, os.open("seccomp", os.O_RDONLY))
        for name in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(name, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        _limit(command.get("limits") or {})
        os.chdir(command["cwd"])
        argv = command["argv"]
        os.execv(argv[0], argv)
    except OSError as error:
        os.write(2, f"cannot run the command: {error}\n".encode(errors="replace"))
    finally:
        os._exit(127)


def _limit(limits: dict[str, int]) -> None:
    """Set the limits that the kernel holds a process to by itself, never above those that hold already."""
    for kind, name in (
        (resource.RLIMIT_FSIZE, "file"),
        (resource.RLIMIT_NOFILE, "open"),
        (resource.RLIMIT_CORE, "core"),
    ):
        most = limits.get(name, -1)
        if most < 0 or (most == 0 and name != "core"):
            continue
        held = resource.getrlimit(kind)[1]
        value = most if held == resource.RLIM_INFINITY else min(most, held)
        resource.setrlimit(kind, (value, value))


def _taken(pids: list[int]) -> dict[str, int]:
    """Return how many threads the processes have, the memory that is theirs alone, and the bytes they wrote to disk.

    Memory is in bytes, and counts what two processes share since a fork twice. What ended processes wrote counts
    with the parent that waited for them.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    found = {"processes": 0, "memory": 0, "written": 0}
    for pid in pids:
        fields = _stat_fields(pid)
        if len(fields) < 20:
            continue
        found["processes"] += int(fields[17])
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:
                sizes = file.read().split()
            found["memory"] += max(0, int(sizes[1]) - int(sizes[2])) * page
            with open(f"/proc/{pid}/io", "rb") as file:
                for line in file:
                    if line.startswith(b"write_bytes:"):
                        found["written"] += int(line.split()[1])
        except (OSError, ValueError, IndexError):
            continue  # it has ended meanwhile
    return found


def _amount(number: int, name: str) -> str:
    if name == "processes":
        return f"{number:,}"
    for size, unit in MAGNITUDES:
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:,} bytes"


def _give(number: int, descriptor: int) -> None:
    """Make `descriptor` the command's `number`."""
    os.dup2(descriptor, number)
    os.close(descriptor)


class _Masks:
    """What stands in the workspace while a command runs, so that nothing else comes to be there, and its removal.

    Empty folders, which bubblewrap leaves where it masked something missing, and files of git's folder with a
    content that means nothing. Commands of several sessions can be at work in one workspace, and removing a mask
    would open the path to all of them. So each holds a shared lock on the workspace's record of masks, and whoever
    ends last removes them. Only what was missing is recorded, and only what is still as it was made is removed.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self.paths: list[str] = order["paths"]
        self.files: list[list[str]] = order.get("files", [])
        self.links: list[list[str]] = order.get("links", [])
        self.record = order["record"]
        self.descriptor = -1

    def hold(self) -> None:
        """Take part, before the command starts."""
        os.makedirs(os.path.dirname(self.record), 0o700, exist_ok=True)
        self.descriptor = os.open(self.record, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(self.descriptor, fcntl.LOCK_SH)
        missing: list[object] = [path for path in self.paths if not os.path.lexists(path)]
        missing += [[path, content] for path, content in self.files if not os.path.lexists(path)]
        if missing:
            os.write(self.descriptor, "".join(json.dumps(entry) + "\n" for entry in missing).encode())
        for path, content in self.files:
            _place(path, content)

    def restore_links(self) -> list[str]:
        """Put back the links that were replaced, what stands in their place aside; return their paths."""
        changed = []
        for path, target in self.links:
            try:
                if os.path.islink(path) and os.readlink(path) == target:
                    continue
                if os.path.lexists(path):
                    os.rename(path, f"{path}.replaced-{os.getpid()}-{time.time_ns()}")
                os.symlink(target, path)
            except OSError:
                pass  # its folder is gone
            else:
                changed.append(path)
        return changed

    def clean(self) -> None:
        """Remove the masks of all commands that have ended, unless another one is at work."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        with open(self.record, "rb") as file:
            for line in file.read().splitlines():
                try:
                    entry = json.loads(line)
                    if isinstance(entry, str):
                        os.rmdir(entry)
                    else:
                        _displace(*entry)
                except (OSError, ValueError, TypeError):
                    pass  # the user has put something there meanwhile, or it is gone
        os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)


def _place(path: str, content: str) -> None:
    """Make a file with its content in one step, unless there is something; git may look at any moment."""
    draft = f"{path}.{os.getpid()}"
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, content.encode())
        finally:
            os.close(descriptor)
        try:
            os.link(draft, path, follow_symlinks=False)
        finally:
            os.unlink(draft)
    except OSError:
        pass  # there is one, or this user cannot make one, and so cannot the command


def _displace(path: str, content: str) -> None:
    """Remove a file that `_place` made and nobody has changed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if file.read(64) == content.encode():
            os.unlink(path)


def first_inside(spool: str) -> int | None:
    """Return the id of process 1 of bubblewrap's process namespace, None before it lives and once it has ended."""
    try:
        with open(os.path.join(spool, "inside"), "rb") as file:
            told = json.loads(file.readline())
        pid = int(told["child-pid"])
        namespace = told.get("pid-namespace")
        # The id may be another's by now; that one is in another namespace.
        if namespace is not None and os.stat(f"/proc/{pid}/ns/pid").st_ino != namespace:
            return None
    except (OSError, ValueError, KeyError):
        return None
    return pid if _stat_fields(pid) and _stat_fields(pid)[0] not in "ZX" else None


def _descendants(first: int) -> list[int]:
    """Return the living processes that descend from `first`. What loses its parent becomes its child."""
    children: dict[str, list[str]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if name.isdigit():
            fields = _stat_fields(name)
            if fields and fields[0] not in "ZX":
                children.setdefault(fields[1], []).append(name)
    found: list[str] = []
    waiting = [str(first)]
    while waiting:
        waiting = [child for parent in waiting for child in children.get(parent, [])]
        found += waiting
    return [int(pid) for pid in found]


def _adopt_orphans() -> None:
    """Become the parent of what loses its own, so that a daemon is found and ended with its command (Linux)."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass  # the process session is looked through all the same


def _shown(pid: int) -> str:
    """Return the command line of a process, shortened; empty if it has ended."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read(200).replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # it ended by itself meanwhile


def _members(session: int) -> list[int]:
    """Return the living processes of the command's process session, as targets for `os.kill`.

    Without /proc (macOS) nothing is known beyond the process group, so that stands for all of them.
    """
    found = []
    try:
        names = os.listdir("/proc")
    except OSError:
        try:
            os.killpg(session, 0)
        except (ProcessLookupError, PermissionError):
            return []
        return [-session]
    for name in names:
        if name.isdigit():
            fields = _stat_fields(name)
            # fields: state, ppid, pgrp, session, ...
            if len(fields) > 3 and fields[3] == str(session) and fields[0] not in "ZX":
                found.append(int(name))
    return found


def _stat_fields(pid: int | str) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on, empty if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()


def _process_start(pid: int) -> int | None:
    """Return when the process started, in clock ticks since boot: tells it from a later one of its id."""
    fields = _stat_fields(pid)
    return int(fields[19]) if len(fields) > 19 else None


def _signal_all(session: int, number: int, *, leader: bool) -> None:
    """Signal the command's process group and every other process of its session.

    `leader` says that the leader has not been reaped: only then is its group id surely its own.
    """
    targets = _members(session)
    if not leader and session in targets:
        return  # the whole session has gone and its id is another's now
    if leader:
        try:
            os.killpg(session, number)
        except (ProcessLookupError, PermissionError):
            pass  # nothing is left of the group
    for pid in targets:
        _send(pid, number)


def _write_synced(name: str, data: bytes) -> None:
    """Put a file in place whole: after a power loss there is all of it or nothing."""
    file = os.open(f"{name}.tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, data)
        os.fsync(file)
    finally:
        os.close(file)
    os.rename(f"{name}.tmp", name)
    _sync_folder()


def _sync_folder() -> None:
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
