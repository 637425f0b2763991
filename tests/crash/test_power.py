"""Power losses while journal and command runner work: nothing acknowledged is lost, nothing runs twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import power, trace

pytestmark = pytest.mark.skipif(not trace.available(), reason="strace is not there or may not trace")


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    report = power.run_journal(tmp_path / "power", images=60, seed=1)
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
    report = power.run_journal(tmp_path / "power", images=600, seed=1, fault=fault, enough=1)
    assert any(text.startswith(problem) for text in report.problems), dict(report.outcomes)
