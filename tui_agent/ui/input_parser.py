"""Reads what a terminal sends: keys, text, pastes, mouse and focus reports. All else is dropped, never typed.

A terminal's input is one stream: a reply to a query looks like the start of a key, and a key like the start of a
reply. So everything is read by the grammar of ECMA-48 and xterm. What begins like a control sequence (CSI, SS3) or a
control string (OSC, DCS, APC, PM, SOS), with 7-bit or 8-bit introducers, is taken up to its end, and what is not a
known key or report is dropped. Textual's own parser plays unknown sequences as keys, one of which may approve a
command; it also looks for sequences inside a paste, and raises on input that no terminal should send.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator, Iterable, Iterator

from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual._keyboard_protocol import FUNCTIONAL_KEYS, MODIFIER_FUNCTIONAL_KEYS
from textual._xterm_parser import XTermParser
from textual.keys import KEY_NAME_REPLACEMENTS, Keys, _character_to_key
from textual.message import Message
from textual.messages import TerminalSupportsSynchronizedOutput

from tui_agent.ui.keys import mark_burst

PASTE_BEGIN = "\x1b[200~"
PASTE_END = "\x1b[201~"

SEQUENCE_SECONDS = 1.0
"""How long the rest of a control sequence is waited for, after its first two bytes."""
STRING_IDLE_SECONDS = 1.0
"""How long a control string may pause before it is given up."""
STRING_SECONDS = 5.0
"""How long a control string may take in all."""
PASTE_IDLE_SECONDS = 5.0
"""How long a bracketed paste may pause before its end mark is taken as lost."""
REST_SECONDS = 0.05
"""How soon the rest of a malformed report, or of a paste without brackets, follows what came before."""
BURST_SECONDS = 0.025
"""Keys closer together than this are one burst: a user's are at least twice as far apart."""
ENTER_SECONDS = 0.02
"""How long Enter at the end of a burst is held back, to see whether it is a line break of a paste."""
DECODE_SECONDS = 0.1
"""How long the rest of a UTF-8 character is waited for."""
LATE_SECONDS = 1.0
"""How late the rest of a key may come after its ESC was taken as the Escape key, and still be recognised."""

_MAX_HELD = 1024
"""Characters of an unfinished control sequence that are kept; the longest known one has about 40."""
_MAX_REPORT = 64
"""Characters of a malformed report that are dropped."""
_MAX_COORDINATE = 10_000
"""The farthest cell that a mouse report may name."""

_STRINGS = {"]": "]", "P": "P", "X": "X", "^": "^", "_": "_"}
_C1_STRINGS = {"\x9d": "]", "\x90": "P", "\x98": "X", "\x9e": "^", "\x9f": "_"}
_STRING_END = re.compile("\x1b\\\\|\x9c|\udc9c|\x18|\x1a|(?=\x1b\\[200~)")
_OSC_END = re.compile("\x1b\\\\|\x9c|\udc9c|\x07|\x18|\x1a|(?=\x1b\\[200~)")
_REPORT_REST = re.compile(r"[0-9A-LN-Za-ln-z;:.+\-]*")
_PASTE_PREFIX = re.compile("\x1b(?:\\[(?:2(?:0(?:0)?)?)?)?$")
_KITTY = re.compile(r"(?P<codes>[\d:;]*)(?P<end>[u~ABCDEFHPQRS])")
_MOUSE = re.compile(r"<(\d{1,3});(-?\d{1,6});(-?\d{1,6})[Mm]")
_SYNC_REPORT = re.compile(r"\?2026;[123]\$y")
_LATE_REST = re.compile(r"\[[\d;:<>?]*[A-Za-z~]|O[A-DFHP-S]|\]\d+;|P[\d>!+$]|_G")

_SHIFTED = dict(zip("`1234567890-=[]\\;',./", '~!@#$%^&*()_+{}|:"<>?', strict=True))
"""What Shift makes of a key, on the US layout; used where a terminal tells the code but neither text nor layout."""
_KEYPAD = {
    "decimal": ".",
    "divide": "/",
    "multiply": "*",
    "subtract": "-",
    "add": "+",
    "equal": "=",
    "separator": ",",
}
_SHIFT, _ALT, _CTRL, _SUPER, _HYPER, _META, _CAPS = 1, 2, 4, 8, 16, 32, 64
_RELEASE = 3

_Step = tuple[int, list[Message]]
"""Where reading goes on, and what was read; at -1 the rest must come first."""


class InputParser:
    """Turns the bytes that a terminal sends into Textual's events. Never raises, whatever the bytes are.

    `feed` takes a read, `tick` what time decides, and `wait` says when to call `tick`. All three take the time in
    seconds of a monotonic clock. `escape_seconds` is how long a lone ESC waits for the rest of a key.
    """

    def __init__(self, escape_seconds: float = 0.1) -> None:
        self._escape_seconds = escape_seconds
        self._textual = XTermParser()
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._held = ""
        self._held_since = 0.0
        self._last = -1.0
        self._last_typed = -1.0
        self._string = ""
        self._string_since = 0.0
        self._report_left = 0
        self._pasted: list[str] | None = None
        self._pasting_until = -1.0
        self._escaped = -LATE_SECONDS
        self._waiting: list[Message] = []
        self._noise = False

    def feed(self, data: bytes, now: float, *, early: bool = False) -> list[Message]:
        """Return the events that a read makes. `early`: it was typed over a time, before the app could read."""
        found = self.tick(now)
        self._last = now
        text = self._decoder.decode(data)
        between = not self._held and not self._string and self._pasted is None
        if now - self._escaped < LATE_SECONDS and between:
            self._escaped = -LATE_SECONDS
            if len(text) > 1 and _LATE_REST.match(text):
                text = "\x1b" + text
        read = [*self._read(text, now)]
        return found + self._judge(read, now, early)

    def tick(self, now: float) -> list[Message]:
        """Return the events that come from nothing more having been read for a while."""
        read: list[Message] = []
        idle = now - self._last
        if idle >= DECODE_SECONDS and self._decoder.getstate()[0]:
            read += self._read(self._decoder.decode(b"", final=True), now)
        if self._report_left and idle >= REST_SECONDS:
            self._report_left = 0
        if self._string and (idle >= STRING_IDLE_SECONDS or now - self._string_since >= STRING_SECONDS):
            self._string = self._held = ""
        if self._pasted is not None and idle >= PASTE_IDLE_SECONDS:
            read += self._pasted_so_far()
            self._held = ""
        if self._held and self._pasted is None and not self._string and now >= self._held_until():
            read += self._give_up(now)
        events_now = self._judge(read, now, False) if read else []
        if self._waiting and idle >= ENTER_SECONDS:
            events_now = self._waiting + events_now
            self._waiting = []
        return events_now

    def wait(self, now: float) -> float | None:
        """Return in how many seconds `tick` has something to do; None when only a read can change anything."""
        due = []
        if self._decoder.getstate()[0]:
            due.append(self._last + DECODE_SECONDS)
        if self._report_left:
            due.append(self._last + REST_SECONDS)
        if self._string:
            due += [self._last + STRING_IDLE_SECONDS, self._string_since + STRING_SECONDS]
        elif self._pasted is not None:
            due.append(self._last + PASTE_IDLE_SECONDS)
        elif self._held:
            due.append(self._held_until())
        if self._waiting:
            due.append(self._last + ENTER_SECONDS)
        return max(0.0, min(due) - now) if due else None

    def end(self) -> list[Message]:
        """Return what is left at the end of the input: an unfinished paste, and keys that were held back."""
        found, self._waiting = self._waiting, []
        if self._pasted is not None:
            found += self._pasted_so_far()
        return found

    # What a read is made of

    def _read(self, text: str, now: float) -> Iterator[Message]:
        had = bool(self._held)
        text, self._held = self._held + text, ""
        at = 0
        while at < len(text):
            if self._pasted is not None:
                text, at = (yield from self._paste(text[at:])), 0
                continue
            if self._string:
                at = self._skip_string(text, at)
                continue
            if self._report_left:
                at = self._skip_report(text, at)
                continue
            try:
                after, found = self._one(text, at)
            except (ValueError, OverflowError, KeyError, IndexError, TypeError):
                after, found = at + 1, []  # a table or a number did not hold: dropped, as all that is unknown
                self._noise = True
            if after < 0:
                self._hold(text[at:], self._held_since if had and at == 0 else now)
                return
            if not found:
                self._noise = True
            yield from found
            at = after

    def _one(self, text: str, at: int) -> _Step:
        character = text[at]
        if "\udc80" <= character <= "\udc9f":
            character = chr(ord(character) - 0xDC00)  # a C1 control as a single byte
        if character == "\x1b":
            return self._escape(text, at)
        if character == "\x9b":
            return self._csi(text, at, at + 1)
        if character == "\x8f":
            return self._ss3(text, at + 1)
        if character in _C1_STRINGS:
            return self._begin_string(_C1_STRINGS[character], at + 1)
        if "\x80" <= character <= "\x9f":
            return at + 1, []
        if "\ud800" <= character <= "\udfff":
            character = "\ufffd"
        return at + 1, [self._character(character)]

    def _escape(self, text: str, at: int) -> _Step:
        if at + 1 == len(text):
            return -1, []
        second = text[at + 1]
        if second == "[":
            return self._csi(text, at, at + 2)
        if second == "O":
            return self._ss3(text, at + 2)
        if second in _STRINGS:
            return self._begin_string(second, at + 2)
        if second == "\x1b":
            return at + 1, [events.Key("escape", "\x1b")]
        if second == "\\":
            return at + 2, []  # the end of a string whose begin was given up
        if not " " <= second <= "~":
            known = ANSI_SEQUENCES_KEYS.get(f"\x1b{second}")
            if isinstance(known, tuple):
                return at + 2, _keys(known)
            if "\x80" <= second <= "\x9f" or "\ud800" <= second <= "\udfff":
                return at + 1, []  # an 8-bit control begins here
            return at + 2, [_key(f"alt+{self._character(second).key}")]
        known = ANSI_SEQUENCES_KEYS.get(f"\x1b{second}")
        if isinstance(known, tuple):
            return at + 2, _keys(known)
        name = KEY_NAME_REPLACEMENTS.get(_character_to_key(second), _character_to_key(second))
        return at + 2, [_key(f"alt+shift+{second.lower()}" if second.isupper() else f"alt+{name}")]

    def _character(self, character: str) -> events.Key:
        for key in self._textual._sequence_to_key_events(character):
            return key
        return events.Key(character, character)

    def _csi(self, text: str, begin: int, at: int) -> _Step:
        """Read a control sequence whose parameters begin at `at`."""
        end, first = len(text), at
        if at < end and text[at] == "M":
            return self._x10_mouse(text, at + 1)
        if at < end and text[at] == "[":  # function keys of the Linux console
            if at + 1 == end:
                return -1, []
            known = ANSI_SEQUENCES_KEYS.get(f"\x1b[{text[at : at + 2]}")
            return at + 2, _keys(known) if isinstance(known, tuple) else []
        while at < end:
            character = text[at]
            if character in "\x1b\x18\x1a":
                return at + (character != "\x1b"), []
            if not character.isascii():
                return at, []
            if "@" <= character <= "~":
                body = text[first:at]
                found = self._sequence(body, character)
                no_number = character.isalpha() and character not in "Mm" and (not body or body[-1] == ";")
                if self._pasted is None and not found and (no_number or (body[:1] == "<" and character not in "Mm")):
                    self._report_left = _MAX_REPORT
                return at + 1, found
            at += 1  # parameters, intermediates, and control characters, which no terminal sends here
        return -1, []

    def _sequence(self, body: str, final: str) -> list[Message]:
        """Return what a whole control sequence means."""
        sequence = f"\x1b[{body}{final}"
        if sequence == PASTE_BEGIN:
            self._pasted = []
            return []
        if sequence in {"\x1b[I", "\x1b[O"}:
            return [events.AppFocus() if final == "I" else events.AppBlur()]
        if _SYNC_REPORT.fullmatch(body + final):
            return [TerminalSupportsSynchronizedOutput()]
        if match := _MOUSE.fullmatch(body + final):
            buttons, x, y = (int(number) for number in match.groups())
            if buttons < 128 and 0 < x <= _MAX_COORDINATE and 0 < y <= _MAX_COORDINATE:
                mouse = self._textual.parse_mouse_code(sequence)
                return [mouse] if mouse is not None else []
            return []
        if known := ANSI_SEQUENCES_KEYS.get(sequence):
            return _keys(known) if isinstance(known, tuple) else []
        if final == "R" and ";" in body:
            return []  # where the cursor is: nobody asked
        if match := _KITTY.fullmatch(body + final):
            return _kitty_keys(match["codes"], match["end"])
        return []

    def _x10_mouse(self, text: str, at: int) -> _Step:
        """Drop a mouse report of the oldest kind: three bytes of any value, which may look like text."""
        left = 3
        while at < len(text) and left > 0:
            left -= 1 if "\udc80" <= text[at] <= "\udcff" else len(text[at].encode("utf-8", "replace"))
            at += 1
        return (at, []) if left <= 0 else (-1, [])

    def _ss3(self, text: str, at: int) -> _Step:
        begin = at
        while at < len(text):
            character = text[at]
            if not " " <= character <= "~":
                return at, []
            if character not in "0123456789;":
                body = text[begin:at]
                if body:
                    return at + 1, _kitty_keys(body if ";" in body else f"1;{body}", character)
                known = ANSI_SEQUENCES_KEYS.get(f"\x1bO{character}")
                if isinstance(known, str):
                    return at + 1, [self._character(known)]
                return at + 1, _keys(known) if isinstance(known, tuple) else []
            at += 1
        return -1, []

    def _begin_string(self, kind: str, at: int) -> _Step:
        self._string, self._string_since = kind, self._last
        return at, []

    def _skip_string(self, text: str, at: int) -> int:
        found = (_OSC_END if self._string == "]" else _STRING_END).search(text, at)
        if found:
            self._string = ""
            return found.end()
        # Its content is dropped as it comes, but the end, or a paste after it, may be cut by the read.
        rest = _PASTE_PREFIX.search(text, at)
        self._held = rest.group() if rest else ""
        return len(text)

    def _skip_report(self, text: str, at: int) -> int:
        """Drop the rest of a report that is not a number where it should be one: `ESC [ < 32 ; NaN ; NaN M`."""
        match = _REPORT_REST.match(text, at, at + self._report_left)
        after = match.end() if match else at
        self._report_left -= after - at
        if after < len(text):
            self._report_left = 0
            if text[after] in "Mm":
                after += 1
        return after

    def _hold(self, text: str, since: float) -> None:
        if len(text) > _MAX_HELD:
            text = text[:2] + "??" + text[-8:]  # its end is waited for; it is nothing known
        self._held, self._held_since = text, since

    def _held_until(self) -> float:
        if self._held == "\x1b":
            return self._held_since + self._escape_seconds
        if self._held.endswith("$") and self._held in ANSI_SEQUENCES_KEYS:
            return self._last + REST_SECONDS
        return self._held_since + SEQUENCE_SECONDS

    def _give_up(self, now: float) -> list[Message]:
        """Take an unfinished sequence for what it can be: the Escape key, a key of rxvt, or nothing."""
        held, self._held = self._held, ""
        if held == "\x1b":
            self._escaped = now
            return [events.Key("escape", "\x1b")]
        known = ANSI_SEQUENCES_KEYS.get(held)
        return _keys(known) if isinstance(known, tuple) else []

    # Pastes

    def _paste(self, data: str) -> Generator[Message, None, str]:
        """Take pasted text; return what comes after its end."""
        assert self._pasted is not None
        # The mark may be cut by a read: look for it in the end of what came before as well.
        tail = self._pasted.pop() if self._pasted else ""
        text = tail + data
        # The last mark counts: one inside the paste, which some terminals let through, must not end it early.
        pasted, end, rest = text.rpartition(PASTE_END)
        if not end:
            self._pasted += [rest[: -len(PASTE_END)], rest[-len(PASTE_END) :]]
            return ""
        for part in _apart("".join([*self._pasted, pasted])):
            yield _paste_event(part)
        self._pasted = None
        return rest

    def _pasted_so_far(self) -> list[Message]:
        text = "".join(self._pasted or ())
        self._pasted = None
        return [_paste_event(text)] if text else []

    # Bursts

    def _judge(self, read: list[Message], now: float, early: bool) -> list[Message]:
        """Mark the keys of a burst, and make a paste of a burst that can only be one."""
        noise, self._noise = self._noise, False
        typed = [event for event in read if isinstance(event, events.Key | events.Paste)]
        if not typed and not noise:
            return read
        if self._waiting:
            read = self._waiting + read
            typed = [event for event in read if isinstance(event, events.Key | events.Paste)]
            self._waiting = []
        close = now - self._last_typed < BURST_SECONDS
        self._last_typed = now
        keys = [event for event in typed if isinstance(event, events.Key)]
        if len(typed) > 1 or noise or close:
            for key in keys:
                mark_burst(key)
        if keys and (now < self._pasting_until or _line_breaks(keys) >= (2 if early else 1)):
            self._pasting_until = now + REST_SECONDS
            return _as_paste(read)
        if not early and len(keys) > 1 and keys[-1].key == "enter" and _is_text(keys[-2]):
            self._waiting = read
            return []
        return read


def _paste_event(text: str) -> events.Paste:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return events.Paste(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def _apart(text: str) -> Iterator[str]:
    """Yield the pastes of one read. What stands between two may be forged by the first: it is text, never keys."""
    *earlier, last = text.split(PASTE_BEGIN)
    for piece in earlier:
        pasted, _, between = piece.rpartition(PASTE_END)
        yield from filter(None, (pasted, between))
    yield last


def _is_text(key: events.Key) -> bool:
    return key.character is not None and (key.character >= " " or key.character in "\n\t") and key.character != "\x7f"


def _line_breaks(keys: Iterable[events.Key]) -> int:
    """Return how many Enter keys have text after them."""
    count = pending = 0
    for key in keys:
        if key.key == "enter":
            pending += 1
        elif pending and _is_text(key):
            count, pending = count + pending, 0
    return count


def _as_paste(read: Iterable[Message]) -> list[Message]:
    """Return a burst with the text of all its keys as one paste; keys without text are dropped."""
    found: list[Message] = []
    text: list[str] = []
    for event in read:
        if not isinstance(event, events.Key):
            found.append(event)
        elif event.character is not None and (_is_text(event) or event.character == "\r"):
            text.append(event.character)
    return [*found, _paste_event("".join(text))] if text else found


def _key(name: str, character: str | None = None) -> events.Key:
    key = events.Key(name, character)
    key.character = character  # a name of one letter is not yet a text
    return key


def _keys(known: tuple[Keys, ...]) -> list[Message]:
    return [events.Key(key.value, None) for key in known if key is not Keys.Ignore]


def _kitty_keys(codes: str, end: str) -> list[Message]:
    """Return the keys of a sequence of the kitty keyboard protocol, or of xterm's modified function keys.

    `codes` are its parameters: code:shifted:base ; modifiers:kind ; text as code points. See
    https://sw.kovidgoyal.net/kitty/keyboard-protocol/#an-overview. Nothing comes of what is no key: releases, and
    code points that are none.
    """
    code_field, modifier_field, text_field, *_ = [*codes.split(";"), "", "", ""]
    numbers = code_field.split(":")
    code = int(numbers[0] or 1)
    modifier, _, kind = modifier_field.partition(":")
    held = max(0, int(modifier or 1) - 1)
    if kind == str(_RELEASE):
        return []
    if (code, end) == (27, "~") and text_field.isdecimal():  # xterm's modifyOtherKeys
        numbers, text_field, end = [text_field], "", "u"
        code = int(numbers[0])
    name = FUNCTIONAL_KEYS.get(f"{code}{end}", "")
    if not name and end != "u":
        return []
    commands = held & (_ALT | _CTRL | _SUPER | _HYPER | _META)
    text = "".join(filter(None, (_code_point(number) for number in text_field.split(":") if number)))
    if text and not commands & ~_ALT:
        return [_named(character) for character in text]
    character = _KEYPAD.get(name, name if len(name) == 1 else "") if name else _code_point(numbers[0])
    if not name and character is None:
        return []
    if character and not commands:
        shifted = _code_point(numbers[1]) if len(numbers) > 1 and numbers[1] else None
        return [_named(_with_shift(character, shifted, held))]
    tokens = [word for bit, word in _WORDS if held & bit and name not in MODIFIER_FUNCTIONAL_KEYS]
    base = name or _named(character or "").key
    own = {"enter": "\r", "tab": "\t", "backspace": "\x7f", "escape": "\x1b"}.get(base) if not tokens else None
    return [_key("+".join([*sorted(tokens), base]), own)]


_WORDS = ((_SHIFT, "shift"), (_ALT, "alt"), (_CTRL, "ctrl"), (_SUPER, "super"), (_HYPER, "hyper"), (_META, "meta"))


def _code_point(number: str) -> str | None:
    """Return the character of a code point in decimal, None where it is no character that can be typed."""
    if not number.isascii() or not number.isdecimal() or len(number) > 7:
        return None
    value = int(number)
    private = 0xE000 <= value <= 0xF8FF  # where the protocol has its keys without a character
    if value < 0x20 or 0x7F <= value < 0xA0 or 0xD800 <= value <= 0xDFFF or value > 0x10FFFF or private:
        return None
    return chr(value)


def _with_shift(character: str, shifted: str | None, held: int) -> str:
    if held & _SHIFT and shifted:
        return shifted
    upper = bool(held & _SHIFT) != bool(held & _CAPS)
    if character.isalpha():
        return character.upper() if upper and len(character.upper()) == 1 else character
    return _SHIFTED.get(character, character) if held & _SHIFT else character


def _named(character: str) -> events.Key:
    """Return the key of a character."""
    name = character if character.isalnum() else _character_to_key(character)
    return events.Key(KEY_NAME_REPLACEMENTS.get(name, name), character)
