"""The terminal before and while the app has it: not one key typed early is lost.

A terminal starts in line mode: it echoes, and turns Enter into a newline that the app could not tell from
Ctrl+J. So it is switched as the very first thing, before Textual is imported, and what had been typed until
then is handed to the app as if it had just come.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import termios
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.driver import Driver

_MAX_EARLY = 1 << 20
"""Bytes of early typing that are kept; a pasted file is far below it."""


class EarlyInput:
    """Switches the terminal on standard input to raw mode and keeps what was typed before that."""

    def __init__(self) -> None:
        self.saved: list[Any] | None = None
        """The terminal's attributes from before, None when it was not switched."""
        self.typed = b""

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
                chunk = os.read(descriptor, 4096)
                if not chunk:
                    break
                self.typed += chunk
            # In line mode the terminal had turned Enter into a newline.
            self.typed = self.typed.replace(b"\n", b"\r")

    def end(self) -> None:
        """Put the terminal back as it was before `begin`."""
        if self.saved is not None and sys.__stdin__:
            termios.tcsetattr(sys.__stdin__.fileno(), termios.TCSADRAIN, self.saved)
            self.saved = None


def driver_class(early: EarlyInput) -> type[Driver]:
    """Return Textual's driver for this terminal, which first delivers what `early` kept."""
    from textual.drivers import linux_driver

    from tui_agent.ui.paste_parser import PasteParser

    class EarlyDriver(linux_driver.LinuxDriver):
        """Delivers what was typed before the app, then reads on. Leaves the app when its terminal is closed."""

        closed = False

        def start_application_mode(self) -> None:
            super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual left it untyped
            loop = asyncio.get_running_loop()
            for number in (signal.SIGHUP, signal.SIGTERM):
                loop.add_signal_handler(number, self.leave, number)
            if early.saved is not None:
                # What the shell gets back, on leaving and on Ctrl+Z, is the mode from before `begin`.
                self.attrs_before = early.saved

        def leave(self, number: int) -> None:
            """Have the app close its session and end, as the signal `number` wants."""
            self.closed = not os.isatty(self.fileno)
            self._app.call_later(self._app.run_action, f"leave({128 + number})")

        def write(self, data: str) -> None:
            """Write to the terminal; once it is closed, nobody takes anything, and waiting for that would hang."""
            if not self.closed:
                super().write(data)

        def run_input_thread(self) -> None:
            typed, early.typed = early.typed, b""
            if typed:
                parser = PasteParser()
                for chunk in (typed.decode("utf-8", errors="replace"), ""):
                    for message in parser.feed(chunk):
                        self.process_message(message)
            # Textual has no other way to be given a parser.
            linux_driver.XTermParser = PasteParser  # type: ignore[attr-defined]
            try:
                super().run_input_thread()
            except OSError:  # the terminal is gone, a moment before the signal says so
                self.leave(signal.SIGHUP)

    return EarlyDriver
