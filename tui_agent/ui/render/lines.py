"""Lines of styled text, and soft wrapping by cell width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len, get_character_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

Span = tuple[str, Style]
"""A run of text in one style; holds no newline."""

TAB_CELLS = 4
"""Cells between tab stops."""


class Prefix(NamedTuple):
    """Text in front of a line. A `gutter` part is ornament: it is left out when the line is copied."""

    text: str
    style: Style
    gutter: bool = True


class Line:
    """One row of an item.

    `gutter` is the number of characters at its left that are not copied; `joint` is what stood between
    this row and the one above it in the source: a newline, or for a soft-wrapped row the space it broke at.
    """

    __slots__ = ("_segments", "_strip", "gutter", "joint")

    def __init__(self, segments: list[Segment], gutter: int = 0, joint: str = "\n") -> None:
        self._segments = segments
        self._strip: tuple[Segment, int, int, Strip] | None = None
        self.gutter = gutter
        self.joint = joint

    @property
    def segments(self) -> list[Segment]:
        """The styled text of the row, gutter included."""
        return self._segments

    @property
    def text(self) -> str:
        """The row as it is copied: without its gutter."""
        return "".join(segment.text for segment in self.segments)[self.gutter :]

    def strip(self, mark: Segment, offset: int, width: int, blank: Style) -> Strip:
        """Return the row as Textual paints it: after a mark of one cell, filled up to `width` cells in style `blank`.

        `offset` is the number by which a selection knows the row. What was made last is kept, and with it what
        Textual remembers of it: of a row that only moved, nothing is worked out again.
        """
        known = self._strip
        if known is None or known[:3] != (mark, offset, width):
            strip = Strip([mark, *self.segments]).apply_offsets(0, offset).adjust_cell_length(width, blank)
            known = self._strip = (mark, offset, width, strip)
        return known[3]

    def forget(self) -> None:
        """Drop what was drawn: its colours are known better now."""
        self._strip = None


def displayable(text: str) -> str:
    """Return inert text with tabs as spaces and without emoji selectors, whose width terminals disagree about."""
    if text.isascii():
        return text.expandtabs(TAB_CELLS) if "\t" in text else text
    return text.expandtabs(TAB_CELLS).replace("\ufe0f", "")


def breaks(text: str, width: int, *, words: bool = True) -> list[tuple[int, int]]:
    """Return the (start, end) of the rows of one logical line at a width in cells.

    Rows break at spaces where there are any (`words`), and else anywhere; the spaces at a break belong to
    no row. A row is never wider than `width`, unless a single character is.
    """
    if cell_len(text) <= width:
        return [(0, len(text))]
    single = text.isascii()
    length = len(text)
    rows = []
    start = 0
    while start < length:
        limit = min(start + width, length) if single else _limit(text, start, width)
        if limit >= length:
            rows.append((start, length))
            break
        end = limit
        if words and (single or get_character_cell_size(text[limit]) < 2):
            space = text.rfind(" ", start, limit + 1)
            if space > start and not text[start:space].isspace():
                end = space
        stop = end
        if words:
            while end > start + 1 and text[end - 1] == " ":
                end -= 1
            while stop < length and text[stop] == " ":
                stop += 1
        rows.append((start, end))
        start = stop
    return rows


def _limit(text: str, start: int, width: int) -> int:
    """Return where the characters from `start` on stop fitting `width` cells; at least one is taken."""
    cells = 0
    for index in range(start, len(text)):
        size = get_character_cell_size(text[index])
        if cells + size > width and index > start:
            return index
        cells += size
    return len(text)


def cut(spans: Sequence[Span], start: int, end: int) -> list[Segment]:
    """Return the characters `start` to `end` of the spans as segments."""
    segments = []
    position = 0
    for text, style in spans:
        after = position + len(text)
        if after > start and position < end:
            segments.append(Segment(text[max(0, start - position) : end - position], style))
        if after >= end:
            break
        position = after
    return segments


def prefix_cells(prefix: Sequence[Prefix]) -> int:
    """Return the width of a prefix in cells."""
    return sum(cell_len(part.text) for part in prefix)


def prefix_segments(prefix: Sequence[Prefix]) -> tuple[list[Segment], int]:
    """Return a prefix as segments, and how many of its characters are gutter."""
    gutter = length = 0
    segments = []
    for part in prefix:
        if part.text:
            segments.append(Segment(part.text, part.style))
        length += len(part.text)
        if part.gutter:
            gutter = length
    return segments, gutter


def wrap(
    spans: Sequence[Span],
    width: int,
    first: Sequence[Prefix] = (),
    rest: Sequence[Prefix] = (),
    *,
    words: bool = True,
) -> list[Line]:
    """Return one logical line as rows of at most `width` cells, with a prefix before the first and the others."""
    text = spans[0][0] if len(spans) == 1 else "".join(span[0] for span in spans)
    if max(prefix_cells(first), prefix_cells(rest)) > width - 2:
        first = rest = ()
    body = max(2, width - max(prefix_cells(first), prefix_cells(rest)))
    lines = []
    ended = 0
    for index, (start, end) in enumerate(breaks(text, body, words=words)):
        segments, gutter = prefix_segments(rest if index else first)
        segments.extend(cut(spans, start, end))
        lines.append(Line(segments, gutter, text[ended:start] if index else "\n"))
        ended = end
    return lines


def plain(
    text: str, style: Style, width: int, first: Sequence[Prefix] = (), rest: Sequence[Prefix] | None = None
) -> list[Line]:
    """Return inert text of several lines as rows; `rest` defaults to `first`."""
    rest = first if rest is None else rest
    lines: list[Line] = []
    for index, part in enumerate(text.split("\n")):
        lines.extend(wrap([(displayable(part), style)], width, rest if index else first, rest))
    return lines


def clip(text: str, cells: int) -> str:
    """Return one line of inert text cut to `cells`, with an ellipsis where something is missing."""
    text = displayable(text)
    if cell_len(text) <= cells:
        return text
    kept = text[: _limit(text, 0, cells - 1)]
    if cell_len(kept) > cells - 1:
        kept = ""
    return kept + "…"[:cells]
