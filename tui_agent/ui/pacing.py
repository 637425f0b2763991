"""How often the screen follows what streams in."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from textual.timer import Timer
from textual.widget import Widget

FRAME = 0.05
"""Seconds between two repaints for changes that stream in, at least."""

SLOWEST_FRAME = 0.25
"""Seconds between two repaints for changes that stream in, at most."""

BUSY_SHARE = 4
"""How many times as long as a repaint took the next one waits: at most a fifth of a core."""


CHARACTERS_PER_SECOND = 15_000
"""Characters that frames for changes that stream in may write to the terminal: a slow line still follows them."""


class Pace:
    """Calls `paint` at once after a rest, and otherwise at most every 50 ms, or less often where a frame is dear.

    `written` says how many characters the terminal was sent by now.

    One pace for all panes: what one turn changes in several of them is then one frame of the terminal.
    """

    def __init__(self, widget: Widget, paint: Callable[[], None], written: Callable[[], int] = lambda: 0) -> None:
        self._widget = widget
        self._paint = paint
        self._written = written
        self._began = 0.0
        self._written_before = 0
        self._timer: Timer | None = None
        self._next = 0.0

    @property
    def waiting(self) -> bool:
        """Whether changes are there that were not painted yet."""
        return self._timer is not None

    def ask(self) -> None:
        """There is something new to paint."""
        if self._timer is not None:
            return
        sent = (self._written() - self._written_before) / CHARACTERS_PER_SECOND
        wait = max(self._next, self._began + min(sent, SLOWEST_FRAME)) - monotonic()
        if wait <= 0:
            self._frame()
        else:
            self._timer = self._widget.set_timer(wait, self._frame)

    def _frame(self) -> None:
        self._timer = None
        self._written_before = self._written()
        self._began = began = monotonic()
        self._paint()
        ended = monotonic()
        self._next = ended + min(max(FRAME, (ended - began) * BUSY_SHARE), SLOWEST_FRAME)
