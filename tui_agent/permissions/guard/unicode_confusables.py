"""Characters that hide, reorder, or look like others.

Class of attack: bidirectional controls, zero-width and tag characters, blanks that are no blanks to bash,
and command names in another script that look like a known one.
"""

from __future__ import annotations

import unicodedata

from tui_agent.permissions.guard.model import PASS, Finding, Line, Surroundings

_HIDING = frozenset(["Cf", "Zl", "Zp", "Co", "Cs", "Cn"])
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5\u2800")


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Ask about invisible and reordering characters, odd blanks, and command names that are not ASCII."""
    if line.text.isascii():
        return PASS
    for char in line.text:
        if char.isascii():
            continue
        category = unicodedata.category(char)
        hidden = category in _HIDING or category == "Zs" or char in _FILLERS or 0xFE00 <= ord(char) <= 0xFE0F
        if hidden or 0xE0100 <= ord(char) <= 0xE01EF:
            return Finding("ask", f"it holds the invisible or reordering character U+{ord(char):04X}")
    for command in line.commands:
        if command.words and not command.words[0].text.isascii():
            return Finding("ask", f"the command name {command.words[0].raw!r} is not plain ASCII")
        for word in command.words[1:]:
            if any(
                (unicodedata.category(c) in ("Pd", "Sk") or c == "\u2212") and not c.isascii() for c in word.text[:2]
            ):
                return Finding("ask", f"{word.raw!r} begins with a character that looks like another")
            folded = unicodedata.normalize("NFKC", word.text)
            if folded != word.text and any(
                not c.isascii() and unicodedata.normalize("NFKC", c).isascii() for c in word.text if not c.isalpha()
            ):
                return Finding("ask", f"{word.raw!r} holds look-alikes of ASCII characters")
    return PASS
