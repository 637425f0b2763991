"""Fields to write in, in which any character can be typed, and whose pastes cannot act on the terminal."""

from __future__ import annotations

from rich.text import Text
from textual.events import Key, Paste
from textual.widgets import Input, TextArea

from tui_agent.text import inert_line, inert_same_length
from tui_agent.ui.keys import typed_text


class LineInput(Input):
    """An input that takes every character, and a paste whole and inert.

    Textual's own takes only what Python calls printable, drops all but the first line of a paste, and keeps escapes.
    """

    @property
    def _value(self) -> Text:
        shown = super()._value
        shown.plain = inert_same_length(shown.plain)
        return shown

    async def _on_key(self, event: Key) -> None:
        if not (text := typed_text(event)):
            await super()._on_key(event)
            return
        self._restart_blink()
        event.stop()
        event.prevent_default()
        self._insert(text)

    def _on_paste(self, event: Paste) -> None:
        event.prevent_default()
        event.stop()
        self._insert(inert_line(event.text.rstrip("\r\n")))

    def _insert(self, text: str) -> None:
        start, end = self.selection
        self.replace(text, min(start, end), max(start, end))


class Editor(TextArea):
    """A text area that takes every character, also those that Python does not call printable.

    What a terminal must not get is kept, and shown as something else.
    """

    def get_line(self, line_index: int) -> Text:
        return Text(inert_same_length(self.document.get_line(line_index)), end="", no_wrap=True)

    async def _on_key(self, event: Key) -> None:
        text = typed_text(event)
        if not text or event.is_printable or self.read_only:
            await super()._on_key(event)
            return
        self._restart_blink()
        event.stop()
        event.prevent_default()
        self._replace_via_keyboard(text, *self.selection)
