"""The corpus: nothing that must not is allowed, nothing everyday asks."""

from __future__ import annotations

import pytest

from tests.permissions.support import hostile, judge, lines

NARROW = ("Bash(ls *)", "Bash(cat *)", "Bash(echo *)", "Bash(git status *)")


def test_ordinary_lines_do_not_ask() -> None:
    cases = list(lines("ordinary.txt"))
    assert len(cases) >= 250
    asked = [(line, verdict.reason) for line, _ in cases if (verdict := judge(line)).verdict != "allow"]
    assert not asked


def test_nothing_of_what_must_not_is_allowed() -> None:
    cases = list(lines("not_allowed.txt"))
    assert len(cases) >= 400
    assert not [(line, allow) for line, allow in cases if judge(line, allow=allow).verdict == "allow"]


def test_hostile_strings_are_never_allowed() -> None:
    assert not [line for line in hostile() for allow in ((), NARROW) if judge(line, allow=allow).verdict == "allow"]


def test_what_is_denied_is_denied_under_every_rule() -> None:
    cases = list(lines("denied.txt"))
    assert len(cases) >= 100
    assert not [
        line for line, _ in cases for allow in ((), ("Bash(*)",)) if judge(line, allow=allow).verdict != "deny"
    ]


@pytest.mark.parametrize("share", [pytest.param(1, marks=pytest.mark.long), 4])
def test_a_denied_line_stays_denied_among_others_and_in_wrappers(share: int) -> None:
    """Each line in one form of `share`, and each form around many lines; the long form tries all with all."""
    missed = []
    for number, (line, _) in enumerate(lines("denied.txt")):
        if any(char in line for char in "'\"\\`&#|<>;{}()$") or line.startswith(
            ("!", "tui-agent", "for", "while", "cd")
        ):
            continue
        forms = (
            f"ls; {line}",
            f"true && {line}",
            f"({line})",
            f"bash -c '{line}'",
            f"sudo {line}",
            f"env {line}",
            f"echo $({line})",
            f"if true; then {line}; fi",
            f"timeout 5 nice {line}",
            f"{line} &",
            f"{line} ; ((",
            f"cat <<E\n$({line})\nE",
        )
        for form in forms[number % share :: share]:
            if judge(form, allow=["Bash(*)"]).verdict != "deny":
                missed.append(form)
    assert not missed
