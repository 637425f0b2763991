"""A world with things to change, reach and read, and commands in it that are watched from outside.

Lines run in the sandbox for commands that only read, many in one go, under `strace`. Afterwards three things are
compared: all files of the world with what they were, what the trace says was opened for writing, changed or connected
to, and the output with the secrets that lie about.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.sandbox.inside import GIT
from tui_agent import sandbox
from tui_agent.permissions.guard import RUNNER_ENVIRONMENT
from tui_agent.permissions.sensitive import secret_level
from tui_agent.runtime import Runtime
from tui_agent.sandbox import Protection, Sandbox, SandboxState
from tui_agent.sandbox.runner import INSIDE, LOCK, SECCOMP

SECRET = "vEry-seCret-vaLue-0451"
"""What stands in everything that must not be read."""

SECONDS_A_LINE = 5
SCRATCH = ("/var/tmp", "/dev", "/proc", "pipe:", "socket:", "anon_inode:", "/memfd:", "/run", "inotify")
"""Where a command may write: all in memory or its own, and gone with it."""

_CALLS = [
    "execve", "open", "openat", "openat2", "creat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir",
    "mkdirat", "rmdir", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat", "chmod", "fchmod", "fchmodat",
    "fchmodat2", "chown", "fchown", "lchown", "fchownat", "truncate", "ftruncate", "utimensat", "utime", "utimes",
    "futimesat", "setxattr", "fsetxattr", "lsetxattr", "removexattr", "connect", "sendto", "sendmsg",
]  # fmt: skip
_LINE = re.compile(r"^(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)\) += (?P<result>-?\d+)")
_OPENED = re.compile(r"= \d+<(?P<path>[^>]*)>")
_PATHS = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass
class World:
    """A workspace with a repository, secrets and a home around it."""

    base: Path
    state: SandboxState

    def __post_init__(self) -> None:
        self.home, self.workspace = self.base / "home", self.base / "workspace"
        self.data = self.base / "data"
        self._build()
        environment = sandbox.command_environment({"PATH": "/usr/local/bin:/usr/bin:/bin"}) | RUNNER_ENVIRONMENT
        self.environment = environment | {"HOME": str(self.home)}
        self.box = Sandbox(
            Runtime(environment=self.environment, home=self.home),
            self.workspace,
            self.data,
            self.base / "config",
            self.data / "scratch",
            probe=lambda: self.state,
        )
        self.runs = 0

    def _build(self) -> None:
        (self.workspace / "src").mkdir(parents=True)
        (self.workspace / "a.txt").write_text("b\na\n5\n")
        (self.workspace / "b.txt").write_text("a\nb\n")
        (self.workspace / "src" / "m.py").write_text("import os\n")
        (self.workspace / "conftest.py").write_text("open('pwned', 'w')\n")
        for command in (
            ["init", "-q"],
            ["add", "."],
            ["commit", "-qm", "first"],
            ["commit", "-qm", "2", "--allow-empty"],
        ):
            subprocess.run([*GIT, *command], cwd=self.workspace, check=True)
        (self.workspace / "b.txt").write_text("a\nb\nc\n")
        for path in (
            self.workspace / ".env",
            self.workspace / "private/notes",
            self.home / ".ssh/id",
            self.home / ".netrc",
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{SECRET}\n")
        os.link(self.workspace / ".env", self.workspace / "harmless.txt")
        os.link(self.home / ".netrc", self.workspace / "brought.txt")
        (self.workspace / "also.txt").symlink_to("private/notes")
        os.mkfifo(self.workspace / "fifo")

    def protection(self) -> Protection:
        """Return what names of secrets and a rule about `private` say."""

        def levels(paths: Sequence[str]) -> dict[str, Literal["ask", "deny"]]:
            found: dict[str, Literal["ask", "deny"]] = {}
            for path in paths:
                level = "deny" if path == str(self.workspace / "private") else secret_level(path)
                if level:
                    found[path] = level
            return found

        return Protection("world", levels)

    def files(self) -> dict[str, tuple[object, ...]]:
        """Return all of the world but the session's own folder, as it is now."""
        found: dict[str, tuple[object, ...]] = {}
        for root, folders, names in os.walk(self.base):
            if Path(root) == self.base:
                folders[:] = [name for name in folders if name != "data"]
            for name in (*folders, *names):
                path = Path(root, name)
                status = path.lstat()
                content = ""
                if path.is_file() and not path.is_symlink():
                    content = hashlib.sha256(path.read_bytes()).hexdigest()
                found[str(path)] = (status.st_mode, status.st_uid, status.st_mtime_ns, status.st_size, content)
        return found

    def run(self, lines: Sequence[str], *, trace: bool = True) -> list[str]:
        """Run the lines and return what went through, a sentence each; empty if nothing did (blocking)."""
        self.runs += 1
        spool = self.data / "steps" / str(self.runs)
        loop = (
            f'for line; do timeout -k 1 {SECONDS_A_LINE} bash --noprofile --norc -c "$line" </dev/null; done; '
            "echo all lines done"
        )
        argv = [*sandbox.shell_argv(loop), "bash", *lines]
        made = asyncio.run(
            self.box.enclose(argv, self.environment, spool, "sandbox", read_only=True, protection=self.protection())
        )
        before = self.files()
        log = self.data / f"trace-{self.runs}"
        calls = "trace=" + ",".join(f"?{call}" for call in _CALLS)  # not every strace knows all
        watched = ["strace", "-f", "-y", "-qq", "-o", str(log), "-e", calls, *made.argv]
        command = watched if trace else made.argv
        output = _launch(command, made.environment, spool, made.box.seccomp if made.box else b"", len(lines))
        found = [f"changed: {path}" for path in _differences(before, self.files())]
        if b"all lines done" not in output:
            found.append(f"the lines did not run to their end: {output[-300:]!r}")
        if SECRET.encode() in output:
            found.append("a secret was read")
        if trace:
            found += sorted(set(acts(log.read_text(errors="replace"), str(self.home))))
            log.unlink()
        shutil.rmtree(spool, ignore_errors=True)
        return found

    def guilty(self, lines: Sequence[str]) -> dict[str, list[str]]:
        """Run the lines one by one and return those through which something went."""
        return {line: found for line in lines if (found := self.run([line]))}


def _launch(argv: list[str], environment: dict[str, str], spool: Path, seccomp: bytes, number: int) -> bytes:
    """Run a sandboxed command as the runner would, with the descriptors of bubblewrap."""
    spool.mkdir(parents=True, exist_ok=True)
    (spool / "seccomp").write_bytes(seccomp)
    numbers = {LOCK: "alive", INSIDE: "inside", SECCOMP: "seccomp"}

    def open_all() -> None:
        for descriptor, name in numbers.items():
            opened = os.open(spool / name, os.O_RDWR | os.O_CREAT)
            os.dup2(opened, descriptor, inheritable=True)
            os.close(opened)

    done = subprocess.run(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        close_fds=False,
        preexec_fn=open_all,
        timeout=60 + number * (SECONDS_A_LINE + 1),
        check=False,
    )
    return done.stdout


def _differences(before: dict[str, tuple[object, ...]], after: dict[str, tuple[object, ...]]) -> Iterator[str]:
    for path in before.keys() | after.keys():
        if before.get(path) != after.get(path):
            yield path


def acts(trace: str, home: str) -> Iterator[str]:
    """Yield what the trace of a sandboxed command says that it did outside of its scratch.

    What bubblewrap and the launcher do before they become the command does not count: that is all before the first
    program is a bash, and in the processes of that time.
    """
    early: set[str] = set()
    begun = ""
    for line in trace.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        pid, call, rest = found["pid"], found["call"], found["rest"]
        if not begun:
            early.add(pid)
            if call == "execve" and '/bash", ["' in rest and found["result"] == "0" and "bwrap" not in rest:
                begun = pid
            continue
        if (pid in early and pid != begun) or found["result"].startswith("-"):
            continue
        yield from _act(call, rest, line, home)


def _act(call: str, rest: str, line: str, home: str) -> Iterator[str]:
    scratch = (*SCRATCH, home)
    if call in {"open", "openat", "openat2", "creat"}:
        opened = _OPENED.search(line)
        path = opened["path"] if opened else rest
        if re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", rest) and not path.startswith(scratch):
            yield f"opened for writing: {path}"
    elif call in {"connect", "sendto", "sendmsg"}:
        if "sa_family=AF_INET" in rest or "sa_family=AF_UNIX" in rest:
            yield f"reached: {call}({rest[:120]}"
    elif call not in {"execve", "ftruncate"}:
        # Relative ones are below the folder that the call names, or the current one.
        for path in _PATHS.findall(rest):
            named = re.search(r"(?:AT_FDCWD|\d+)<([^>]*)>", rest)
            whole = path if path.startswith("/") else f"{named[1] if named else ''}/{path}"
            if not whole.startswith(scratch):
                yield f"{call}: {whole}"
