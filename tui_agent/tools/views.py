"""Bounded views of long text, which always say what they leave out."""

from __future__ import annotations

import re

VIEW_LIMIT = 20_000
"""Characters of a view for the screen."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Z0-9])")


def printable(data: bytes) -> str:
    """Return a line of a file as text: no colour codes, other control characters and bad bytes as escapes."""
    text = data.decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda m: f"\\x{ord(m.group()):02x}", _ANSI.sub("", text).replace("\r\n", "\n"))


def cut_view(text: str, limit: int = VIEW_LIMIT) -> str:
    """Return the beginning of `text`, with a line that says how much is left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[… {len(text) - limit:,} more characters]"


def count(number: int, noun: str) -> str:
    """Return `1 line` or `2 lines`; the plural of a noun in -ch takes -es."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}{'es' if noun.endswith('ch') else 's'}"
