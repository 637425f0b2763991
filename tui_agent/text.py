"""Text from outside, made safe for a terminal.

Model output, tool output, file names, titles: anything this program did not write itself can hold
escape sequences that move the cursor, set the clipboard (OSC 52) or reorder what is read
(bidirectional controls). `inert` is the one function all of it passes through.
"""

from __future__ import annotations

import re

# C0 and C1 controls but tab and newline; DEL; soft hyphen; Arabic letter mark; Mongolian vowel separator;
# Hangul fillers; zero-width and bidirectional controls; line and paragraph separators; invisible operators;
# variation selectors 1-15 (16 only picks emoji presentation); byte-order mark; interlinear annotation;
# object replacement; lone surrogates; tags; supplementary variation selectors.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffc"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x100:
        return f"\\x{code:02x}"
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\U{code:08x}"


def inert(text: str) -> str:
    r"""Return `text` with every control, bidirectional and invisible character as a visible escape.

    Newline and tab stay. A carriage return before a newline is dropped, as Windows files have them.
    The result never holds ESC, C1 bytes or characters that hide or reorder others; `inert` of an
    inert text is the text itself. Example: ``inert("a\x1b[2Jb")`` is ``"a\\x1b[2Jb"``.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_escape, text.replace("\r\n", "\n"))


def inert_same_length(text: str) -> str:
    """Return `text` with one visible character for each that `inert` would escape, for where places count."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def well_formed(text: str) -> str:
    """Return `text` with lone surrogates, which no UTF-8 can hold, replaced by U+FFFD."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def inert_line(text: str) -> str:
    r"""Return `text` inert and on one line: newlines and tabs become ``\n`` and ``\t`` for all to see."""
    return inert(text).replace("\n", "\\n").replace("\t", "\\t")
