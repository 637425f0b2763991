"""What a few commands need looked at besides their flags."""

from __future__ import annotations

import re

from tui_agent.permissions.guard.model import Command, Word
from tui_agent.permissions.guard.usage import NotHarmless, Spec, Usage, apply_spec

_SECRET_NAME = re.compile(r"(?i)(key|token|secret|passw|credential|auth|cookie|session|dsn|database_url)")
_PS_BSD = re.compile(r"[aAxufjlmrTvwhHZLcs]+")
_PS_ALONE = """
    -e -f -A -a -d -F -l -j -H -L -M -T -w -y -Z -c -N -x -r -V --forest --no-headers --headers --version
    """
_PS_VALUES = "-o -p -u -U -C -g -G -t -s -q --sort --ppid --pid --user --format --cols --width"
_PS_FLAGS = Spec(dict.fromkeys(_PS_ALONE.split(), "") | dict.fromkeys(_PS_VALUES.split(), "value"), ("number*",))
_JSON_TOOL = Spec(
    dict.fromkeys(["--sort-keys", "--json-lines", "--no-ensure-ascii", "--compact", "--tab", "--no-indent"], "")
    | {"--indent": "value"},
    ("path?",),
)


def check_bat(command: Command, usage: Usage) -> None:
    """Refuse a pager."""
    for flag, value in usage.flags:
        if flag == "--paging" and value != "never":
            raise NotHarmless("bat runs a pager")


def check_marks(command: Command, usage: Usage) -> None:
    """Refuse operands that a mark makes something else: `@file` of options (binutils), `+D folder` (lsof)."""
    for word in usage.operands:
        if word.text.startswith(("@", "+")):
            raise NotHarmless(f"{word.raw} is more than a name to {command.name}")


def check_command(command: Command, usage: Usage) -> None:
    """Refuse `command` where it runs something."""
    if not {flag for flag, _ in usage.flags} & {"-v", "-V"}:
        raise NotHarmless("command runs a command")


def check_date(command: Command, usage: Usage) -> None:
    """Refuse setting the clock."""
    flags = {flag for flag, _ in usage.flags}
    if usage.operands and not usage.operands[0].text.startswith("+") and "-j" not in flags:
        raise NotHarmless("date with a time sets the clock")


def check_go(command: Command, usage: Usage) -> None:
    """Refuse `go list` of packages on the network."""
    for word in usage.operands:
        if "@" in word.text:
            raise NotHarmless("a version after @ is fetched from the network")
    if {flag for flag, _ in usage.flags} & {"-versions", "-u"}:
        raise NotHarmless("it asks the network for versions")


def check_kubectl(command: Command, usage: Usage) -> None:
    """Refuse secrets and output formats that read files."""
    for word in usage.operands:
        if re.search(r"(?i)\b(secrets?|configmaps?|cm)\b", word.text.split("/")[0].replace(",", " ")):
            raise NotHarmless("it shows secrets or configuration")
    for flag, value in usage.flags:
        if flag in ("-o", "--output") and not re.fullmatch(
            r"json|yaml|wide|name|(jsonpath|custom-columns|go-template)=.*", value
        ):
            raise NotHarmless(f"the output format {value!r} is not known to be harmless")


def check_man(command: Command, usage: Usage) -> None:
    """Refuse pages that are files."""
    for word in usage.operands:
        if not re.fullmatch(r"[A-Za-z0-9_.+:@-]+", word.text):
            raise NotHarmless("man with a path formats a file of somebody's")


def check_printenv(command: Command, usage: Usage) -> None:
    """Refuse the whole environment, and variables that look like a secret's."""
    if not usage.operands:
        raise NotHarmless("it shows the whole environment")
    if _SECRET_NAME.search(usage.operands[0].text):
        raise NotHarmless("the variable looks like a secret's")


def check_printf(command: Command, usage: Usage) -> None:
    """Refuse `printf -v`, which assigns."""
    if not usage.operands:
        raise NotHarmless("printf without a format")
    first = usage.operands[0]
    if first.text.startswith("-") and first.text != "--":
        raise NotHarmless("printf with a flag")
    if not first.constant:
        raise NotHarmless("the format is not constant")
    if re.search(r"%[^%A-Za-z]*[nQ(]", first.text.replace("%%", "")):
        raise NotHarmless("the format assigns a variable, or asks for the time")


def check_sysctl(command: Command, usage: Usage) -> None:
    """Refuse setting a kernel parameter, which needs no flag."""
    if any("=" in word.text for word in usage.operands):
        raise NotHarmless("sysctl with = sets a parameter")


_TESTS = frozenset(
    [
        "-a",
        "-b",
        "-c",
        "-d",
        "-e",
        "-f",
        "-g",
        "-h",
        "-k",
        "-p",
        "-r",
        "-s",
        "-t",
        "-u",
        "-w",
        "-x",
        "-G",
        "-L",
        "-N",
        "-O",
        "-S",
        "-z",
        "-n",
        "-o",
        "-nt",
        "-ot",
        "-ef",
        "=",
        "==",
        "!=",
        "<",
        ">",
        "!",
        "(",
        ")",
        "&&",
        "||",
        "-eq",
        "-ne",
        "-lt",
        "-le",
        "-gt",
        "-ge",
        "]",
        "]]",
    ]
)
_ARITHMETIC = frozenset(["-eq", "-ne", "-lt", "-le", "-gt", "-ge"])


def check_test(command: Command, usage: Usage) -> None:
    """Refuse `-v`, which evaluates a subscript, and comparing numbers in `[[ ]]`, which evaluates arithmetic."""
    texts = [word.text for word in usage.operands]
    if command.name in ("[", "[[") and texts[-1:] != [{"[": "]", "[[": "]]"}[command.name]]:
        raise NotHarmless("a test without its end")
    for position, word in enumerate(usage.operands):
        text = word.text
        if text in ("-v", "-R") or (text.startswith("-") and len(text) < 4 and text not in _TESTS and position == 0):
            raise NotHarmless(f"the test {text} is not known to be harmless")
        if text in _ARITHMETIC:
            sides = texts[max(position - 1, 0) : position] + texts[position + 1 : position + 2]
            if not all(re.fullmatch(r"-?\d+|\$[?#]", side) for side in sides):
                raise NotHarmless("comparing what is not a number evaluates it")
        if position and texts[position - 1] in ("-f", "-d", "-e", "-r", "-w", "-x", "-s", "-L", "-h"):
            usage.paths.append(word)


def use_ps(command: Command) -> Usage:
    """Return what `ps` reads. Raises `NotHarmless` for the BSD flag `e`, which shows environments."""
    words = command.words[1:]
    if words and not words[0].text.startswith("-") and not re.fullmatch(r"\d+|[axu]+o", words[0].text):
        if not _PS_BSD.fullmatch(words[0].text):
            raise NotHarmless("ps with a flag that is not known to be harmless")
        words = words[1:]
    elif words and re.fullmatch(r"[axu]+o", words[0].text):
        words = (Word("-o", "-o"), *words[1:])
    usage = apply_spec(_PS_FLAGS, words)
    if any("env" in value for flag, value in usage.flags if flag in ("-o", "--format")):
        raise NotHarmless("ps shows environments")
    return usage


def use_python(command: Command) -> Usage:
    """Return what `python` reads: its version, or JSON through `-m json.tool` with one file at most."""
    texts = [word.text for word in command.words[1:]]
    if len(texts) == 1 and texts[0] in ("--version", "-V", "-VV", "--help", "-h"):
        return Usage()
    if texts[:2] == ["-m", "json.tool"]:
        return apply_spec(_JSON_TOOL, command.words[3:])
    if texts[:2] == ["-m", "pip"] and texts[2:3] and texts[2] in ("list", "show", "freeze", "--version", "check"):
        from tui_agent.permissions.guard.usage import find_spec

        found = find_spec(command.words[2:])
        if found:
            return apply_spec(found[0], command.words[2 + found[1] :])
    raise NotHarmless("python runs a program")
