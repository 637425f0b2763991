"""Kills of the real app under a pseudo-terminal: the time-boxed form of ``python -m tests.crash``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import __main__ as table
from tests.crash import kills


def test_no_kill_doubles_or_loses_anything(tmp_path: Path) -> None:
    report = kills.campaign(tmp_path, kills=1, failpoints=2, seed=1, seconds=6, layout=False)
    assert table.print_kills(report) == []
    assert report.kills > 0


EACH_TIME = ("the runner, while the command runs",)
"""The cases that are tried each time. The others take the same way; `tests/e2e/test_screen.py` kills an app in which
a request waits."""


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[] if case in EACH_TIME else [pytest.mark.long]) for case in kills.CASES]
)
def test_no_kill_in_a_case_of_its_own_doubles_or_loses_anything(tmp_path: Path, case: str) -> None:
    verdict = kills.kill_in_case(tmp_path / "life", case, 1, layout=False)
    assert verdict.problems == []
    assert verdict.deaths


def test_what_was_painted_of_a_cut_off_answer_stays(tmp_path: Path) -> None:
    verdict = kills.kill_while_streaming(tmp_path / "life")
    assert verdict.problems == []
    assert verdict.findings["turn cut off"] == 1


def test_a_second_window_is_read_only(tmp_path: Path) -> None:
    assert kills.two_windows(tmp_path / "life").problems == []


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_hundreds_of_kills(tmp_path: Path) -> None:
    report = kills.campaign(tmp_path, kills=300, failpoints=None, seed=1, cases=30)
    assert table.print_kills(report) == []
    assert report.kills >= 300
    assert report.not_reached <= len(report.failpoints)
