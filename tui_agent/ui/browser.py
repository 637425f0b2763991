"""The session browser: find, open, begin or delete a session."""

from __future__ import annotations

import asyncio
import re
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

from tui_agent.text import inert, inert_line
from tui_agent.ui.dialogs import ConfirmDialog
from tui_agent.ui.line import Line
from tui_agent.ui.line_input import LineInput

if TYPE_CHECKING:
    from tui_agent.session import SearchHit, SessionSummary
    from tui_agent.ui.text_lines import StyledLine

SEARCH_SECONDS = 0.15
"""How long typing must rest before prompts and answers are searched."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user chose: a session to open, or a new one (`session` empty)."""

    kind: Literal["open", "new"]
    session: str = ""


class SessionBrowser(ModalScreen[Choice | None]):
    """Lists the sessions, newest first; typing searches; one can be deleted."""

    AUTO_FOCUS = "#browser-filter"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f2", "dismiss", "back"),
        Binding("down", "move(1)", "next", show=False),
        Binding("up", "move(-1)", "previous", show=False),
        Binding("pagedown", "move(10)", "page down", show=False),
        Binding("pageup", "move(-10)", "page up", show=False),
        Binding("ctrl+n", "new", "new session"),
        Binding("f9", "delete", "delete the session"),
    ]

    def __init__(
        self,
        read: Callable[[], Awaitable[Sequence[SessionSummary]]],
        search: Callable[[str], Awaitable[Sequence[SearchHit]]],
        delete: Callable[[str], Awaitable[None]],
        current: str = "",
        now: float = 0.0,
    ) -> None:
        super().__init__()
        self._read = read
        self._search = search
        self._delete = delete
        self._current = current
        self._now = now
        self._sessions: Sequence[SessionSummary] = ()
        self._loaded = False
        self._searching = False

    def compose(self) -> ComposeResult:
        """Lay out filter, list and keys."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Sessions"
            yield LineInput(placeholder="search titles, folders, prompts and answers", id="browser-filter")
            yield OptionList(id="browser-list", markup=False)
            foot = Line(id="dialog-foot")
            foot.content = Content.assemble(
                ("Enter", "bold"),
                " open  ",
                ("^N", "bold"),
                " new session  ",
                ("F9", "bold"),
                " delete  ",
                ("Esc", "bold"),
                " back",
            )
            yield foot

    def on_mount(self) -> None:
        """Read the sessions off the loop."""
        self.query_one(OptionList).can_focus = False
        self.run_worker(self._load(), exit_on_error=False)

    async def _load(self) -> None:
        try:
            self._sessions = await self._read()
        except Exception as error:  # a list that cannot be read must not look like an empty one
            self._loaded = True
            self._show_text(inert_line(f"The sessions cannot be listed: {error}"))
            return
        self._loaded = True
        self._fill(self.query_one(Input).value)

    @property
    def keys_wait(self) -> bool:
        """Whether what is listed is still to change: keys that choose from it wait."""
        return not self._loaded or self._searching

    def _show_text(self, text: str) -> None:
        listing = self.query_one(OptionList)
        listing.clear_options()
        listing.add_option(Option(Content.styled(text, "$foreground-muted"), disabled=True))

    def _fill(self, words: str, hits: Sequence[SearchHit] = ()) -> None:
        wanted = words.casefold().split()
        listing = self.query_one(OptionList)
        chosen = self._highlighted()
        listing.clear_options()
        found = {hit.session: hit for hit in reversed(hits)}
        fitting: list[tuple[int, SessionSummary]] = []
        for session in self._sessions:
            haystack = f"{session.title} {session.workspace} {session.id}".casefold()
            if session.id in found or all(word in haystack for word in wanted):
                hit = found.get(session.id)
                fitting.append((_fit(wanted, f"{haystack} {hit.snippet.casefold() if hit else ''}"), session))
        for _, session in sorted(fitting, key=lambda pair: pair[0]):  # of the same fit, the last used first
            listing.add_option(Option(self._row(session, found.get(session.id)), id=session.id))
        if listing.option_count:
            kept = [n for n, option in enumerate(listing.options) if option.id == chosen]
            listing.highlighted = kept[0] if kept else 0
        else:
            self._show_text("No match" if self._sessions else "There are no sessions yet.")

    def _row(self, session: SessionSummary, hit: SearchHit | None) -> Content:
        mark = "● " if session.id == self._current else "  "
        if session.problem:
            return Content.assemble(
                (f"{mark}{session.id}", "bold"), "\n  ", (inert_line(session.problem), "$text-warning")
            )
        when = ago(self._now - session.updated) if self._now else ""
        cost = f"${session.cost:.2f}{' simulated' if session.offline else ''}" if session.cost else "-"
        plural = "" if session.prompts == 1 else "s"
        facts = f"{when} · {session.prompts} prompt{plural} · {cost} · {session.state_words}"
        row = Content.assemble(
            (mark, "bold"),
            (inert_line(session.title) or "(no title)", "bold"),
            "\n  ",
            (f"{facts} · {inert_line(session.workspace)}", "$foreground-muted"),
        )
        if hit is None:
            return row
        snippet = inert_line(" ".join(hit.snippet.split()))
        return Content.assemble(row, "\n  ", (f"{hit.kind}: {snippet}", "$foreground"))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter by what is known at once, then by what the prompts and answers say."""
        event.stop()
        self._searching = bool(event.value.strip())
        if self._loaded:
            self._fill(event.value)
        self.run_worker(self._look(event.value), group="look", exclusive=True, exit_on_error=False)

    async def _look(self, words: str) -> None:
        await asyncio.sleep(SEARCH_SECONDS)
        try:
            hits = await self._search(words) if words.strip() else ()
        except Exception as error:  # the filter still works; that the search does not must be said
            self.notify(inert(f"The search failed: {error}"), severity="error", markup=False)
            self._searching = False
            return
        self._searching = False
        if hits and self._loaded:
            self._fill(words, hits)

    def _highlighted(self) -> str:
        listing = self.query_one(OptionList)
        if listing.highlighted is None:
            return ""
        return listing.get_option_at_index(listing.highlighted).id or ""

    def action_delete(self) -> None:
        """Delete the highlighted session, when the user confirms it."""
        session = next((s for s in self._sessions if s.id == self._highlighted()), None)
        if session is None:
            return
        if session.id == self._current:
            self.notify("This is the session on the screen. Open another one, then delete it.", severity="warning")
            return
        lines = [
            (session.title or session.id, "title"),
            (session.workspace, "muted"),
            ("Its conversation and its journal are removed for good. The files in its folder stay as they are.", ""),
        ]
        self.run_worker(self._ask_and_delete(session.id, lines), exit_on_error=False)

    async def _ask_and_delete(self, session: str, lines: list[StyledLine]) -> None:
        if not await self.app.push_screen_wait(ConfirmDialog("Delete this session?", lines, "delete")):
            return
        try:
            await self._delete(session)
        except Exception as error:
            self.notify(inert(f"Not deleted: {error}"), severity="error", markup=False)
            return
        await self._load()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Open the highlighted session."""
        event.stop()
        if session := self._highlighted():
            self.dismiss(Choice("open", session))

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


def _fit(words: Sequence[str], text: str) -> int:
    """Return how well a text fits: 0 where all words are whole words of it, 1 where they begin words, 2 otherwise."""
    if all(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) for word in words):
        return 0
    return 1 if all(re.search(rf"(?<!\w){re.escape(word)}", text) for word in words) else 2
