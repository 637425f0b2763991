"""How a command uses its words: which are flags, which are paths, and whether all is known to be harmless.

The tables are data (`read_only.toml`, `git.toml`); commands with a language of their own have a grammar in
`grammars/`. A command that is not in the tables has no usage: nobody knows what it does.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass, field
from importlib import resources

from tui_agent.permissions.guard.model import Command, Word

SYSTEM_FOLDERS = (
    "/bin/", "/usr/bin/", "/usr/local/bin/", "/sbin/", "/usr/sbin/", "/usr/local/sbin/", "/opt/homebrew/bin/",
)  # fmt: skip
"""Folders whose programs may be named with their path."""


class NotHarmless(Exception):
    """The call is not known to be harmless; the message says what is in the way."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What one command may be given; see the head of `read_only.toml`."""

    flags: dict[str, str]
    operands: tuple[str, ...] = ()
    pattern: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    number: bool = False
    appended: bool = False
    bundle: bool = True
    text_flags: bool = False
    needs_flag: bool = False
    flags_first: bool = False
    check: str = ""


@dataclass(slots=True)
class Usage:
    """What a harmless call reads: `paths` as words, `names` that it looks for, its `flags` with their values."""

    paths: list[Word] = field(default_factory=list)
    names: list[Word] = field(default_factory=list)
    flags: list[tuple[str, str]] = field(default_factory=list)
    operands: list[Word] = field(default_factory=list)
    free: list[Word] = field(default_factory=list)  # words that may become several without changing the others
    appended: bool = False
    command: str = ""  # the program's name


@functools.cache
def _table(file: str) -> dict[str, Spec]:
    text = resources.files("tui_agent.permissions.guard").joinpath(file).read_text("utf-8")
    entries = tomllib.loads(text)
    return {name: _spec(entries, name) for name in entries}


def _spec(entries: dict[str, dict[str, object]], name: str) -> Spec:
    entry = entries[name]
    while "like" in entry:
        entry = entries[str(entry["like"])]
    flags: dict[str, str] = {}
    for item in str(entry.get("flags", "")).split():
        if item.endswith("[=]"):
            flags[item[:-3]] = "optional"
        elif item.endswith("=="):
            flags[item[:-2]] = "two"
        elif item.endswith("=p"):
            flags[item[:-2]] = "path"
        elif item.endswith("="):
            flags[item[:-1]] = "value"
        else:
            flags[item] = ""
    return Spec(
        flags,
        tuple(str(entry.get("operands", "")).split()),
        frozenset(str(entry.get("pattern", "")).split()),
        frozenset(str(entry.get("words", "")).split()),
        bool(entry.get("number", False)),
        bool(entry.get("appended", False)),
        bool(entry.get("bundle", True)),
        bool(entry.get("text_flags", False)),
        bool(entry.get("needs_flag", False)),
        bool(entry.get("flags_first", False)),
        str(entry.get("check", "")),
    )


def find_spec(words: tuple[Word, ...]) -> tuple[Spec, int] | None:
    """Return the spec for a command and the number of words that named it, or None."""
    table = _table("read_only.toml")
    name = words[0].text
    if "/" in name:
        if not name.startswith(SYSTEM_FOLDERS) or ".." in name:
            return None
        name = name.rsplit("/", 1)[-1]
    for count in range(min(4, len(words)), 0, -1):
        key = " ".join([name, *(word.text for word in words[1:count])])
        spec = table.get(key)
        if spec is not None:
            return spec, count
    return None


def git_spec(subcommand: str) -> Spec | None:
    """Return the spec of a git subcommand, or None."""
    return _table("git.toml").get(subcommand)


def usage_of(command: Command) -> Usage:
    """Return what the call reads. Raises `NotHarmless` if it is not known to change nothing."""
    if not command.words:
        raise NotHarmless("it only assigns or redirects")
    found = find_spec(command.words)
    if found is None and _only_tells_of_itself(command):
        return Usage(flags=[(command.argv[1], "")], command=command.name)
    if found is None:
        raise NotHarmless(f"{command.name!r} is not known to be read-only")
    spec, count = found
    from tui_agent.permissions.guard import grammars

    whole = grammars.WHOLE.get(spec.check)
    if whole is not None:
        usage = whole(command)
    else:
        usage = apply_spec(spec, command.words[count:])
        check = grammars.AFTER.get(spec.check)
        if check is not None:
            check(command, usage)
    if command.name == "gh":
        from tui_agent.permissions.guard.grammars.jq import check_jq

        for flag, value in usage.flags:
            if flag in ("--jq", "-q"):
                check_jq(command, Usage(operands=[Word(value, value)]))
    usage.appended = usage.appended or spec.appended
    usage.command = command.name
    return usage


_LOADS_FROM_FOLDER = re.compile(
    r"pytest.*|tox|nox|flake8|pylint|mypy|rake|bundle|rails|mvn|gradle|ant|hatch|pdm|poetry|invoke|fab|waf|scons|make|gmake|mix|rebar3|npm|npx|"
    r"yarn|pnpm|node|cargo|rustc|rustup|rustfmt|go|bazel|vagrant|ansible.*|pre-commit|py-spy|python.*|ruby|perl|php|java.*|hg|jj|git.*|"
    r"(ba|z|da|k|fi|c|tc)?sh|pyenv|rbenv|asdf|mise|direnv|conan|cmake|ctest|meson|ninja|gdb|vim|nvim|emacs|mocha|eslint|jest|tsc"
)
"""Programs that load something from the folder they run in, even to tell of themselves."""


def _only_tells_of_itself(command: Command) -> bool:
    """Say whether a call is only `--version` or `--help` of a system program that a manual describes."""
    if len(command.words) != 2 or command.argv[1] not in ("--version", "--help") or "/" in command.argv[0]:
        return False
    if command.appended or not command.words[1].constant or _LOADS_FROM_FOLDER.fullmatch(command.name):
        return False
    from tui_agent.permissions.guard.coverage import manual_has

    return manual_has(command.name, command.argv[1])


def apply_spec(spec: Spec, words: tuple[Word, ...]) -> Usage:
    """Return what the words read under `spec`. Raises `NotHarmless` for a flag or an operand too many."""
    usage = Usage()
    operands: list[Word] = []
    at, flags_end = 0, spec.text_flags
    while at < len(words):
        word = words[at]
        text = word.text
        if flags_end or not text.startswith("-") or text == "-":
            if text.startswith("+") and not flags_end and spec.check != "date" and operands == []:
                _plus(spec, text)
            operands.append(word)
            at += 1
        elif text == "--":
            flags_end = True
            at += 1
        elif spec.flags_first and operands:
            raise NotHarmless(f"{text} after an operand is an operand too")
        else:
            at = _flag(spec, words, at, usage)
    if spec.needs_flag and not usage.flags:
        raise NotHarmless("without a flag such as --version it runs something")
    _operands(spec, operands, usage)
    return usage


def _plus(spec: Spec, text: str) -> None:
    """Refuse operands like `+cmd` that some programs take as options."""
    if spec.operands and spec.operands[0].startswith("path"):
        raise NotHarmless(f"an operand that begins with +: {text!r}")


def _flag(spec: Spec, words: tuple[Word, ...], at: int, usage: Usage) -> int:
    """Read the flag at `at`, return the position after it and its value."""
    word = words[at]
    text = word.text
    if not word.constant and "=" not in text:
        raise NotHarmless(f"a flag that is not constant: {word.raw}")
    name, equals, value = text.partition("=")
    if text.startswith("--") or not spec.bundle or text in spec.flags:
        kind = spec.flags.get(name if name in spec.flags or text.startswith("--") else text)
        if kind is None and spec.number and text[1:].isdigit():
            kind = ""
        if kind is None and not text.startswith("--") and spec.bundle:
            return _bundle(spec, words, at, usage)
        if kind is None:
            raise NotHarmless(f"the flag {name} is not known to be harmless")
        if equals and text not in spec.flags:
            if not kind:
                raise NotHarmless(f"the flag {name} takes no value")
            _take(usage, name, value, kind, word)
            return at + 1
        if kind == "two":
            if at + 2 >= len(words):
                raise NotHarmless(f"the flag {name} lacks its values")
            return at + 3
        if kind in ("value", "path"):
            if at + 1 >= len(words):
                raise NotHarmless(f"the flag {name} lacks its value")
            _separate(spec, usage, name, words[at + 1], kind)
            return at + 2
        usage.flags.append((name, ""))
        return at + 1
    if spec.number and text[1:].isdigit():
        return at + 1
    return _bundle(spec, words, at, usage)


def _bundle(spec: Spec, words: tuple[Word, ...], at: int, usage: Usage) -> int:
    """Read short flags in one word, such as `-la` or `-n5`."""
    text = words[at].text
    for position in range(1, len(text)):
        flag = "-" + text[position]
        kind = spec.flags.get(flag)
        rest = text[position + 1 :]
        if kind is None:
            if spec.number and text[position:].isdigit():
                return at + 1
            raise NotHarmless(f"the flag {flag} is not known to be harmless")
        if kind == "optional":
            usage.flags.append((flag, rest))
            return at + 1
        if kind:
            if rest:
                _take(usage, flag, rest, kind, Word(rest, rest, words[at].constant))
                return at + 1
            if at + 1 >= len(words):
                raise NotHarmless(f"the flag {flag} lacks its value")
            _separate(spec, usage, flag, words[at + 1], kind)
            return at + 2
        usage.flags.append((flag, ""))
    return at + 1


def _separate(spec: Spec, usage: Usage, flag: str, word: Word, kind: str) -> None:
    """Take the next word as a flag's value. One that could be a flag or a path itself is looked at as such.

    So a program that takes the value only in the same word does nothing else than was foreseen.
    """
    text = word.text
    if flag not in spec.pattern:
        if text.startswith("-") and len(text) > 1 and not text[1:].isdigit():
            raise NotHarmless(f"{text} after {flag} could be a flag of its own")
        if (
            kind != "path"
            and flag not in ("-L", "-S", "-G", "--grep")
            and len(text) > 1
            and text.startswith(("/", "~", "../"))
        ):
            usage.paths.append(word)
    _take(usage, flag, text, kind, word)


def _take(usage: Usage, flag: str, value: str, kind: str, word: Word) -> None:
    usage.flags.append((flag, value))
    if kind == "path":
        usage.paths.append(Word(word.raw, value, word.constant, glob=word.glob))


def _operands(spec: Spec, operands: list[Word], usage: Usage) -> None:
    usage.operands = operands
    kinds = list(spec.operands)
    if spec.pattern & {flag for flag, _ in usage.flags} and kinds[:1] == ["text"]:
        kinds = kinds[1:]
    at = 0
    for kind in kinds:
        many, optional = kind.endswith("*"), kind.endswith("?")
        bare = kind.rstrip("*?")
        taken = operands[at:] if many else operands[at : at + 1]
        if not taken and not many and not optional and bare in ("path", "number"):
            raise NotHarmless("an operand is missing")
        for word in taken:
            _operand(spec, bare, word, usage)
        usage.free += taken if many else []
        at += len(taken)
    if at < len(operands):
        raise NotHarmless(f"one operand too many: {operands[at].raw!r}")


def _operand(spec: Spec, kind: str, word: Word, usage: Usage) -> None:
    if spec.words and word is usage.operands[0] and word.text not in spec.words and kind == "name":
        raise NotHarmless(f"{word.text!r} is not known to be harmless")
    if kind == "path":
        usage.paths.append(word)
    elif kind == "number":
        if not word.text.replace(".", "").replace("-", "").rstrip("smhd").isdigit():
            raise NotHarmless(f"not a number: {word.raw}")
    elif kind == "name" and not word.constant:
        raise NotHarmless(f"not a constant: {word.raw}")
