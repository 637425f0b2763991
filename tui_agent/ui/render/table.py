"""Tables as lines: columns that fit, else wrapped cells, else one record a row."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment

from tui_agent.ui.render.lines import Line, Prefix, Span, prefix_cells, prefix_segments, wrap
from tui_agent.ui.render.palette import Palette

NARROWEST = 6
"""Cells below which a column is not worth having; such a table becomes records."""

GAP = " │ "

Cell = Sequence[Span]


def table_lines(
    rows: Sequence[Sequence[Cell]],
    aligns: Sequence[str],
    palette: Palette,
    width: int,
    *,
    first: Sequence[Prefix],
    rest: Sequence[Prefix],
) -> list[Line]:
    """Return a table; the first row is its head. `aligns` is `left`, `right`, `center` or empty by column."""
    count = len(rows[0])
    body = width - prefix_cells(rest) - len(GAP) * (count - 1)
    widths = [max(1, *(cell_len(_text(row[column])) for row in rows if column < len(row))) for column in range(count)]
    if body < sum(min(NARROWEST, natural) for natural in widths):
        return _records(rows, palette, width, first=first, rest=rest)
    widths = _shrunk(widths, body)
    lines: list[Line] = []
    for number, row in enumerate(rows):
        wrapped = [wrap(cell, cells) for cell, cells in zip(row, widths, strict=False)]
        for level in range(max(map(len, wrapped), default=1)):
            segments, gutter = prefix_segments(rest if lines else first)
            for column, cell in enumerate(wrapped):
                if column:
                    segments.append(Segment(GAP, palette.rule))
                content = cell[level].segments if level < len(cell) else []
                segments.extend(_padded(content, widths[column], aligns[column], palette, column == count - 1))
            lines.append(Line(segments, gutter))
        if number == 0:
            segments, gutter = prefix_segments(rest)
            segments.append(Segment("─┼─".join("─" * cells for cells in widths), palette.rule))
            lines.append(Line(segments, gutter))
    return lines


def _text(cell: Cell) -> str:
    return "".join(text for text, _ in cell)


def _shrunk(widths: list[int], body: int) -> list[int]:
    """Return widths that add up to at most `body`: the widest columns give way first."""
    if sum(widths) <= body:
        return widths
    remaining = body
    shrunk = list(widths)
    for left, column in enumerate(sorted(range(len(widths)), key=widths.__getitem__)):
        share = remaining // (len(widths) - left)
        shrunk[column] = max(2, min(widths[column], share))
        remaining -= shrunk[column]
    return shrunk


def _padded(segments: list[Segment], width: int, align: str, palette: Palette, last: bool) -> list[Segment]:
    space = width - sum(segment.cell_length for segment in segments)
    left = {"right": space, "center": space // 2}.get(align, 0)
    right = 0 if last else space - left
    return [
        *([Segment(" " * left, palette.base)] if left > 0 else []),
        *segments,
        *([Segment(" " * right, palette.base)] if right > 0 else []),
    ]


def _records(
    rows: Sequence[Sequence[Cell]],
    palette: Palette,
    width: int,
    *,
    first: Sequence[Prefix],
    rest: Sequence[Prefix],
) -> list[Line]:
    lines: list[Line] = []
    head = rows[0]
    if len(rows) == 1:
        for cell in head:
            lines.extend(wrap(cell, width, rest if lines else first, rest))
        return lines
    for number, row in enumerate(rows[1:]):
        if number:
            lines.append(Line(*prefix_segments(rest)))
        for title, cell in zip(head, row, strict=False):
            spans: list[Span] = [*title, (": ", palette.strong), *cell]
            lines.extend(wrap(spans, width, rest if lines else first, rest))
    return lines
