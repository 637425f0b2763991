"""Lines to run: those of the corpora, generated ones, and ones that act whatever a guard says of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.permissions.support import lines as corpus
from tests.permissions.test_differential import JOINTS, NAMES, WORDS
from tui_agent.permissions.guard import Places, Surroundings, judge_line
from tui_agent.permissions.rules import RuleSet

OPERANDS = (
    "a.txt", "b.txt", "src", ".", ".env", "harmless.txt", "private/notes", "pwned", "--output=pwned", "-opwned",
    "HEAD", "5", "s/a/b/w pwned", "-exec", "touch", "{}", "\\;", "/etc/shadow", "~/.ssh/id", "--", "-",
)  # fmt: skip


def acting() -> list[str]:
    """Return lines that try to write, to reach something or to read secrets, in their world only."""
    return [line for line in (Path(__file__).parent / "acting.txt").read_text().splitlines() if line]


def allowed(line: str, workspace: Path, home: Path) -> bool:
    """Return whether the guard takes a line for one that only reads, in the default mode without any rule."""
    places = Places(str(home), str(workspace))
    verdict = judge_line(line, Surroundings(str(workspace), places, RuleSet(), hides=True))
    return verdict.verdict == "allow" and verdict.read_only


@cache
def _ordinary() -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return the lines of everyday work, and by program the flags that they give it."""
    lines = tuple(line for line, _ in corpus("ordinary.txt"))
    flags: dict[str, set[str]] = {}
    for line in lines:
        words = line.split()
        flags.setdefault(words[0], set()).update(word for word in words[1:] if word.startswith("-"))
    return lines, {name: tuple(sorted(found)) for name, found in flags.items()}


def generated(chance: random.Random) -> Iterator[str]:
    """Yield lines without end: everyday ones, their programs with their flags mixed, and several joined."""
    lines, flags = _ordinary()
    names = sorted(name for name, found in flags.items() if found)
    while True:
        kind = chance.random()
        if kind < 0.2:
            yield chance.choice(lines)
        elif kind < 0.6:
            yield _call(chance, chance.choice([*names, *NAMES]))
        else:
            line = _call(chance, chance.choice(NAMES))
            for _ in range(chance.randint(0, 2)):
                line += chance.choice(JOINTS) + _call(chance, chance.choice(NAMES))
            yield line


def _call(chance: random.Random, name: str) -> str:
    flags = _ordinary()[1].get(name.split(maxsplit=1)[0], ())
    words = [
        chance.choice(flags) if flags and chance.random() < 0.5 else chance.choice([*WORDS, *OPERANDS])
        for _ in range(chance.randint(0, 4))
    ]
    return " ".join([name, *words])
