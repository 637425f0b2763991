"""What a key is to those who take it: text to insert, an answer, or neither."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.events import Key

_MARK = "in_burst"


def mark_burst(key: Key) -> None:
    """Mark a key as one of several that came so fast that nobody pressed them one by one."""
    setattr(key, _MARK, True)


def in_burst(key: Key) -> bool:
    """Say whether a key came at once with others.

    A paste without brackets, a reply of the terminal that was not recognised, a sentence that a slow line delivers at
    once: the letters in it are no answers, and must not decide anything.
    """
    return bool(getattr(key, _MARK, False))


def typed_text(key: Key) -> str:
    """Return the text that a key inserts, empty if none: any character but controls and lone surrogates.

    Not `str.isprintable`, which Textual asks: that is false for all spaces but one, and for what joins letters.
    """
    text = key.character or ""
    return "" if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text) else text
