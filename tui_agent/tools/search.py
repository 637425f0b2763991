"""Running a search over many files: ripgrep where there is one, else the stand-in in this package."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tui_agent.held import open_beneath
from tui_agent.programs import find_program
from tui_agent.sandbox import command_environment
from tui_agent.tools.files import Target, display
from tui_agent.tools.search_files import excluded
from tui_agent.tools.views import count
from tui_agent.workflow import ToolContext, ToolError

TIME_LIMIT = 30.0
"""Seconds a search may take."""

MOST_OUTPUT = 16 * 1024 * 1024
"""Bytes of output that are read from the search."""

MOST_FOLDERS = 2_000
"""Folders that are looked at for links: some tens of milliseconds."""

MOST_LINKS = 5
"""Linked folders that a note names."""

_RG = [
    "--no-config",
    "--hidden",
    "--no-messages",
    "--no-require-git",
    "--no-ignore-global",
    "--no-ignore-exclude",
    "--no-ignore-dot",
    "--sort=path",
    "--color=never",
    "--glob=!.git",
]


_PRINTED = re.compile(rb"([^\0]+)\0(\d+)([:-])(.*)", re.DOTALL)
_CUT = re.compile(rb" \[\.\.\. (omitted end of long line|\d+ more match\w*)\]\r?$")


@dataclass(frozen=True, slots=True)
class Found:
    """What a search printed; `complete` is False when it was ended by a limit, which `note` names."""

    output: bytes
    complete: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class GrepQuery:
    """What to search for; `names` is a pattern for file names, `glob` it as an expression over paths below `path`."""

    pattern: str
    path: Path
    names: str
    glob: str
    mode: str
    context: int
    ignore_case: bool
    multiline: bool


async def list_files(folder: Path, context: ToolContext) -> Found:
    """Return the paths of all files under `folder` that .gitignore does not exclude, each ended by NUL."""
    rg = _ripgrep(context)
    if rg:
        argv = [rg, *_RG, "--files", "--null", "--", str(folder)]
    else:
        argv = [*_stand_in(), "files", str(context.workspace), str(folder)]
    return await _run(argv, context)


async def grep_files(query: GrepQuery, context: ToolContext) -> Found:
    """Return the matches as `PATH NUL NUMBER:LINE` lines, or as mode `files` or `count` print them."""
    rg = _ripgrep(context)
    if rg:
        argv = [rg, *_RG, "--null", "--no-heading", "--with-filename", "--line-number"]
        argv += ["--max-columns=300", "--max-columns-preview", "--no-context-separator"]
        argv += ["--ignore-case"] if query.ignore_case else []
        argv += ["--multiline", "--multiline-dotall"] if query.multiline else []
        if query.names and "/" not in query.names:
            # As a file type, because rg's --glob would bring back what .gitignore excludes.
            argv += [f"--type-add=wanted:{query.names}", "--type=wanted"]
        argv += {"files": ["--max-count=1"], "count": []}.get(query.mode, [f"--context={query.context}"])
        argv += ["--regexp", query.pattern, "--", str(query.path)]
    else:
        options = {
            "pattern": query.pattern,
            "path": str(query.path),
            "root": str(context.workspace),
            "glob": query.glob,
            "mode": query.mode,
            "context": query.context if query.mode == "content" else 0,
            "ignore_case": query.ignore_case,
            "multiline": query.multiline,
        }
        argv = [*_stand_in(), "grep", json.dumps(options)]
    return await _run(argv, context)


def really_below(paths: Iterable[bytes], target: Target) -> list[bytes]:
    """Return those of the listed paths that are in the held folder without a link on the way (blocking).

    A search walks by names: while it ran, a folder may have been exchanged for a link.
    """
    root = _opened(target)
    try:
        folders: dict[bytes, frozenset[bytes]] = {}
        kept = []
        for path in paths:
            folder, _, name = path.rpartition(b"/")
            if folder not in folders:
                folders[folder] = _entries_below(root, _names_below(folder, target))
            if name in folders[folder]:
                kept.append(path)
        return kept
    finally:
        os.close(root)


def _entries_below(root: int, names: tuple[str, ...] | None) -> frozenset[bytes]:
    """Return the names in a folder below `root`, with an empty one for itself; none where a link is on the way.

    The names count too: a folder that is in its place again may have been a link while it was listed.
    """
    if names is None:
        return frozenset()
    try:
        folder = open_beneath(root, names)
    except OSError:
        return frozenset()
    try:
        return frozenset([b"", *(os.fsencode(name) for name in os.listdir(folder))])  # noqa: PTH208 -- an open folder has no path
    except OSError:
        return frozenset()
    finally:
        os.close(folder)


Printed = tuple[bytes, int, bytes, bytes]
"""A printed line: the file, the number, `:` for a match or `-` for a line around one, the text."""


def only_true(output: bytes, target: Target) -> list[Printed]:
    """Return those printed lines that the held file, or files below the held folder, really have (blocking).

    What was read through a name that was exchanged for a link meanwhile is not shown.
    """
    lines = list(_parsed(output, os.fsencode(str(target.real))))
    by_file: dict[bytes, dict[int, bytes]] = {}
    for path, number, _, text in lines:
        by_file.setdefault(path, {})[number] = text
    root = _opened(target)
    try:
        true = {path: _true_lines(root, _names_below(path, target), printed) for path, printed in by_file.items()}
    finally:
        os.close(root)
    return [line for line in lines if line[1] in true[line[0]]]


def _parsed(output: bytes, root: bytes) -> Iterator[Printed]:
    """Yield the lines of an output; the name of a file can hold a line break."""
    begun = b""
    for piece in output.split(b"\n"):
        line = piece if piece.startswith(root) or not begun else begun + b"\n" + piece
        begun = b"" if b"\0" in line else line
        match = _PRINTED.fullmatch(line)
        if match:
            yield match[1], int(match[2]), match[3], match[4]


def _opened(target: Target) -> int:
    try:
        return target.held.open()
    except OSError as error:
        raise ToolError(f"{target.shown}: {error.strerror}") from error


def _names_below(path: bytes, target: Target) -> tuple[str, ...] | None:
    """Return the names from the target to a path that a search printed; None for a path that is not below it."""
    text, root = os.fsdecode(path), str(target.real)
    if text == root:
        return ()
    prefix = root.rstrip("/") + "/"
    return tuple(text[len(prefix) :].split("/")) if text.startswith(prefix) else None


def _true_lines(root: int, names: tuple[str, ...] | None, printed: dict[int, bytes]) -> set[int]:
    """Return the numbers of those printed lines that the file at `names` below `root` really has."""
    if names is None:
        return set()
    try:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = open_beneath(root, names, flags) if names else os.dup(root)
    except OSError:
        return set()
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return set()
        file.seek(0)
        start = file.read(3)
        file.seek(0)
        source: Iterable[bytes] = file
        if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
            source = file.read().decode("utf-16", "replace").encode().splitlines(keepends=True)
        true = set()
        last = max(printed)
        for number, line in enumerate(source, 1):
            if number in printed and _same(printed[number], line.removeprefix(b"\xef\xbb\xbf")):
                true.add(number)
            if number >= last:
                break
        return true


def _same(printed: bytes, line: bytes) -> bool:
    """Say whether a printed line, perhaps cut, is that line of a file."""
    line = line.rstrip(b"\r\n")
    if printed.rstrip(b"\r") in (line, line.decode("utf-8", "replace").encode()):
        return True
    cut = _CUT.search(printed)
    begin = printed[: cut.start()] if cut else b""
    return bool(cut) and (line.startswith(begin) or line.decode("utf-8", "replace").encode().startswith(begin))


async def left_out_of(files: Iterable[bytes], folder: Path, context: ToolContext) -> set[bytes]:
    """Return those of the files that rules keep out of a search in `folder`."""

    def find() -> set[bytes]:
        paths = [path.decode("utf-8", "surrogateescape") for path in files]
        return {path.encode("utf-8", "surrogateescape") for path in context.left_out(paths, str(folder))}

    return await asyncio.to_thread(find)


def find_links(files: Iterable[bytes], target: Target, root: Path) -> list[tuple[str, str]]:
    """Return the linked folders that a search in the held folder meets: their path below it, and where they lead.

    A search does not follow them: they may lead in circles, or out of the workspace. `files` is what the search
    listed; `root` is the workspace, whose .gitignore files count. Blocking; looks at `MOST_FOLDERS` folders. Raises
    `ToolError` when the held folder cannot be opened any more.
    """
    folder = str(target.real)
    listed: set[str] = set()
    for file in files:
        parent = os.fsdecode(file).rpartition("/")[0]
        while len(parent) > len(folder) and parent not in listed:
            listed.add(parent)
            parent = parent.rpartition("/")[0]

    def known(path: str) -> bool:
        return path in listed or not excluded(path, str(root))

    links = []
    waiting: list[tuple[str, ...]] = [()]
    looked = 0
    held = _opened(target)
    try:
        while waiting and looked < MOST_FOLDERS:
            names = waiting.pop()
            looked += 1
            here = Path(folder, *names)
            with contextlib.suppress(OSError):
                linked, folders = _folders_in(held, names)
                links += [("/".join((*names, name)), os.path.realpath(here / to)) for name, to in linked]
                waiting += [(*names, name) for name in folders if known(str(here / name))]
    finally:
        os.close(held)
    return sorted(links)


def _folders_in(held: int, names: tuple[str, ...]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the links to folders in a folder below `held`, each with its text, and the folders in it.

    Raises `OSError`, also when a link is on the way by now.
    """
    here = open_beneath(held, names)
    try:
        with os.scandir(here) as entries:
            found = list(entries)
        linked = [
            (entry.name, os.readlink(entry.name, dir_fd=here))
            for entry in found
            if entry.is_symlink() and entry.is_dir()
        ]
        return linked, [e.name for e in found if e.name != ".git" and e.is_dir(follow_symlinks=False)]
    finally:
        os.close(here)


def links_note(links: Sequence[tuple[str, str]], context: ToolContext) -> str:
    """Say to the model which linked folders a search did not follow, and where they lead; empty for none."""
    if not links:
        return ""
    shown = [f"{display(link)} -> {show_path(os.fsencode(target), context)}" for link, target in links[:MOST_LINKS]]
    more = f", and {len(links) - MOST_LINKS} more" if len(links) > MOST_LINKS else ""
    return (
        f"{count(len(links), 'linked folder')} not followed: {', '.join(shown)}{more}; name one as path to search it"
    )


def left_out_note(number: int) -> str:
    """Say to the model how many files a search did not look at."""
    return f"{count(number, 'file')} left out, protected by the permission rules"


def show_path(raw: bytes, context: ToolContext) -> str:
    """Return a path that a search printed as the model sees it: relative to the workspace, valid Unicode."""
    path = raw.decode("utf-8", "surrogateescape")
    root = str(context.workspace.resolve())
    temporary = context.sandbox.temporary() if context.sandbox is not None else None
    return display((temporary.shown(path) if temporary else path).removeprefix(root + "/"))


def _ripgrep(context: ToolContext) -> str | None:
    sandbox = context.sandbox
    writable = sandbox.writable() if sandbox is not None else [context.workspace]
    return find_program("rg", context.runtime.environment, home=context.runtime.home, writable=writable)


def _stand_in() -> list[str]:
    return [sys.executable, "-I", str(Path(__file__).with_name("search_files.py"))]


async def _run(argv: list[str], context: ToolContext) -> Found:
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=context.workspace,
            env=command_environment(context.runtime.environment),
        )
    except OSError as error:
        raise ToolError(f"the search did not start: {error.strerror}; a shorter pattern may help") from error
    assert process.stdout is not None
    assert process.stderr is not None
    output = bytearray()
    errors = asyncio.ensure_future(process.stderr.read(10_000))
    note = ""
    try:
        async with asyncio.timeout(TIME_LIMIT):
            while chunk := await process.stdout.read(1 << 16):
                output += chunk
                if len(output) > MOST_OUTPUT:
                    note = "too much was found; the search was ended"
                    break
            if not note:
                await process.wait()
    except TimeoutError:
        note = f"the search was ended after {TIME_LIMIT:.0f} s"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    message = (await errors).decode("utf-8", "replace").strip()
    if not note and process.returncode == 2 and not output:
        raise ToolError(message or "the search failed")
    return Found(bytes(output), not note, note)
