"""`find`: tests and printing are harmless; `-exec` is, where the command it runs is."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

from tui_agent.permissions.guard.model import Command, Word
from tui_agent.permissions.guard.usage import NotHarmless, Usage

_ALONE = frozenset(
    [
        "-print",
        "-print0",
        "-ls",
        "-prune",
        "-quit",
        "-depth",
        "-d",
        "-daystart",
        "-mount",
        "-xdev",
        "-empty",
        "-true",
        "-false",
        "-readable",
        "-writable",
        "-executable",
        "-nouser",
        "-nogroup",
        "-noleaf",
        "-ignore_readdir_race",
        "-not",
        "-a",
        "-and",
        "-o",
        "-or",
        "!",
        "(",
        ")",
        ",",
        "-E",
        "-X",
        "-x",
        "-P",
        "-H",
        "-warn",
        "-nowarn",
        "-O0",
        "-O1",
        "-O2",
        "-O3",
    ]
)
_VALUE = frozenset(
    [
        "-name",
        "-iname",
        "-path",
        "-ipath",
        "-wholename",
        "-iwholename",
        "-regex",
        "-iregex",
        "-regextype",
        "-type",
        "-xtype",
        "-size",
        "-mtime",
        "-mmin",
        "-atime",
        "-amin",
        "-ctime",
        "-cmin",
        "-newermt",
        "-newerct",
        "-newerat",
        "-maxdepth",
        "-mindepth",
        "-perm",
        "-user",
        "-group",
        "-uid",
        "-gid",
        "-links",
        "-inum",
        "-lname",
        "-ilname",
        "-fstype",
        "-printf",
        "-used",
        "-flags",
    ]
)
_FILE = frozenset(["-newer", "-anewer", "-cnewer", "-samefile", "-newermm", "-newerma", "-neweram", "-newermc"])


def _ends(words: tuple[Word, ...], at: int) -> bool:
    return words[at].text == ";" or (words[at].text == "+" and words[at - 1].text == "{}")


def use_find(command: Command) -> Usage:
    """Return what the call reads. Raises `NotHarmless` for actions that write or ask, and unknown words."""
    words = command.words
    usage = Usage(free=list(words))
    at, started = 1, False
    while at < len(words):
        text = words[at].text
        if not words[at].constant:
            raise NotHarmless(f"not a constant: {words[at].raw}")
        if text in _ALONE:
            started = started or (text not in ("-P", "-H", "-E", "-X", "-x") and not text.startswith("-O"))
            at += 1
        elif text in _VALUE:
            started = True
            if at + 1 < len(words) and text in (
                "-name",
                "-iname",
                "-path",
                "-ipath",
                "-wholename",
                "-regex",
                "-iregex",
            ):
                usage.names.append(words[at + 1])
            at += 2
        elif text in _FILE:
            started = True
            usage.paths += words[at + 1 : at + 2]
            at += 2
        elif text == "-exec":
            started = True
            end = next((i for i in range(at + 1, len(words)) if _ends(words, i)), None)
            if end is None:
                raise NotHarmless("-exec without its end")
            at = end + 1
        elif text.startswith(("-", "(", "!")) or started:
            raise NotHarmless(f"find {text} is not known to be harmless")
        else:
            usage.paths.append(words[at])
            usage.operands.append(words[at])
            at += 1
    return usage


def may_find(words: Sequence[str], path: str, *, link: bool) -> bool:
    """Say whether `find` with these words, its name left out, may print or hand on the file `path`.

    `path` is as `find` would print it. Only names, paths and types are understood; of all other tests nobody
    knows the outcome, so they count as passed.
    """
    first = next((at for at, text in enumerate(words) if text in _ALONE - _LEADING or text[:1] in "-(!"), len(words))
    while first < len(words) and words[first] in _LEADING:
        first += 1
    expression = _Expression(list(words[first:]), path, link=link)
    passed = expression.either()
    return expression.acted if expression.acts else passed is not False


_LEADING = frozenset(["-P", "-H", "-E", "-X", "-x", "-O0", "-O1", "-O2", "-O3"])
_ACTIONS = frozenset(["-print", "-print0", "-ls", "-printf"])


class _Expression:
    """Works an expression of `find` out for one file, with None for what is not known."""

    def __init__(self, words: list[str], path: str, *, link: bool) -> None:
        self.words, self.path, self.link = words, path, link
        self.at = 0
        self.acted = False
        self.acts = bool(_ACTIONS & set(words)) or "-exec" in words
        self.idle = 0  # inside what is surely not reached

    def either(self) -> bool | None:
        passed = self.all()
        while self._next() in ("-o", "-or", ","):
            comma = self._take() == ","
            self.idle += passed is True and not comma
            other = self.all()
            self.idle -= passed is True and not comma
            passed = other if comma else _or(passed, other)
        return passed

    def all(self) -> bool | None:
        passed: bool | None = True
        while self._next() not in ("", ")", "-o", "-or", ","):
            if self._next() in ("-a", "-and"):
                self._take()
                continue
            self.idle += passed is False
            other = self.one()
            self.idle -= passed is False
            passed = False if False in (passed, other) else None if None in (passed, other) else True
        return passed

    def one(self) -> bool | None:
        text = self._take()
        if text in ("!", "-not"):
            passed = self.one()
            return None if passed is None else not passed
        if text == "(":
            passed = self.either()
            self._take()
            return passed
        if text == "-exec":
            self._act()
            while self._take() not in (";", "+", ""):
                pass
            return None
        if text in _ACTIONS:
            self._act()
            if text == "-printf":
                self._take()
            return True
        if text in _VALUE or text in _FILE:
            return self._test(text, self._take())
        return False if text == "-false" else True if text in ("-true", "-depth", "-daystart") else None

    def _test(self, name: str, value: str) -> bool | None:
        path, pattern = self.path, value
        if re.search(r"[\[\\]", pattern):
            return None
        if name in ("-iname", "-ipath", "-iwholename"):
            path, pattern = path.casefold(), pattern.casefold()
        if name in ("-name", "-iname"):
            return fnmatch.fnmatchcase(path.rsplit("/", 1)[-1], pattern)
        if name in ("-path", "-ipath", "-wholename", "-iwholename"):
            return fnmatch.fnmatchcase(path, pattern)
        if name == "-type" and value in ("d", "l", "f"):
            return None if value == "f" and not self.link else (value == "l") if self.link else False
        return None

    def _act(self) -> None:
        self.acted = self.acted or not self.idle

    def _next(self) -> str:
        return self.words[self.at] if self.at < len(self.words) else ""

    def _take(self) -> str:
        self.at += 1
        return self.words[self.at - 1] if self.at <= len(self.words) else ""


def _or(one: bool | None, other: bool | None) -> bool | None:
    if True in (one, other):
        return True
    return None if None in (one, other) else False
