"""The question at the first start with a model that costs money: what one run may cost at most."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from tui_agent.submissions import SetCostLimit
from tui_agent.text import inert_line
from tui_agent.ui.line import Line
from tui_agent.ui.line_input import LineInput
from tui_agent.ui.text_lines import StyledLine, TextLines

if TYPE_CHECKING:
    from tui_agent.session import SessionHandle
    from tui_agent.ui.session_app import SessionApp

DEFAULT = 5.0
"""Dollars that hold while nothing else is said."""


class CostLimitDialog(ModalScreen[float]):
    """Asks for dollars; Esc takes the default."""

    AUTO_FOCUS = "#dialog-input"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "default", "the default", priority=True)]

    def compose(self) -> ComposeResult:
        """Lay out the question, the figure and the keys."""
        with Vertical(id="dialog", classes="small") as dialog:
            dialog.border_title = "What may one run cost?"
            yield TextLines(id="dialog-text")
            yield LineInput(f"{DEFAULT:g}", id="dialog-input")
            foot = Line(id="dialog-foot")
            foot.content = Content.assemble(
                ("Enter", "bold"), " take it  ", ("Esc", "bold"), f" leave it at ${DEFAULT:g}"
            )
            yield foot

    def on_mount(self) -> None:
        """Fill in the question."""
        lines: list[StyledLine] = [
            ("Dollars that one prompt and all that follows from it", ""),
            ("may cost at most. It stops before a request that could", ""),
            ("go over. 0 is no limit. Later: /budget run cost 10, or", ""),
            ("max_cost in settings.toml.", ""),
        ]
        self.query_one(TextLines).set_lines(lines)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the figure, or say that it is none."""
        event.stop()
        dollars = parse_dollars(event.value)
        if dollars is not None:
            self.dismiss(dollars)
            return
        foot = self.query_one("#dialog-foot", Line)
        foot.content = Content.styled(
            inert_line(f"{event.value!r} is not an amount, such as 5 or 2.50"), "$text-error"
        )
        foot.refresh(layout=True)
        self.query_one(LineInput).select_all()  # what is typed now replaces what was refused

    def action_default(self) -> None:
        """Leave it as it is."""
        self.dismiss(DEFAULT)


def parse_dollars(text: str) -> float | None:
    """Return an amount of dollars from 0 on, None where the text is none."""
    try:
        dollars = float(text.strip().removeprefix("$").strip())
    except ValueError:
        return None
    return dollars if isfinite(dollars) and dollars >= 0 else None


async def ask_for_cost(app: SessionApp, handle: SessionHandle) -> None:
    """Ask what a run may cost, and keep the answer; later, while the user is writing something."""
    from tui_agent.session import SessionError

    if app.workbench.prompt.text:
        return
    dollars = await app.push_screen_wait(CostLimitDialog())
    try:
        await handle.do(SetCostLimit(dollars=dollars))
    except SessionError as error:
        app.report(error, "The limit holds for this session only")
