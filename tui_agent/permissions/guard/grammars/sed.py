"""sed: printing, deleting and substituting on the way through; no `w`, `e`, `r` and no `-i`."""

from __future__ import annotations

import re

from tui_agent.permissions.guard.model import Command
from tui_agent.permissions.guard.usage import NotHarmless, Spec, Usage, apply_spec

_FLAGS = (
    "-n -E -r -s -u -z --quiet --silent --regexp-extended --separate --unbuffered --null-data --posix --debug "
    "--help --version --sandbox"
)
_SPEC = Spec(
    dict.fromkeys(_FLAGS.split(), "") | {"-e": "value", "--expression": "value"},
    ("text", "path*"),
    frozenset(["-e", "--expression"]),
)
_ONE = frozenset("pdDgGhHnNPx=lzF")
_ADDRESS = re.compile(r"\d+(~\d+)?|\$|\+\d+|~\d+")
_SUBSTITUTE_FLAGS = re.compile(r"[gpiIm0-9]*")


def use_sed(command: Command) -> Usage:
    """Return what the call reads. Raises `NotHarmless` for scripts outside the harmless grammar."""
    usage = apply_spec(_SPEC, command.words[1:])
    scripts = [value for flag, value in usage.flags if flag in ("-e", "--expression")]
    if not scripts and not usage.operands:
        if {flag for flag, _ in usage.flags} & {"--help", "--version"}:
            return usage
        raise NotHarmless("sed without a script")
    for script in scripts or [usage.operands[0].text]:
        _Script(script).check()
    if not scripts and not usage.operands[0].constant:
        raise NotHarmless("the script is not constant")
    return usage


class _Script:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def skip(self, chars: str) -> None:
        while self.peek() and self.peek() in chars:
            self.at += 1

    def delimited(self, delimiter: str, *, brackets: bool) -> None:
        """Skip to after the next `delimiter` that is not escaped."""
        while True:
            char = self.peek()
            if char in ("", "\n"):
                raise NotHarmless("an unfinished sed expression")
            self.at += 1
            if char == "\\":
                if self.peek() in ("", "\n"):
                    raise NotHarmless("an unusual escape in sed")
                self.at += 1
            elif char == delimiter:
                return
            elif char == "[" and brackets:
                # inside brackets the delimiter ends the expression for some seds and not for others
                close = self.text.find("]", self.at + 1)
                if close < 0 or delimiter in self.text[self.at : close]:
                    raise NotHarmless("a bracket with the delimiter in sed")

    def address(self) -> bool:
        char = self.peek()
        if char == "/":
            self.at += 1
            self.delimited("/", brackets=True)
            self.skip("IM")
            return True
        match = _ADDRESS.match(self.text, self.at)
        if match:
            self.at = match.end()
            return True
        return False

    def check(self) -> None:
        depth = 0
        while True:
            self.skip(" \t\n;")
            if not self.peek():
                break
            if self.peek() == "}":
                depth -= 1
                self.at += 1
                continue
            if self.address():
                self.skip(" \t")
                if self.peek() == ",":
                    self.at += 1
                    self.skip(" \t")
                    if not self.address():
                        raise NotHarmless("an unusual address in sed")
            self.skip(" \t!")
            char = self.peek()
            self.at += 1
            if char == "{":
                depth += 1
                continue
            if char == "s":
                self.substitute()
            elif char == "y":
                delimiter = self.delimiter()
                self.delimited(delimiter, brackets=False)
                self.delimited(delimiter, brackets=False)
            elif char in ("q", "Q"):
                match = re.compile(r"[ \t]*\d*").match(self.text, self.at)
                self.at = match.end() if match else self.at
            elif not char or char not in _ONE:
                raise NotHarmless(f"the sed command {char!r} is not known to be harmless")
            self.skip(" \t")
            if self.peek() not in ("", ";", "\n", "}"):
                raise NotHarmless("an unusual sed script")
        if depth:
            raise NotHarmless("an unfinished sed block")

    def delimiter(self) -> str:
        char = self.peek()
        if not char or char in "\\\n" or char.isalnum() or char == "[":
            raise NotHarmless("an unusual delimiter in sed")
        self.at += 1
        return char

    def substitute(self) -> None:
        delimiter = self.delimiter()
        self.delimited(delimiter, brackets=True)
        self.delimited(delimiter, brackets=False)
        match = _SUBSTITUTE_FLAGS.match(self.text, self.at)
        self.at = match.end() if match else self.at


def check_script(text: str) -> None:
    """Raise `NotHarmless` for a script outside the harmless grammar."""
    _Script(text).check()
