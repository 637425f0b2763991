"""A program under a real pseudo-terminal, with keys to press and a screen to read."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import ptyprocess  # type: ignore[import-untyped]  # has no types
import pyte

COLUMNS, ROWS = 100, 30


class Terminal:
    """One program in a terminal of 100 × 30. Its output is kept, and drawn when the screen is asked for."""

    def __init__(self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> None:
        self._process = ptyprocess.PtyProcess.spawn(
            list(command), cwd=str(cwd), env=dict(environment), dimensions=(ROWS, COLUMNS)
        )
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._unread = bytearray()
        self._ended = False

    @property
    def pid(self) -> int:
        """The program's process id."""
        return int(self._process.pid)

    def press(self, keys: str) -> None:
        """Type `keys`; nothing happens when the program has ended."""
        with contextlib.suppress(OSError):
            os.write(self._process.fd, keys.encode())

    def pump(self, seconds: float) -> bool:
        """Take the program's output for `seconds`; False as soon as it has ended."""
        until = time.monotonic() + seconds
        while not self._ended:
            left = until - time.monotonic()
            ready, _, _ = select.select([self._process.fd], [], [], max(0.0, left))
            if not ready:
                return True
            try:
                data = os.read(self._process.fd, 65536)
            except OSError:
                data = b""
            if not data:
                self._ended = True
            self._unread += data
        return False

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Pump until `condition` holds; False when the program ended or the time is over."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if condition():
                return True
            if not self.pump(0.03) or not self.alive:
                return condition()
        return False

    def lines(self) -> list[str]:
        """Return what is on the screen."""
        if self._unread:
            self._stream.feed(bytes(self._unread))
            self._unread.clear()
        return [line.rstrip() for line in self._screen.display]

    def text(self) -> str:
        """Return what is on the screen as one text."""
        return "\n".join(self.lines())

    @property
    def alive(self) -> bool:
        """Say whether the program is still there."""
        until = time.monotonic() + 1.0
        while self._process.isalive():
            # Its terminal closes a moment before it is gone.
            if not self._ended or time.monotonic() > until:
                return True
            time.sleep(0.005)
        return False

    def kill(self) -> None:
        """Kill the program, and it alone, as `kill -9` does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.end()

    def end(self, seconds: float = 5.0) -> int:
        """Wait for the program's end, kill it when it takes too long; return its status or -signal."""
        until = time.monotonic() + seconds
        while self.alive:
            if not self.pump(0.02):
                time.sleep(0.005)
            if time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
        self.pump(0)
        self._process.fileobj.close()
        by = self._process.signalstatus
        return -int(by) if by else int(self._process.exitstatus)
