"""Generates the option tables of programs from their manuals: `tui_agent/permissions/guard/programs.json`.

Run `python scripts/program_tables.py OUT [ROOT …]`. Each ROOT (default `/`) is a folder with `usr/share/man` and
`usr/share/doc`, such as `/` or one into which Debian packages were unpacked with `dpkg -x`, so that a program need
not be installed. Needs `man`. A program's line in the result is `VERSION|OPERANDS|FLAGS`:

* VERSION is the package's or the manual's own version, as the manual's footer says.
* OPERANDS is `path*` where the manual's NAME says that the program only looks at what it is given, else empty.
* FLAGS are words: `-x` takes nothing, `-x=` a value in the same word or the next, `--x[=]` a value in the same word
  only. With `!` at the end the flag is known, but outside what the program is for: its description speaks of running,
  writing, sending, loading or removing something, or its value may be a file, a command or an address.

The rule is positive: a flag whose description is not understood is marked with `!`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_HEADER = re.compile(r"^ {1,14}(-{1,2}[A-Za-z0-9?@#][^\n]*)$")
_OPTION = re.compile(r"(?<![\w-])(--?[A-Za-z0-9?@#][\w.-]*)(\[=?[^\]]*\]|=\S+|[ ]?<[^>]+>|[ ][A-Z][A-Z0-9_.|:-]*\b)?")
_HARMFUL = re.compile(
    r"(?i)exec|\brun|command|shell|script|program|invok|spawn|fork|pager|editor|brows|plug-?in|modul|\bload|librar|config|"
    r"\brc\b|\binit|evaluat|\bcode\b|expression|writ|output|sav|stor|creat|overwrit|append|delet|remov|unlink|purg|clean|"
    r"in-?place|modif|chang|updat|\bset\b|\bsets\b|kill|signal|send|upload|download|fetch|connect|server|\bhost|\bport|listen|network|"
    r"prox|\burl|remote|\broot|chroot|director|folder|\bfile|path|socket|daemon|background|install|forc|passw|passphrase|"
    r"\bkey|secret|token|credential|privileg|set-?uid|device|mount|\blog|trace|dump|profil|edit|replac|renam|move|reset|clear|flush|rotat|"
    r"extract|compress|unsafe|insecure|trust|disabl|ignor.*(error|safe)|enable|interactive|macro|hook|filter|agent|sign|"
    r"environment|database|restor|backup|truncat|erase|destroy|lock|link|read|import|export|include|template|option|argument"
)
_QUIET = re.compile(
    r"(?i)^(-[hV]|--(help|version|quiet|silent|verbose|no-?colou?r|colou?r|colou?rs|json|brief|short|long|all|summary|usage|"
    r"human-readable|recursive|ignore-case|line-number|count|reverse|sort|numeric|width|no-headings?|no-legend|bytes|lines))$"
)
_NUMBER = re.compile(
    r"(?i)^[\[<=({ ]*(n|num|number|count|cols?|columns?|width|size|level|lines?|bytes?|"
    r"seconds?|secs?|when|digits?|depth|max|min|int|integer)[\]>})=. ]*$"
)
_LOOKS = re.compile(
    r"(?i)\b(print|display|show|list|report|search|compar|count|check(?!out)|examine|inspect|compute|calculate|summar|view|"
    r"identif|determine|validat|lint|analy[sz]e|look)"
)
_ACTS = re.compile(
    r"(?i)\b(run|exec|convert|edit|creat|writ|chang|set|remov|delet|install|connect|send|control|manage|manipulat|shell|"
    r"interpret|debug|trace|server|client|copy|move|repair|build|compil|control|interactive|dump|process|start|transfer)"
)


def manuals(root: Path) -> dict[str, Path]:
    """Return the manuals of programs below a root, by name; only those of a program that is there or was unpacked."""
    found: dict[str, Path] = {}
    programs = {
        name for part in ("bin", "usr/bin", "usr/sbin", "sbin", "usr/lib/git-core", "usr/games")
        if (root / part).is_dir() for name in (entry.name for entry in (root / part).iterdir())
    }  # fmt: skip
    for section in ("1", "8", "6"):
        for page in sorted((root / "usr/share/man" / f"man{section}").glob("*")):
            name = re.sub(r"\.\d\w*(\.gz)?$", "", page.name)
            if name in programs:
                found.setdefault(name, page)
    return found


def read(page: Path) -> str:
    """Return a manual as plain text, empty where `man` cannot read it."""
    env = {
        "PATH": "/usr/bin:/bin",
        "MANWIDTH": "160",
        "MAN_KEEP_FORMATTING": "",
        "LC_ALL": "C.UTF-8",
        "MANROFFOPT": "-c",
    }
    done = subprocess.run(
        ["man", "--no-hyphenation", "--no-justification", "-l", str(page)],
        capture_output=True,
        env=env,
        check=False,
        timeout=60,
    )
    return re.sub(".\b", "", done.stdout.decode("utf-8", "replace")).replace("\u2010", "-").replace("\u2212", "-")


def table(text: str) -> tuple[str, str, str] | None:
    """Return version, operands and flags of a manual; None where it has no option."""
    lines = text.splitlines()
    flags: dict[str, str] = {}
    at = 0
    while at < len(lines):
        header = _HEADER.match(lines[at])
        if header is None:
            at += 1
            continue
        indent = len(lines[at]) - len(lines[at].lstrip())
        shown, inline = [*re.split(r"\s{2,}", header[1], maxsplit=1), ""][:2]
        headers, described = [shown], [inline]
        at += 1
        while at < len(lines) and (not lines[at].strip() or len(lines[at]) - len(lines[at].lstrip()) > indent):
            described.append(lines[at].strip())
            at += 1
            if len(described) > 12:
                break
        for option, arity, harmless in options(" , ".join(headers), " ".join(described)):
            before = flags.get(option)
            if before is None or harmless is False:
                flags[option] = arity + ("" if harmless else "!")
    if not flags:
        return None
    name = next((lines[i + 1] for i, line in enumerate(lines[:-1]) if line.strip() == "NAME"), "")
    about = name.split(" - ", 1)[-1]
    operands = "path*" if _LOOKS.search(about) and not _ACTS.search(about) else ""
    footer = next((line for line in reversed(lines) if line.strip()), "")
    version = re.sub(r"\s{2,}.*", "", footer.strip())[:40].replace("|", "/")
    return version, operands, " ".join(sorted(f"{flag}{arity}" for flag, arity in flags.items()))


def options(header: str, description: str) -> list[tuple[str, str, bool]]:
    """Return the options of one header: each with its arity and whether it is within the program's purpose."""
    matches = [m for m in _OPTION.finditer(header) if len(m[1]) > 1]
    values = [m[2] or "" for m in matches]
    shared = next((value.strip("[]<>= ") for value in values if value), "")
    tail = header[matches[-1].end() :].strip() if matches else ""
    lower = re.fullmatch(r"[=\[ <]*([a-z][\w-]*)[\]>. ]*", tail)
    if not shared and lower:
        shared = lower[1]
    found = []
    for match, value in zip(matches, values, strict=True):
        option = match[1].rstrip(".")
        if value.startswith("["):
            arity = "[=]"
        elif shared:
            arity = "="
        else:
            arity = ""
        meaning = f"{option} {shared} {tail} {description[:400]}"
        if arity:
            harmless = bool(_NUMBER.match(shared)) and not _HARMFUL.search(option)
        else:
            harmless = bool(_QUIET.match(option)) or (
                bool((tail + description).strip()) and not _HARMFUL.search(meaning)
            )
        found.append((option, arity, harmless))
    return found


def main(out: str, roots: list[str]) -> None:
    """Write the tables."""
    pages: dict[str, Path] = {}
    for root in roots or ["/"]:
        for name, page in manuals(Path(root)).items():
            pages.setdefault(name, page)
    names = sorted(pages)
    with ThreadPoolExecutor(2) as pool:
        tables = dict(zip(names, pool.map(lambda name: table(read(pages[name])), names), strict=True))
    rows = {name: "|".join(row) for name, row in tables.items() if row}
    Path(out).write_text(json.dumps(rows, indent=0, ensure_ascii=True, sort_keys=True) + "\n", "utf-8")
    sys.stderr.write(f"{len(rows)} programs of {len(names)} manuals\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
