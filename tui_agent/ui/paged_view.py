"""A scrolling view of a long list of items which are paged in, drawn when first seen, and kept bounded.

What is on screen is a window of rows, made anew from cached lines whenever something changes and compared
with the last one, so that only the rows that differ are repainted. Nothing here costs more with more items.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.timer import Timer

from tui_agent.ui.height_index import HeightIndex
from tui_agent.ui.render.lines import Line
from tui_agent.ui.render.palette import Palette, make_palette

T = TypeVar("T")

PAGE = 64
"""Items fetched at once."""

KEPT_ITEMS = 512
"""Items kept in memory, the last used ones."""

KEPT_DRAWINGS = 128
"""Drawn items kept, the last used ones."""

FRAME = 0.05
"""Seconds between two repaints for changes that stream in, at least."""

BUSY_SHARE = 4
"""How many times as long as its drawing took a stream waits for its next one: at most a fifth of a core."""

_LINES = 1 << 20
"""Rows of one item that a selection can tell apart; its offsets name item and row in one number."""

NEWS = " ↓ new "


class Drawn(Protocol):
    """What a drawing offers: the rows of its item."""

    lines: list[Line]


D = TypeVar("D", bound=Drawn)


class Row(NamedTuple):
    """A row of the window: which item and which of its lines; `loaded` is false for a placeholder."""

    position: int
    line: int
    loaded: bool


class PagedView(ScrollView, Generic[T, D], can_focus=True):
    """The base of the conversation and the timeline. `T` is the kind of item, `D` of drawing.

    A subclass says how items are fetched (`fetch`) and drawn (`draw`), and what height to expect of one
    that was not seen yet (`ESTIMATE`).
    """

    ALLOW_SELECT = True
    ESTIMATE: ClassVar[int] = 1

    DEFAULT_CSS = """
    PagedView {
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;
        background: $background;
        color: $foreground;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "first", "First", show=False),
        Binding("end,G", "last", "Last", show=False),
    ]

    follow: var[bool] = var(True, init=False)
    """Whether the view stays at the end as items come in."""

    cursor: var[int] = var(-1, init=False)
    """Position of the item that keys act on; -1 before there is any."""

    class FollowChanged(Message):
        """The view began or stopped to follow the end."""

        def __init__(self, view: PagedView[Any, Any], follow: bool) -> None:
            super().__init__()
            self.view = view
            self.follow = follow

        @property
        def control(self) -> PagedView[Any, Any]:
            return self.view

    class FetchFailed(Message):
        """Items could not be read; `reason` says why. They are asked for again when they come into view."""

        def __init__(self, reason: str) -> None:
            super().__init__()
            self.reason = reason

    class ViewChanged(Message):
        """Scroll position, cursor or folds changed by the person: the layout is worth saving."""

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._heights = HeightIndex()
        self._items: OrderedDict[int, T] = OrderedDict()
        self._drawings: OrderedDict[int, D] = OrderedDict()
        self._palette: Palette | None = None
        self._width = 0
        self._rows: list[Row] = []
        self._strips: list[Strip] = []
        self._top = (0, 0)
        self._unseen = False
        self._fetching: set[int] = set()
        self._failed: set[int] = set()
        self._generation = 0
        self._timer: Timer | None = None
        self._next_frame = 0.0
        self._restoring: tuple[int, int] | None = None
        self._reading: tuple[int, int, int] | None = None
        self._window_height = 0

    # what a subclass provides

    async def fetch(self, start: int, stop: int) -> Mapping[int, T]:
        """Return the items of [start, stop) that exist. Any error it raises is shown, not propagated."""
        raise NotImplementedError

    def draw(self, position: int, item: T, drawing: D | None, palette: Palette, width: int) -> D:
        """Return the item drawn at a width, from its last drawing where that is of use."""
        raise NotImplementedError

    # data

    @property
    def item_count(self) -> int:
        """How many items there are."""
        return len(self._heights)

    def reset(self, count: int) -> None:
        """Begin anew with `count` items that are fetched as they come into view."""
        self._generation += 1
        self._heights = HeightIndex(count, self.ESTIMATE)
        self._items.clear()
        self._drawings.clear()
        self._fetching.clear()
        self._failed.clear()
        self._rows, self._strips = [], []
        self._top = (0, 0)
        self._restoring = self._reading = None
        self._unseen = False
        self.set_reactive(PagedView.cursor, count - 1)
        self.follow = True
        self.settle()

    def update(self, items: Mapping[int, T], item_count: int) -> None:
        """Take items that changed or are new, by position. Painted at most every 50 ms."""
        was_last = self.cursor == len(self._heights) - 1
        for _ in range(item_count - len(self._heights)):
            self._heights.append(self.ESTIMATE)
            self._unseen = True
        if was_last and self.follow:
            self.set_reactive(PagedView.cursor, item_count - 1)
        for position, item in items.items():
            self._items[position] = item
            self._items.move_to_end(position)
        self._schedule()

    def item(self, position: int) -> T | None:
        """Return an item if it is loaded."""
        return self._items.get(position)

    def _schedule(self) -> None:
        if self._timer is not None or not self.is_mounted:
            return
        wait = self._next_frame - time.monotonic()
        if wait <= 0:
            self._frame()
        else:
            self._timer = self.set_timer(wait, self._frame)

    def _frame(self) -> None:
        self._timer = None
        began = time.monotonic()
        self.settle()
        ended = time.monotonic()
        self._next_frame = ended + max(FRAME, (ended - began) * BUSY_SHARE)

    # the window

    @property
    def palette(self) -> Palette:
        """The styles of the theme in force."""
        if self._palette is None:
            self._palette = make_palette(self.rich_style, self.app.theme_variables)
        return self._palette

    @property
    def _height(self) -> int:
        return self.scrollable_content_region.height

    def lines(self, position: int) -> list[Line] | None:
        """Return the rows of an item, drawn now if need be; None when it is not loaded."""
        item = self._items.get(position)
        if item is None:
            return None
        drawing = self.draw(position, item, self._drawings.get(position), self.palette, self._width)
        self._drawings[position] = drawing
        self._drawings.move_to_end(position)
        self._items.move_to_end(position)
        self._heights.set(position, len(drawing.lines))
        return drawing.lines

    def _rows_of(self, position: int) -> int:
        """Return the height of an item, exact if it is loaded."""
        lines = self.lines(position)
        return self._heights[position] if lines is None else len(lines)

    def settle(self, pin: tuple[int, int, int] | None = None) -> None:
        """Make the window anew and repaint the rows that differ.

        `pin` says that this row of the window shows this line of this item; by default the first loaded
        row stays where it is, or the end if the view follows it.
        """
        width, height = self.scrollable_content_region.size
        if not width or not height:
            return
        if pin is None and not self.follow:
            pin = self._pin()
        if width != self._width:
            pin = self._resized(pin, width)
        self._window_height = height
        rows = self._window(pin, height)
        self._top = rows[0][:2] if rows else (0, 0)
        if self._restoring is not None and self._restoring[0] in self._items:
            self._restoring = None
        self._paint(rows, width, height)
        self._trim()
        self._fetch_around(rows)

    def _pin(self) -> tuple[int, int, int]:
        if self._restoring is not None:
            return 0, *self._restoring
        for number, row in enumerate(self._rows):
            if row.loaded:
                return number, row.position, row.line
        return 0, *self._top

    def _resized(self, pin: tuple[int, int, int] | None, width: int) -> tuple[int, int, int] | None:
        """Take a new width; return the pin for the line that now holds what the pinned line began with."""
        drawing = self._drawings.get(pin[1]) if pin else None
        self._width = width
        self._drawings.clear()
        if pin is None or drawing is None:
            return pin
        row, position, line = pin
        if self._reading is None or self._reading[:2] != (position, line):
            self._reading = (position, line, sum(map(_letters, drawing.lines[:line])))
        letters = self._reading[2]
        new = -1
        for drawn in self.lines(position) or ():
            new += 1
            letters -= _letters(drawn)
            if letters < 0:
                break
        new = max(new, 0)
        self._reading = (position, new, self._reading[2])
        return row, position, new

    def _window(self, pin: tuple[int, int, int] | None, height: int) -> list[Row]:
        count = len(self._heights)
        if not count:
            return []
        if pin is None:
            top = self._up(count, 0, height)
        else:
            row, position, line = pin
            position = min(position, count - 1)
            line = min(line, max(0, self._rows_of(position) - 1))
            top = self._up(position, line, row)
        rows = self._down(top, height)
        if len(rows) < height and pin is not None:
            rows = self._down(self._up(count, 0, height), height)
        return rows

    def _up(self, position: int, line: int, distance: int) -> tuple[int, int]:
        """Return the line that is `distance` rows above a line, or the very first."""
        while distance > line:
            if position == 0:
                return 0, 0
            distance -= line
            position -= 1
            line = self._rows_of(position)
        return position, line - distance

    def _down(self, top: tuple[int, int], height: int) -> list[Row]:
        position, line = top
        rows: list[Row] = []
        while position < len(self._heights) and len(rows) < height:
            lines = self.lines(position)
            loaded = lines is not None
            length = self._heights[position] if lines is None else len(lines)
            stop = min(length, line + height - len(rows))
            rows.extend(Row(position, number, loaded) for number in range(line, stop))
            position, line = position + 1, 0
        return rows

    def _paint(self, rows: list[Row], width: int, height: int) -> None:
        strips = [self._strip(row) for row in rows]
        total = self._heights.total
        top = self._heights.before(rows[0].position) + rows[0].line if rows else 0
        if not self.follow and self._unseen and strips:
            strips[-1] = self._with_news(strips[-1], width)
        old = self._strips
        self._rows, self._strips = rows, strips
        if self.virtual_size != Size(width, total):
            # not through the reactive: it would lay the whole screen out for each line that comes in
            self.set_reactive(PagedView.virtual_size, Size(width, total))
            self.vertical_scrollbar.window_virtual_size = total
            self.vertical_scrollbar.window_size = height
        if round(self.scroll_y) != top:
            self.set_scroll(None, top)
            self.vertical_scrollbar.position = top
        self.set_reactive(PagedView.scroll_target_y, float(top))
        begun = -1
        for number in range(height + 1):
            same = (
                number == height
                or (number < len(strips) and number < len(old) and strips[number] == old[number])
                or (number >= len(strips) and number >= len(old))
            )
            if not same and begun < 0:
                begun = number
            elif same and begun >= 0:
                self.refresh(Region(0, begun, self.size.width, number - begun))
                begun = -1

    def _strip(self, row: Row) -> Strip:
        drawing = self._drawings.get(row.position)
        marked = row.position == self.cursor and self.has_focus and not self._is_gap(row)
        mark = Segment("▌" if marked else " ", self.palette.mark if marked else self.palette.base)
        if not row.loaded or drawing is None:
            text = " …" if row.line == 0 else ""
            return Strip([mark, Segment(text, self.palette.dim)])
        line = drawing.lines[row.line]
        offset = row.position * _LINES + row.line
        selection = self.text_selection
        span = selection.get_span(offset) if selection is not None else None
        if span is not None:
            return Strip([mark, *self._selected(line, span)]).apply_offsets(0, offset)
        return line.strip(mark, offset)

    def _is_gap(self, row: Row) -> bool:
        """Return whether a row is the blank one in front of an item."""
        drawing = self._drawings.get(row.position)
        return row.line == 0 and drawing is not None and not drawing.lines[0].segments

    def _selected(self, line: Line, span: tuple[int, int]) -> list[Segment]:
        style = self.screen.get_component_rich_style("screen--selection")
        # most themes leave the text's own colour: theirs is transparent, which Rich knows nothing of
        transparent = self.screen.get_component_styles("screen--selection").color.a == 0
        highlight = Style(color=None if transparent else style.color, bgcolor=style.bgcolor)
        first = max(span[0] - 1, line.gutter)
        last = span[1] - 1 if span[1] >= 0 else 1 << 30
        segments = []
        position = 0
        for text, plain_style, _ in line.segments:
            start = min(max(first - position, 0), len(text))
            end = min(max(last - position, start), len(text))
            styled = plain_style + highlight if plain_style else highlight
            for part, part_style in (
                (text[:start], plain_style),
                (text[start:end], styled),
                (text[end:], plain_style),
            ):
                if part:
                    segments.append(Segment(part, part_style))
            position += len(text)
        return segments

    def _with_news(self, strip: Strip, width: int) -> Strip:
        news = Segment(NEWS, self.palette.news)
        shortened = strip.crop_extend(0, max(0, width - len(NEWS)), self.palette.base)
        return Strip([*shortened, news])

    def render_line(self, y: int) -> Strip:
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.rich_style)

    def render(self) -> str:
        return ""

    def _trim(self) -> None:
        # what is on screen was used last, so it is never what goes
        while len(self._items) > KEPT_ITEMS:
            self._items.popitem(last=False)
        while len(self._drawings) > KEPT_DRAWINGS:
            self._drawings.popitem(last=False)

    # paging

    def _fetch_around(self, rows: list[Row]) -> None:
        if not rows:
            return
        first, last = rows[0].position, rows[-1].position
        near = range(max(0, first - PAGE // 2), min(len(self._heights), last + PAGE // 2))
        for page in {near.start // PAGE, first // PAGE, last // PAGE, max(near.stop - 1, 0) // PAGE}:
            self._fetch_page(page)

    def _fetch_page(self, page: int) -> None:
        start, stop = page * PAGE, min((page + 1) * PAGE, len(self._heights))
        if page in self._fetching or page in self._failed:
            return
        if all(position in self._items for position in range(start, stop)):
            return
        self._fetching.add(page)
        self.run_worker(self._load(page, start, stop), group="pages", exit_on_error=False)

    async def _load(self, page: int, start: int, stop: int) -> None:
        generation = self._generation
        try:
            items = await self.fetch(start, stop)
        except Exception as error:  # whatever a source raises: the view stays, the app is told
            if generation == self._generation:
                self._fetching.discard(page)
                self._failed.add(page)
                self.post_message(self.FetchFailed(str(error) or type(error).__name__))
            return
        if generation != self._generation:
            return
        self._fetching.discard(page)
        for position, item in items.items():
            # one that is there already came with an update and is newer
            if position < len(self._heights) and position not in self._items:
                self._items[position] = item
        missing = [position for position in range(start, stop) if position not in self._items]
        if missing:
            self._failed.add(page)
        self.settle()

    # scrolling

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """A person scrolled: by wheel, scrollbar or key. The view's own corrections do not come here."""
        old, new = round(old_value), round(new_value)
        self.vertical_scrollbar.position = new_value
        if old == new or not self._rows or self._height != self._window_height:
            return  # not a person: a resize clamped it, and the window is made anew in a moment
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
            if self._top == (0, 0):
                return
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
        """Return where the person is: plain data for `restore_view`."""
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

    # events

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self._palette is not None:
            palette = make_palette(self.rich_style, self.app.theme_variables)
            if palette != self._palette:
                self._palette = palette
                self._drawings.clear()
                self.settle()

    def on_mount(self) -> None:
        self.settle()

    def on_resize(self, event: events.Resize) -> None:
        self.settle()

    def on_focus(self) -> None:
        self.settle()

    def on_blur(self) -> None:
        self.settle()

    def on_click(self, event: events.Click) -> None:
        row = event.y - self.gutter.top
        if 0 <= row < len(self._rows):
            self.cursor = self._rows[row].position

    # selection

    def text_select_all(self) -> None:
        """Select the item under the cursor: a double click means what it points at, not 10,000 items."""
        start = Offset(0, self.cursor * _LINES)
        self.screen.selections = {self: Selection(start, Offset(0, (self.cursor + 1) * _LINES))}

    def selection_updated(self, selection: Selection | None) -> None:
        self.settle()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the selected text without gutters, soft-wrapped rows joined again."""
        if not self.item_count:
            return None
        start = selection.start or Offset(0, 0)
        end = selection.end or Offset(0, self.item_count * _LINES)
        parts: list[str] = []
        for position in range(start.y // _LINES, min(end.y // _LINES + 1, self.item_count)):
            for number, line in enumerate(self.lines(position) or ()):
                span = selection.get_span(position * _LINES + number)
                if span is None:
                    continue
                first = max(0, span[0] - 1 - line.gutter)
                text = line.text
                last = max(0, span[1] - 1 - line.gutter) if span[1] >= 0 else len(text)
                parts.append((line.joint if parts else "") + text[first:last])
        self._trim()
        return "".join(parts), "\n"


def _letters(line: Line) -> int:
    """Return how much of the item's text a row holds, in a measure that wrapping does not change."""
    return len(line.text) - line.text.count(" ")
