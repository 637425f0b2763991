"""A program in a pseudo-terminal whose output is kept with the moment it came, and a place for it to live in."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import ptyprocess
import pyte

COLUMNS, ROWS = 120, 40
PROJECT = Path(__file__).parents[2]
APP = [sys.executable, "-m", "tui_agent"]
BARE = [sys.executable, str(Path(__file__).with_name("bare.py"))]
PATIENCE = 90.0
"""Seconds after which something that does not come is given up."""

RAW_MODE = b"\x1b[?25l"
"""Textual hides the cursor as soon as the terminal echoes no more: what comes after it, the program wrote."""


class NothingCame(Exception):
    """The program did not show what was waited for; the message has its screen."""


class Program:
    """A program in a terminal of 120 × 40. Times are seconds since it was started."""

    def __init__(self, command: Sequence[str], place: Place) -> None:
        self.started = time.perf_counter()
        self._process = ptyprocess.PtyProcess.spawn(
            list(command), cwd=str(place.workspace), env=place.environment, dimensions=(ROWS, COLUMNS)
        )
        self.pid = int(self._process.pid)
        self.chunks: list[tuple[float, bytes]] = []
        self._fed = 0
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def now(self) -> float:
        return time.perf_counter() - self.started

    @property
    def received(self) -> int:
        """Bytes that the program has written by now."""
        return sum(len(data) for _, data in self.chunks)

    def press(self, keys: str) -> None:
        os.write(self._process.fd, keys.encode())

    def read(self, seconds: float) -> bytes:
        """Return the next output, or nothing after that many seconds."""
        ready, _, _ = select.select([self._process.fd], [], [], max(0.0, seconds))
        if not ready:
            return b""
        with contextlib.suppress(OSError):
            data = os.read(self._process.fd, 1 << 20)
            self.chunks.append((self.now, data))
            return data
        raise NothingCame(f"The program ended. Its screen:\n{self.text()}")

    def rest(self, seconds: float) -> None:
        """Read all that comes in that time."""
        until = self.now + seconds
        while (left := until - self.now) > 0:
            self.read(left)

    def wait_for(self, shown: Callable[[str], bool], seconds: float = PATIENCE) -> float:
        """Read until a screen fulfils `shown`; return the moment at which what it shows had come.

        The screen is drawn from the recorded output, so that drawing it here costs the moment nothing but
        the CPU it takes.
        """
        until = self.now + seconds
        while True:
            while self._fed < len(self.chunks):
                moment, data = self.chunks[self._fed]
                self._fed += 1
                self._stream.feed(data)
                if shown("\n".join(self._screen.display)):
                    return moment
            if self.now > until:
                raise NothingCame(f"It did not show in {seconds:g} s. The screen:\n{self.text()}")
            self.read(0.1)

    def text(self) -> str:
        """Return the screen as it is by now."""
        for _, data in self.chunks[self._fed :]:
            self._stream.feed(data)
        self._fed = len(self.chunks)
        return "\n".join(self._screen.display)

    def quit(self, seconds: float = 5.0) -> None:
        """Leave the app as a user does, and wait until it has ended."""
        self.press("\x11")
        until = self.now + seconds
        with contextlib.suppress(NothingCame):
            while self.now < until:
                self.read(until - self.now)

    def kill(self) -> None:
        """End the program, and it alone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            while os.read(self._process.fd, 1 << 20):
                pass
        self._process.wait()
        self._process.fileobj.close()


class Place:
    """Folders and variables for programs under test, and the model's server beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = folder / "workspace"
        self.data = folder / "data"
        (folder / "home").mkdir(parents=True)
        (folder / "config").mkdir()
        # Answers the question of the first start, which would cover the screen.
        (folder / "config" / "settings.toml").write_text("max_cost = 0\n")
        self.workspace.mkdir()
        (self.workspace / "a.txt").write_text("".join(f"line {n} of a file to read\n" for n in range(40)))
        self.environment = {
            "HOME": str(folder / "home"),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PROJECT),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "TUI_AGENT_CONFIG_DIR": str(folder / "config"),
            "TUI_AGENT_DATA_DIR": str(self.data),
            "ANTHROPIC_API_KEY": "benchmark",
        }

    @contextlib.contextmanager
    def server(self, *arguments: str) -> Iterator[str]:
        """Serve the offline model as a process of its own; programs started meanwhile use it."""
        command = [sys.executable, "-m", "tui_agent.models.offline", *arguments]
        process = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            self.environment["ANTHROPIC_BASE_URL"] = url
            yield url
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    @contextlib.contextmanager
    def run(self, command: Sequence[str]) -> Iterator[Program]:
        """Run a program here, and kill it in the end."""
        program = Program(command, self)
        try:
            yield program
        finally:
            program.kill()

    def newest_session(self) -> Path:
        """Return the file of the session that was made last."""
        return max((self.data / "sessions").glob("*/session.db"), key=lambda path: path.stat().st_mtime)
