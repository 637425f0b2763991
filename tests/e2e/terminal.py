"""A real terminal for tests: a pty with a process in it, and what its screen shows."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import ptyprocess
import pyte

from tests.waiting import MAX_WAIT_SECONDS


class Terminal:
    """Starts `tui-agent` in a pty and reads its screen."""

    def __init__(
        self, workspace: Path, *arguments: str, columns: int = 110, rows: int = 34, program: list[str] | None = None
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._text: str | None = None
        self.written = b""
        self.process = ptyprocess.PtyProcess.spawn(
            program or [sys.executable, "-m", "tui_agent", "--offline", *arguments],
            cwd=str(workspace),
            env=dict(os.environ),
            dimensions=(rows, columns),
        )

    @property
    def text(self) -> str:
        """What the screen shows."""
        if self._text is None:
            self._text = "\n".join(self.screen.display)
        return self._text

    def read(self, seconds: float = 0.02) -> None:
        """Take in what the process has written."""
        while select.select([self.process.fd], [], [], seconds)[0]:
            try:
                data = os.read(self.process.fd, 65536)
            except OSError:
                return
            self.written += data
            self.paint(data)
            seconds = 0

    def paint(self, data: bytes) -> None:
        """Write on the screen what another program wrote there."""
        self._stream.feed(data)
        self._text = None

    def type(self, text: str) -> None:
        """Type, as fast as a terminal can."""
        os.write(self.process.fd, text.encode())

    def until(self, shown: str | Callable[[], object]) -> None:
        """Wait until a text is shown, or something is so."""
        end = time.monotonic() + MAX_WAIT_SECONDS
        while time.monotonic() < end:
            self.read()
            if (shown in self.text) if isinstance(shown, str) else shown():
                return
        raise AssertionError(f"never shown: {shown!r}; the screen:\n{self.text}")

    def kill(self) -> None:
        """`kill -9`, as a crash would."""
        self.process.kill(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """End the process, whatever state it is in."""
        if self.process.isalive():
            self.process.terminate(force=True)
        self.process.close()
