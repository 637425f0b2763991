"""The terminal before and while the app has it: not one key typed early is lost.

A terminal starts in line mode: it echoes, and turns Enter into a newline that the app could not tell from
Ctrl+J. So it is switched as the very first thing, before Textual is imported, and what had been typed until
then is handed to the app as if it had just come.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import sys
import termios
from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.driver import Driver
    from textual.message import Message

_MAX_EARLY = 1 << 20
"""Bytes of early typing that are kept; a pasted file is far below it."""
_KEEP_TITLE, _GIVE_TITLE_BACK = "\x1b[22;2t", "\x1b[23;2t"
"""XTWINOPS: push the window's title on a stack, and pop it; terminals without a stack take no notice."""
_READ_BYTES = 1 << 16
"""Bytes of one read: more than a terminal's buffer holds, so that what came together is read together."""


class EarlyInput:
    """Switches the terminal on standard input to raw mode and keeps what was typed before that."""

    def __init__(self) -> None:
        self.saved: list[Any] | None = None
        """The terminal's attributes from before, None when it was not switched."""
        self.typed = b""
        self.closed = False
        """Whether the terminal was closed while the app had it: nothing can be written to it any more."""

    def begin(self) -> None:
        """Switch. Does nothing where standard input is no terminal."""
        descriptor = sys.__stdin__.fileno() if sys.__stdin__ else -1
        if descriptor < 0 or not os.isatty(descriptor):
            return
        try:
            attributes = termios.tcgetattr(descriptor)
        except termios.error:
            return
        self.saved = [*attributes[:6], list(attributes[6])]
        was_lines = bool(attributes[3] & termios.ICANON)
        attributes[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON | termios.IXOFF)
        # ISIG stays: until the app reads keys, Ctrl+C must still end the program.
        attributes[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
        attributes[6][termios.VMIN] = 1
        attributes[6][termios.VTIME] = 0
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
        if was_lines:
            while len(self.typed) < _MAX_EARLY and select.select([descriptor], [], [], 0)[0]:
                try:
                    chunk = os.read(descriptor, 4096)
                except OSError:  # closed already: the driver will find that out, and say so
                    break
                if not chunk:
                    break
                self.typed += chunk
            # In line mode the terminal had turned Enter into a newline.
            self.typed = self.typed.replace(b"\n", b"\r")

    def end(self) -> None:
        """Put the terminal back as it was before `begin`. One that is closed stays closed."""
        if self.saved is not None and sys.__stdin__:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(sys.__stdin__.fileno(), termios.TCSADRAIN, self.saved)
            self.saved = None


def has_job_control() -> bool:
    """Say whether a shell watches this process group, which can bring it back after it was stopped."""
    return os.getpgrp() != os.getsid(0) and os.getppid() > 1


def driver_class(early: EarlyInput) -> type[Driver]:
    """Return Textual's driver for this terminal, with an input thread that no input and no end of it can break."""
    from textual import constants
    from textual.drivers import linux_driver
    from textual.drivers._writer_thread import WriterThread

    from tui_agent.ui.input_parser import InputParser

    class PatientWriter(WriterThread):
        """Writes to the terminal; once that is closed, takes what is written all the same, so that nobody waits."""

        def run(self) -> None:
            open_, text = True, self._queue.get()
            while text is not None:
                if open_:
                    try:
                        self._file.write(text)
                        if not self._queue.qsize():
                            self._file.flush()
                    except (OSError, ValueError):
                        open_ = False
                text = self._queue.get()
            if open_:
                with contextlib.suppress(OSError, ValueError):
                    self._file.flush()

    # Textual reads these when the terminal is switched, and has no other way to be given others. Of the kitty
    # keyboard protocol only what tells ambiguous keys apart is wanted: with all keys as escape codes, a terminal that
    # does not send their text along sends no text at all.
    vars(linux_driver).update(WriterThread=PatientWriter, KITTY_REPORT_ALL_KEYS=0, KITTY_REPORT_ASSOCIATED_TEXT=0)

    class EarlyDriver(linux_driver.LinuxDriver):
        """Delivers what was typed before the app, then reads on. Leaves the app when its terminal is closed."""

        _wake: tuple[int, int] | None = None

        def start_application_mode(self) -> None:
            if self._wake is None:
                self._wake = os.pipe()
            super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual left it untyped
            self.write(_KEEP_TITLE)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGHUP, signal.SIGTERM):
                loop.add_signal_handler(number, self.leave, number)
            if early.saved is not None:
                # What the shell gets back, on leaving and on Ctrl+Z, is the mode from before `begin`.
                self.attrs_before = early.saved

        def leave(self, number: int) -> None:
            """Have the app close its session and end, as the signal `number` wants. For the loop's thread."""
            early.closed = early.closed or not os.isatty(self.fileno)
            self._app.call_later(self._app.run_action, f"leave({128 + number})")

        def write(self, data: str) -> None:
            """Write to the terminal; once it is closed, nobody takes anything."""
            if not early.closed:
                super().write(data)

        def disable_input(self) -> None:
            if self._wake is not None:
                os.write(self._wake[1], b"\0")
            super().disable_input()

        def close(self) -> None:
            super().close()
            if self._wake is not None:
                for descriptor in self._wake:
                    os.close(descriptor)
                self._wake = None

        def _sigcont_application(self, *_: object) -> None:
            # After SIGSTOP, which cannot be caught, the terminal was not given back, and is not to be taken again.
            if self._must_signal_resume:
                super()._sigcont_application()
            else:
                self._app.call_later(self._app.app_resume_signal.publish, self._app)

        def stop_application_mode(self) -> None:
            self.write(_GIVE_TITLE_BACK)
            super().stop_application_mode()

        def _query_in_band_window_resize(self) -> None:
            """Ask for no reports of the size in the input: the kernel tells it, and cannot be forged by a reply."""

        def run_input_thread(self) -> None:
            """Read until the app stops reading, or the terminal is closed; that counts as a hang-up."""
            assert self._wake is not None
            wake = self._wake[0]
            parser = InputParser(constants.ESCAPE_DELAY)
            typed, early.typed = early.typed, b""
            self._deliver(parser.feed(typed, monotonic(), early=True))
            # What is there already was typed, or pasted without brackets, before the terminal was switched.
            first = bool(select.select([self.fileno], [], [], 0)[0])
            while True:
                try:
                    ready, _, _ = select.select([self.fileno, wake], [], [], parser.wait(monotonic()))
                    if wake in ready:
                        os.read(wake, 1)
                        break
                    data = os.read(self.fileno, _READ_BYTES) if ready else None
                except OSError:  # the terminal is gone, a moment before the signal says so
                    data = b""
                if data == b"":
                    self._hung_up()
                    break
                now = monotonic()
                self._deliver(parser.feed(data, now, early=first) if data else parser.tick(now))
                first = False
            self._deliver(parser.end())

        def _deliver(self, messages: Iterable[Message]) -> None:
            for message in messages:
                self.process_message(message)

        def _hung_up(self) -> None:
            early.closed = True
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the app
                self._loop.call_soon_threadsafe(self.leave, signal.SIGHUP)

    return EarlyDriver
