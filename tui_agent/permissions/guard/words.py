"""Reducing a word of the shell to its value, without running anything.

The rules are those of bash 5 for a non-interactive `bash --noprofile --norc -c` (quote removal, ANSI-C
quoting, tilde expansion, when `{` expands). What is not sure is not constant.
"""

from __future__ import annotations

import re

from tui_agent.permissions.guard.model import Word

HARMLESS_VARIABLES = frozenset(
    [
        "?",
        "#",
        "$",
        "!",
        "PATH",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LC_ALL",
        "TERM",
        "HOSTNAME",
        "HOSTTYPE",
        "OSTYPE",
        "UID",
        "EUID",
        "PPID",
        "RANDOM",
        "SECONDS",
        "LINENO",
        "BASH_VERSION",
        "COLUMNS",
        "LINES",
        "EDITOR",
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "GOPATH",
        "GOROOT",
        "CARGO_HOME",
        "JAVA_HOME",
        "NODE_ENV",
        "SHLVL",
        "TZ",
        "TMPDIR",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_CACHE_HOME",
    ]
)
"""Variables whose value may be printed. Used for anything else they are as unknown as all others."""

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*|[?#$!])\}|([A-Za-z_][A-Za-z0-9_]*|[?#$!@*0-9-]))")
_ASSIGNMENT_TILDE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_ANSI = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v"}
_ANSI_NUMBER = re.compile(r"x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|([0-7]{1,3})")


class _Reducer:
    """Goes through one word, keeping its value and what is known of it."""

    def __init__(self, raw: str, home: str) -> None:
        self.raw, self.home = raw, home
        self.out: list[str] = []
        self.known = True
        self.opaque = True  # only meaningful once something is not known
        self.glob = self.quoted = self.substitution = False
        self.braces = ""

    def unknown(self, text: str, *, opaque: bool = False) -> None:
        """Add a part whose value is not known."""
        self.out.append(text)
        self.known = False
        self.opaque = self.opaque and opaque

    def dollar(self, at: int, *, quoted: bool) -> int:
        """Add the expansion at `at`, return the position after it."""
        raw = self.raw
        match = _VARIABLE.match(raw, at)
        if match:
            name = match.group(1) or match.group(2)
            if name == "HOME":
                if not quoted and re.search(r"[\s*?\[]", self.home):
                    self.unknown(match.group())
                else:
                    self.out.append(self.home)
            elif name == "PWD":
                self.out.append(".")
            else:
                self.unknown(match.group(), opaque=name in HARMLESS_VARIABLES)
            return match.end()
        following = raw[at + 1 : at + 2]
        if following in ("", " ", "/", ".", ",", ":", "%", "^", "|", ")", "+", "=", "~", '"', "\t", "\n", "\\", "]"):
            # not an expansion; an unquoted $" is one of locale
            if following == '"' and not quoted:
                self.unknown("$")
            else:
                self.out.append("$")
            return at + 1
        # $(…), ${…}, $[…] and whatever else: everything from here on is not known
        self.substitution = True
        self.unknown(raw[at:])
        return len(raw)

    def single(self, at: int) -> int:
        end = self.raw.find("'", at + 1)
        if end < 0:
            self.unknown(self.raw[at:])
            return len(self.raw)
        self.out.append(self.raw[at + 1 : end])
        self.quoted = True
        return end + 1

    def double(self, at: int) -> int:
        raw, at = self.raw, at + 1
        self.quoted = True
        while at < len(raw):
            char = raw[at]
            if char == '"':
                return at + 1
            if char == "\\" and at + 1 < len(raw):
                following = raw[at + 1]
                if following == "\n":
                    pass
                elif following in '$`"\\':
                    self.out.append(following)
                else:
                    self.out.append("\\" + following)
                at += 2
            elif char == "$":
                at = self.dollar(at, quoted=True)
            elif char == "`":
                self.substitution = True
                self.unknown(raw[at:])
                return len(raw)
            else:
                self.out.append(char)
                at += 1
        self.unknown("")
        return at

    def ansi(self, at: int) -> int:
        raw, at = self.raw, at + 2
        self.quoted = True
        while at < len(raw):
            char = raw[at]
            if char == "'":
                return at + 1
            if char != "\\" or at + 1 >= len(raw):
                self.out.append(char)
                at += 1
                continue
            number = _ANSI_NUMBER.match(raw, at + 1)
            following = raw[at + 1]
            if number:
                code = int(next(g for g in number.groups()[:3] if g), 16) if not number[4] else int(number[4], 8)
                if number[4]:
                    code &= 0xFF
                if 0 < code < 0x80 or (code < 0x110000 and not 0xD800 <= code < 0xE000 and number[0][0] in "uU"):
                    self.out.append(chr(code))
                else:
                    self.unknown(number[0])  # NUL ends the word, and single bytes build other characters
                if code == 0:
                    self.unknown("")
                at = number.end()
            elif following in _ANSI:
                self.out.append(_ANSI[following])
                at += 2
            elif following in "'\"\\?":
                self.out.append(following)
                at += 2
            else:
                self.unknown(raw[at : at + 2])
                at += 2
        self.unknown("")
        return at

    def tilde(self, at: int) -> int:
        rest = self.raw[at + 1 :]
        if rest == "" or rest[0] in "/:":
            self.out.append(self.home)
        else:
            self.unknown("~")
        return at + 1

    def reduce(self) -> Word:
        raw, at = self.raw, 0
        while at < len(raw):
            char = raw[at]
            if char == "'":
                at = self.single(at)
            elif char == '"':
                at = self.double(at)
            elif char == "$" and raw[at + 1 : at + 2] == "'":
                at = self.ansi(at)
            elif char == "$":
                at = self.dollar(at, quoted=False)
            elif char == "`" or (char in "<>" and raw[at + 1 : at + 2] == "("):
                self.substitution = True
                self.unknown(raw[at:])
                at = len(raw)
            elif char == "\\":
                if raw[at + 1 : at + 2] != "\n":
                    self.out.append(raw[at + 1 : at + 2])
                    self.quoted = True
                at += 2
            elif (char == "~" and (at == 0 or _ASSIGNMENT_TILDE.fullmatch(raw[:at]))) or (
                char == "~" and raw[at - 1] == ":" and _ASSIGNMENT_TILDE.match(raw)
            ):
                at = self.tilde(at)
            else:
                if char in "*?[":
                    self.glob = True
                if char in "{,}":
                    self.braces += char
                elif char == "." and raw[at + 1 : at + 2] == ".":
                    self.braces += "."
                self.out.append(char)
                at += 1
        if re.search(r"[,.]", self.braces[self.braces.find("{") : self.braces.rfind("}") + 1]):
            self.known, self.opaque = False, False  # a brace expansion: several words, perhaps
        text = "".join(self.out)
        return Word(raw, text, self.known, self.opaque and not self.known, self.glob, self.quoted, self.substitution)


def reduce_word(raw: str, home: str) -> Word:
    """Return the word as written in `raw`, reduced. `home` stands for `~` and `$HOME`."""
    if raw.isalnum() or not any(char in raw for char in "'\"\\$`~*?[{<>"):
        return Word(raw, raw)
    return _Reducer(raw, home).reduce()


def literal(text: str) -> Word:
    """Return a constant word with this value."""
    return Word(text, text)
