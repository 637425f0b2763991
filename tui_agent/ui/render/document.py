"""Markdown that grows at its end: settled blocks are parsed and drawn once.

A block is settled when the next one has begun with a whole line, an item of a list when its next sibling
has, a line of an open fence when it has ended. Markdown closes blocks line by line, so nothing that comes
later can change them; only link references defined later can, and `finish` draws again where there are any.
"""

from __future__ import annotations

import re
from typing import Any

from tui_agent.text import inert, inert_line
from tui_agent.ui.render.code import CodeBlock
from tui_agent.ui.render.lines import Line, Prefix
from tui_agent.ui.render.markdown import BAR, Block, Draw, blank, blocks, parser
from tui_agent.ui.render.palette import Palette

_FENCE = re.compile(r"( {0,3})(`{3,}|~{3,})(.*)")

_TAB_STOP = 4
"""Columns between the tab stops that CommonMark counts indentation by."""


class _Fence:
    """A fence at the top level whose end has not come."""

    def __init__(self, opening: re.Match[str], palette: Palette) -> None:
        indent, mark, info = opening.groups()
        self.indent = len(indent)
        self.closing = re.compile(rf" {{0,3}}{re.escape(mark[0])}{{{len(mark)},}}[ \t]*")
        language = info.split()[0] if info.strip() else ""
        self.code = CodeBlock(inert_line(language), palette, closed=False)
        self.prefix = [Prefix(BAR, palette.rule)]
        self.empty = True

    def row(self, line: str) -> str:
        """Return a line of the inside without the fence's own indentation.

        Of a tab that reaches beyond it, the columns that are left become spaces (CommonMark, section 2.2).
        """
        columns = 0
        for at, character in enumerate(line):
            if columns >= self.indent or character not in " \t":
                return " " * (columns - self.indent) + line[at:]
            columns += _TAB_STOP - columns % _TAB_STOP if character == "\t" else 1
        return " " * (columns - self.indent)


class MarkdownDocument:
    """The lines of a Markdown text that is fed as it grows. `lines` is what to show now."""

    def __init__(self, palette: Palette, width: int) -> None:
        self._palette = palette
        self._width = width
        self._restart({})

    def _restart(self, references: dict[str, Any]) -> None:
        self._text = ""
        self._offset = 0
        self._gap = False
        self._references = references
        self._defined = references
        self._fence: _Fence | None = None
        self._settled: list[Line] = []
        self._tail: list[Line] = []

    @property
    def lines(self) -> list[Line]:
        """The lines of the whole text so far."""
        return self._settled + self._tail

    @property
    def text(self) -> str:
        """The text so far."""
        return self._text

    def feed(self, text: str) -> None:
        """Take the whole text so far; one that does not continue the last one is drawn anew."""
        if not text.startswith(self._text):
            self._restart({})
        self._text = text
        self._tail = []
        while self._advance():
            pass

    def finish(self) -> None:
        """Say that the text is whole."""
        fence = self._fence
        if fence is not None:
            fence.code.close()
        if self._defined:
            text = self._text
            self._restart(self._defined)
            self.feed(text)
            if self._fence is not None:
                self._fence.code.close()

    def _advance(self) -> bool:
        """Draw what is open; return whether a fence's end lets more be drawn."""
        if self._fence is not None:
            return self._advance_fence(self._fence)
        return self._advance_blocks()

    def _advance_fence(self, fence: _Fence) -> bool:
        while (end := self._text.find("\n", self._offset)) >= 0:
            line = inert(self._text[self._offset : end + 1]).removesuffix("\n")
            self._offset = end + 1
            if fence.closing.fullmatch(line):
                if fence.empty:
                    self._settled.extend(fence.code.add("", self._width, fence.prefix))
                fence.code.close()
                self._fence = None
                self._gap = False
                return True
            fence.empty = False
            self._settled.extend(fence.code.add(fence.row(line), self._width, fence.prefix))
        rest = inert(self._text[self._offset :])
        if fence.closing.fullmatch(rest):
            rest = ""
        if rest or fence.empty:
            # the unfinished row is drawn apart from the block: it changes with each feed
            draft = CodeBlock("", self._palette)
            self._tail = draft.add(fence.row(rest), self._width, fence.prefix)
        return False

    def _advance_blocks(self) -> bool:
        source_text = inert(self._text[self._offset :])
        if not source_text:
            return False
        environment: dict[str, Any] = {"references": dict(self._references)}
        tokens = parser().parse(source_text, environment)
        self._defined = environment["references"]
        found = list(blocks(tokens))
        if not found:
            return False
        source = source_text.split("\n")
        draw = Draw(self._palette, self._width, source)
        whole = len(source) - 1
        last = found[-1]
        fence = self._open_fence(last, source, whole)
        boundary = last.start if last.start < whole else found[-2].start if len(found) > 1 else 0
        settled = [block for block in found if block.start < boundary]
        for block in settled:
            self._settled.extend(self._drawn(draw, block))
        if fence is not None:
            self._separate(self._settled, draw, last)
            self._fence = fence
            self._settle(source, last.start + 1, environment)
            self._gap = False
            return True
        tail = found[len(settled) :]
        if len(tail) == 1 and tail[0].tokens[0].type in {"bullet_list_open", "ordered_list_open"}:
            boundary = self._settle_list(draw, tail[0], whole, boundary)
        else:
            for block in tail:
                self._tail.extend(self._drawn(draw, block))
        self._settle(source, boundary, environment)
        return False

    def _open_fence(self, last: Block, source: list[str], whole: int) -> _Fence | None:
        if last.tokens[0].type != "fence" or last.start >= whole:
            return None
        opening = _FENCE.match(source[last.start])
        return _Fence(opening, self._palette) if opening else None

    def _settle_list(self, draw: Draw, block: Block, whole: int, boundary: int) -> int:
        """Settle the items of the open list but the last; return the line where the open ones begin."""
        items = list(blocks(block.tokens[1:-1]))
        keep = len(items) - (1 if items[-1].start < whole else 2)
        for number, item in enumerate(items):
            out = self._settled if number < keep else self._tail
            self._separate(out, draw, item)
            out.extend(draw.list_item(item, [], [], 0))
        return items[keep].start if keep > 0 else boundary

    def _drawn(self, draw: Draw, block: Block) -> list[Line]:
        lines: list[Line] = []
        self._separate(lines, draw, block)
        lines.extend(draw.block(block, [], []))
        return lines

    def _separate(self, lines: list[Line], draw: Draw, block: Block) -> None:
        """Add the blank row before a block, where the source has one and something stands before it."""
        gap = draw.gap(block) if block.start else self._gap
        if gap and (self._settled or self._tail):
            lines.append(Line([]))

    def _settle(self, source: list[str], boundary: int, environment: dict[str, Any]) -> None:
        """Move the start of what is open to line `boundary` of the source."""
        if not boundary:
            return
        for label, reference in environment["references"].items():
            if label not in self._references and reference["map"][1] <= boundary:
                self._references[label] = reference
        for _ in range(boundary):
            self._offset = self._text.index("\n", self._offset) + 1
        self._gap = blank(source[boundary - 1])
