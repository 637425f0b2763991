"""A scrolling view of a long list of items which are paged in, drawn when first seen, and kept bounded.

What is on screen is a window of rows, made anew from cached lines whenever something changes and compared
with the last one, so that only the rows that differ are repainted. Nothing here costs more with more items.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from math import ceil
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBar
from textual.strip import Strip

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

ROWS = 1 << 20
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


class LineWindow(ScrollView, Generic[T, D], can_focus=True):
    """The rows of a paged list, and their repainting. `T` is the kind of item, `D` of drawing.

    A subclass says how items are fetched (`fetch`) and drawn (`draw`), and what height to expect of one
    that was not seen yet (`ESTIMATE`).
    """

    ALLOW_SELECT = True
    ESTIMATE: ClassVar[int] = 1

    DEFAULT_CSS = """
    LineWindow {
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;
        background: $background;
        color: $foreground;
    }
    """

    follow: var[bool] = var(True, init=False)
    """Whether the view stays at the end as items come in."""

    cursor: var[int] = var(-1, init=False)
    """Position of the item that keys act on; -1 before there is any."""

    class FetchFailed(Message, namespace="paged_view"):
        """Items could not be read; `reason` says why. They are asked for again when they come into view."""

        def __init__(self, reason: str) -> None:
            super().__init__()
            self.reason = reason

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._heights = HeightIndex()
        self._items: OrderedDict[int, T] = OrderedDict()
        self._drawings: OrderedDict[int, D] = OrderedDict()
        self._palette: Palette | None = None
        self._width = 0
        self._rows: list[Row] = []
        self._strips: list[Strip] = []
        self._bar = (0, 0, 0)
        self._top = (0, 0)
        self._unseen = False
        self._fetching: set[int] = set()
        self._failed: set[int] = set()
        self._generation = 0
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
        self.set_reactive(LineWindow.cursor, count - 1)
        self.follow = True
        self.settle()

    def update(self, items: Mapping[int, T], item_count: int) -> None:
        """Take items that changed or are new, by position, and paint them."""
        was_last = self.cursor == len(self._heights) - 1
        for _ in range(item_count - len(self._heights)):
            self._heights.append(self.ESTIMATE)
            self._unseen = True
        if was_last and self.follow:
            self.set_reactive(LineWindow.cursor, item_count - 1)
        for position, item in items.items():
            self._items[position] = item
            self._items.move_to_end(position)
        self.settle()

    def item(self, position: int) -> T | None:
        """Return an item if it is loaded."""
        return self._items.get(position)

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
            self.set_reactive(LineWindow.virtual_size, Size(width, total))
        if round(self.scroll_y) != top:
            self.set_scroll(None, top)
        self.set_reactive(LineWindow.scroll_target_y, float(top))
        self._place_bar(total, height, top)
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

    def _place_bar(self, total: int, height: int, top: int) -> None:
        """Move the scroll bar, and repaint it only where that shows: it is drawn in eighths of a row."""
        bar = self.vertical_scrollbar
        bar.set_reactive(ScrollBar.window_virtual_size, total)
        bar.set_reactive(ScrollBar.window_size, height)
        bar.set_reactive(ScrollBar.position, float(top))
        drawn = (0, 0, height)
        if total > height:
            thumb = max(1.0, height * height / total)
            drawn = (int((height - thumb) * top / (total - height) * 8), ceil(thumb * 8), height)
        if drawn != self._bar:
            self._bar = drawn
            bar.refresh()

    def _strip(self, row: Row) -> Strip:
        drawing = self._drawings.get(row.position)
        marked = row.position == self.cursor and self.has_focus and not self._is_gap(row)
        mark = Segment("▌" if marked else " ", self.palette.mark if marked else self.palette.base)
        if not row.loaded or drawing is None:
            text = " …" if row.line == 0 else ""
            return Strip([mark, Segment(text, self.palette.dim)])
        line = drawing.lines[row.line]
        offset = row.position * ROWS + row.line
        selection = self.text_selection
        span = selection.get_span(offset) if selection is not None else None
        if span is None:
            span = self.highlighted(line)
        if span is not None:
            return Strip([mark, *self._selected(line, span)]).apply_offsets(0, offset)
        return line.strip(mark, offset, self.region.width, self.palette.base)

    def highlighted(self, line: Line) -> tuple[int, int] | None:
        """Return the columns of a row that stand out although nobody selected them."""
        return None

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

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return rows as they were drawn: without border and padding, the styles cache has nothing to add."""
        if any(self.gutter):
            return super().render_lines(crop)
        background = self.background_colors[1]
        strips = []
        for y in crop.line_range:
            strip = self.render_line(y).adjust_cell_length(self.region.width, self.palette.base)
            for line_filter in self.get_line_filters():
                strip = strip.apply_filter(line_filter, background)
            strips.append(strip)
        if crop.column_span != (0, self.region.width):
            strips = [strip.crop(*crop.column_span) for strip in strips]
        return strips

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

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self.settle()


def _letters(line: Line) -> int:
    """Return how much of the item's text a row holds, in a measure that wrapping does not change."""
    return len(line.text) - line.text.count(" ")
