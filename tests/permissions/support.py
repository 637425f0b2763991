"""Deciding a line in a test, and reading the corpus."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from tui_agent.permissions.guard import MODULES, GuardVerdict, Places, Surroundings, judge_line
from tui_agent.permissions.rule_sources import listed_rules

CORPUS = Path(__file__).parent / "corpus"
HOME = "/home/dev"
PROTECTED = (f"{HOME}/.config/tui-agent", f"{HOME}/.local/share/tui-agent")


def judge(
    text: str,
    *,
    allow: Iterable[str] = (),
    ask: Iterable[str] = (),
    deny: Iterable[str] = (),
    cwd: str = "/work/project-that-is-not",
    without: str = "",
) -> GuardVerdict:
    """Return the guard's verdict on a line under rules, `without` one of its modules."""
    rules = listed_rules(allow, ask, deny, source="user", home=HOME, base=cwd)
    surroundings = Surroundings(cwd, Places(HOME, cwd, PROTECTED), rules)
    return judge_line(text, surroundings, modules=tuple(row for row in MODULES if row[0] != without))


def lines(name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each line of a corpus file with the rules that stand above it."""
    allow: tuple[str, ...] = ()
    for line in (CORPUS / name).read_text("utf-8").splitlines():
        if line.startswith("#allow:"):
            allow = tuple(rule.strip() for rule in line[7:].split("; ") if rule.strip())
        elif line and not line.startswith("# "):
            yield line, allow


def hostile() -> list[str]:
    """Return the hostile strings."""
    found: list[str] = tomllib.loads((CORPUS / "hostile.toml").read_text("utf-8"))["lines"]
    return found
