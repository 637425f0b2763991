"""What the terminal shows, cell by cell, so that a frame writes only the cells that changed.

Textual writes each dirty region whole: a conversation that moves up by one row is a full pane of bytes, although
most cells look as before. Over a slow line that is what makes a terminal flicker and lag.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import split_graphemes
from rich.color import ColorSystem
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.style import Style

MAX_GAP = 4
"""Unchanged cells between two changed ones that are written again: moving over them would cost as many bytes."""

_WIDE_TAIL = ""
"""The text of the second cell of a wide character."""


@dataclass(frozen=True)
class _Look:
    """How a cell looks: parameters of the SGR sequence for both colors and the rest, and the target of a link."""

    text_color: str = ""
    background: str = ""
    attributes: frozenset[str] = frozenset()
    link: str = ""

    @property
    def only_background(self) -> bool:
        """Whether nothing but the background shows where there is no character."""
        return not self.link and _SEEN_ON_BLANKS.isdisjoint(self.attributes)


_PLAIN = _Look()
_NEVER_WRITTEN = _Look(link="\0")
"""The look of a cell of which nothing is known."""

_SEEN_ON_BLANKS = frozenset({"4", "5", "6", "7", "9", "21", "51", "52", "53"})
"""SGR attributes that show where there is no character: lines, blinking, reverse, frames."""

_SWITCHED_OFF_BY = {
    **{"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "6": "25", "7": "27"},
    **{"8": "28", "9": "29", "21": "24", "51": "54", "52": "54", "53": "55"},
}
"""SGR attribute to the one that ends it (ECMA-48, 8.3.117)."""


@dataclass
class _Row:
    """What one row of the terminal shows. `texts` and `looks` have an entry for each cell."""

    texts: list[str]
    looks: list[_Look]
    certain: bool = True
    """False where terminals disagree about widths: such a row is written whole."""


class TerminalCells:
    """Turns what Textual wants to paint into the bytes that change what the terminal shows."""

    def __init__(self) -> None:
        self._rows: dict[int, _Row] = {}
        self._looks: dict[Style | None, tuple[_Look, _Look]] = {}
        """The look of a style's characters and of its blanks."""
        self._interned: dict[_Look, _Look] = {}
        self._system: ColorSystem | None = None
        self.written = 0
        """Characters written to the terminal by now."""

    def forget(self) -> None:
        """Know nothing of what the terminal shows: the next frame writes all of its cells."""
        self._rows.clear()

    def update(self, wanted: CompositorUpdate) -> CompositorUpdate:
        """Return an update that writes what `wanted` changes, worked out at the moment it is rendered."""
        if isinstance(wanted, LayoutUpdate | ChopsUpdate):
            return _CellUpdate(self, wanted)
        return wanted

    def changes(self, wanted: LayoutUpdate | ChopsUpdate, system: ColorSystem) -> str:
        """Return the bytes that turn what the terminal shows into what is wanted, and remember that it shows it."""
        if system is not self._system:
            self._system = system
            self._looks = {None: (_PLAIN, _PLAIN)}
            self._interned = {_PLAIN: _PLAIN}
            self.forget()
        pen = _Pen()
        for y, x, strip in _fragments(wanted):
            self._write(pen, y, x, strip)
        text = pen.end()
        self.written += len(text)
        return text

    def _write(self, pen: _Pen, y: int, x: int, strip: Strip) -> None:
        new = self._cells(strip)
        count = len(new.texts)
        row = self._rows.get(y)
        if row is None:
            row = self._rows[y] = _Row([], [])
        missing = x + count - len(row.texts)
        if missing > 0:
            # A cell that was never written equals no cell.
            row.texts += ["\0"] * missing
            row.looks += [_NEVER_WRITTEN] * missing
        old_texts, old_looks = row.texts[x : x + count], row.looks[x : x + count]
        if old_texts == new.texts and old_looks == new.looks:
            return
        if new.certain and row.certain:
            for first, last in _runs(new, old_texts, old_looks):
                pen.write(y, x + first, new.texts[first:last], new.looks[first:last])
        else:
            pen.write(y, x, new.texts, new.looks)
        row.texts[x : x + count] = new.texts
        row.looks[x : x + count] = new.looks
        row.certain = row.certain and new.certain

    def _cells(self, strip: Strip) -> _Row:
        texts: list[str] = []
        looks: list[_Look] = []
        certain = True
        for text, style, control in strip:
            if control or not text:
                continue
            known = self._looks.get(style)
            if known is None:
                assert style is not None
                known = self._learn(style)
            look, blank = known
            if text.isascii():
                texts += text
                if look is blank or " " not in text:
                    looks += [look] * len(text)
                else:
                    looks += [blank if character == " " else look for character in text]
                continue
            for start, end, width in split_graphemes(text)[0]:
                if width == 0:
                    if texts:
                        texts[-1] += text[start:end]
                    certain = False
                    continue
                certain = certain and end - start == 1
                texts.append(text[start:end])
                texts += [_WIDE_TAIL] * (width - 1)
                looks += [blank if text[start:end] == " " else look] * width
        return _Row(texts, looks, certain)

    def _learn(self, style: Style) -> tuple[_Look, _Look]:
        look = self._intern(_look(style, self._system or ColorSystem.TRUECOLOR))
        blank = look
        if look.only_background:
            blank = self._intern(_Look(background=look.background))
        self._looks[style] = look, blank
        return look, blank

    def _intern(self, look: _Look) -> _Look:
        return self._interned.setdefault(look, look)


class _CellUpdate(CompositorUpdate):
    """An update of Textual's, rendered as the cells that it changes."""

    def __init__(self, cells: TerminalCells, wanted: LayoutUpdate | ChopsUpdate) -> None:
        self._shown = cells
        self._wanted = wanted

    def render_segments(self, console: Console) -> str:
        return self._shown.changes(self._wanted, console._color_system or ColorSystem.TRUECOLOR)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._wanted.__rich_console__(console, options)


class _Pen:
    """Writes cells: moves the cursor and changes the look only where it must."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._at = (-1, -1)
        self._look = _PLAIN

    def write(self, y: int, x: int, texts: list[str], looks: list[_Look]) -> None:
        """Write cells from (x, y) on."""
        if self._at != (y, x):
            row, column = self._at
            self._out.append(f"\x1b[{x - column}C" if row == y and x > column else f"\x1b[{y + 1};{x + 1}H")
        start = 0
        for place in range(1, len(texts) + 1):
            if place < len(texts) and looks[place] is looks[start]:
                continue
            text = "".join(texts[start:place])
            self._change(looks[start], not text.strip(" "))
            self._out.append(text)
            start = place
        self._at = (y, x + len(texts))

    def _change(self, look: _Look, blank: bool = False) -> None:
        now = self._look
        if look is now or (
            blank and look.background == now.background and look.only_background and now.only_background
        ):
            return
        if look.link != now.link:
            self._out.append(f"\x1b]8;{look.link or ';'}\x1b\\")
        codes: list[str] = []
        if gone := now.attributes - look.attributes:
            codes = sorted({_SWITCHED_OFF_BY[code] for code in gone})
        codes += sorted(look.attributes if gone else look.attributes - now.attributes)
        if look.text_color != now.text_color:
            codes.append(look.text_color or "39")
        if look.background != now.background:
            codes.append(look.background or "49")
        if codes:
            self._out.append(f"\x1b[{';'.join(codes)}m")
        self._look = look

    def end(self) -> str:
        """Return all that was written, with the look switched off at its end."""
        if self._look is not _PLAIN:
            if self._look.link:
                self._out.append("\x1b]8;;\x1b\\")
            self._out.append("\x1b[m")
            self._look = _PLAIN
        return "".join(self._out)


def _look(style: Style, system: ColorSystem) -> _Look:
    """Return how a style looks on a terminal with these colors."""
    link = f"id={style._link_id};{style._link}" if style._link else ""
    text_color, background = (
        ";".join(color.downgrade(system).get_ansi_codes(foreground)) if color is not None else ""
        for color, foreground in ((style.color, True), (style.bgcolor, False))
    )
    attributes = Strip.render_ansi(style.without_color, system)
    return _Look(text_color, background, frozenset(attributes.split(";") if attributes else ()), link)


def _fragments(wanted: LayoutUpdate | ChopsUpdate) -> Iterator[tuple[int, int, Strip]]:
    """Yield (y, x, strip) of all that an update paints, as Textual itself would write it."""
    if isinstance(wanted, LayoutUpdate):
        for y, line in enumerate(wanted.strips, wanted.region.y):
            x = wanted.region.x
            for strip in line:
                yield y, x, strip
                x += strip.cell_length
        return
    for y, first, last in wanted.spans:
        for end, (x, piece) in zip(wanted.chop_ends[y], wanted.chops[y].items(), strict=False):
            if piece is None or x > last or end <= first:
                continue
            whole = first <= x < last and end <= last
            yield y, x, piece if whole else piece.crop(0, min(end, last) - x)


def _runs(new: _Row, old_texts: list[str], old_looks: list[_Look]) -> Iterator[tuple[int, int]]:
    """Yield (first, last + 1) of the runs of cells that differ, near ones joined; no wide character is cut."""
    first = end = -1
    for place, (text, old_text) in enumerate(zip(new.texts, old_texts, strict=True)):
        if text == old_text and new.looks[place] is old_looks[place]:
            continue
        if first >= 0 and place - end > MAX_GAP:
            yield first, _whole_end(new, end)
            first = -1
        if first < 0:
            first = place
            while first > 0 and new.texts[first] == _WIDE_TAIL:
                first -= 1
        end = place + 1
    if first >= 0:
        yield first, _whole_end(new, end)


def _whole_end(new: _Row, end: int) -> int:
    while end < len(new.texts) and new.texts[end] == _WIDE_TAIL:
        end += 1
    return end
