"""What is left beside a session for the case that its program dies: enough to say why at the next start.

A killed process writes nothing any more, so what is needed to tell the causes apart is written while it lives: the
machine's boot id, the out-of-memory count of its control group, and a file into which Python writes its stack when it
receives a deadly signal such as SIGSEGV.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

_ALIVE = "alive.json"
_FATAL = "fatal.log"

MOST_TRACE = 64 * 1024
"""Bytes of a stack that are read."""

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class _Alive:
    """The machine as it is while the program lives. `machine` is its boot id, `oom_kills` what its group counts."""

    machine: str
    group: str
    oom_kills: int


class BlackBox:
    """The records of one session's folder. Everything here is best effort: a session works without it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fatal: BinaryIO | None = None
        self._catches = False

    def arm(self) -> None:
        """Begin to record for this process. Blocking."""
        with contextlib.suppress(OSError):
            _write(self._folder / _ALIVE, json.dumps(asdict(_look())).encode())
            descriptor = os.open(self._folder / _FATAL, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            self._fatal = os.fdopen(descriptor, "wb", buffering=0)
            self._catches = not faulthandler.is_enabled()  # who started the process may want the stack elsewhere
            if self._catches:
                faulthandler.enable(self._fatal)

    def disarm(self) -> None:
        """Take the records away: the session ends in order. Blocking."""
        if self._fatal is not None:
            if self._catches:
                faulthandler.disable()
            self._fatal.close()
            self._fatal = None
        for name in (_ALIVE, _FATAL):
            with contextlib.suppress(OSError):
                (self._folder / name).unlink(missing_ok=True)

    def cause(self) -> tuple[str, str]:
        """Return why the program that left these records died, as far as it can be known, and its stack. Blocking."""
        trace = _read(self._folder / _FATAL).decode("utf-8", "replace").strip()
        if trace:
            return f"it crashed ({trace.splitlines()[0].removeprefix('Fatal Python error: ')})", trace
        try:
            before = _Alive(**json.loads(_read(self._folder / _ALIVE)))
        except (ValueError, TypeError):
            return "it was killed, crashed, or the machine went down", ""
        now = _look()
        if before.machine and now.machine and before.machine != now.machine:
            return "the machine went down or was restarted", ""
        if before.group == now.group and now.oom_kills > before.oom_kills:
            return "the kernel killed it, or another process of its group, because memory ran out", ""
        return "it was killed from outside (SIGKILL leaves no trace); the machine has been up all the time", ""


def _look() -> _Alive:
    machine = _read(_PROC / "sys/kernel/random/boot_id").decode("ascii", "replace").strip()
    group = ""
    for line in _read(_PROC / "self/cgroup").decode("utf-8", "replace").splitlines():
        if line.startswith("0::"):
            group = line.removeprefix("0::")
    events = _read(_CGROUPS / group.lstrip("/") / "memory.events").decode("ascii", "replace").split()
    counts = dict(zip(events[::2], events[1::2], strict=False))
    return _Alive(machine, group, int(counts.get("oom_kill", "0")))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_TRACE)
    except OSError:
        return b""


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
