"""Power losses while journal and command runner work: nothing acknowledged is lost, nothing runs twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import power, trace
from tests.crash.power import PowerReport

pytestmark = pytest.mark.skipif(not trace.available(), reason="strace is not there or may not trace")


def simulate(tmp_path: Path, fault: str, *, images: int, enough: int = 0) -> PowerReport:
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    (root / "workspace").mkdir(parents=True)
    scratch.mkdir()
    child = power.journal_child(root, scratch / "marks", fault)
    return power.simulate(
        root, child, power.judge_journal, scratch=scratch, images=images, seed=1, enough=enough
    )


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    report = simulate(tmp_path, "", images=60)
    print(f"{report.images} images: {dict(report.outcomes)}")
    assert report.problems == []
    assert report.unsynced > 30
    assert len(report.outcomes) >= 3


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("outcome-not-synced", "lost: "),
        ("folder-not-synced", "lost: the session file"),
        ("start-not-synced", "would run again"),
    ],
)
def test_a_seeded_fault_is_found(tmp_path: Path, fault: str, problem: str) -> None:
    report = simulate(tmp_path, fault, images=600, enough=1)
    assert any(text.startswith(problem) for text in report.problems), dict(report.outcomes)
