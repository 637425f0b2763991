"""Power losses: nothing acknowledged is lost, nothing runs twice, every image can be resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import __main__ as table
from tests.crash import power, power_session, trace

pytestmark = pytest.mark.skipif(not trace.available(), reason="strace is not there or may not trace")


def test_journal_and_runner_lose_nothing(tmp_path: Path) -> None:
    report = power.run_journal(tmp_path / "power", images=60, seed=1)
    assert table.print_power("journal and runner", report) == []
    assert report.unsynced > 30
    assert len(report.outcomes) >= 3


def test_the_app_resumes_from_what_is_left(tmp_path: Path) -> None:
    report = power_session.run_session(tmp_path / "power", images=6, seed=1)
    assert table.print_power("the whole app", report) == []


def test_a_recovery_loses_nothing_either(tmp_path: Path) -> None:
    report = power_session.run_recovery(tmp_path / "power", images=60, seed=3)
    assert table.print_power("killed and recovered", report) == []


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_hundreds_of_power_losses(tmp_path: Path) -> None:
    for what, report in (
        ("journal and runner", power.run_journal(tmp_path / "journal", images=400, seed=2)),
        ("the whole app", power_session.run_session(tmp_path / "app", images=200, seed=2)),
        ("killed and recovered", power_session.run_recovery(tmp_path / "killed", images=2000, seed=2)),
    ):
        assert table.print_power(what, report) == []
