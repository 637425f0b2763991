"""A small stand-in for ripgrep, run as a script where there is none; it writes what `rg` would write.

`python -I search_files.py files FOLDER` prints paths, each ended by NUL. `python -I search_files.py grep
OPTIONS-AS-JSON` prints `PATH NUL NUMBER:LINE` for matches and `PATH NUL NUMBER-LINE` for lines around them.
A process of its own, so that a regular expression that takes for ever can be ended. Exit status as `rg`:
0 found, 1 nothing found, 2 error (on stderr).
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from typing import Any

from pathspec import GitIgnoreSpec

LONGEST_LINE = 300

LARGEST_IGNORE_FILE = 1 << 20
"""Bytes of a .gitignore that is read; a larger one excludes nothing."""


def walk(root: str, folder: str) -> Iterator[str]:
    """Yield the files under `folder`, sorted, without what the .gitignore files from `root` down exclude."""
    rules: list[tuple[str, GitIgnoreSpec]] = []
    parts = os.path.relpath(folder, root).split(os.sep)
    above = root
    if not parts[0].startswith(".."):
        for part in ["", *(part for part in parts if part != ".")]:
            above = os.path.join(above, part) if part else above
            if above != folder:
                rules += rules_of(above)
    yield from _walk(folder, rules)


def _walk(folder: str, rules: list[tuple[str, GitIgnoreSpec]]) -> Iterator[str]:
    rules = rules + rules_of(folder)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        is_folder = entry.is_dir(follow_symlinks=False)
        if entry.name == ".git" or ignored(entry.path, is_folder, rules):
            continue
        if is_folder:
            yield from _walk(entry.path, rules)
        elif entry.is_file(follow_symlinks=False):
            yield entry.path


def excluded(folder: str, root: str) -> bool:
    """Return whether the .gitignore files from `root` down to a folder's parent exclude it."""
    rules: list[tuple[str, GitIgnoreSpec]] = []
    above = root
    for part in ["", *os.path.relpath(os.path.dirname(folder), root).split(os.sep)]:
        above = os.path.join(above, part) if part and part != "." else above
        rules += rules_of(above)
    return ignored(folder, True, rules)


def rules_of(folder: str) -> list[tuple[str, GitIgnoreSpec]]:
    """Return the rules of a folder's .gitignore with the folder they count from; none if it has none."""
    try:
        # not blocking: a pipe of that name would wait for its other end for ever
        descriptor = os.open(os.path.join(folder, ".gitignore"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, encoding="utf-8", errors="replace") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_IGNORE_FILE:
                return []
            return [(folder, GitIgnoreSpec.from_lines(file))]
    except (OSError, ValueError):
        return []


def ignored(path: str, is_folder: bool, rules: list[tuple[str, GitIgnoreSpec]]) -> bool:
    """Return what the innermost .gitignore that says something says."""
    for base, spec in reversed(rules):
        verdict: bool | None = spec.check_file(os.path.relpath(path, base) + "/" * is_folder).include
        if verdict is not None:
            return verdict
    return False


def grep(options: dict[str, Any]) -> int:
    """Search and print; return the exit status."""
    flags = re.IGNORECASE if options["ignore_case"] else 0
    if options["multiline"]:
        flags |= re.DOTALL | re.MULTILINE
    try:
        pattern = re.compile(options["pattern"], flags)
    except re.error as error:
        sys.stderr.write(f"regex parse error: {error}\n")
        return 2
    path = options["path"]
    files = iter([path]) if os.path.isfile(path) else walk(options["root"], path)
    only = re.compile(options["glob"]) if options["glob"] else None
    found = False
    out = sys.stdout.buffer
    for file in files:
        if only and not only.fullmatch(os.path.relpath(file, path)):
            continue
        try:
            with open(file, "rb") as opened:
                data = opened.read()
        except OSError:
            continue
        if b"\0" in data[:8192]:
            continue
        text = data.decode("utf-8", "replace")
        lines = text.removesuffix("\n").split("\n")
        if options["multiline"]:
            hits = spanned(pattern, text, len(lines))
        else:
            hits = [number for number, line in enumerate(lines) if pattern.search(line)]
        found = found or bool(hits)
        _print(out, os.fsencode(file), lines, hits, options)
    return 0 if found else 1


def spanned(pattern: re.Pattern[str], text: str, lines: int) -> list[int]:
    """Return the numbers, from 0, of the lines that matches over several lines touch."""
    hits: dict[int, None] = {}
    line = at = 0
    for match in pattern.finditer(text):
        line += text.count("\n", at, match.start())
        at = match.start()
        last = line + text.count("\n", match.start(), max(match.start(), match.end() - 1))
        hits |= dict.fromkeys(range(line, min(last + 1, lines)))
    return list(hits)


def _print(out: Any, path: bytes, lines: list[str], hits: list[int], options: dict[str, Any]) -> None:
    mode, context = options["mode"], options["context"]
    if not hits:
        return
    if mode == "files":
        hits = hits[:1]
    wanted = sorted({n for hit in hits for n in range(max(0, hit - context), min(len(lines), hit + context + 1))})
    matched = set(hits)
    for n in wanted:
        line = lines[n].removesuffix("\r")
        if len(line) > LONGEST_LINE:
            line = f"{line[:LONGEST_LINE]} [... omitted end of long line]"
        sign = ":" if n in matched else "-"
        out.write(path + b"\0" + f"{n + 1}{sign}{line}\n".encode("utf-8", "replace"))
    out.flush()


def main(arguments: list[str]) -> int:
    """Run the script; return the exit status."""
    if arguments[0] == "files":
        root, folder = arguments[1:]
        found = False
        for path in walk(root, folder):
            found = True
            sys.stdout.buffer.write(os.fsencode(path) + b"\0")
        return 0 if found else 1
    return grep(json.loads(arguments[1]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
