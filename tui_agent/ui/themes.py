"""Themes: TOML files in the package and in the user's own folder.

Read before the first paint, so with the standard library and Textual's own colour parser only.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.color import Color, ColorParseError
from textual.theme import Theme

DEFAULT_THEME = "tui-agent-dark"
"""The theme used when none, or an unknown one, is asked for."""

FEW_COLORS_THEME = "tui-agent-16"
"""The theme used where a terminal has 16 colors and none was asked for."""


def has_few_colors(environment: Mapping[str, str]) -> bool:
    """Say whether a terminal has only the 16 ANSI colors, by the variables that they set, as Rich reads them."""
    if environment.get("COLORTERM", "").strip().lower() in {"truecolor", "24bit"}:
        return False
    return not environment.get("TERM", "").endswith(("256color", "kitty"))


_COLORS = frozenset(
    {
        "primary",
        "secondary",
        "accent",
        "warning",
        "error",
        "success",
        "foreground",
        "background",
        "surface",
        "panel",
        "boost",
    }
)
_KEYS = frozenset({"name", "dark", "colors", "variables"})
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")


class ThemeError(Exception):
    """A theme file is wrong; the message names the file, the line and what to write instead."""


@dataclass(frozen=True, slots=True)
class LoadedThemes:
    """The themes by name, and a message for each file that could not be used."""

    themes: Mapping[str, Theme]
    problems: tuple[str, ...]


def packaged_themes() -> Path:
    """Return the folder of the packaged themes: inside the wheel, or at the top of a checkout."""
    here = Path(__file__).resolve().parent
    inside = here.parent / "themes"
    return inside if inside.is_dir() else here.parent.parent / "themes"


def load_themes(folders: Iterable[Path]) -> LoadedThemes:
    """Read every `*.toml` of the folders; a later folder's theme replaces an earlier one of the same name."""
    themes: dict[str, Theme] = {}
    problems = []
    for folder in folders:
        try:
            files = sorted(folder.glob("*.toml"))
        except OSError as error:
            problems.append(f"{folder}: cannot be read: {error.strerror}")
            continue
        for file in files:
            try:
                theme = read_theme(file)
            except ThemeError as error:
                problems.append(str(error))
            else:
                themes[theme.name] = theme
    return LoadedThemes(themes, tuple(problems))


def read_theme(file: Path) -> Theme:
    """Read one theme file. Raises `ThemeError` naming file and line."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ThemeError(f"{file}: cannot be read: {error}") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ThemeError(f"{file}: {error}") from error

    def wrong(key: str, message: str) -> ThemeError:
        return ThemeError(f"{file}:{_line_of(text, key)}: {message}")

    for key in data.keys() - _KEYS:
        raise wrong(key, f"unknown key {key!r}; a theme has {', '.join(sorted(_KEYS))}")
    name = data.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise wrong("name", "`name` must be lower-case letters, digits and hyphens")
    dark = data.get("dark", True)
    if not isinstance(dark, bool):
        raise wrong("dark", "`dark` must be true or false")
    colors = _strings(data.get("colors"), "colors", wrong)
    for key, value in colors.items():
        if key not in _COLORS:
            raise wrong(key, f"unknown colour {key!r}; there are {', '.join(sorted(_COLORS))}")
        try:
            Color.parse(value)
        except ColorParseError as error:
            raise wrong(key, f"{value!r} is no colour; write #rrggbb, for example") from error
    if "primary" not in colors:
        raise wrong("colors", "`colors.primary` is missing")
    variables = _strings(data.get("variables", {}), "variables", wrong)
    for key, value in variables.items():
        # Variables end up in the style sheet as they are: one bad value would take the whole sheet down.
        if not re.fullmatch(r"[a-z][a-z0-9-]*", key) or not re.fullmatch(r"[#\w%. -]+", value):
            raise wrong(key, f"{value!r} cannot stand in a style sheet")
    return Theme(name=name, dark=dark, variables=dict(variables), **colors)


def _strings(table: Any, key: str, wrong: Callable[[str, str], ThemeError]) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise wrong(key, f"[{key}] must be a table of strings")
    for name, value in table.items():
        if not isinstance(value, str):
            raise wrong(name, f"`{key}.{name}` must be a string")
    return table


def _line_of(text: str, key: str) -> int:
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(rf"\s*\[?\s*[\"']?{re.escape(key)}[\"']?\s*(=|\])", line):
            return number
    return 1
