"""What a rule with a wildcard covers: the words that the program's table knows as within the program's purpose.

A wildcard matches any words, but it was written for what the program is for. Three tables say what that is:
`purpose.toml` (by hand, from the manuals), `read_only.toml` and `git.toml` (what is harmless anyway), and
`programs.json` (generated from the manuals by `scripts/program_tables.py`). What none of them knows is not covered,
unless the rule names that very word.
"""

from __future__ import annotations

import functools
import json
import os
import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass, replace
from importlib import resources

from tui_agent.permissions.guard.heredoc import INTERPRETERS
from tui_agent.permissions.guard.model import Command, Word
from tui_agent.permissions.guard.usage import NotHarmless, find_spec, usage_of

_OUTSIDE = re.compile(r"@|\+|[\w+.@-]+:(?!\d+$)|.*::|\\\\")
"""Operands that programs read as more than a name: `@file` of options, `+command`, `scheme:what`, `host:file` …"""

_NAME = re.compile(r"[\w@%^~][\w.@%^~/:+=,-]*|\.{1,3}|\./[\w./-]*", re.ASCII)
_PACKAGE = re.compile(
    r"(@[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*(\[[\w,-]+\])?((==|>=|<=|~=|@|=|>|<)[\w.^~*-]+)?", re.ASCII
)
_ARCHIVE = re.compile(r"\.(tgz|tbz2?|txz|tar|gz|bz2|xz|lzma|zip|whl|egg|deb|rpm|apk|snap|git)(\[|$)", re.IGNORECASE)
"""Ends of a package that is a file, or a repository, instead of a name in a registry."""

_VALUE = re.compile(r"[^-/~@.][^\n]*|-?\d+|\.?|-", re.DOTALL)
_SECRET_RESOURCE = re.compile(r"(?i)(^|,)(secrets?|configmaps?|cm|sa|serviceaccounts?|ns|namespaces?|all)(?=$|[,./])")
"""Resources of a cluster that hold secrets, or of which a call touches too many."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """What the calls of one program or subcommand are for.

    `flags` maps a flag to its kind: empty, `value`, `optional`, `path`, `local`, `text`, or `outside` for one that is
    known and not covered. `operands` are kinds in order, the last with `*` for any number; `subcommands` are those
    that a wildcard for the program covers too. `before` says that its own flags stand only before a subcommand.
    """

    flags: dict[str, str]
    operands: tuple[str, ...] = ()
    subcommands: frozenset[str] = frozenset()
    number: bool = False
    bundle: bool = True
    rest: bool = False
    before: bool = False


@functools.cache
def _purposes() -> dict[str, Purpose]:
    text = resources.files("tui_agent.permissions.guard").joinpath("purpose.toml").read_text("utf-8")
    entries: dict[str, dict[str, object]] = tomllib.loads(text)
    return {name: _purpose(entries, name) for name in entries}


def _purpose(entries: dict[str, dict[str, object]], name: str) -> Purpose:
    entry = entries[name]
    if "like" in entry:
        entry = {**entries[str(entry["like"])], **entry}
    return Purpose(
        _flags(str(entry.get("flags", ""))),
        tuple(str(entry.get("operands", "")).split()),
        frozenset(str(entry.get("subcommands", "")).split()),
        bool(entry.get("number", False)),
        bool(entry.get("bundle", True)),
        bool(entry.get("rest", False)),
        bool(entry.get("before", False)),
    )


def _flags(text: str) -> dict[str, str]:
    found = {}
    for item in text.split():
        kind, name = "", item
        outside = name.endswith("!")
        name = name.removesuffix("!")
        for ending, meaning in (("[=]", "optional"), ("=p", "path"), ("=l", "local"), ("=t", "text"), ("=", "value")):
            if name.endswith(ending) and len(name) > len(ending):
                kind, name = meaning, name[: -len(ending)]
                break
        found[name] = "outside" if outside else kind
    return found


@functools.cache
def _generated() -> dict[str, str]:
    text = resources.files("tui_agent.permissions.guard").joinpath("programs.json").read_text("utf-8")
    found: dict[str, str] = json.loads(text)
    return found


@functools.lru_cache(maxsize=256)
def _from_manual(name: str) -> Purpose | None:
    row = _generated().get(name)
    if row is None:
        return None
    _, operands, flags = row.split("|", 2)
    single = any(re.match(r"-[A-Za-z]{2,}", item) for item in flags.split())
    return Purpose(_flags(flags), tuple(operands.split()), number=False, bundle=not single)


def manual_has(name: str, flag: str) -> bool:
    """Say whether the manual of a program knows a flag that takes nothing."""
    purpose = _from_manual(name)
    return purpose is not None and purpose.flags.get(flag) in ("", "outside")


def known_programs() -> frozenset[str]:
    """Return the names of the programs that a table knows."""
    return frozenset(name.split(" ", 1)[0] for name in _purposes()) | frozenset(_generated())


def uncovered(command: Command, named: Collection[str]) -> str:
    """Return the first word of a call that a rule with a wildcard does not cover, empty if it covers all.

    `named` are the words that the rule names itself. A flag that the rule names takes its value with it.
    """
    words = command.words
    if any(not word.constant for word in words):
        return next(word.raw for word in words if not word.constant)
    if _without_named_is_harmless(command, named):
        return ""
    name = re.sub(r"(?<=[a-z])[\d.]+$", "", command.name) if _generated().get(command.name) is None else command.name
    name = {"gradlew": "gradle", "mvnw": "mvn"}.get(name, name)
    table = _purposes()
    purpose = table.get(command.name) or table.get(name)
    if purpose is None:
        if "/" in words[0].text and words[0].text in named:
            return ""  # the user named this very file
        generated = _from_manual(name) if find_spec(words) is None else None
        if generated is None:
            return next((word.text for word in words[1:] if word.text not in named), "") or (
                "" if words[0].text in named else words[0].text
            )
        return _first_outside(command, generated, words[1:], named)
    key = command.name if command.name in table else name
    if name == "tar" and len(words) > 1 and not words[1].text.startswith("-"):  # its options without a dash
        if not re.fullmatch(r"[cxtzjJvfakpru]+", words[1].text):
            return words[1].text
        written = "-" + words[1].text.replace("f", "") + "f" * ("f" in words[1].text)
        words = (words[0], Word(written, written), *words[2:])
    return _with_subcommands(command, table, key, words[1:], named)


def _without_named_is_harmless(command: Command, named: Collection[str]) -> bool:
    """Say whether the call is harmless once the flags that the rule names are taken out."""
    kept = tuple(
        word for at, word in enumerate(command.words) if at == 0 or not (word.text in named and word.text[:1] == "-")
    )
    try:
        usage_of(replace(command, words=kept))
    except NotHarmless:
        return False
    return True


def _with_subcommands(
    command: Command, table: dict[str, Purpose], name: str, words: tuple[Word, ...], named: Collection[str]
) -> str:
    """Look for the subcommand behind the program's own options, and at the words with what it takes."""
    purpose = table[name]
    flags = dict(purpose.flags)
    while purpose.subcommands or any(key.startswith(name + " ") for key in table):
        at = _first_operand(purpose, words, named)
        if isinstance(at, str):
            return at
        if at is None:
            break
        subcommand = words[at].text
        inner = table.get(f"{name} {subcommand}")
        if subcommand not in purpose.subcommands and subcommand not in named:
            return subcommand
        if inner is None:
            if subcommand in named:  # the rule names it, and no table knows it: nothing else is covered
                return next((w.text for w in words[at + 1 :] if w.text not in named), "")
            return "" if at + 1 == len(words) else words[at + 1].text
        name, words = f"{name} {subcommand}", words[at + 1 :]  # what stands before it is covered
        flags = inner.flags if purpose.before else flags | inner.flags
        purpose = replace(inner, flags=flags)
    return _first_outside(command, purpose, words, named)


def _first_operand(purpose: Purpose, words: tuple[Word, ...], named: Collection[str]) -> int | str | None:
    """Return the position of the first operand, None if there is none, or the flag that is not covered."""
    at = 0
    while at < len(words):
        text = words[at].text
        if not text.startswith("-") or text == "-":
            return at
        if text == "--":
            return at + 1 if at + 1 < len(words) else None
        step = _flag(purpose, words, at, named)
        if isinstance(step, str):
            return step
        at += step
    return None


def _first_outside(command: Command, purpose: Purpose, words: tuple[Word, ...], named: Collection[str]) -> str:
    operands: list[Word] = []
    at = 0
    while at < len(words):
        text = words[at].text
        if text == "--":
            if purpose.rest:
                break
            if purpose.flags.get("--") == "outside":
                return text
            operands += words[at + 1 :]
            break
        if text.startswith("-") and text != "-":
            step = _flag(purpose, words, at, named)
            if isinstance(step, str):
                return step
            at += step
            continue
        operands.append(words[at])
        at += 1
    kinds = list(purpose.operands)
    for word in operands:
        kind = kinds[0] if kinds else ""
        if kinds and not kind.endswith("*"):
            kinds.pop(0)
        if word.text not in named and not _is_within(kind.rstrip("*?"), word.text, command):
            return word.text or "''"
    return ""


def _is_file(text: str, command: Command) -> bool:
    """Say whether a word names, or could name, a file where the command runs."""
    return any(cwd is None or os.path.lexists(os.path.join(cwd, text)) for cwd in command.cwds)


def _is_within(kind: str, text: str, command: Command) -> bool:
    if kind == "text":
        return True
    if _OUTSIDE.match(text) and kind not in ("package", "url", "assignment"):
        return False
    match kind:
        case "path":
            return text not in ("", "-")
        case "local":  # `host:file` is a file of another machine
            return bool(_NAME.fullmatch(text)) and ":" not in text and ".." not in text.split("/")
        case "script":  # `npm run env` shows the environment
            return bool(_NAME.fullmatch(text)) and text != "env"
        case "target":
            return bool(_NAME.fullmatch(text)) and "=" not in text
        case "name":
            return bool(_NAME.fullmatch(text)) and ".." not in text.split("/")
        case "remote":  # the path of a repository is not one: its hooks would run
            return bool(re.fullmatch(r"\w[\w.-]*", text, re.ASCII))
        case "revision":  # a file of that name would lose its changes
            return bool(_NAME.fullmatch(text)) and not text.startswith(".") and not _is_file(text, command)
        case "package":
            return bool(_PACKAGE.fullmatch(text)) and not _ARCHIVE.search(text)
        case "number":
            return bool(re.fullmatch(r"-?[\d.]+[a-zA-Z%]?", text))
        case "url":
            return (
                bool(re.match(r"(https?://)?(localhost|127\.0\.0\.1|\[::1\]|[\w-]+(\.[\w-]+)+)([:/?#]|$)", text))
                and "@" not in text
            )
        case "resource":
            return bool(_NAME.fullmatch(text)) and not _SECRET_RESOURCE.search(text)
        case "mode":
            return bool(re.fullmatch(r"[0-7]{3}|0[0-7]{3}|[ugoa]*[-+=][rwxX]+", text))
        case _:
            return False


def _flag(purpose: Purpose, words: tuple[Word, ...], at: int, named: Collection[str]) -> int | str:
    """Return how many words the flag at `at` takes, or the word that is not covered."""
    text = words[at].text
    name, equals, value = text.partition("=")
    if text in named or (equals and name in named):
        kind = purpose.flags.get(text)
        return 2 if kind in ("value", "path", "local", "text") and at + 1 < len(words) else 1
    flags = purpose.flags
    if purpose.number and text[1:].isdigit():
        return 1
    if text.startswith("--") or not purpose.bundle or text in flags:
        kind = flags.get(text if text in flags else name)
        if kind is None or kind == "outside":
            if not text.startswith("--") and kind is None:
                return _bundle(purpose, words, at) if purpose.bundle else text
            return text
        if equals and text not in flags:
            return 1 if kind and _value(kind, value) else text
        if kind in ("value", "path", "local", "text"):
            if at + 1 >= len(words) or not _value(kind, words[at + 1].text):
                return text
            return 2
        return 1
    return _bundle(purpose, words, at)


def _bundle(purpose: Purpose, words: tuple[Word, ...], at: int) -> int | str:
    text = words[at].text
    for position in range(1, len(text)):
        kind = purpose.flags.get("-" + text[position])
        rest = text[position + 1 :]
        if kind is None or kind == "outside":
            return text
        if kind == "optional":
            return 1 if not rest or _value(kind, rest) else text
        if kind:
            if rest:
                return 1 if _value(kind, rest) else text
            return 2 if at + 1 < len(words) and _value(kind, words[at + 1].text) else text
    return 1


def _value(kind: str, text: str) -> bool:
    """Say whether a value is one that is covered: a path only where the flag takes one, and no other flag."""
    if kind == "local" and ":" in text.split("/", 1)[0]:  # `host:file`
        return False
    if kind in ("path", "local"):
        return bool(text) and not text.startswith("-") and not _OUTSIDE.match(text)
    if kind == "text":
        return not text.startswith("-")
    return bool(_VALUE.fullmatch(text)) and "/../" not in text and not text.endswith("/..")


def carries_out_input(command: Command) -> bool:
    """Say whether an interpreter, called so, takes its program from its standard input."""
    name = re.sub(r"(?<=[a-z])[\d.]+$", "", command.name)
    operands = [text for text in command.argv[1:] if not text.startswith("-")]
    return name in INTERPRETERS - {"awk", "gawk", "mawk", "sed", "xargs", "make", "bc"} and (
        not operands
        or operands == ["/dev/stdin"]
        or name in ("psql", "mysql", "sqlite3", "crontab", "at", "batch", "ssh")
    )
