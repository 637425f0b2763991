"""Fields to write in, in which any character can be typed, and whose pastes cannot act on the terminal."""

from __future__ import annotations

from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Key, Paste
from textual.geometry import Offset
from textual.widget import Widget
from textual.widgets import Input, TextArea

from tui_agent.text import inert_line, inert_same_length
from tui_agent.ui.keys import typed_text

UNDO_KEYS = "ctrl+underscore,ctrl+shift+minus,ctrl+slash,super+z"
"""The keys that undo, in terminals with and without the kitty keyboard protocol."""


def _terminal_has_cursor(widget: Widget) -> bool:
    return bool(getattr(widget.app, "terminal_cursor", False))


class LineInput(Input):
    """An input that takes every character, and a paste whole and inert.

    Textual's own takes only what Python calls printable, drops all but the first line of a paste, and keeps escapes.
    """

    def on_mount(self) -> None:
        """Blink, if at all, as the terminal's own cursor does."""
        self.cursor_blink = False

    def get_component_rich_style(self, *names: str, partial: bool = False, default: Style | None = None) -> Style:
        style = super().get_component_rich_style(*names, partial=partial, default=default)
        return Style.null() if "input--cursor" in names and _terminal_has_cursor(self) else style

    @property
    def cursor_screen_offset(self) -> Offset:
        """The cell of the cursor on the screen; Textual's own is one too far at the end of the text."""
        region = self.content_region
        return Offset(region.x + self._position_to_cell(self.cursor_position) - self.scroll_offset.x, region.y)

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

    BINDINGS: ClassVar[list[BindingType]] = [
        # Ctrl+Z suspends the program. Ctrl+_ is undo in readline and Emacs; terminals send it for Ctrl+/ too.
        Binding(UNDO_KEYS, "undo", "undo", key_display="^_", show=False),
    ]

    def on_mount(self) -> None:
        """Blink, if at all, as the terminal's own cursor does."""
        self.cursor_blink = False

    @property
    def _draw_cursor(self) -> bool:
        return super()._draw_cursor and not _terminal_has_cursor(self)

    def get_line(self, line_index: int) -> Text:
        return Text(inert_same_length(self.document.get_line(line_index)), end="", no_wrap=True)

    async def _on_key(self, event: Key) -> None:
        if event.key in self._bindings.key_to_bindings:
            event.prevent_default()  # Textual's own would write Enter, whatever it is bound to
            return
        text = typed_text(event)
        if not text or event.is_printable or self.read_only:
            await super()._on_key(event)
            return
        self._restart_blink()
        event.stop()
        event.prevent_default()
        self._replace_via_keyboard(text, *self.selection)
