"""The output of a program as a terminal would show it, line by line.

Programs redraw: a progress bar writes a hundred frames into one line, each after a carriage return. Of all that only
what is left on the line in the end is worth reading. `rendered` is the one function for it: for results, for what
the screen shows of them, and for what a running command has said so far.
"""

from __future__ import annotations

import re
import unicodedata

MAX_COLUMNS = 2_000
"""Columns that a movement of the cursor reaches, so that one short sequence cannot fill the memory with blanks."""

_TOKENS = re.compile(
    "(?P<plain>[^\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]+)"
    "|(?P<newline>\r*\n|[\x0b\x0c\x85])"
    "|(?P<return>\r)"
    "|(?P<back>\b+)"
    "|(?:\x1b\\[|\x9b)(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])"
    # strings: OSC, DCS, SOS, PM, APC; one without its end goes on to the end of the line
    "|(?:\x1b[]PX^_]|[\x9d\x90\x98\x9e\x9f])(?P<string>[^\x07\x1b\x9c\n]*)(?:\x07|\x1b\\\\|\x9c|(?=[\x1b\n])|\\Z)"
    "|\x1b[ -/]+[0-~]|\x1b[0-Z\\\\`-~]"  # character sets and other short sequences
    "|(?P<cut>(?:\x1b\\[?|\x9b)[0-?]*[ -/]*\\Z)"  # one that is not complete yet
    "|\x07|[\x0e\x0f]"  # the bell and shifts show nothing
    "|(?P<other>[\x00-\x1f\x7f-\x9f\ud800-\udfff])"
)
_PLAIN = re.compile("[^\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]*")


def rendered(text: str) -> str:
    """Return `text` as it would stand on a terminal: redrawn lines as they are in the end, no escape sequences.

    Tabs stay. A screen that is cleared keeps what was on it. What a terminal has no meaning for becomes an escape
    such as `\\x00`. An escape sequence that is cut off by the end of `text` is left out.
    """
    if _PLAIN.fullmatch(text):
        return text
    screen = _Screen()
    for token in _TOKENS.finditer(text):
        match token.lastgroup:
            case "plain":
                screen.write(token["plain"])
            case "newline":
                screen.line_feed()
            case "return":
                screen.column = 0
            case "back":
                screen.column = max(0, screen.column - len(token["back"]))
                screen.overstrikes = True
            case "final":
                screen.control(token["final"], token["parameters"])
            case "other":
                screen.write(f"\\x{ord(token['other']):02x}" if token["other"] < "\ud800" else
                             f"\\u{ord(token['other']):04x}")  # fmt: skip
    return screen.text()


def rendered_bytes(data: bytes) -> str:
    """Return bytes of output so; those that are no UTF-8 become escapes like `\\xff`."""
    return rendered(data.decode("utf-8", "backslashreplace"))


class _Screen:
    """Lines of cells, each the character and the marks upon it, and the cursor."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = [[]]
        self.row = 0
        self.column = 0
        self.redrawn: set[int] = set()  # rows that were written over, where blanks at the end mean nothing
        self.overstrikes = False  # the cursor came here by backspaces: what is written goes over what stands

    def write(self, text: str) -> None:
        """Put text at the cursor, over what stands there."""
        cells = _cells(text, self)
        row = self.rows[self.row]
        if self.column > len(row):
            row.extend(" " * (self.column - len(row)))
        if self.overstrikes:
            # underlined text is a letter and a line, in either order: the letter is what is to be read
            under = row[self.column : self.column + len(cells)]
            cells[: len(under)] = [old if new == "_" else new for old, new in zip(under, cells, strict=False)]
            self.overstrikes = False
        if self.column < len(row):
            self.redrawn.add(self.row)
        row[self.column : self.column + len(cells)] = cells
        self.column += len(cells)

    def line_feed(self) -> None:
        """Go to the beginning of the next line."""
        self.row += 1
        self.column = 0
        if self.row == len(self.rows):
            self.rows.append([])

    def control(self, final: str, parameters: str) -> None:
        """Do what a control sequence says, as far as it moves within lines or erases some of them."""
        first = parameters.split(";", 1)[0]
        number = int(first[:6]) if first.isdecimal() else 0
        row, count = self.rows[self.row], max(1, number)
        match final:
            case "K" if number == 0:
                del row[self.column :]
            case "K":
                self.redrawn.add(self.row)
                end = len(row) if number == 2 else min(self.column + 1, len(row))
                row[:end] = " " * end
            case "J" if number == 0:
                del row[self.column :]
                del self.rows[self.row + 1 :]
            case "G" | "`":
                self.column = min(count - 1, MAX_COLUMNS)
            case "C":
                self.column = min(self.column + count, max(MAX_COLUMNS, self.column))
            case "D":
                self.column = max(0, self.column - count)
            case "A" | "F":
                self.row = max(0, self.row - count)
            case "B" | "E":
                self.row = min(len(self.rows) - 1, self.row + count)
            case "P":
                del row[self.column : self.column + count]
            case "X":
                self.redrawn.add(self.row)
                end = min(self.column + count, len(row))
                row[self.column : end] = " " * max(0, end - self.column)
        if final in "EF":
            self.column = 0

    def text(self) -> str:
        """Return the lines, without the blanks that were left at the ends of those that were written over."""
        for number in self.redrawn & set(range(len(self.rows))):
            row = self.rows[number]
            while row and row[-1] == " ":
                row.pop()
        return "\n".join("".join(row) for row in self.rows)


def _cells(text: str, screen: _Screen) -> list[str]:
    """Return the characters of `text`, marks and joiners with what they stand upon."""
    if text.isascii():
        return list(text)
    cells: list[str] = []
    for character in text:
        joined = cells and cells[-1].endswith("\u200d")
        if joined or unicodedata.combining(character) or character in "\u200d\ufe0e\ufe0f":
            if cells:
                cells[-1] += character
                continue
            row = screen.rows[screen.row]
            if 0 < screen.column <= len(row):
                row[screen.column - 1] += character
                continue
        cells.append(character)
    return cells
