"""A light line of text: what the header, the footer and the gauges are made of."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget


class Line(Widget, can_focus=False):
    """Shows one piece of `Content`, never markup: text from outside cannot style or break it."""

    DEFAULT_CSS = "Line { height: 1; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }"
    ALLOW_SELECT = False

    # Contents of the same text and other colours count as equal: each is painted.
    content: reactive[Content] = reactive(Content, always_update=True)

    def render(self) -> Content:
        return self.content
