"""The conversation: prompts, answers, steps and notices, drawn on demand."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Protocol

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import var

from tui_agent.ui.line_window import PAGE
from tui_agent.ui.paged_view import PagedView
from tui_agent.ui.render import code
from tui_agent.ui.render.lines import Line
from tui_agent.ui.render.palette import Palette

if TYPE_CHECKING:
    from tui_agent.session import Item
    from tui_agent.ui.render.items import Drawing


class Source(Protocol):
    """Where the items are paged from: a session, or a test."""

    @property
    def item_count(self) -> int:
        """How many items there are now."""
        ...

    async def items(self, start: int, stop: int) -> Mapping[int, Item]:
        """Return the items of [start, stop) by position."""
        ...


class ConversationView(PagedView["Item", "Drawing"]):
    """Shows the items of a session; `show` gives it one, `update` what changed in it."""

    ESTIMATE = 3

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "find(-1)", "Match above"),
        Binding("N", "find(1)", "Match below", key_display="N"),
        Binding("enter,space", "toggle_fold", "Fold"),
        Binding("z", "fold_all", "Fold all"),
        Binding("c", "copy_item", "Copy"),
        Binding("w", "why", "Why was this allowed?"),
        Binding("slash,ctrl+f", "search", "Search", key_display="/"),
        Binding("left_square_bracket", "prompt(-1)", "Previous prompt", key_display="["),
        Binding("right_square_bracket", "prompt(1)", "Next prompt", key_display="]"),
    ]

    class StepSelected(Message):
        """The cursor came to a step; `step` is its id."""

        def __init__(self, step: str) -> None:
            super().__init__()
            self.step = step

    class CopyRequested(Message):
        """The user wants `text` on the clipboard; it is as it came and not made inert."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class WhyWanted(Message):
        """The user wants to know why the step with this id was asked about, allowed or denied."""

        def __init__(self, step: str) -> None:
            super().__init__()
            self.step = step

    class SearchWanted(Message):
        """The user wants to look for text."""

    class Found(Message):
        """A search came to an end: at item `position` of `count`, or nowhere (None)."""

        def __init__(self, position: int | None, count: int) -> None:
            super().__init__()
            self.position = position
            self.count = count

    needle: var[str] = var("", init=False)
    """What is looked for and marked, as the user wrote it; empty for nothing."""

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._source: Source | None = None
        self._folds: dict[int, bool] = {}
        self._all_folded = False
        self._fresh = True

    def show(self, source: Source) -> None:
        """Show the items of a source from now on, from the end."""
        self._source = source
        self._folds.clear()
        self._all_folded = False
        # a new session fetches nothing, and its first answer should not wait for imports either
        self.run_worker(asyncio.to_thread(_import_renderers), group="warm", exit_on_error=False)
        self.reset(source.item_count)

    async def fetch(self, start: int, stop: int) -> Mapping[int, Item]:
        if self._source is None:
            return {}
        await asyncio.to_thread(_import_renderers)
        return await self._source.items(start, stop)

    def draw(self, position: int, item: Item, drawing: Drawing | None, palette: Palette, width: int) -> Drawing:
        from tui_agent.ui.render.items import Drawing

        if drawing is None:
            drawing = Drawing(palette, width - 1)  # the cursor's mark takes a column
        drawing.update(item, self.unfolded(position, item))
        return drawing

    def settle(self, pin: tuple[int, int, int] | None = None) -> None:
        super().settle(pin)
        for language in code.wanted():
            self.run_worker(self._load_language(language), group="languages", exit_on_error=False)

    async def _load_language(self, language: str) -> None:
        await asyncio.to_thread(code.load, language)
        for drawing in self._drawings.values():
            for line in drawing.lines:
                line.forget()
        self.settle()

    # folds

    def unfolded(self, position: int, item: Item) -> bool:
        """Return whether an item shows its inside: by the user's choice, else by its kind."""
        from tui_agent.ui.render.items import unfolded_by_itself

        chosen = self._folds.get(position)
        if chosen is not None:
            return chosen
        return not self._all_folded and unfolded_by_itself(item)

    def action_toggle_fold(self) -> None:
        """Fold or unfold the item under the cursor."""
        from tui_agent.ui.render.items import unfolded_by_itself, unfolds

        item = self.item(self.cursor)
        if item is None or not unfolds(item):
            return
        unfolded = not self.unfolded(self.cursor, item)
        if unfolded == (not self._all_folded and unfolded_by_itself(item)):
            self._folds.pop(self.cursor, None)
        else:
            self._folds[self.cursor] = unfolded
        shown = [(n, row) for n, row in enumerate(self._rows) if row.position == self.cursor]
        if self.follow or not shown:
            self.settle()
        else:
            number, row = shown[0]
            self.settle((number, row.position, 0 if number == 0 else row.line))
        self.post_message(self.ViewChanged())

    def action_fold_all(self) -> None:
        """Fold everything; again: back to how each item is by itself."""
        self._all_folded = not self._all_folded
        self._folds.clear()
        self.settle()
        self.post_message(self.ViewChanged())

    def on_click(self, event: events.Click) -> None:
        row = event.y - self.gutter.top
        if event.chain != 1 or not 0 <= row < len(self._rows) or self.text_selection is not None:
            return
        clicked = self._rows[row]
        lines = self.lines(clicked.position) or []
        head = next((n for n, line in enumerate(lines) if line.text.strip()), 0)
        marked = any("▸" in s.text or "▾" in s.text for s in lines[clicked.line].segments[:1]) if lines else False
        if clicked.line == head or marked:
            self.cursor = clicked.position
            self.action_toggle_fold()

    def watch_cursor(self) -> None:
        """Say which step the cursor is on."""
        super().watch_cursor()
        item = self.item(self.cursor)
        step = getattr(item, "step", "")
        if step:
            self.post_message(self.StepSelected(step))

    def action_copy_item(self) -> None:
        """Ask for the selected text, or else the item under the cursor, to be copied."""
        from tui_agent.ui.render.items import item_text

        selection = self.text_selection
        if selection is not None and (selected := self.get_selection(selection)):
            self.post_message(self.CopyRequested(selected[0]))
        elif (item := self.item(self.cursor)) is not None:
            self.post_message(self.CopyRequested(item_text(item)))

    def action_why(self) -> None:
        """Ask for the reasons of the decision on the step under the cursor."""
        if step := getattr(self.item(self.cursor), "step", ""):
            self.post_message(self.WhyWanted(step))

    # going to an item

    def action_prompt(self, step: int) -> None:
        """Go to the previous or next prompt."""
        from tui_agent.ui.render.items import is_prompt

        self.run_worker(
            self._go(self.cursor + step, step, is_prompt), group="search", exclusive=True, exit_on_error=False
        )

    async def go_to_subject(self, subject: str) -> bool:
        """Go to the step or answer with this id, searching from the end; return whether there is one."""

        def matches(item: Item) -> bool:
            return subject in {getattr(item, "step", ""), getattr(item, "turn", ""), getattr(item, "id", "")}

        return bool(subject) and await self._go(self.item_count - 1, -1, matches)

    async def _go(self, position: int, step: int, matches: Callable[[Item], bool]) -> bool:
        page: Mapping[int, Item] = {}
        while 0 <= position < self.item_count:
            item = self.item(position) or page.get(position)
            if item is None:
                start = position // PAGE * PAGE
                page = await self.fetch(start, min(start + PAGE, self.item_count))
                item = page.get(position)
            if item is not None and matches(item):
                self._items.setdefault(position, item)
                self.cursor = position
                self._arrive((0, position, 0), False)
                return True
            position += step
        return False

    # searching

    def action_search(self) -> None:
        """Ask what to look for."""
        self.post_message(self.SearchWanted())

    def action_find(self, step: int) -> None:
        """Go to the next match above (-1) or below (1)."""
        self.find(step)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "find":
            return bool(self.needle)
        return super().check_action(action, parameters)

    def mark(self, needle: str) -> None:
        """Mark this text from now on, where it is in view; empty ends it."""
        self._fresh = self._fresh or needle != self.needle
        self.needle = needle
        self.settle()
        self.refresh_bindings()

    def find(self, step: int) -> None:
        """Look for the marked text above or below, round the end; case does not matter. `Found` tells."""
        if self.needle:
            work = self._find(self.needle.casefold(), step)
            self.run_worker(work, group="search", exclusive=True, exit_on_error=False)

    async def _find(self, needle: str, step: int) -> None:
        from tui_agent.ui.render.items import item_text

        def matches(item: Item) -> bool:
            return needle in item_text(item).casefold()

        first = self.cursor if self._fresh else self.cursor + step
        self._fresh = False
        for start in (first, self.item_count - 1 if step < 0 else 0):
            if await self._go(start, step, matches):
                self._show_match(self.cursor, needle)
                self.post_message(self.Found(self.cursor, self.item_count))
                return
        self.post_message(self.Found(None, self.item_count))

    def _show_match(self, position: int, needle: str) -> None:
        """Bring the matching row into view, out of a fold if need be."""
        from tui_agent.ui.render.items import unfolds

        item = self.item(position)
        for unfold in (False, True):
            if unfold and item is not None and unfolds(item):
                self._folds[position] = True
            for number, line in enumerate(self.lines(position) or ()):
                if needle in line.text.casefold():
                    self._arrive((min(number, self._height // 3), position, number), False)
                    return

    def highlighted(self, line: Line) -> tuple[int, int] | None:
        text, needle = line.text.casefold(), self.needle.casefold()
        # Few letters change their number when folded; where they do, the row is not marked.
        at = text.find(needle) if needle and len(text) == len(line.text) else -1
        if at < 0:
            return None
        start = 1 + line.gutter + at  # the cursor's mark takes a column
        return start, start + len(needle)

    # state

    def view_state(self) -> dict[str, object]:
        folds = {str(position): unfolded for position, unfolded in self._folds.items()}
        return {**super().view_state(), "folds": folds, "all_folded": self._all_folded}

    def restore_view(self, state: Mapping[str, object]) -> None:
        folds = state.get("folds")
        if isinstance(folds, Mapping):
            self._folds = {
                int(position): unfolded
                for position, unfolded in folds.items()
                if isinstance(position, str) and position.isdecimal() and isinstance(unfolded, bool)
            }
        self._all_folded = state.get("all_folded") is True
        super().restore_view(state)


@cache
def _import_renderers() -> None:
    """Import what drawing needs, once; 0.1 s with markdown-it and the events, so not on the loop."""
    importlib.import_module("tui_agent.ui.render.items")
    from tui_agent.ui.render.markdown import parser

    parser()
