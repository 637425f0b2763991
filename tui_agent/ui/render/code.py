"""Code with its colours, lexed when a line of it is first painted.

Pygments and each lexer are imported in a thread by the view: `load` does it, and until then code is plain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style

from tui_agent.ui.render.lines import Line, Prefix, Span, breaks, cut, displayable, prefix_cells, prefix_segments
from tui_agent.ui.render.palette import Palette

if TYPE_CHECKING:
    from pygments.lexer import Lexer

HIGHLIGHT_LIMIT = 60_000
"""Characters of one block beyond which it stays plain: lexing it would be felt."""

_lexers: dict[str, Lexer | None] = {}
_wanted: set[str] = set()


def wanted() -> list[str]:
    """Return the languages that were painted plain because their lexers are not loaded; each is told once."""
    names = [name for name in _wanted if name not in _lexers]
    _wanted.clear()
    return names


def load(language: str) -> None:
    """Import the lexer of a language; slow, for a thread. An unknown language is remembered as having none."""
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
        lexer.get_tokens("warm")
    except ClassNotFound:
        lexer = None
    _lexers[language] = lexer


def _style(kind: object, palette: Palette) -> Style:
    name = str(kind)
    for prefix, style in (
        ("Token.Keyword", palette.keyword),
        ("Token.Operator.Word", palette.keyword),
        ("Token.Comment", palette.comment),
        ("Token.Literal.String", palette.literal),
        ("Token.Literal.Number", palette.number),
        ("Token.Name.Function", palette.name),
        ("Token.Name.Class", palette.name),
        ("Token.Name.Decorator", palette.name),
        ("Token.Name.Tag", palette.keyword),
        ("Token.Name.Attribute", palette.name),
        ("Token.Generic.Deleted", palette.removed),
        ("Token.Generic.Inserted", palette.added),
        ("Token.Generic.Heading", palette.strong),
    ):
        if name.startswith(prefix):
            return style
    return palette.base


class CodeBlock:
    """The source of a block of code; `closed` when no more of it will come.

    An open block is lexed line by line, a closed one as a whole, so that a long block that streams in
    costs the same for each of its lines.
    """

    def __init__(self, language: str, palette: Palette, *, closed: bool = True) -> None:
        self._language = language.lower()
        self._palette = palette
        self._rows: list[str] = []
        self._lines: list[Line] = []
        self._spans: list[list[Span]] | None = None
        self._styles: dict[object, Style] = {}
        self._closed = closed

    def add(self, row: str, width: int, prefix: list[Prefix], first: list[Prefix] | None = None) -> list[Line]:
        """Take one more inert row of source and return it as lines of at most `width` cells."""
        row = displayable(row)
        number = len(self._rows)
        self._rows.append(row)
        if prefix_cells(prefix) > width - 2:
            prefix, first = [], None
        body = max(2, width - prefix_cells(prefix))
        lines: list[Line] = [
            CodeLine(self, number, start, end, first if first and not index else prefix, joined=index > 0)
            for index, (start, end) in enumerate(breaks(row, body, words=False))
        ]
        if not self._closed:
            self._lines.extend(lines)
        return lines

    def close(self) -> None:
        """Say that the block is whole: its lines get the colours that the whole of it gives them."""
        self._closed = True
        for line in self._lines:
            line.forget()
        self._lines.clear()

    def spans(self, number: int) -> list[Span]:
        """Return a row of source in colour."""
        plain_row = [(self._rows[number], self._palette.base)]
        if not self._language:
            return plain_row
        if self._language not in _lexers:
            _wanted.add(self._language)
            return plain_row
        lexer = _lexers[self._language]
        if lexer is None:
            return plain_row
        if not self._closed:
            return self._lex(lexer, self._rows[number])[0]
        if self._spans is None:
            source = "\n".join(self._rows)
            if len(source) > HIGHLIGHT_LIMIT:
                self._language = ""
                return plain_row
            self._spans = self._lex(lexer, source)
        return self._spans[number] if number < len(self._spans) else plain_row

    def _lex(self, lexer: Lexer, source: str) -> list[list[Span]]:
        rows: list[list[Span]] = [[]]
        styles = self._styles
        for _, kind, text in lexer.get_tokens_unprocessed(source):
            style = styles.get(kind)
            if style is None:
                style = styles[kind] = _style(kind, self._palette)
            first, *others = text.split("\n")
            if first:
                rows[-1].append((first, style))
            rows.extend([(part, style)] if part else [] for part in others)
        return rows


class CodeLine(Line):
    """A row of a code block; its segments are made when they are asked for."""

    __slots__ = ("_block", "_end", "_number", "_prefix", "_start")

    def __init__(
        self, block: CodeBlock, number: int, start: int, end: int, prefix: list[Prefix], *, joined: bool
    ) -> None:
        super().__init__([], prefix_segments(prefix)[1], "" if joined else "\n")
        self._block = block
        self._number = number
        self._start = start
        self._end = end
        self._prefix = prefix

    @property
    def segments(self) -> list[Segment]:
        segments, _ = prefix_segments(self._prefix)
        segments.extend(cut(self._block.spans(self._number), self._start, self._end))
        return segments
