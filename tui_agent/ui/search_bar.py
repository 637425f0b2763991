"""The line in which a user looks for text in the conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from tui_agent.ui.line_input import LineInput

if TYPE_CHECKING:
    from textual.widgets import Input

    from tui_agent.ui.conversation import ConversationView


class SearchBar(LineInput):
    """Asks what to look for. The view does the looking; after Enter its `n` and `N` go on, and `/` comes back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "search", "search; n and N then go on"),
        Binding("up", "find(-1)", "match above"),
        Binding("down,shift+enter", "find(1)", "match below", key_display="↓"),
        Binding("escape", "leave", "close the search"),
    ]

    class Closed(Message):
        """The user is done with the bar."""

    def __init__(self, view: ConversationView) -> None:
        super().__init__(id="search-bar", placeholder="find in the conversation", compact=True)
        self._view = view

    def on_mount(self) -> None:
        """Begin with what was looked for last."""
        self.value = self._view.needle

    def on_input_changed(self, event: Input.Changed) -> None:
        """Mark what is on screen; Enter then goes through the rest."""
        event.stop()
        self._view.mark(event.value)

    def action_search(self) -> None:
        """Go to the next match above, and leave the keys to the view."""
        if self.value:
            self._view.find(-1)
            self._view.focus(scroll_visible=False)

    def action_find(self, step: int) -> None:
        """Go to the next match above or below."""
        self._view.find(step)

    def action_leave(self) -> None:
        """Close the bar; the view keeps its place."""
        self.post_message(self.Closed())
