"""Text that parsers read differently.

Class of attack: backticks in heredocs, line continuations, carriage returns taken as blanks, brace expansion,
`=cmd` of zsh: the checker sees one command and the shell runs another. The line is read a second time by a
strict reader; both must see the same words in the same commands.
"""

from __future__ import annotations

import re

from tui_agent.permissions.guard.lexer import NotPlainError, read_plain
from tui_agent.permissions.guard.model import PASS, Finding, Line, Surroundings
from tui_agent.permissions.guard.shell import parse_line

_ZSH = re.compile(r"=[A-Za-z]\w*")


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Ask where the two readings differ, or the strict one refuses."""
    if re.search("[\r\v\f]", line.text):
        return Finding("ask", "it holds a carriage return, vertical tab or form feed")
    for redirection in line.redirections:
        if redirection.operator == "<<" and "\\\n" in redirection.body:
            return Finding("ask", "a line continuation in a heredoc")
        if redirection.operator == "<<" and not redirection.quoted and "`" in redirection.body:
            return Finding("ask", "a backtick in a heredoc")
    for command in line.commands:
        if command.words and _ZSH.fullmatch(command.words[0].raw):
            return Finding("ask", "zsh takes =NAME as the path of a program")
        for word in command.words:
            if re.search(r"\{[^{}]*(,|\.\.)[^{}]*\}", word.raw) and not word.quoted:
                return Finding("ask", f"braces expand to several words: {word.raw}")
    if _differs(line):
        return Finding("ask", _differs(line))
    for script in line.scripts:
        inner = parse_line(script, surroundings.cwd, surroundings.places.home)
        if _differs(inner):
            return Finding("ask", _differs(inner))
    return PASS


def _differs(line: Line) -> str:
    """Return how the two readings of a line differ, empty if they do not."""
    try:
        plain = read_plain(line.text)
    except NotPlainError as error:
        return f"it is not plain enough to be sure of: {error}"
    # as sets, because a loop's body is there once for each value
    seen = {
        " ".join([*command.assignments, *(word.raw for word in command.words)])
        for command in line.commands
        if command.parent < 0 and (command.words or command.assignments)
    }
    if seen != {" ".join(words) for words in plain.commands}:
        return "two parsers read it differently"
    targets = {
        r.target.raw for r in line.redirections if not (r.nested or r.operator.endswith("-") or r.operator == "<<")
    }
    return "" if targets == set(plain.targets) else "two parsers see different redirections"
