"""A line to write in, whose pastes cannot act on the terminal."""

from __future__ import annotations

from textual.events import Paste
from textual.widgets import Input

from tui_agent.text import inert_line


class LineInput(Input):
    """An input that takes a paste whole and inert: Textual's own drops all but the first line and keeps escapes."""

    def _on_paste(self, event: Paste) -> None:
        event.prevent_default()
        event.stop()
        start, end = self.selection
        self.replace(inert_line(event.text.rstrip("\r\n")), min(start, end), max(start, end))
