"""A scrolling view of plain lines of any number and length, drawn only where it is seen."""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui_agent.text import inert

StyledLine = tuple[str, str]
"""A line's text and the component class it is drawn with, without its prefix; empty for the normal one."""


class TextLines(ScrollView):
    """Shows lines, wrapped at the width so that nothing is out of reach; text is made inert here."""

    COMPONENT_CLASSES = {  # noqa: RUF012 (Textual declares it so)
        "lines--title",
        "lines--muted",
        "lines--added",
        "lines--removed",
        "lines--warning",
    }
    DEFAULT_CSS = """
    TextLines { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    TextLines > .lines--title { text-style: bold; }
    TextLines > .lines--muted { color: $foreground-muted; }
    TextLines > .lines--added { color: $text-success; }
    TextLines > .lines--removed { color: $text-error; }
    TextLines > .lines--warning { color: $text-warning; text-style: bold; }
    """
    ALLOW_SELECT = False

    class RowsPainted(Message):
        """Other rows are in view than before, or more of the text was in view than ever."""

    def __init__(self, *, id: str | None = None, can_focus: bool = False) -> None:
        super().__init__(id=id)
        self.can_focus = can_focus
        self._lines: list[StyledLine] = []
        self._wrapped: list[StyledLine] = []
        self._sources: list[int] = []  # the number of the line that each row is of
        self._width = 0
        self._seen = -1
        self._below = 0

    def set_lines(self, lines: Iterable[StyledLine], *, keep_scroll: bool = False) -> None:
        """Show other lines, from the top unless `keep_scroll`; text may hold anything."""
        before = self._lines
        self._lines = [(part, style) for text, style in lines for part in inert(text).expandtabs(4).split("\n")]
        if self._lines == before and keep_scroll:
            return
        self._seen = -1
        self._width = 0
        self._wrap()
        if not keep_scroll:
            self.scroll_to(y=0, animate=False)

    @property
    def end_seen(self) -> bool:
        """Whether the last row was painted at some time since these lines were set."""
        return self._seen >= len(self._lines) - 1 or (self._seen >= 0 and not self.rows_below)

    @property
    def rows_below(self) -> int:
        """How many rows are below those in view."""
        return max(0, len(self._wrapped) - round(self.scroll_y) - self.scrollable_content_region.height)

    def scroll_to_change(self) -> None:
        """Bring the first added or removed lines into view, where they do not fit below the first line."""
        rows = [style in {"added", "removed"} for _, style in self._wrapped]
        height = self.scrollable_content_region.height
        if True not in rows or height < 1:
            return
        first = rows.index(True)
        last = next((n for n in range(first, len(rows)) if not rows[n]), len(rows)) - 1
        self.scroll_to(y=max(0, min(first - 1, last + 1 - height)), animate=False)

    def on_resize(self) -> None:
        """Wrap again for the new width."""
        self._wrap()

    def _wrap(self) -> None:
        width = self.scrollable_content_region.width
        if width < 1 or width == self._width:
            return
        self._width = width
        self._wrapped, self._sources = [], []
        for number, (text, style) in enumerate(self._lines):
            pieces = [(piece, style) for piece in _wrapped(text, width)]
            self._wrapped += pieces
            self._sources += [number] * len(pieces)
        self.virtual_size = Size(width, len(self._wrapped))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        row = y + int(self.scroll_y)
        base = self.rich_style
        if row >= len(self._wrapped):
            return Strip.blank(self.size.width, base)
        self._note_painted()
        text, name = self._wrapped[row]
        style = base + self.get_component_rich_style(f"lines--{name}") if name else base
        return Strip([Segment(text, style)]).adjust_cell_length(self.size.width, base)

    def _note_painted(self) -> None:
        """Remember how far the text was in view; a line counts when its last row is."""
        height = self.scrollable_content_region.height
        row = min(int(self.scroll_y) + height, len(self._sources)) - 1
        at = self._sources[row]
        whole = row + 1 == len(self._sources) or self._sources[row + 1] != at
        seen, below = max(self._seen, at if whole else at - 1), self.rows_below
        if (seen, below) != (self._seen, self._below):
            self._seen, self._below = seen, below
            self.post_message(self.RowsPainted())


def _wrapped(text: str, width: int) -> Iterable[str]:
    """Yield the text in pieces of at most `width` cells, cut after a space where that is not far."""
    while cell_len(text) > width:
        piece = text[:width] if text.isascii() else chop_cells(text[: width + 1], width)[0]
        at = piece.rfind(" ") + 1
        if at > width * 2 // 3:
            piece = piece[:at]
        yield piece
        text = text[len(piece) :]
    yield text


def diff_lines(diff: str) -> Iterable[StyledLine]:
    """Return the lines of a unified diff, without the two that name its file, styled."""
    for line in diff.removesuffix("\n").split("\n"):
        if line.startswith("@@"):
            yield line, "muted"
        elif line.startswith("+"):
            yield line, "added"
        elif line.startswith("-"):
            yield line, "removed"
        else:
            yield line, ""
