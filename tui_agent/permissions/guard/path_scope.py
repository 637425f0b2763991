"""Paths outside the workspace.

Class of attack: `..`, absolute paths, links of both kinds and `cd` that lead a reading command to files nobody
meant to show.
"""

from __future__ import annotations

import contextlib
import fnmatch
import glob as globbing
import os
import re
from dataclasses import replace
from urllib.parse import unquote

from tui_agent.permissions.guard.model import PASS, Command, Finding, Line, Surroundings, Word
from tui_agent.permissions.guard.places import (
    TooManyMatches,
    allowed_folder,
    guessed_paths,
    is_inside,
    leads_to,
    path_words,
    second_name,
)
from tui_agent.permissions.guard.reach import reached
from tui_agent.permissions.guard.usage import NotHarmless, usage_of
from tui_agent.permissions.sensitive import write_level

_PUBLIC = re.compile(
    r"/dev/(null|zero|stdin)|/etc/(os-release|lsb-release|debian_version|hostname|timezone|localtime)|/usr/lib/os-release|"
    r"/proc/(cpuinfo|meminfo|version|loadavg|uptime|stat|mounts|filesystems|partitions|swaps)|/proc/self/mounts|/proc/\d+/mounts|/usr/share/zoneinfo/.*"
)
_NO_PATHS = frozenset(
    [
        "echo",
        "printf",
        "basename",
        "dirname",
        "which",
        "whereis",
        "type",
        "true",
        "false",
        ":",
        "pgrep",
        "ps",
        "df",
        "sleep",
        "seq",
        "expr",
        "tr",
    ]
)
_READS_CWD = frozenset(["ls", "find", "tree", "du", "rg", "git", "fd", "fdfind", "ag", "exa", "eza", "cloc", "tokei"])
_PRODUCERS = frozenset(["find", "fd", "fdfind", "rg", "grep", "git", "ls"])
_WRITERS = frozenset(
    [
        "cp",
        "mv",
        "rm",
        "tee",
        "ln",
        "install",
        "touch",
        "chmod",
        "chown",
        "rsync",
        "sed",
        "truncate",
        "dd",
        "patch",
        "unlink",
        "mkdir",
        "tar",
        "unzip",
        "gunzip",
        "wget",
    ]
)
_RUN_LATER = re.compile(
    r"(?i)/(package\.json|conftest\.py|toxfile\.py|noxfile\.py|tasks\.py|setup\.(py|cfg)|pyproject\.toml|tox\.ini|pytest\.ini|mise\.toml|"
    r"\.tool-versions|(gnu)?makefile|justfile|taskfile\.ya?ml|rakefile|gemfile|build\.rs|rust-toolchain(\.toml)?|jest\.config\.\w+|"
    r"vite\.config\.\w+|webpack\.config\.\w+|\.eslintrc[\w.]*|eslint\.config\.\w+|build\.gradle(\.kts)?|pom\.xml|__init__\.py|[^/]+\.pth)$"
)
"""Files of a project that its tools carry out: a command that writes one runs something later."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[\w.-]+@[\w.-]+:|//")
_FILTERS = frozenset(["grep", "head", "tail", "sort", "uniq", "egrep", "fgrep"])


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Ask about every path that leads out of the workspace and the granted folders, or cannot be known."""
    for command in line.commands:
        reason = _problem(line, command, surroundings)
        if reason:
            return Finding("ask", reason)
    return PASS


def _problem(line: Line, command: Command, surroundings: Surroundings) -> str:
    words = [r.target for r in command.redirections if r.operator in ("<", "<>")]
    if command.index in line.usages:
        words = words + [w for w in path_words(line, command) if not _named(w, command, surroundings)]
    elif not command.wrapper and command.name not in _NO_PATHS:
        unnamed = _unnamed_paths(command, surroundings)
        words = words + unnamed
        for word in unnamed:
            reason = _steering(word, command, surroundings)
            if reason:
                return reason
    if command.name == "cd" and len(command.words) == 1:
        return "cd without a folder leads to the home"
    if not command.wrapper and command.name in _READS_CWD | {"cd"} and None in command.cwds:
        return f"the folder that {command.shown()} runs in is not known"
    if command.name in _READS_CWD and not _all_allowed(".", command, surroundings, False):
        return f"{command.shown()} runs outside the workspace"
    usage = line.usages.get(command.index)
    for word in command.words[1:] if usage is not None else ():
        free = usage is not None and any(word is other for other in usage.free)
        if word.glob and not free and _matches(word, command):
            return f"{word.raw} stands for the names of files, which changes what the other words mean"
    if command.name in ("echo", "printf", ":"):
        words = words + [word for word in command.words[1:] if word.glob]  # it shows the names that match
    for word in words:
        if (
            command.index in line.usages
            and word.glob
            and not word.raw[0].isalnum()
            and _may_be_flag(word, line, command)
        ):
            return f"{word.raw} could stand for a flag"
        try:
            if not _all_allowed(word.text, command, surroundings, word.glob):
                return f"{word.raw} is outside the workspace"
            for place in leads_to(word.text, command.cwds, glob=word.glob):
                reason = second_name(place) if place else ""
                if reason:
                    return f"{word.raw}: {reason}"
        except TooManyMatches:
            return f"{word.raw} matches too many files to look at"
    for found in reached(line, command, surroundings):
        if found.leaving:
            shown = os.path.relpath(found.leaving[0], surroundings.places.workspace)
            return f"{command.shown()} follows {shown}, a link that leads outside the workspace"
        if found.search.follows and not found.complete:
            return f"{command.shown()} follows links, and there are too many files to look at"
    if command.appended and _splits_names(line, command) and (folder := _splitting_folder(command)):
        return f"xargs takes names apart at blanks, and the folder {folder!r} would become another path"
    if command.appended and command.name not in ("echo", "basename", "dirname") and not _known_names(line, command):
        return f"nobody knows which names {command.name} will be given"
    return ""


_MOST_FOLDERS = 2000
_SPLITTING = re.compile(r"\s(\.\.?|~)?$|['\"\\]")


def _splits_names(line: Line, command: Command) -> bool:
    """Say whether the names come through xargs without `-0` or a delimiter."""
    at = command
    while at.parent >= 0:
        at = line.commands[at.parent]
        if at.name == "xargs":
            return not any(re.match(r"-\w*0|--null|-d|--delimiter", text) for text in at.argv[1:])
    return False


def _splitting_folder(command: Command) -> str:
    """Return a folder whose name makes xargs read another path out of what is in it, empty if none is seen."""
    seen = 0
    for cwd in command.cwds:
        for _, folders, _ in os.walk(cwd) if cwd else ():
            seen += 1
            if seen > _MOST_FOLDERS:
                return ""
            for name in folders:
                if _SPLITTING.search(name):
                    return name
            folders[:] = [name for name in folders if name not in (".git", "node_modules")]
    return ""


def _matches(word: Word, command: Command) -> bool:
    """Say whether a glob matches a file; one that does not stays as it is written."""
    return any(cwd is None or any(True for _ in globbing.iglob(word.text, root_dir=cwd)) for cwd in command.cwds)


def _may_be_flag(word: Word, line: Line, command: Command) -> bool:
    """Say whether a glob stands for a file whose name reads as a flag that could do harm."""
    if word.text[:1] not in ("*", "?", "[") or line.usages[command.index].appended:
        return False
    return any(
        cwd is None or os.path.basename(match).startswith("-")
        for cwd in command.cwds
        for match in (globbing.iglob(word.text, root_dir=cwd) if cwd else [""])
    )


def _in_own_tmp(text: str, surroundings: Surroundings) -> bool:
    """Say whether a path is in the session's own `/tmp`, the only one that a command in the sandbox sees."""
    temporary = surroundings.places.temporary
    if temporary is None or not surroundings.hides or not text.startswith("/"):
        return False
    located = temporary.locate(text, reading=False)
    return located != text and temporary.contains(os.path.realpath(located))


def _all_allowed(text: str, command: Command, surroundings: Surroundings, glob: bool) -> bool:
    if not glob and _in_own_tmp(text, surroundings):
        return True
    for place in leads_to(text, command.cwds, glob=glob):
        if place is None:
            return False
        # the workspace itself may be given through a link
        inside = allowed_folder(place, surroundings.places) or is_inside(place, surroundings.places.workspace)
        if not inside and not _PUBLIC.fullmatch(place):
            return False
    return True


def _named(word: Word, command: Command, surroundings: Surroundings) -> bool:
    """Say whether a rule that allows the command names this path itself."""
    return ".." not in word.text.split("/") and any(
        token.raw != "*" and fnmatch.fnmatchcase(word.text, token.text)
        for rule in surroundings.rules.bash("allow")
        if rule.tokens and rule.matches_words(command.argv)
        for token in rule.tokens[1:]
    )


def _unnamed_paths(command: Command, surroundings: Surroundings) -> list[Word]:
    """Return the words of a command not known as read-only that may be paths, but for those that a rule names."""
    return [
        word for word in _paths(command) if not _ADDRESS.match(word.text) and not _named(word, command, surroundings)
    ]


def _paths(command: Command) -> list[Word]:
    """Return the words that may be paths. With `-i`, sed has the same files as without it; its program is none."""
    if command.name == "sed":
        kept = tuple(w for w in command.words if not re.match(r"-i|--in-place", w.text))
        with contextlib.suppress(NotHarmless):
            return usage_of(replace(command, words=kept)).paths
    found = guessed_paths(command)
    if command.name == "wget":  # it writes a file with the last name of the address
        names = [unquote(word.text.split("#")[0]).rsplit("/", 1)[-1] for word in command.words[1:]]
        found += [Word(name, name) for name in names if name]
    return found


def _steering(word: Word, command: Command, surroundings: Surroundings) -> str:
    """Return why a file that a command may write or remove matters, empty if it does not."""
    writes = command.name in _WRITERS or (command.name == "git" and "mv" in command.argv)
    for place in leads_to(word.text, command.cwds, glob=word.glob):
        if command.name == "rm" and place == os.path.realpath(surroundings.places.workspace):
            return f"{word.raw} is the whole workspace"
        level, reason = write_level(place or "/" + word.text)
        if level == "deny" or (level and writes):
            return f"{word.raw}: {reason}"
        if writes and _RUN_LATER.search(place or "/" + word.text):
            return f"{word.raw}: programs run what it says"
    return ""


def _known_names(line: Line, command: Command) -> bool:
    """Say whether the names given to `command` come from a search inside the workspace."""
    at = command
    while at.parent >= 0 and not line.commands[at.parent].upstream and line.commands[at.parent].name != "find":
        at = line.commands[at.parent]
    parent = line.commands[at.parent] if at.parent >= 0 else at
    if parent.name in ("find", "gfind"):
        return True
    sources = [c for c in line.upstream(command) if not c.wrapper]
    if not sources:
        return command.name == "echo"
    first, *_rest = sources
    if any(c.name not in _FILTERS and c.name not in _PRODUCERS for c in sources):
        return False
    flags = {text for c in sources for text in c.argv[1:]}
    usage = line.usages.get(first.index)
    if usage is not None and first.name in ("rg", "grep"):
        flags |= {flag for flag, _ in usage.flags}
    if first.name in ("rg", "grep"):
        return bool(
            flags & {"-l", "-rl", "-lr", "-ril", "-rli", "-L", "--files", "--files-with-matches", "-rlE", "-lE"}
        )
    if first.name == "git":
        listing = first.argv[1:2] == ("ls-files",) or "--name-only" in first.argv or first.argv[1:2] == ("grep",)
        return listing and first.argv[1:2] not in (("log",), ("show",))
    return first.name in _PRODUCERS
