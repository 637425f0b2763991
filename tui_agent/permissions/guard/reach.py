"""What a command opens without being told its name: folders it searches, and files whose names it is handed.

A command that reads `.` reads what is protected in it as well. Here stands which commands go through folders,
which files they leave out by their own flags, and what of them is protected or leads out, as it is on the disk.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tui_agent.config.untrusted import UntrustedFileError, read_untrusted
from tui_agent.permissions.guard.grammars.find import may_find
from tui_agent.permissions.guard.grammars.git import split_git
from tui_agent.permissions.guard.model import Command, Line, Surroundings, Word
from tui_agent.permissions.guard.places import TooManyMatches, allowed_folder, guessed_paths, leads_to
from tui_agent.permissions.guard.usage import NotHarmless, Usage
from tui_agent.permissions.sensitive import secret_level

if TYPE_CHECKING:
    from tui_agent.permissions.rules import Rule

MOST_ENTRIES = 50_000
"""Files and folders that are looked at below one folder; about half a second. Where there are more, rules ask."""

_METADATA = frozenset(
    ["ls", "stat", "test", "[", "du", "file", "realpath", "readlink", "echo", "printf", "basename", "dirname", "true"]
)
_GREPS = frozenset(["grep", "egrep", "fgrep"])
_DIFFS = frozenset(["diff", "colordiff"])
_RECURSIVE = frozenset(["-r", "-R", "--recursive", "--dereference-recursive"])
_COPIERS = frozenset(
    [
        "tar", "bsdtar", "cp", "zip", "rsync", "7z", "7za", "scp", "rclone",
        "ack", "ugrep", "grep", "egrep", "fgrep", "rg", "ag",
    ]
)  # fmt: skip
_PACKAGES = frozenset(["node_modules", "site-packages", "dist-packages"])
_IGNORE_FILES = (".gitignore", ".ignore", ".rgignore", ".git/info/exclude")
_SEVERAL_PARTS = frozenset(["gcloud", "library", "keychains", "pip", "etc", "run", "proc", "dev", "var"])
_ONE_ENDING = re.compile(r"\\\.(\w+|\((?:\w+\\?\|)*\w+\\?\)|\\\((?:\w+\\\|)*\w+\\\))\$")
_LARGEST_INDEX = 64 * 1024 * 1024

Opens = Callable[[str, bool], bool]
"""Says of a path below the folder searched, and whether it is a link, if the command may open it."""


@dataclass(frozen=True, slots=True)
class Search:
    """A command's way through the folder `root`, absolute and real.

    `follows` links below it; `handed` says that it is given the names of links, and opens them. `content` says
    that what it reads there shows. `maskable` says that a file that is empty in its place would keep it out.
    `known` is False for commands of which nobody knows all they do.
    """

    root: str
    opens: Opens
    follows: bool = False
    content: bool = True
    maskable: bool = True
    known: bool = True
    handed: bool = False


@dataclass(frozen=True, slots=True)
class Protected:
    """A file that a rule or its name protects: its path, where that leads, and what to hide to keep it out."""

    path: str
    real: str
    mask: str
    level: Literal["ask", "deny"]
    rule: Rule | None
    link: bool = False


@dataclass(slots=True)
class Below:
    """What stands below a folder: protected files, links that lead out; `complete` if all was looked at."""

    protected: list[Protected] = field(default_factory=list)
    leaving: list[str] = field(default_factory=list)
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """A search together with what of the protected files, and of the links that lead out, it opens."""

    search: Search
    protected: tuple[Protected, ...]
    leaving: tuple[str, ...]
    complete: bool


def reached(line: Line, command: Command, surroundings: Surroundings) -> list[Found]:
    """Return what the command's searches open. Looks at the disk, once for each folder."""
    found = []
    for search in _searches(line, command, surroundings):
        key = (search.root, search.follows or search.handed)
        below = line.below.get(key)
        if below is None:
            below = line.below[key] = look_below(search.root, surroundings, follows=key[1])
        skip = len(search.root.rstrip("/")) + 1
        found.append(
            Found(
                search,
                tuple(p for p in below.protected if search.opens(p.path[skip:], p.link)) if search.content else (),
                tuple(path for path in below.leaving if search.opens(path[skip:], True)),
                below.complete,
            )
        )
    return found


def look_below(root: str, surroundings: Surroundings, *, follows: bool) -> Below:
    """Go through a folder, at most `MOST_ENTRIES` of what is in it."""
    below = Below()
    rules = _matchers(surroundings)
    waiting: list[tuple[str, bool, bool, Protected | None]] = [(root, _of_several_parts(root), False, None)]
    seen, left = {root}, MOST_ENTRIES
    while waiting:
        folder, special, packaged, covering = waiting.pop()
        try:
            entries = os.scandir(folder)
        except OSError:
            continue
        with entries:
            for entry in entries:
                left -= 1
                if left < 0:
                    below.complete = False
                    return below
                path, link = entry.path, entry.is_symlink()
                if link and not follows:
                    continue
                real = os.path.realpath(path) if link else path
                if link and not allowed_folder(real, surroundings.places):
                    below.leaving.append(path)
                    continue
                is_folder = os.path.isdir(real) if link else entry.is_dir(follow_symlinks=False)
                own = covering or _by_rule(path, real, rules, link=link)
                if is_folder:
                    if real not in seen and not path.endswith("/.git/objects"):
                        seen.add(real)
                        inner_special = special or link or _of_several_parts(entry.name)
                        waiting.append((path, inner_special, packaged or entry.name in _PACKAGES, own))
                    continue
                if own is None and not (packaged or "/.git/" in path):
                    own = _by_name(path, real, special=special or link, link=link)
                if own is not None:
                    mask = own.mask if own is covering and not link else real
                    below.protected.append(Protected(path, real, mask, own.level, own.rule, link))
    return below


Matcher = tuple["Rule", Literal["ask", "deny"], Callable[[str], bool]]


def _matchers(surroundings: Surroundings) -> list[Matcher]:
    workspace, home = os.path.realpath(surroundings.places.workspace), surroundings.places.home
    levels: tuple[Literal["deny", "ask"], ...] = ("deny", "ask")
    return [
        (rule, level, rule.path_matcher(workspace=workspace, home=home))
        for level in levels
        for rule in surroundings.rules.of(level, "read")
        if rule.specifier is not None
    ]


def _by_rule(path: str, real: str, rules: list[Matcher], *, link: bool) -> Protected | None:
    for rule, level, matches in rules:
        if matches(path) or (link and matches(real)):
            return Protected(path, real, real, level, rule, link)
    return None


def _by_name(path: str, real: str, *, special: bool, link: bool) -> Protected | None:
    level = secret_level(path, begin=0 if special else path.rfind("/"))
    if not level and link:
        level = secret_level(real)
    return Protected(path, real, real, level, None, link) if level else None


def _of_several_parts(path: str) -> bool:
    """Say whether a name below this folder may be secret for the folder's sake."""
    return any(part.startswith(".") or part.casefold() in _SEVERAL_PARTS for part in path.split("/"))


def _searches(line: Line, command: Command, surroundings: Surroundings) -> list[Search]:
    usage = line.usages.get(command.index)
    name = command.name
    if usage is None:
        return _unknown(command) if name in _COPIERS and not command.wrapper else []
    found: list[Search] = []
    if command.appended and name not in _METADATA:
        found += _handed(line, command)
    flags = {flag for flag, _ in usage.flags}
    if name in _GREPS and (flags & _RECURSIVE or {"recurse"} & {v for f, v in usage.flags if f in _DIRECTORIES}):
        follows = bool(flags & {"-R", "--dereference-recursive"})
        found += [Search(root, _grep_opens(usage), follows) for root in _roots(usage.paths, command)]
    elif name in ("rg", "ag", "fd", "fdfind") and not (name in ("rg", "ag") and _reads_input(line, command, usage)):
        names_only = name in ("fd", "fdfind") or "--files" in flags
        follows = bool(flags & {"-L", "--follow"}) if name != "ag" else "-f" in flags
        found += [
            Search(root, _rg_opens(usage, root), follows, content=not names_only)
            for root in _roots(usage.paths, command)
            if follows or not names_only
        ]
    elif name in _DIFFS:
        deep = bool(flags & {"-r", "--recursive"})
        opens = _anything if deep else _directly
        follows = "--no-dereference" not in flags
        found += [Search(root, opens, follows) for root in _roots(usage.paths, command, alone=True)]
    elif _lists_links(name, flags):
        found += [Search(root, _anything, True, content=False) for root in _roots(usage.paths, command)]
    elif name == "git":
        found += _git_searches(command, usage)
    return found


_DIRECTORIES = ("-d", "--directories")


def _lists_links(name: str, flags: set[str]) -> bool:
    """Say whether a command that only lists names goes through links to folders."""
    if name in ("ls", "dir", "vdir"):
        return bool(flags & {"-R", "--recursive"} and flags & {"-L", "--dereference"})
    return (name == "tree" and "-l" in flags) or (name == "du" and bool(flags & {"-L", "--dereference"}))


def _anything(path: str, link: bool) -> bool:
    return True


def _directly(path: str, link: bool) -> bool:
    return "/" not in path


def _unknown(command: Command) -> list[Search]:
    """Return the folders that a command goes through of which nobody knows all it does."""
    first = command.argv[1] if len(command.argv) > 1 else ""
    if command.name in ("tar", "bsdtar") and (re.fullmatch(r"-?\w*x\w*", first) or "--extract" in command.argv):
        return []
    roots = _roots(guessed_paths(command), command, alone=True)
    return [Search(root, _anything, maskable=False, known=False) for root in roots]


def _roots(words: Iterable[Word], command: Command, *, alone: bool = False) -> list[str]:
    """Return the folders among the words, real; without any word the folder it runs in, unless `alone`."""
    found: list[str] = []
    words = list(words)
    for word in words:
        try:
            found += [p for p in leads_to(word.text, command.cwds, glob=word.glob) if p and os.path.isdir(p)]
        except TooManyMatches:
            continue  # path_scope asks
    if not words and not alone:
        found += [cwd for cwd in command.cwds if cwd]
    return list(dict.fromkeys(os.path.realpath(path) for path in found))


def _reads_input(line: Line, command: Command, usage: Usage) -> bool:
    """Say whether a search without a folder reads its input: something else feeds it."""
    if usage.paths or command.appended:
        return False
    return bool(line.upstream(command)) or any(r.operator in ("<", "<<", "<<<") for r in command.redirections)


def _grep_opens(usage: Usage) -> Opens:
    order = [(flag, value) for flag, value in usage.flags if flag in ("--include", "--exclude")]
    folders = [value for flag, value in usage.flags if flag == "--exclude-dir"]

    if any(re.search(r"[\[\\]", pattern) for pattern in (*folders, *(pattern for _, pattern in order))):
        return _anything  # brackets and backslashes are not read as grep reads them

    def opens(path: str, link: bool) -> bool:
        *parents, name = path.split("/")
        if any(fnmatch.fnmatchcase(part, pattern.rstrip("/")) for part in parents for pattern in folders):
            return False
        for flag, pattern in reversed(order):
            if fnmatch.fnmatchcase(name, pattern):
                return flag == "--include"
        return not order or order[0][0] == "--exclude"

    return opens


def _rg_opens(usage: Usage, root: str) -> Opens:
    flags = {flag for flag, _ in usage.flags}
    hidden = bool(flags & {"--hidden", "-H", "-u", "--unrestricted", "-U"})
    globs = [value for flag, value in usage.flags if flag in ("-g", "--glob", "--iglob", "-G")]
    endings = [value.lstrip(".") for flag, value in usage.flags if flag in ("-e", "--extension")]
    wanted = [glob for glob in globs if not glob.startswith("!")]

    def opens(path: str, link: bool) -> bool:
        if wanted and not any(_glob_may_match(glob, path) for glob in wanted):
            return False
        if (
            endings
            and "--regexp" not in flags
            and _is_fd(usage)
            and not path.endswith(tuple(f".{e}" for e in endings))
        ):
            return False
        if hidden or wanted or "--ignore-file" in flags:
            return True
        return not any(part.startswith(".") for part in path.split("/")) or _brought_back(root, path)

    return opens


def _is_fd(usage: Usage) -> bool:
    """Say whether the flags are those of fd, where -e names an ending; in rg it is a pattern."""
    return usage.command in ("fd", "fdfind")


def _glob_may_match(glob: str, path: str) -> bool:
    """Say whether a glob of rg could match; only what surely does not is left out."""
    name = path.rsplit("/", 1)[-1].casefold()
    ending = re.fullmatch(r"(?:\*\*/)?\*\.(?:(\w+)|\{([\w,]+)\})", glob.casefold())
    if ending is None:
        return True
    return name.endswith(tuple(f".{e}" for e in (ending[1] or ending[2]).split(",")))


def _brought_back(root: str, path: str) -> bool:
    """Say whether a hidden file is searched all the same, because an ignore file brings it back with `!`."""
    full = os.path.join(root, path)
    folder = os.path.dirname(full)
    while True:
        for name in _IGNORE_FILES:
            if _negated(os.path.join(folder, name)):
                return True
        if folder == "/":
            return False
        folder = os.path.dirname(folder)


def _negated(file: str) -> bool:
    """Say whether an ignore file brings back something hidden; one that cannot be read does not."""
    try:
        text = read_untrusted(Path(file), beneath=None, limit=_LARGEST_INDEX).data.decode("utf-8", "replace")
    except (FileNotFoundError, UntrustedFileError):
        return False
    return any(re.match(r"!(.*/)?[.*?\[]", line) and not _EXAMPLE.search(line) for line in text.splitlines(True))


_EXAMPLE = re.compile(r"(\.(example|sample|template|dist)|\.gitkeep|\.github.*|\.gitignore|/|\*\.\w+)\s*$")


def _handed(line: Line, command: Command) -> list[Search]:
    """Return what the names that `command` is handed may be: those that `find` and its like print."""
    producer, filters = _producer(line, command)
    if producer is None or producer.index not in line.usages:
        return []
    usage = line.usages[producer.index]
    flags = {flag for flag, _ in usage.flags}
    name = producer.name
    opens: dict[str, Opens] = {}
    if name in ("find", "gfind"):
        for word in usage.operands or [Word(".", ".")]:
            own = _anything if word.glob else _find_opens(producer.argv[1:], word.text.rstrip("/") or "/")
            opens |= dict.fromkeys(_roots([word], producer), own)
    elif name in ("rg", "ag", "fd", "fdfind"):
        opens = {root: _rg_opens(usage, root) for root in _roots(usage.paths, producer)}
    elif name in _GREPS:
        opens = dict.fromkeys(_roots(usage.paths, producer), _grep_opens(usage))
    elif name == "git":
        return [Search(s.root, _both(s.opens, filters), handed=True) for s in _git_listing(producer, usage)]
    elif name in ("ls", "dir", "vdir"):
        hidden = bool(flags & {"-a", "-A", "-f", "--all", "--almost-all"})
        opens = dict.fromkeys(
            [*_roots(usage.paths, producer), *(cwd for cwd in command.cwds if cwd)],
            lambda path, link: "/" not in path and (hidden or not path.startswith(".")),
        )
    return [Search(root, _both(own, filters), handed=True) for root, own in opens.items()]


def _find_opens(words: tuple[str, ...], folder: str) -> Opens:
    return lambda path, link: may_find(words, f"{folder}/{path}", link=link)


def _producer(line: Line, command: Command) -> tuple[Command | None, list[Command]]:
    """Return the command whose output names the files, and those in between that only leave some out."""
    at = command
    while at.parent >= 0:
        at = line.commands[at.parent]
        if at.name in ("find", "gfind", "fd", "fdfind") and not at.wrapper:
            return at, []
    sources = [c for c in line.upstream(command) if not c.wrapper and c.words]
    return (sources[0], sources[1:]) if sources else (None, [])


def _both(opens: Opens, filters: list[Command]) -> Opens:
    """Narrow `opens` by each `grep '\\.py$'` that the names go through."""
    endings = []
    for command in filters:
        operands = [text for text in command.argv[1:] if not text.startswith("-")]
        flags = "".join(text for text in command.argv[1:] if text.startswith("-"))
        match = _ONE_ENDING.fullmatch(operands[0]) if command.name in _GREPS and len(operands) == 1 else None
        if match and not re.search(r"[vFef]|--", flags):
            endings.append(tuple(f".{e}" for e in re.findall(r"\w+", match[1])))
    if not endings:
        return opens
    return lambda path, link: all(path.endswith(ending) for ending in endings) and opens(path, link)


def _git_searches(command: Command, usage: Usage) -> list[Search]:
    """Return what `git grep` and `git diff --no-index` go through."""
    try:
        folders, words = split_git(command.words)
    except NotHarmless:
        return []
    flags = {flag for flag, _ in usage.flags}
    name = words[0].text if words else ""
    if name == "diff" and "--no-index" in flags:
        return [Search(root, _anything, False) for root in _roots(usage.paths, command, alone=True)]
    if name != "grep":
        return []
    specs = [word for word in usage.paths if not any(word is folder for folder in folders)]
    whole = bool(flags & {"--untracked", "--no-exclude-standard"})
    roots = _roots(folders, command) if folders else [os.path.realpath(cwd) for cwd in command.cwds if cwd]
    found = []
    for root in roots:
        other = "--cached" in flags or any(_is_revision(word, root) for word in specs)
        found.append(Search(root, _tracked(root, specs, whole=whole or other), maskable=not other))
    return found


def _git_listing(command: Command, usage: Usage) -> list[Search]:
    """Return what git's lists of names may name."""
    try:
        folders, words = split_git(command.words)
    except NotHarmless:
        return []
    flags = {flag for flag, _ in usage.flags}
    specs = [word for word in usage.paths if not any(word is folder for folder in folders)]
    listing = bool(words) and words[0].text in ("ls-files", "grep")
    whole = bool(flags & {"-o", "--others", "-d", "-i", "--untracked"})
    roots = _roots(folders, command) if folders else [os.path.realpath(cwd) for cwd in command.cwds if cwd]
    return [Search(root, _tracked(root, specs if listing else [], whole=whole)) for root in roots]


def _is_revision(word: Word, root: str) -> bool:
    return not re.search(r"^:|[*?\[]", word.text) and not os.path.exists(os.path.join(root, word.text))


def _tracked(root: str, specs: list[Word], *, whole: bool) -> Opens:
    """Return whether git has a file in its index, and one of the pathspecs may name it."""
    index = None if whole else _index(root)

    def opens(path: str, link: bool) -> bool:
        if specs and not any(_spec_may_match(word, path, root) for word in specs):
            return False
        if index is None:
            return True
        top, content = index
        return os.path.relpath(os.path.join(root, path), top).encode("utf-8", "surrogateescape") in content

    return opens


def _spec_may_match(word: Word, path: str, root: str) -> bool:
    spec = word.text.rstrip("/")
    if (
        spec.startswith((":", "/"))
        or re.search(r"\.\.|[\[\\]", spec)
        or spec in ("", ".")
        or _is_revision(word, root)
    ):
        return True
    spec = spec.removeprefix("./")
    return path == spec or path.startswith(spec + "/") or fnmatch.fnmatchcase(path, spec)


def _index(root: str) -> tuple[str, bytes] | None:
    """Return the repository's folder and what its index holds; None where that cannot be told."""
    folder = root
    while not os.path.lexists(os.path.join(folder, ".git")):
        if folder == "/":
            return None
        folder = os.path.dirname(folder)
    name = os.path.join(folder, ".git", "index")
    try:
        content = read_untrusted(Path(name), beneath=None, limit=_LARGEST_INDEX).data
    except (FileNotFoundError, UntrustedFileError):
        return None
    # from version 4 on, names are stored without what they share with the one before
    return (folder, content) if content[4:8] in (b"\0\0\0\2", b"\0\0\0\3") else None
