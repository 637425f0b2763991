"""awk: patterns and printing; no pipes, no files, no `system`, no environment."""

from __future__ import annotations

import re

from tui_agent.permissions.guard.model import Command
from tui_agent.permissions.guard.usage import NotHarmless, Spec, Usage, apply_spec

_SPEC = Spec({"-F": "value", "-v": "value", "--version": ""}, ("text", "path*"))
_WORDS = re.compile(r"\b(system|getline|ENVIRON|PROCINFO|ARGV|ARGC|SYMTAB|FUNCTAB|close|fflush|eval)\b|[@`]")
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|[A-Za-z_]\w*|\d[\w.]*|\+\+|--|\|\||&&|>=|[\s\S]')
_REGEX = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]/\\\n]|\\.)+\])*/")
_KEYWORDS = frozenset(
    ["print", "printf", "return", "in", "if", "else", "while", "for", "do", "delete", "exit", "case"]
)


def use_awk(command: Command) -> Usage:
    """Return what the call reads. Raises `NotHarmless` for programs outside the harmless grammar."""
    usage = apply_spec(_SPEC, command.words[1:])
    if not usage.operands:
        if ("--version", "") in usage.flags:
            return usage
        raise NotHarmless("awk without a program")
    program = usage.operands[0]
    if not program.constant:
        raise NotHarmless("the program is not constant")
    check_program(program.text)
    # awk takes NAME=VALUE among the files as an assignment, which is harmless
    return usage


def check_program(text: str) -> None:
    """Raise `NotHarmless` for a program that could write, read other files, or run something."""
    match = _WORDS.search(text)
    if match:
        raise NotHarmless(f"the awk program uses {match.group()}")
    at, before, printing, depth = 0, "", False, 0
    openers: list[str] = []
    while at < len(text):
        if text[at] == "/" and not _is_value(before):
            if before in _KEYWORDS or before in ("++", "--"):
                raise NotHarmless("a regular expression after a word in awk")
            regex = _REGEX.match(text, at)
            if not regex:
                raise NotHarmless("an unusual regular expression in awk")
            at, before = regex.end(), "0"
            continue
        token = _TOKEN.match(text, at)
        assert token is not None  # the last alternative matches any character
        word = token.group()
        at = token.end()
        if word in " \t":
            continue
        if word == '"':
            raise NotHarmless("an unfinished string in awk")
        if word in ("print", "printf"):
            printing, depth = True, 0
        elif word in (";", "}", "\n"):
            printing = False
        elif word in ("(", ")"):
            depth += 1 if word == "(" else -1
        elif word == "|":
            raise NotHarmless("a pipe in awk runs a program")
        elif word in (">", ">=") and printing and depth <= 0:
            raise NotHarmless("awk's > after print writes a file")
        if word == "(":
            openers.append(before)
        elif word == ")" and (openers.pop() if openers else "") in ("if", "while", "for"):
            word = ";"  # a statement begins
        before = word


def _is_value(token: str) -> bool:
    return (
        token in (")", "]")
        or (token[:1] == '"')
        or (bool(re.fullmatch(r"\w[\w.]*", token)) and token not in _KEYWORDS)
    )
