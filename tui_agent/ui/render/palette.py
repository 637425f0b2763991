"""The styles of the two long panes, made from the variables of the theme."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rich.style import Style
from textual.color import Color, ColorParseError


@dataclass(frozen=True, slots=True)
class Palette:
    """A style for each role. All of them include the widget's own foreground and background."""

    base: Style
    dim: Style
    strong: Style
    emphasis: Style
    strike: Style
    title: Style
    heading: Style
    code: Style
    link: Style
    rule: Style
    prompt: Style
    mark: Style
    ok: Style
    warning: Style
    error: Style
    added: Style
    removed: Style
    keyword: Style
    literal: Style
    number: Style
    name: Style
    comment: Style
    news: Style


def all_dim(palette: Palette) -> Palette:
    """Return the palette with a diff's colours taken out: for a change that was not made."""
    return replace(palette, base=palette.dim, added=palette.dim, removed=palette.dim)


def make_palette(base: Style, variables: Mapping[str, str]) -> Palette:
    """Return the palette over `base`, with the theme's colours where it names them."""

    def colored(name: str, *, bold: bool | None = None, italic: bool | None = None) -> Style:
        try:
            # `text-…` is the theme's colour with enough contrast to be read
            color = Color.parse(variables.get(f"text-{name}") or variables[name]).rich_color
        except (KeyError, ColorParseError):
            return base + Style(bold=bold, italic=italic)
        return base + Style(color=color, bold=bold, italic=italic)

    return Palette(
        base=base,
        dim=base + Style(dim=True),
        strong=base + Style(bold=True),
        emphasis=base + Style(italic=True),
        strike=base + Style(strike=True),
        title=colored("primary", bold=True) + Style(underline=True),
        heading=colored("primary", bold=True),
        code=colored("accent"),
        link=base + Style(underline=True),
        rule=base + Style(dim=True),
        prompt=colored("primary", bold=True),
        mark=colored("accent", bold=True),
        ok=colored("success"),
        warning=colored("warning"),
        error=colored("error"),
        added=colored("success"),
        removed=colored("error"),
        keyword=colored("primary"),
        literal=colored("success"),
        number=colored("warning"),
        name=colored("accent"),
        comment=base + Style(dim=True, italic=True),
        news=colored("accent", bold=True) + Style(reverse=True),
    )
