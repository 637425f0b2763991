"""Heredocs.

Class of attack: bodies in which bash expands commands although they look like text, and programs handed to an
interpreter past every check of its arguments.
"""

from __future__ import annotations

import re

from tui_agent.permissions.guard.model import PASS, Finding, Line, Surroundings
from tui_agent.permissions.guard.unwrap import SHELLS

INTERPRETERS = SHELLS | frozenset(
    [
        "python",
        "python2",
        "python3",
        "pypy",
        "pypy3",
        "perl",
        "ruby",
        "node",
        "nodejs",
        "deno",
        "bun",
        "php",
        "lua",
        "luajit",
        "tclsh",
        "wish",
        "expect",
        "osascript",
        "awk",
        "gawk",
        "mawk",
        "sed",
        "ed",
        "ex",
        "vi",
        "vim",
        "emacs",
        "sqlite3",
        "psql",
        "mysql",
        "mongo",
        "mongosh",
        "redis-cli",
        "irb",
        "pry",
        "ipython",
        "ghci",
        "R",
        "Rscript",
        "julia",
        "octave",
        "gdb",
        "lldb",
        "bc",
        "dc",
        "at",
        "batch",
        "crontab",
        "ssh",
        "sftp",
        "ftp",
        "telnet",
        "nc",
        "make",
        "m4",
        "xargs",
        "parallel",
        "source",
        ".",
    ]
)
"""Programs that carry out what they read."""


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Ask about heredocs with expansions, and about text that goes to an interpreter."""
    for redirection in line.redirections:
        if redirection.operator == "<<" and not redirection.quoted and re.search(r"[$`\\]", redirection.body):
            return Finding("ask", "bash expands what is in the heredoc")
    for command in line.commands:
        if any(r.operator in ("<<", "<<<") for r in command.redirections) and _interpreter(command.name):
            return Finding("ask", f"{command.name} carries out the text that it is given")
        if _interpreter(command.name) and command.name not in ("awk", "gawk", "mawk", "sed", "bc", "xargs"):
            for source in line.upstream(command):
                if any(r.operator in ("<<", "<<<") for r in source.redirections):
                    return Finding("ask", f"{command.name} carries out the text of a heredoc")
    return PASS


def _interpreter(name: str) -> bool:
    return name in INTERPRETERS or bool(re.fullmatch(r"(python|pypy|ruby|perl|lua|php|node)[\d.]+", name))
