"""A small list to pick a value from: the model, the mode, the theme."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui_agent.text import inert_line
from tui_agent.ui.line import Line


class Picker(ModalScreen["str | None"]):
    """Lists values, each with what it means. Its result is the picked value, None for none or the present one.

    The highlight begins on the present value, so that an Enter too many changes nothing. Of a picker that `decides`
    something about permissions, a key that came at once with others picks nothing.
    """

    AUTO_FOCUS = "#picker-list"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "dismiss", "back")]

    def __init__(self, title: str, present: str, values: Sequence[tuple[str, str]], *, decides: bool = False) -> None:
        super().__init__()
        self.DECIDES = decides
        self._picker_title = title
        self._present = present
        known = any(value == present for value, _ in values)
        self._values = list(values) if known else [(present, ""), *values]

    def compose(self) -> ComposeResult:
        """Lay out the list and the keys."""
        with Vertical(id="dialog", classes="picker") as dialog:
            dialog.border_title = self._picker_title
            yield OptionList(*(Option(self._row(*row)) for row in self._values), id="picker-list", markup=False)
            foot = Line(id="dialog-foot")
            foot.content = Content.assemble(
                ("↑↓", "bold"), " move  ", ("Enter", "bold"), " choose  ", ("Esc", "bold"), " back"
            )
            yield foot

    def on_mount(self) -> None:
        """Begin on the present value."""
        listing = self.query_one(OptionList)
        listing.highlighted = next(n for n, (value, _) in enumerate(self._values) if value == self._present)

    def _row(self, value: str, meaning: str) -> Content:
        mark = "●" if value == self._present else " "
        longest = max(len(inert_line(name)) for name, _ in self._values)
        return Content.assemble(
            f"{mark} ", (inert_line(value).ljust(longest), "bold"), ("  " + inert_line(meaning), "$foreground-muted")
        )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Pick the value under the cursor."""
        event.stop()
        value = self._values[event.option_index][0]
        self.dismiss(None if value == self._present else value)
