"""Screens over the main one: a request in full size, and the help."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from tui_agent.ui.line import Line
from tui_agent.ui.prompt import GUARD_SECONDS
from tui_agent.ui.text_lines import StyledLine, TextLines

if TYPE_CHECKING:
    from tui_agent.ui.commands import ScreenCommand


class TextDialog(ModalScreen[bool]):
    """Shows lines in full size, only for reading. Its result says whether the end was in view."""

    AUTO_FOCUS = "#dialog-text"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,d,ctrl+e,f1", "leave", "back"),
        Binding("down,j", "scroll(1)", "down", show=False),
        Binding("up,k", "scroll(-1)", "up", show=False),
        Binding("pagedown,space", "page(1)", "page down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("home,g", "edge(True)", "top", show=False),
        Binding("end,G", "edge(False)", "bottom", show=False),
    ]

    def __init__(self, title: str, lines: Iterable[StyledLine], foot: Content) -> None:
        super().__init__()
        self._dialog_title = title
        self._lines = list(lines)
        self._foot = foot

    def compose(self) -> ComposeResult:
        """Lay out the text and a line that says how to leave."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = self._dialog_title
            yield TextLines(id="dialog-text", can_focus=True)
            line = Line(id="dialog-foot")
            line.content = self._foot
            yield line

    def on_mount(self) -> None:
        """Fill in the text."""
        self.query_one(TextLines).set_lines(self._lines)

    def action_leave(self) -> None:
        """Go back, and say whether the last row was in view."""
        self.dismiss(self.query_one(TextLines).end_seen)

    def action_scroll(self, lines: int) -> None:
        """Scroll by lines."""
        self.query_one(TextLines).scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """Scroll by pages."""
        text = self.query_one(TextLines)
        text.scroll_relative(y=pages * max(1, text.size.height - 1), animate=False)

    def action_edge(self, top: bool) -> None:
        """Scroll to one end."""
        text = self.query_one(TextLines)
        text.scroll_to(y=0 if top else text.max_scroll_y, animate=False)


class ConfirmDialog(ModalScreen["bool | None"]):
    """Asks whether to do what cannot be undone. Its `y` does nothing in the first half second.

    Esc is the same answer as `n`. With `stay`, the name of a third answer, Esc gives that one, None, and `n`, which
    then does something too, waits like `y`.
    """

    DECIDES = True
    AUTO_FOCUS = "#dialog-text"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "confirm", "yes"),
        Binding("n", "refuse", "no"),
        Binding("escape", "leave", "back"),
        Binding("down,j", "scroll(1)", "down", show=False),
        Binding("up,k", "scroll(-1)", "up", show=False),
        Binding("pagedown,space", "scroll(10)", "page down", show=False),
        Binding("pageup", "scroll(-10)", "page up", show=False),
    ]

    def __init__(
        self,
        title: str,
        lines: Iterable[StyledLine],
        verb: str,
        other: str = "keep",
        *,
        stay: str = "",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__()
        self._dialog_title = title
        self._lines = list(lines)
        self._verb = verb
        self._other = other
        self._stay = stay
        self._clock = clock
        self._armed_from = 0.0

    def compose(self) -> ComposeResult:
        """Lay out the question and its two answers."""
        with Vertical(id="dialog", classes="small") as dialog:
            dialog.border_title = self._dialog_title
            yield TextLines(id="dialog-text", can_focus=True)
            line = Line(id="dialog-foot")
            answers = [("y", self._verb), ("n", self._other), *([("Esc", self._stay)] if self._stay else [])]
            line.content = Content("  ").join(Content.assemble((key, "bold"), f" {words}") for key, words in answers)
            yield line

    def on_mount(self) -> None:
        """Fill in the text; whoever was typing was not answering."""
        self.query_one(TextLines).set_lines(self._lines)
        self._armed_from = self._clock() + GUARD_SECONDS
        self.call_after_refresh(self._fit)

    def on_resize(self) -> None:
        """Be as high as the text needs at this width."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        text = self.query_one(TextLines)
        self.query_one("#dialog").styles.height = max(6, text.virtual_size.height + 3)

    def on_text_lines_rows_painted(self) -> None:
        """Say what is out of view: nobody agrees to what they cannot have seen."""
        below = self.query_one(TextLines).rows_below
        self.query_one("#dialog").border_subtitle = f"↓ {below} more rows" if below else ""

    def action_scroll(self, lines: int) -> None:
        """Scroll the text."""
        self.query_one(TextLines).scroll_relative(y=lines, animate=False)

    def action_confirm(self) -> None:
        """Take the yes, once the end of the text was in view."""
        if self._ready:
            self.dismiss(True)

    def action_refuse(self) -> None:
        """Take the no."""
        if not self._stay or self._ready:
            self.dismiss(False)

    def action_leave(self) -> None:
        """Take the answer that does nothing."""
        self.dismiss(None if self._stay else False)

    @property
    def _ready(self) -> bool:
        return self._clock() >= self._armed_from and self.query_one(TextLines).end_seen


def help_lines(
    commands: Iterable[ScreenCommand], sections: Iterable[tuple[str, Iterable[tuple[str, str]]]]
) -> Iterable[StyledLine]:
    """Return the help: for each place its keys and what they do, then the slash commands."""
    for title, keys in sections:
        yield title, "title"
        for key, description in keys:
            yield f"  {key:<18} {description}", ""
        yield "", ""
    yield "Copying", "title"
    yield (
        "  Text goes to the terminal, and to a clipboard program of this machine if there is one (as xclip).",
        "",
    )
    yield "  Some terminals refuse it; pasting shows whether yours took it.", ""
    yield "", ""
    yield "Commands", "title"
    for command in commands:
        name = f"/{command.name}" + (f" {command.argument}" if command.argument else "")
        yield f"  {name:<26} {command.description}", ""
