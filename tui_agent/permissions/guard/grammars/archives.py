"""Listing archives. Unpacking, and tar's many ways to run a program, are not harmless."""

from __future__ import annotations

import re

from tui_agent.permissions.guard.model import Command, Word
from tui_agent.permissions.guard.usage import NotHarmless, Usage

_TAR_LONG = frozenset(
    [
        "--list",
        "--verbose",
        "--gzip",
        "--gunzip",
        "--bzip2",
        "--xz",
        "--zstd",
        "--file",
        "--wildcards",
        "--no-recursion",
        "--exclude",
        "--numeric-owner",
        "--full-time",
        "--utc",
        "--strip-components",
        "--auto-compress",
        "--show-transformed-names",
    ]
)
_TAR_LONG_VALUE = frozenset(["--file", "--exclude", "--strip-components"])


def use_tar(command: Command) -> Usage:
    """Return what `tar -t` reads. Raises `NotHarmless` for anything but a list of a local archive."""
    usage, words = Usage(), list(command.words[1:])
    listing, at, first = False, 0, True
    while at < len(words):
        text = words[at].text
        bare = text.lstrip("-")
        if text.startswith("--"):
            name, equals, value = text.partition("=")
            if name not in _TAR_LONG or (equals and name not in _TAR_LONG_VALUE):
                raise NotHarmless(f"tar {name} is not known to be harmless")
            listing = listing or name == "--list"
            if name in _TAR_LONG_VALUE and not equals:
                at += 1
                value = words[at].text if at < len(words) else ""
            if name == "--file":
                _archive(value, usage)
        elif text.startswith("-") or first:
            if not re.fullmatch(r"[tvzjJfaOp]+", bare) or "f" in bare[:-1]:
                raise NotHarmless(f"tar {text} is not known to be harmless")
            listing = listing or "t" in bare
            if "f" in bare:
                at += 1
                if at >= len(words):
                    raise NotHarmless("tar lacks the archive's name")
                _archive(words[at].text, usage)
        else:
            usage.operands.append(words[at])
        first = False
        at += 1
    if not listing:
        raise NotHarmless("tar is harmless only with -t")
    return usage


def _archive(name: str, usage: Usage) -> None:
    if ":" in name:
        raise NotHarmless("tar takes a name with a colon as another machine's")
    if name != "-":
        usage.paths.append(Word(name, name))


def check_unzip(command: Command, usage: Usage) -> None:
    """Refuse `unzip` without one of its flags that only list or test."""
    if command.name == "unzip" and not {flag for flag, _ in usage.flags} & {"-l", "-v", "-t", "-Z", "-Z1"}:
        raise NotHarmless("unzip writes files unless it lists or tests")


def check_gzip(command: Command, usage: Usage) -> None:
    """Refuse `gzip` and `xz` without a flag that only lists or tests."""
    if not {flag for flag, _ in usage.flags} & {"-l", "-t", "--list", "--test", "--version"}:
        raise NotHarmless(f"{command.name} writes files unless it lists or tests")
