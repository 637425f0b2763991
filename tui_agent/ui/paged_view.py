"""Moving about in a long list: scrolling, the cursor, following the end, selecting, and coming back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset
from textual.message import Message
from textual.selection import Selection

from tui_agent.ui.line_window import ROWS, D, LineWindow, Row, T


class PagedView(LineWindow[T, D]):
    """The base of the conversation and the timeline: a window that a user moves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "first", "First", show=False),
        Binding("end,G", "last", "Last", show=False),
    ]

    class FollowChanged(Message):
        """The view began or stopped to follow the end."""

        def __init__(self, view: PagedView[Any, Any], follow: bool) -> None:
            super().__init__()
            self.view = view
            self.follow = follow

        @property
        def control(self) -> PagedView[Any, Any]:
            return self.view

    class ViewChanged(Message):
        """Scroll position, cursor or folds changed by the user: the layout is worth saving."""

    # scrolling

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """A user scrolled: by wheel, scrollbar or key. The view's own corrections do not come here."""
        old, new = round(old_value), round(new_value)
        self.vertical_scrollbar.position = new_value
        if old == new or not self._rows or self._height != self._window_height:
            return  # not a user: a resize clamped it, and the window is made anew in a moment
        self._failed.clear()
        if abs(new - old) <= 2 * self._height:
            self._scroll(new - old)
        else:
            following = new >= self.max_scroll_y
            position, line = (0, 0) if following else self._heights.find(max(0, new))
            self._arrive((0, position, line), following)

    def _scroll(self, rows: int) -> None:
        """Move the window by rows, counted on what is really there."""
        position, line = self._top
        if rows < 0:
            self._arrive((0, *self._up(position, line, -rows)), False)
            return
        window = self._down(self._top, self._height + rows)
        beyond = len(window) < self._height + rows
        at_end = beyond or self._is_last(window[-1])
        row = window[min(rows, len(window) - 1)]
        self._arrive((0, row.position, row.line), at_end)

    def _is_last(self, row: Row) -> bool:
        after = row.position + 1
        if row.line + 1 < self._rows_of(row.position):
            return False
        return all(self._rows_of(position) == 0 for position in range(after, min(after + 8, self.item_count)))

    def _arrive(self, pin: tuple[int, int, int], at_end: bool) -> None:
        self._restoring = None
        at_end = at_end or self._heights.total <= self._height
        self.follow = at_end
        self.settle(None if at_end else pin)
        self.post_message(self.ViewChanged())

    def watch_follow(self, follow: bool) -> None:
        """Tell whoever shows it."""
        if follow:
            self._unseen = False
        self.post_message(self.FollowChanged(self, follow))

    def watch_cursor(self) -> None:
        """Move the mark."""
        self.settle()
        self.post_message(self.ViewChanged())

    def reveal(self, position: int, *, line: int = 0) -> None:
        """Scroll as little as needed for a line of an item to be in the window."""
        for row in self._rows:
            if row.position == position and row.line == line:
                return
        if self._rows and position >= self._rows[-1].position:
            at_end = self._is_last(Row(position, line, True))
            self._arrive((self._height - 1, position, line), at_end)
        else:
            self._arrive((0, position, line), False)

    def action_move(self, step: int) -> None:
        """Move the cursor to the next item that has lines, or scroll through a long one."""
        if not self.item_count:
            return
        shown = [row for row in self._rows if row.position == self.cursor]
        long = self._rows_of(self.cursor) if shown else 0
        if step > 0 and shown and shown[-1].line + 1 < long and shown[-1] == self._rows[-1]:
            self._scroll(min(3, long - shown[-1].line - 1))
            return
        if step < 0 and shown and shown[0].line > 0 and shown[0] == self._rows[0]:
            self._scroll(-min(3, shown[0].line))
            return
        position = self.cursor + step
        while 0 <= position < self.item_count and not self._rows_of(position):
            position += step
        if 0 <= position < self.item_count:
            self.cursor = position
            long = self._rows_of(position)
            if step > 0:
                self.reveal(position, line=min(long, self._height) - 1)
            else:
                self.reveal(position, line=max(0, long - self._height))
        elif step > 0 and not self.follow:
            self._scroll(3)
        elif step < 0:
            self._scroll(-3)

    def action_page(self, step: int) -> None:
        """Scroll by a window less two rows, and take the cursor along."""
        self._scroll(step * max(1, self._height - 2))
        if self._rows:
            self.cursor = self._rows[0 if step < 0 else -1].position

    def action_first(self) -> None:
        """Go to the first item."""
        if self.item_count:
            self.cursor = 0
            self._arrive((0, 0, 0), False)

    def action_last(self) -> None:
        """Go to the end and follow it."""
        if self.item_count:
            self.cursor = self.item_count - 1
        self._arrive((0, 0, 0), True)

    # state

    def view_state(self) -> dict[str, object]:
        """Return where the user is: plain data for `restore_view`."""
        item, offset = self._restoring or self._top
        return {"item": item, "offset": offset, "follow": self.follow, "cursor": self.cursor}

    def restore_view(self, state: Mapping[str, object]) -> None:
        """Go back to a state; what is missing, of the wrong kind or out of range is left as it is."""
        count = self.item_count
        item, offset, cursor = state.get("item"), state.get("offset"), state.get("cursor")
        if isinstance(cursor, int) and 0 <= cursor < count:
            self.set_reactive(PagedView.cursor, cursor)
        follow = state.get("follow")
        if (
            follow is False
            and isinstance(item, int)
            and isinstance(offset, int)
            and 0 <= item < count
            and offset >= 0
        ):
            self.follow = False
            # an item that is not loaded yet is shorter than it will be: the offset must not be cut to it
            self._heights.set(item, max(self._heights[item], offset + 1))
            self._restoring = (item, offset)
        elif isinstance(follow, bool):
            self.follow = True
        self.settle()

    def on_click(self, event: events.Click) -> None:
        row = event.y - self.gutter.top
        if 0 <= row < len(self._rows):
            self.cursor = self._rows[row].position

    # selection

    def text_select_all(self) -> None:
        """Select the item under the cursor: a double click means what it points at, not 10,000 items."""
        start = Offset(0, self.cursor * ROWS)
        self.screen.selections = {self: Selection(start, Offset(0, (self.cursor + 1) * ROWS))}

    def selection_updated(self, selection: Selection | None) -> None:
        self.settle()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the selected text without gutters, soft-wrapped rows joined again."""
        if not self.item_count:
            return None
        start = selection.start or Offset(0, 0)
        end = selection.end or Offset(0, self.item_count * ROWS)
        parts: list[str] = []
        for position in range(start.y // ROWS, min(end.y // ROWS + 1, self.item_count)):
            for number, line in enumerate(self.lines(position) or ()):
                span = selection.get_span(position * ROWS + number)
                if span is None:
                    continue
                first = max(0, span[0] - 1 - line.gutter)
                text = line.text
                last = max(0, span[1] - 1 - line.gutter) if span[1] >= 0 else len(text)
                parts.append((line.joint if parts else "") + text[first:last])
        self._trim()
        return "".join(parts), "\n"
