"""A second, strict reading of a line, to be compared with tree-sitter's.

It understands a plain subset of bash (simple commands, quotes, pipes, lists, redirections, heredocs, groups,
`if`/`while`/`for`) and refuses everything else. Where both readings name the same words of the same
commands, no difference between parsers hides a command.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field


class NotPlainError(Exception):
    """The line has something outside the plain subset; the message says what."""


@dataclass(slots=True)
class Plain:
    """The commands of a line as lists of raw words, and the raw targets of its redirections, in order."""

    commands: list[list[str]] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    compound: bool = False


_EXPANSION = re.compile(r"\$(\(|\[|\{(?![A-Za-z_][A-Za-z0-9_]*\}))")
_BLANK = " \t"
_META = " \t\n;&|<>()"
_OPERATOR = re.compile(r"\n|&&|\|\||\|&|;|&(?!>)|\||\(|\)")
_REDIRECT = re.compile(r"(\d*)(<<<|<<-|<<|>>|>\||>&|<&|<>|>|<)|(&>>|&>)")
_LEADING = frozenset(["if", "then", "else", "elif", "while", "until", "do", "!", "{"])
_CLOSING = frozenset(["fi", "done", "}"])
_REFUSED = frozenset(["case", "esac", "function", "select", "coproc", "in", "(("])


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.plain = Plain()
        self.words: list[str] = []
        self.heredocs: list[tuple[str, bool, bool]] = []  # marker, quoted, strip tabs
        self.depth = 0
        self.after_closing = False
        self.begun = False  # something stands in the current command

    def end_command(self) -> None:
        if self.words:
            self.plain.commands.append(self.words)
        self.words = []
        self.after_closing = self.begun = False

    def quoted_end(self, start: int, quote: str) -> int:
        """Return the position after a quoted string that opens at `start`."""
        at, text = start + 1, self.text
        while at < len(text):
            if text[at] == quote:
                return at + 1
            if quote != "'" and text[at] == "\\":
                at += 1
            elif quote == '"' and text[at] == "`":
                raise NotPlainError("a backtick")
            elif quote == '"' and _EXPANSION.match(text, at):
                raise NotPlainError("an expansion")
            at += 1
        raise NotPlainError("a quote without an end")

    def word(self) -> str:
        """Read a word at the current position."""
        start, text = self.at, self.text
        at = start
        while at < len(text) and text[at] not in _META:
            char = text[at]
            if char in "'\"":
                at = self.quoted_end(at, char)
            elif char == "\\":
                if at + 1 >= len(text):
                    raise NotPlainError("a backslash at the end")
                if text[at + 1] == "\n":
                    raise NotPlainError("a line continuation inside a word")
                at += 2
            elif char == "`":
                raise NotPlainError("a backtick")
            elif char == "$":
                following = text[at + 1 : at + 2]
                if following == "'":
                    end = at + 2
                    while end < len(text) and text[end] != "'":
                        end += 2 if text[end] == "\\" else 1
                    if end >= len(text):
                        raise NotPlainError("a quote without an end")
                    at = end + 1
                elif following in ("(", "[", '"') or (
                    following == "{" and not re.match(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}", text[at:])
                ):
                    raise NotPlainError("an expansion")
                else:
                    at += 1
            else:
                at += 1
        if at == start:
            raise NotPlainError(f"an unexpected {text[start : start + 1]!r}")
        self.at = at
        return text[start:at]

    def skip_blanks(self) -> None:
        text = self.text
        while self.at < len(text):
            if text[self.at] in _BLANK:
                self.at += 1
            elif text.startswith("\\\n", self.at):
                self.at += 2
            else:
                return

    def redirect(self, match: re.Match[str]) -> None:
        self.at, self.begun = match.end(), True
        operator = match.group(2) or match.group(3)
        if self.text.startswith("(", self.at):
            raise NotPlainError("a process substitution")
        if operator in (">&", "<&") and self.text.startswith("-", self.at):
            self.at += 1
            return
        self.skip_blanks()
        target = self.word()
        if operator in ("<<", "<<-"):
            marker = re.sub(r"['\"\\]", "", target)
            if not re.fullmatch(r"[A-Za-z0-9_.-]+", marker):
                raise NotPlainError("an unusual heredoc marker")
            self.heredocs.append((marker, marker != target, operator == "<<-"))
            return
        self.plain.targets.append(target)

    def read_heredocs(self) -> None:
        """Skip the bodies that begin here, after a newline."""
        for marker, quoted, strip in self.heredocs:
            while True:
                if self.at >= len(self.text):
                    raise NotPlainError("a heredoc without an end")
                end = self.text.find("\n", self.at)
                line = self.text[self.at :] if end < 0 else self.text[self.at : end]
                self.at = len(self.text) if end < 0 else end + 1
                if not quoted and re.search(r"[`\\]|\$[({\[]", line):
                    raise NotPlainError("an expansion in a heredoc")
                if (line.lstrip("\t") if strip else line) == marker:
                    break
        self.plain.compound = self.plain.compound or bool(self.heredocs)
        self.heredocs = []

    def operator(self, operator: str) -> None:
        if operator not in ("\n", "(", ")") and not (self.words or self.begun or self.after_closing):
            raise NotPlainError(f"a {operator} without a command before it")
        if operator == "(":
            if self.words:
                raise NotPlainError("a parenthesis after a word")
            self.depth += 1
        elif operator == ")":
            self.end_command()
            self.depth -= 1
            self.after_closing = True
        else:
            self.end_command()
        if operator == "\n":
            self.read_heredocs()

    def for_words(self) -> None:
        """Skip `NAME in WORDS` of a for loop."""
        self.begun = True
        self.skip_blanks()
        self.word()
        self.skip_blanks()
        if not re.match(r"in[ \t]", self.text[self.at :]):
            raise NotPlainError("an unusual for loop")
        self.at += 2
        while True:
            self.skip_blanks()
            if self.text[self.at : self.at + 1] in ("", ";", "\n"):
                return
            self.word()

    def run(self) -> Plain:
        text = self.text
        while True:
            self.skip_blanks()
            if self.at >= len(text):
                break
            if text[self.at] == "#":  # only reached at the start of a word
                end = text.find("\n", self.at)
                self.at = len(text) if end < 0 else end
                continue
            redirect = _REDIRECT.match(text, self.at)
            if redirect:
                self.redirect(redirect)
                continue
            if text.startswith("((", self.at):
                raise NotPlainError("arithmetic")
            operator = _OPERATOR.match(text, self.at)
            if operator:
                self.at = operator.end()
                self.operator(operator.group())
                continue
            if self.after_closing:
                raise NotPlainError("a word after a group")
            word = self.word()
            if not self.words:
                if word in _LEADING:
                    self.plain.compound = True
                    continue
                if word in _CLOSING:
                    self.plain.compound = self.after_closing = True
                    continue
                if word in _REFUSED:
                    raise NotPlainError(f"the word {word!r} at the start of a command")
                if word == "for":
                    self.plain.compound = True
                    self.for_words()
                    continue
            self.words.append(word)
        if self.heredocs:
            raise NotPlainError("a heredoc without a body")
        self.end_command()
        if self.depth:
            raise NotPlainError("an open parenthesis")
        return self.plain


def read_plain(text: str) -> Plain:
    """Return the line's commands. Raises `NotPlainError` for what is outside the plain subset."""
    return _Lexer(text).run()
