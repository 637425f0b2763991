"""What is highlighted can be read, in every theme of the package."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.color import Color

from tests.ui.support import driven

THEMES = ("tui-agent-dark", "tui-agent-light")


@pytest.mark.parametrize("theme", THEMES)
async def test_highlighted_rows_keep_their_contrast(isolated: Path, theme: str) -> None:
    async with driven(isolated, theme=theme, opened=False) as me:
        variables = me.app.theme_variables
        cursor = Color.parse(variables["block-cursor-background"])
        for name in ("block-cursor-foreground", "text-success", "text-error", "text-warning", "foreground"):
            assert _ratio(cursor, _color(variables[name])) >= 4.5, name


def _color(text: str) -> Color:
    return Color.parse(text)


def _ratio(one: Color, other: Color) -> float:
    """Return the contrast of two colours as WCAG 2 defines it, from 1 to 21."""

    def luminance(color: Color) -> float:
        parts = [v / 255 for v in color.rgb]
        r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
