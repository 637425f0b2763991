"""Where a word of a command leads on the disk."""

from __future__ import annotations

import glob as globbing
import itertools
import os
import re
import stat
import threading
from collections.abc import Iterator

from tui_agent.permissions.guard.model import Command, Line, Places, Word

MOST_MATCHES = 500
"""Files of a glob that are looked at; more asks."""

_DEEPEST = 100

_PACKAGES = frozenset({".git", ".tox", ".venv", "node_modules", "site-packages", "venv"})
"""Folders whose files pnpm, uv and git link to a store of theirs."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LEAVING_OUT = ("--exclude=", "--exclude-dir=", "--ignore=", "--ignore-dir=")
_REVISION = re.compile(r"[^/:]*:(.+)", re.DOTALL)


_memory = threading.local()


def forget() -> None:
    """Forget what was seen on the disk: a new line is looked at, and files may have changed."""
    _memory.real, _memory.matches = {}, {}


def real_path(path: str) -> str:
    """Return where `path`, absolute, leads, as `os.path.realpath` does; each folder is asked for once a line."""
    known: dict[str, str] = _memory.__dict__.setdefault("real", {})
    found = known.get(path)
    if found is None:
        parent, _, name = path.rpartition("/")
        if name in ("", ".", "..") or not parent:
            found = os.path.realpath(path)
        else:
            found = (
                f"{real_path(parent).rstrip('/')}/{name}" if parent.count("/") < _DEEPEST else os.path.realpath(path)
            )
            if os.path.islink(found):
                found = os.path.realpath(path)
        known[path] = found
    return found


def _matches(pattern: str) -> list[str]:
    """Return the files that a glob matches, one more than `MOST_MATCHES` at most."""
    known: dict[str, list[str]] = _memory.__dict__.setdefault("matches", {})
    found = known.get(pattern)
    if found is None:
        found = known[pattern] = list(itertools.islice(globbing.iglob(pattern), MOST_MATCHES + 1))
    return found


class TooManyMatches(Exception):
    """A glob matches more files than are looked at."""


def is_inside(path: str, folder: str) -> bool:
    """Say whether `path` is `folder` or in it; both absolute and real."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def allowed_folder(path: str, places: Places) -> bool:
    """Say whether `path`, real, is in the workspace or a granted folder."""
    return any(is_inside(path, os.path.realpath(folder)) for folder in (places.workspace, *places.folders))


def second_name(real: str, *, packages: bool = False) -> str:
    """Return why a file's second name (hard link) matters, empty for a file that has one name only.

    It may stand in another folder, whose file it then is as well. Package managers link the files of installed
    packages to their store: those only count where `packages` says so.
    """
    try:
        status = os.lstat(real)
    except (OSError, ValueError):
        return ""
    if not stat.S_ISREG(status.st_mode) or status.st_nlink < 2:
        return ""
    if not packages and _PACKAGES.intersection(real.split("/")):
        return ""
    return f"the file has {status.st_nlink} names (hard links): one may be elsewhere"


def leads_to(text: str, cwds: frozenset[str | None], *, glob: bool = False) -> Iterator[str | None]:
    """Yield every place that a path may lead to, as written and with links followed; None for not known.

    Raises `TooManyMatches`.
    """
    for cwd in cwds:
        if text.startswith("/"):
            joined = text
        elif cwd is None:
            yield None
            continue
        else:
            joined = os.path.join(cwd, text)
        candidates = [joined]
        if glob:
            candidates += _matches(joined)
            if len(candidates) > MOST_MATCHES:
                raise TooManyMatches
        for candidate in candidates:
            if "\0" in candidate:
                yield None
                continue
            yield os.path.normpath(candidate).replace("//", "/")
            yield real_path(candidate)


def path_words(line: Line, command: Command) -> list[Word]:
    """Return the words that may be paths: those known to be, else all that are no bare flags."""
    usage = line.usages.get(command.index)
    if usage is not None:
        return usage.paths
    return guessed_paths(command)


def guessed_paths(command: Command) -> list[Word]:
    """Return every word that may hold a path, with what stands after `=`, `@` or `:` in it besides."""
    found = []
    for word in command.words[1:]:
        text = word.text
        if not text or len(text) > 4096:
            continue
        found.append(word)
        pieces = [text]
        if "=" in text and not text.startswith(_LEAVING_OUT):
            pieces.append(text.split("=", 1)[1])
        for piece in list(pieces):
            if "@" in piece:
                pieces.append(piece.rsplit("@", 1)[1])
        revision = _REVISION.fullmatch(pieces[-1])
        if revision and not _SCHEME.match(text):
            pieces.append(revision.group(1))
        if _SCHEME.match(text) and text.lower().startswith("file:"):
            pieces.append(text.split("://", 1)[1])
        if re.match(r"-[A-Za-z](?=[./~])", text):
            pieces.append(text[2:])
        found += [Word(word.raw, piece, word.constant, glob=word.glob) for piece in pieces[1:] if piece]
    return found


def revision_path(text: str) -> str | None:
    """Return the path in git's `REVISION:PATH`, or None."""
    match = _REVISION.fullmatch(text)
    return match.group(1) if match else None
