"""Frames that write only what changed leave on the terminal what whole frames would."""

from __future__ import annotations

import pyte
from hypothesis import given
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from tui_agent.ui.terminal_cells import TerminalCells

WIDTH, HEIGHT, CUT = 24, 4, 7

STYLES = [
    Style(),
    Style.parse("red on #101020"),
    Style.parse("#d6d9de on #16181d"),
    Style.parse("bold #d6d9de on #16181d"),
    Style.parse("dim italic #d6d9de on #16181d"),
    Style.parse("underline on #16181d"),
    Style.parse("reverse #d6d9de"),
    Style.parse("on #30201d"),
    Style.parse("bold dim"),
]
WORDS = ["a", " ", "  ", "word", "漢字", "é", "x " * 4, "12:01:03", "─", "한", "   end"]

pieces = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(STYLES)), max_size=8)


def strip(parts: list[tuple[str, Style]]) -> Strip:
    return Strip([Segment(text, style) for text, style in parts]).adjust_cell_length(WIDTH, STYLES[2]).simplify()


frames = st.lists(st.lists(pieces, min_size=HEIGHT, max_size=HEIGHT), min_size=1, max_size=6)


class Terminal:
    """A terminal emulator: what it shows, character by character with its look."""

    def __init__(self) -> None:
        self.screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.Stream(self.screen)

    def feed(self, text: str) -> None:
        self._stream.feed(text)

    def shown(self) -> list[list[tuple[object, ...]]]:
        rows = []
        for y in range(HEIGHT):
            row = []
            for x in range(WIDTH):
                cell = self.screen.buffer[y][x]
                blank = cell.data == " " and not (cell.reverse or cell.underscore or cell.strikethrough)
                look = (
                    (cell.bg,)
                    if blank
                    else (cell.fg, cell.bg, cell.bold, cell.italics, cell.underscore, cell.reverse)
                )
                row.append((cell.data, *look))
            rows.append(row)
        return rows


class Console:
    """What an update asks of Textual's console."""

    _color_system = ColorSystem.TRUECOLOR


def whole(lines: list[Strip]) -> LayoutUpdate:
    return LayoutUpdate([[line] for line in lines], Region(0, 0, WIDTH, HEIGHT))


def part(lines: list[Strip]) -> ChopsUpdate:
    """The same frame as Textual sends the dirty part of it: each row cut in two."""
    chops = [{0: line.crop(0, CUT), CUT: line.crop(CUT)} for line in lines]
    return ChopsUpdate(chops, [(y, 0, WIDTH) for y in range(HEIGHT)], [[CUT, WIDTH]] * HEIGHT)


def plain(lines: list[Strip]) -> str:
    return "".join(
        f"\x1b[{y + 1};1H" + line.render(Console())  # type: ignore[arg-type]  # only its color system is asked for
        for y, line in enumerate(lines)
    )


@given(frames, st.booleans())
def test_a_terminal_shows_the_same_as_after_whole_frames(rows, cut):
    cells, changed, repainted = TerminalCells(), Terminal(), Terminal()
    for number, frame in enumerate(rows):
        # A wide character across the cut is painted as blanks.
        lines = [Strip.join([line.crop(0, CUT), line.crop(CUT)]) for line in map(strip, frame)]
        update = part(lines) if cut and number else whole(lines)
        changed.feed(cells.changes(update, ColorSystem.TRUECOLOR))
        repainted.feed(plain(lines))
        assert changed.shown() == repainted.shown()


def test_a_frame_like_the_one_before_writes_nothing():
    cells = TerminalCells()
    lines = [strip([("word", STYLES[1])])] * HEIGHT
    assert cells.changes(whole(lines), ColorSystem.TRUECOLOR)
    assert cells.changes(whole(lines), ColorSystem.TRUECOLOR) == ""
    cells.forget()
    assert cells.changes(whole(lines), ColorSystem.TRUECOLOR)


def test_one_changed_digit_costs_a_few_bytes():
    cells = TerminalCells()
    before, after = ([strip([(f"12:01:0{n} done", STYLES[2])])] * HEIGHT for n in (3, 4))
    cells.changes(whole(before), ColorSystem.TRUECOLOR)
    assert len(cells.changes(whole(after), ColorSystem.TRUECOLOR)) < 60 * HEIGHT


def test_other_colors_of_the_terminal_repaint_all():
    cells = TerminalCells()
    lines = [strip([("word", STYLES[2])])] * HEIGHT
    cells.changes(whole(lines), ColorSystem.TRUECOLOR)
    assert "word" in cells.changes(whole(lines), ColorSystem.STANDARD)


def test_a_row_whose_width_terminals_disagree_about_is_written_whole():
    cells = TerminalCells()
    joined = "👩\u200d💻"
    before, after = ([strip([(f"{joined} at 12:01:0{n}", STYLES[2])])] * HEIGHT for n in (3, 4))
    cells.changes(whole(before), ColorSystem.TRUECOLOR)
    assert cells.changes(whole(after), ColorSystem.TRUECOLOR).count(joined) == HEIGHT
