"""Markdown as lines: markdown-it's tokens drawn block by block.

Raw HTML is shown as text, a link with its target, an image as its description and address; a newline
inside a paragraph stays one, as people and models mean it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.style import Style

from tui_agent.text import inert, inert_line
from tui_agent.ui.render.code import CodeBlock
from tui_agent.ui.render.lines import Line, Prefix, Span, displayable, prefix_cells, wrap
from tui_agent.ui.render.palette import Palette
from tui_agent.ui.render.table import table_lines

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

BULLETS = ("• ", "◦ ", "▪ ")
BAR = "│ "
QUOTE = "▎ "


@cache
def parser() -> MarkdownIt:
    """Return the parser, made once; the first call imports markdown-it (about 40 ms)."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


class Block(NamedTuple):
    """The tokens of one block and the source lines [start, end) it is made of."""

    tokens: Sequence[Token]
    start: int
    end: int


def blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    """Split the tokens of a container's inside into its blocks."""
    index = 0
    while index < len(tokens):
        first = index
        depth = 0
        while True:
            depth += tokens[index].nesting
            index += 1
            if depth == 0:
                break
        start, end = tokens[first].map or (0, 0)
        yield Block(tokens[first:index], start, end)


def blank(text: str) -> bool:
    """Return whether a source line is empty but for quote marks."""
    return not text.strip(" \t>")


class Draw:
    """Draws blocks at a width. `source` is the lines that the tokens' line numbers speak of."""

    def __init__(self, palette: Palette, width: int, source: Sequence[str]) -> None:
        self._palette = palette
        self._width = width
        self._source = source

    def blocks(self, tokens: Sequence[Token], first: list[Prefix], rest: list[Prefix], depth: int = 0) -> list[Line]:
        """Return the blocks inside a container, with blank rows where the source has them."""
        lines: list[Line] = []
        for number, block in enumerate(blocks(tokens)):
            if number and self.gap(block):
                lines.append(wrap([], self._width, rest)[0])
            lines.extend(self.block(block, rest if number else first, rest, depth))
        if not lines:
            lines = wrap([], self._width, first)
        return lines

    def gap(self, block: Block) -> bool:
        """Return whether a blank source line stands before the block."""
        return 0 < block.start <= len(self._source) and blank(self._source[block.start - 1])

    def block(self, block: Block, first: list[Prefix], rest: list[Prefix], depth: int = 0) -> list[Line]:
        """Return one block as lines."""
        token = block.tokens[0]
        if prefix_cells(rest) > self._width // 2:
            first, rest = first[-1:], rest[-1:]
        match token.type:
            case "paragraph_open":
                return self._inline(block.tokens[1], self._palette.base, first, rest)
            case "heading_open":
                style = self._palette.title if token.tag == "h1" else self._palette.heading
                return self._inline(block.tokens[1], style, first, rest)
            case "bullet_list_open" | "ordered_list_open":
                return self._list(block, first, rest, depth)
            case "blockquote_open":
                quote = Prefix(QUOTE, self._palette.rule)
                return self.blocks(block.tokens[1:-1], [*first, quote], [*rest, quote], depth)
            case "fence" | "code_block":
                return self._code(token, first, rest)
            case "hr":
                cells = max(3, self._width - prefix_cells(rest))
                return wrap([("─" * cells, self._palette.rule)], self._width, first, rest)
            case "table_open":
                return self._table(block.tokens, first, rest)
        return self._text(token.content, first, rest)

    def _text(self, text: str, first: list[Prefix], rest: list[Prefix]) -> list[Line]:
        lines: list[Line] = []
        for part in inert(text).rstrip("\n").split("\n"):
            lines.extend(wrap([(displayable(part), self._palette.base)], self._width, rest if lines else first, rest))
        return lines

    def _inline(self, token: Token, style: Style, first: list[Prefix], rest: list[Prefix]) -> list[Line]:
        lines: list[Line] = []
        for spans in inline(token.children or [], style, self._palette):
            lines.extend(wrap(spans, self._width, rest if lines else first, rest))
        return lines

    def _list(self, block: Block, first: list[Prefix], rest: list[Prefix], depth: int) -> list[Line]:
        lines: list[Line] = []
        for number, item in enumerate(blocks(block.tokens[1:-1])):
            if number and self.gap(item):
                lines.append(wrap([], self._width, rest)[0])
            lines.extend(self.list_item(item, rest if number else first, rest, depth))
        return lines

    def list_item(self, item: Block, first: list[Prefix], rest: list[Prefix], depth: int) -> list[Line]:
        """Return one item of a list; an ordered one keeps the number it was written with."""
        token = item.tokens[0]
        mark = f"{token.info}{token.markup} " if token.info else BULLETS[depth % len(BULLETS)]
        bullet = Prefix(mark, self._palette.mark, gutter=False)
        indent = Prefix(" " * len(mark), self._palette.base)
        return self.blocks(item.tokens[1:-1], [*first, bullet], [*rest, indent], depth + 1)

    def _code(self, token: Token, first: list[Prefix], rest: list[Prefix]) -> list[Line]:
        bar = Prefix(BAR, self._palette.rule)
        language = token.info.split()[0] if token.info.strip() else ""
        code = CodeBlock(inert_line(language), self._palette)
        lines: list[Line] = []
        for row in inert(token.content).removesuffix("\n").split("\n"):
            lines.extend(code.add(row, self._width, [*rest, bar], None if lines else [*first, bar]))
        return lines

    def _table(self, tokens: Sequence[Token], first: list[Prefix], rest: list[Prefix]) -> list[Line]:
        rows: list[list[list[Span]]] = []
        aligns: list[str] = []
        for index, token in enumerate(tokens):
            if token.type == "tr_open":
                rows.append([])
            elif token.type in {"th_open", "td_open"}:
                head = token.type == "th_open"
                style = self._palette.strong if head else self._palette.base
                cell: list[Span] = []
                for spans in inline(tokens[index + 1].children or [], style, self._palette):
                    cell.extend([(" ", style), *spans] if cell else spans)
                rows[-1].append(cell)
                if head:
                    aligns.append(str(token.attrs.get("style", "")).removeprefix("text-align:"))
        return table_lines(rows, aligns, self._palette, self._width, first=first, rest=rest)


def inline(children: Sequence[Token], style: Style, palette: Palette) -> list[list[Span]]:
    """Return inline tokens as logical lines of spans."""
    lines: list[list[Span]] = [[]]
    styles = [style]
    links: list[tuple[str, int, int]] = []

    def add(text: str, with_style: Style) -> None:
        first, *others = displayable(inert(text)).split("\n")
        if first:
            lines[-1].append((first, with_style))
        lines.extend([(part, with_style)] if part else [] for part in others)

    for token in children:
        match token.type:
            case "text" | "text_special":
                add(token.content, styles[-1])
            case "code_inline":
                add(token.content, styles[-1] + palette.code)
            case "softbreak" | "hardbreak":
                lines.append([])
            case "strong_open":
                styles.append(styles[-1] + _BOLD)
            case "em_open":
                styles.append(styles[-1] + _ITALIC)
            case "s_open":
                styles.append(styles[-1] + _STRIKE)
            case "link_open":
                styles.append(styles[-1] + _UNDERLINE)
                links.append((_attribute(token.attrs, "href"), len(lines) - 1, len(lines[-1])))
            case "link_close":
                styles.pop()
                target, line, span = links.pop()
                shown = "".join(text for text, _ in lines[line][span:]) if line == len(lines) - 1 else ""
                if target and target not in (shown, f"mailto:{shown}"):
                    add(f" ({target})", palette.dim)
            case "image":
                add(f"[image: {token.content}] ({_attribute(token.attrs, 'src')})", palette.dim)
            case kind if kind.endswith("_close"):
                styles.pop()
            case _:
                add(token.content, styles[-1])
    return lines


_BOLD = Style(bold=True)
_ITALIC = Style(italic=True)
_STRIKE = Style(strike=True)
_UNDERLINE = Style(underline=True)


def _attribute(attrs: Mapping[str, Any], name: str) -> str:
    return str(attrs.get(name, ""))
