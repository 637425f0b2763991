"""`find`: tests and printing are harmless; `-exec` is, where the command it runs is."""

from __future__ import annotations

from tui_agent.permissions.guard.model import Command
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
            end = next((i for i in range(at + 1, len(words)) if words[i].text in (";", "+")), None)
            if end is None:
                raise NotHarmless("-exec without its end")
            at = end + 1
        elif text.startswith(("-", "(", "!")) or started:
            raise NotHarmless(f"find {text} is not known to be harmless")
        else:
            usage.paths.append(words[at])
            at += 1
    return usage
