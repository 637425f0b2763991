"""The session browser: find, open or begin a session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from tui_agent.text import inert_line
from tui_agent.ui.line import Line

if TYPE_CHECKING:
    from tui_agent.session import SessionSummary


@dataclass(frozen=True, slots=True)
class Choice:
    """What the person chose: a session to open, or a new one (`session` empty)."""

    kind: Literal["open", "new"]
    session: str = ""


class SessionBrowser(ModalScreen[Choice | None]):
    """Lists the sessions, newest first; typing filters."""

    AUTO_FOCUS = "#browser-filter"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f2", "dismiss", "back"),
        Binding("down", "move(1)", "next", show=False),
        Binding("up", "move(-1)", "previous", show=False),
        Binding("pagedown", "move(10)", "page down", show=False),
        Binding("pageup", "move(-10)", "page up", show=False),
        Binding("ctrl+n", "new", "new session"),
    ]

    def __init__(
        self, read: Callable[[], Awaitable[Sequence[SessionSummary]]], current: str = "", now: float = 0.0
    ) -> None:
        super().__init__()
        self._read = read
        self._current = current
        self._now = now
        self._sessions: Sequence[SessionSummary] = ()

    def compose(self) -> ComposeResult:
        """Lay out filter, list and keys."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Sessions"
            yield Input(placeholder="filter by title, folder or id", id="browser-filter")
            yield OptionList(id="browser-list", markup=False)
            foot = Line(id="dialog-foot")
            foot.content = Content.assemble(
                ("Enter", "bold"), " open  ", ("^N", "bold"), " new session  ", ("Esc", "bold"), " back"
            )
            yield foot

    def on_mount(self) -> None:
        """Read the sessions off the loop."""
        self.query_one(OptionList).can_focus = False
        self.run_worker(self._load(), exit_on_error=False)

    async def _load(self) -> None:
        self._sessions = await self._read()
        self._fill("")

    def _fill(self, words: str) -> None:
        wanted = words.casefold().split()
        listing = self.query_one(OptionList)
        listing.clear_options()
        for session in self._sessions:
            haystack = f"{session.title} {session.workspace} {session.id}".casefold()
            if all(word in haystack for word in wanted):
                listing.add_option(Option(self._row(session), id=session.id))
        if listing.option_count:
            listing.highlighted = 0
        else:
            text = "No session fits the filter." if self._sessions else "There are no sessions yet."
            listing.add_option(Option(Content.styled(text, "$foreground-muted"), disabled=True))

    def _row(self, session: SessionSummary) -> Content:
        mark = "● " if session.id == self._current else "  "
        when = ago(self._now - session.updated) if self._now else ""
        cost = f"${session.cost:.2f}" if session.cost else "-"
        plural = "" if session.prompts == 1 else "s"
        facts = f"{when} · {session.prompts} prompt{plural} · {cost} · {session.state}"
        return Content.assemble(
            (mark, "bold"),
            (inert_line(session.title) or "(no title)", "bold"),
            "\n  ",
            (f"{facts} · {inert_line(session.workspace)}", "$foreground-muted"),
        )

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter."""
        event.stop()
        self._fill(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Open the highlighted session."""
        event.stop()
        listing = self.query_one(OptionList)
        if listing.highlighted is not None:
            option = listing.get_option_at_index(listing.highlighted)
            if option.id:
                self.dismiss(Choice("open", option.id))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Open the session that was clicked."""
        event.stop()
        if event.option.id:
            self.dismiss(Choice("open", event.option.id))

    def action_move(self, by: int) -> None:
        """Move the highlight; the filter keeps the focus."""
        listing = self.query_one(OptionList)
        if listing.option_count:
            at = (listing.highlighted or 0) + by
            listing.highlighted = max(0, min(listing.option_count - 1, at))

    def action_new(self) -> None:
        """Begin a new session."""
        self.dismiss(Choice("new"))


def ago(seconds: float) -> str:
    """Return how long ago something was, in words."""
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return "just now"
