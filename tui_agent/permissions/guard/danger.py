"""Flags that make a command run a program or write a file, so that a broad rule does not cover them."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Sequence
from importlib import resources

from tui_agent.permissions.guard.grammars.awk import check_program
from tui_agent.permissions.guard.heredoc import INTERPRETERS
from tui_agent.permissions.guard.model import Command
from tui_agent.permissions.guard.usage import NotHarmless

# `sed`: a `w` or `e` command or flag; whatever looks like one asks
_SED = re.compile(
    r"(^|[;{}\n0-9$/!,\s])[weWrR]\s|(^|[;{}\n0-9$/!])e($|[;}])|([^\\])[gpiIm0-9]*[ew][gpiIm0-9]*(\s|$|;)"
)

_MARKS = {
    "less": re.compile(r"\+"),
    "more": re.compile(r"\+"),
    "vim": re.compile(r"\+"),
    "vi": re.compile(r"\+"),
    "nvim": re.compile(r"\+"),
    "gcc": re.compile(r"@"),
    "cc": re.compile(r"@"),
    "clang": re.compile(r"@"),
    "sqlite3": re.compile(r"\s*\.(sh|sy|imp|o|on|ex|lo|sa|b|cl|r|cd|ar)"),
}
"""Operands that are commands or options of the program's own, by how they begin."""

# a remote as `helper::address`: git runs the program `git-remote-helper`, and `ext::` any command
_TRANSPORT = re.compile(r"[\w.+-]+::")
_TAKE_REMOTES = {
    "archive",
    "clone",
    "fetch",
    "fetch-pack",
    "ls-remote",
    "pull",
    "push",
    "remote",
    "send-pack",
    "submodule",
}

_PLAIN_SETTINGS = re.compile(
    r"(?i)(user\.(name|email)|color\..*|advice\..*|init\.defaultbranch|push\.default|pull\.(rebase|ff)|fetch\.prune|"
    r"rerere\.enabled|merge\.conflictstyle|diff\.algorithm|branch\..*\.(remote|merge|rebase))"
)
"""Settings of git that name neither a program nor a file nor an address."""

_READS_SETTINGS = {"--get", "--get-all", "--get-regexp", "--get-urlmatch", "--list", "-l", "get", "list"}


@functools.cache
def _flags() -> dict[str, tuple[str, ...]]:
    text = resources.files("tui_agent.permissions.guard").joinpath("danger.toml").read_text("utf-8")
    table = {name: tuple(flags.split()) for name, flags in tomllib.loads(text).items()}
    return table


def dangerous_words(command: Command) -> list[str]:
    """Return the words of a call that a broad rule does not cover."""
    name = re.sub(r"(?<=[a-z])[\d.]+$", "", command.name) if command.name not in _flags() else command.name
    table = _flags()
    arguments = command.argv[1:]
    subcommand = next((text for text in arguments if not text.startswith("-")), "")
    own = (*table.get(name, ()), *table.get(f"{name} {subcommand}", ()))
    known = (*table["*"], *own)
    found = []
    if name == "git":  # before the subcommand, -c sets any option
        before = arguments[: arguments.index(subcommand)] if subcommand else arguments
        found += [text for text in before if text.startswith("-c")]
        if subcommand in _TAKE_REMOTES:
            found += [text for text in arguments if _TRANSPORT.match(text)]
        if subcommand == "config":
            found += _settings(arguments[len(before) + 1 :])
    for text in command.argv[1:]:
        if text == "--" and name not in ("git", "find"):
            break
        if _is_dangerous(text, known, own=own):
            found.append(text)
    if name == "tar" and arguments and re.fullmatch(r"[A-Za-z]*P[A-Za-z]*", arguments[0]):
        found.append(arguments[0])  # the options of old, without a dash
    if name in _MARKS:
        found += [text for text in arguments if _MARKS[name].match(text)]
    if name in ("sed", "gsed"):
        scripts = [(text, re.sub(r"^(--expression=|-[nErsuz]*e)", "", text)) for text in command.argv[1:]]
        found += [text for text, script in scripts if not script.startswith("-") and _sed_acts(script)][:1]
    if name in ("awk", "gawk", "mawk", "nawk"):
        found += [text for text in command.argv[1:] if not text.startswith("-") and _awk_acts(text)][:1]
    return found


def carries_out_input(command: Command) -> bool:
    """Say whether an interpreter, called so, takes its program from its standard input."""
    name = re.sub(r"(?<=[a-z])[\d.]+$", "", command.name)
    operands = [text for text in command.argv[1:] if not text.startswith("-")]
    return name in INTERPRETERS - {"awk", "gawk", "mawk", "sed", "xargs", "make", "bc"} and (
        not operands or operands == ["/dev/stdin"]
    )


def _settings(arguments: Sequence[str]) -> list[str]:
    """Return the settings that `git config`, given so, would set: most of them can name a program to run."""
    if _READS_SETTINGS.intersection(arguments):
        return []
    operands = [text for text in arguments if not text.startswith("-") and text != "set"]
    if len(operands) < 2:
        return []
    return [text for text in operands[:1] if not _PLAIN_SETTINGS.fullmatch(text)]


def _is_dangerous(text: str, known: Sequence[str], own: Sequence[str]) -> bool:
    if not text.startswith("-"):
        return any(text == flag or (flag.endswith("=") and text.startswith(flag)) for flag in own if flag[0] != "-")
    if text == "-":
        return "-" in own
    if text.startswith("--"):
        name = text.split("=", 1)[0]
        abbreviated = len(name) > 3 and any(flag.startswith(name) for flag in own if flag.startswith("--"))
        return name in known or abbreviated
    if text in known:
        return True
    for flag in known:
        if flag.startswith("--"):
            continue
        if len(flag) > 2 and (text == flag or text.split("=", 1)[0] == flag or text == "-" + flag):
            return True
        letter = flag[1:]
        # in a bundle such as `-xc`, or with its value attached such as `-ofile`; `-` alone is no letter
        bundle = text[: text.find(letter) + 1] if len(letter) == 1 and letter != "-" else ""
        if flag in own and re.fullmatch(r"-[A-Za-z0-9]+", bundle):
            return True
    return False


def _sed_acts(text: str) -> bool:
    if "." in text and re.fullmatch(r"[\w./-]+", text):
        return False  # a file's name
    return bool(_SED.search(text)) and _not_harmless_sed(text)


def _not_harmless_sed(text: str) -> bool:
    from tui_agent.permissions.guard.grammars.sed import check_script

    try:
        check_script(text)
    except NotHarmless:
        return True
    return False


def _awk_acts(text: str) -> bool:
    if "{" not in text and not re.search(r"system|getline|\|", text):
        return False
    try:
        check_program(text)
    except NotHarmless:
        return True
    return False
