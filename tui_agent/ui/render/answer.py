"""An answer of the model as lines, drawn as it grows."""

from __future__ import annotations

from tui_agent.session import AnswerBlock, AnswerItem
from tui_agent.text import inert, inert_line
from tui_agent.ui.render.document import MarkdownDocument
from tui_agent.ui.render.lines import Line, Prefix, plain, wrap
from tui_agent.ui.render.palette import Palette
from tui_agent.ui.render.words import count


class AnswerDrawing:
    """Draws one answer again and again; the Markdown of its text blocks is kept between."""

    def __init__(self, palette: Palette, width: int) -> None:
        self._palette = palette
        self._width = width
        self._documents: dict[int, MarkdownDocument] = {}

    def update(self, item: AnswerItem, unfolded: bool) -> list[Line]:
        """Return the answer as lines; nothing for one that only calls tools."""
        streaming = item.state in {"waiting", "streaming"}
        lines: list[Line] = []
        for number, block in enumerate(item.blocks):
            drawn = self._block(number, block, streaming and number == len(item.blocks) - 1, unfolded, streaming)
            if drawn and lines:
                lines.append(Line([]))
            lines.extend(drawn)
        if streaming and not lines:
            lines = wrap([("… waiting for the model", self._palette.dim)], self._width)
        lines.extend(self._note(item))
        return lines

    def _block(self, number: int, block: AnswerBlock, last: bool, unfolded: bool, streaming: bool) -> list[Line]:
        match block.kind:
            case "text":
                return self._markdown(number, block.text, streaming)
            case "thinking":
                return self._thinking(block.text, last, unfolded)
            case "tool_input":
                words = f"… writing the call of {inert_line(block.tool)}, {count(len(block.text), 'character')}"
                return wrap([(words, self._palette.dim)], self._width)

    def _markdown(self, number: int, text: str, streaming: bool) -> list[Line]:
        document = self._documents.get(number)
        if document is None or not text.startswith(document.text):
            document = self._documents[number] = MarkdownDocument(self._palette, self._width)
        document.feed(text)
        if not streaming:
            document.finish()
        return document.lines

    def _thinking(self, text: str, last: bool, unfolded: bool) -> list[Line]:
        if not text:
            return []
        style = self._palette.comment
        mark = "▾" if unfolded else "▸"
        words = count(len(text.split()), "word")
        lines = wrap([(f"{mark} thinking{'…' if last else ''} · {words}", style)], self._width)
        if unfolded:
            lines.extend(plain(inert(text), style, self._width, [Prefix("│ ", self._palette.rule)]))
        return lines

    def _note(self, item: AnswerItem) -> list[Line]:
        glyph, style = {
            "interrupted": ("■ interrupted", self._palette.warning),
            "failed": ("✗ failed", self._palette.error),
            "retrying": ("● trying again", self._palette.warning),
        }.get(item.state, ("!", self._palette.warning))
        if not item.note and glyph == "!":
            return []
        note = inert_line(item.note.strip())
        if note.rstrip(".").lower() == glyph[2:]:
            note = ""
        separator = " " if glyph == "!" or not note else ": "
        return wrap([(f"{glyph}{separator}{note}".rstrip(), style)], self._width, (), [Prefix("  ", style)])
