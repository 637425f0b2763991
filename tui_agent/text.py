"""Text from outside, made safe for a terminal.

Model output, tool output, file names, titles: anything this program did not write itself can hold
escape sequences that move the cursor, set the clipboard (OSC 52) or reorder what is read
(bidirectional controls). `inert` is the one function all of it passes through.
"""

from __future__ import annotations

import json
import re
import unicodedata

# C0 and C1 controls but tab and newline; DEL; soft hyphen; Arabic letter mark; Mongolian vowel separator;
# Hangul fillers; zero-width and bidirectional controls; line and paragraph separators; invisible operators;
# variation selectors 1-15 (16 only picks emoji presentation); byte-order mark; interlinear annotation;
# object replacement; lone surrogates; tags; supplementary variation selectors.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffc"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)

_ZWNJ, _ZWJ, _TEXT_STYLE = "\u200c", "\u200d", "\ufe0e"
# Extended_Pictographic of emoji-data.txt, Unicode 16, and the regional indicators; without the digits.
_EMOJI = re.compile(
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u2199\u21a9\u21aa\u231a\u231b\u2328\u2388\u23cf\u23e9-\u23f3"
    "\u23f8-\u23fa\u24c2\u25aa\u25ab\u25b6\u25c0\u25fb-\u25fe\u2600-\u2605\u2607-\u2612\u2614-\u2685\u2690-\u2705"
    "\u2708-\u2712\u2714\u2716\u271d\u2721\u2728\u2733\u2734\u2744\u2747\u274c\u274e\u2753-\u2755\u2757\u2763-\u2767"
    "\u2795-\u2797\u27a1\u27b0\u27bf\u2934\u2935\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001f3fa\U0001f400-\U0001faff]"
)
_EMOJI_MODIFIER = re.compile("[\ufe0f\U0001f3fb-\U0001f3ff\u20e3]")
# Blocks of the scripts in which U+200C and U+200D part or join letters: Arabic, Syriac, N'Ko, Mandaic, those of
# India and South-East Asia, Mongolian, Adlam.
_JOINING = re.compile(
    "[\u0600-\u074f\u0750-\u077f\u07c0-\u07ff\u0840-\u0dff\u0f00-\u109f\u1700-\u18af\u1900-\u1cff\ua800-\uabff"
    "\ufb50-\ufdff\ufe70-\ufefc\U00010ac0-\U00010aff\U00011000-\U000114ff\U0001e900-\U0001e95f]"
)
_VIRAMA = 9
"""The canonical combining class of the signs that join consonants."""
_FARTHEST = 8
"""Marks between a letter and a joiner that are looked over."""


def _belongs(text: str, at: int) -> bool:
    """Say whether the joiner or text-style selector at a place is part of how a word or an emoji is written.

    The rules are those of UTS 39, 3.1.1.1, and of ContextJ in RFC 5892, a little wider: between two letters of a
    script that uses them, after a virama, between two emoji, and the selector after an emoji. One at a time.
    """
    mark, before, after = text[at], text[at - 1 : at], text[at + 1 : at + 2]
    if mark == _TEXT_STYLE:
        return bool(_EMOJI.match(before))
    if mark not in {_ZWNJ, _ZWJ} or not before:
        return False
    if unicodedata.combining(before) == _VIRAMA and _JOINING.match(before):
        return True
    place = at - 1
    while place > max(0, at - _FARTHEST) and (
        (unicodedata.category(text[place]) in {"Mn", "Mc"} and not _UNSAFE.match(text[place]))
        or _EMOJI_MODIFIER.match(text[place])
    ):
        place -= 1
    base = text[place]
    if mark == _ZWJ and _EMOJI.match(base):
        return bool(_EMOJI.match(after))
    if not (_JOINING.match(base) and unicodedata.category(base)[0] == "L"):
        return False
    if mark == _ZWJ:
        return True
    return bool(_JOINING.match(after) and unicodedata.category(after)[0] in "LM" and not _UNSAFE.match(after))


def _escape_unless_needed(match: re.Match[str]) -> str:
    return match.group() if _belongs(match.string, match.start()) else _escape(match)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x100:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\U{code:08x}"


def inert(text: str) -> str:
    r"""Return `text` with every control, bidirectional and invisible character as a visible escape.

    Newline and tab stay. A carriage return before a newline is dropped, as Windows files have them.
    The result never holds ESC, C1 bytes or characters that hide or reorder others; `inert` of an
    inert text is the text itself. What joins letters of Arabic or Indian scripts, or emoji, stays where it does
    that (see `inert_strict`). Example: ``inert("a\x1b[2Jb")`` is ``"a\\x1b[2Jb"``.
    """
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_escape_unless_needed, text.replace("\r\n", "\n"))


def inert_strict(text: str) -> str:
    """Return `text` inert, and also what joins letters or emoji as an escape: for what is approved, where any
    invisible character must be seen.
    """
    return _UNSAFE.sub(_escape, text.replace("\r\n", "\n"))


def inert_same_length(text: str) -> str:
    """Return `text` with one visible character for each that `inert` would escape, for where places count."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    if _belongs(match.string, match.start()):
        return match.group()
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


def dumps_any(value: object) -> str:
    """Return compact JSON: in ASCII with escapes where the value holds lone surrogates, which no UTF-8 can hold."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


_ESCAPED = "\x01json:"


def storable(text: str) -> str:
    """Return `text` as SQLite can store it; `stored` gives it back. Only a name that is not UTF-8 is changed."""
    return text if well_formed(text) == text else _ESCAPED + json.dumps(text)


def stored(text: str) -> str:
    """Return the text that `storable` was given."""
    return str(json.loads(text.removeprefix(_ESCAPED))) if text.startswith(_ESCAPED) else text
