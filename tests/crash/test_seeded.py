"""The harness notices what it is there to notice: each fault built into the product."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import seeded, trace
from tests.crash.faults import FAULTS

QUICK = {"outcome-not-synced", "folder-not-synced", "start-not-synced", "no-runner"}
"""The faults that are tried each time; the others take longer."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.long]) for name in FAULTS]
)
def test_a_seeded_fault_is_caught(tmp_path: Path, name: str) -> None:
    if FAULTS[name].trial in {"journal", "session"} and not trace.available():
        pytest.skip("strace is not there or may not trace")
    problem = seeded.caught(name, tmp_path / "trial", 1)
    print(f"{name}: {problem}")
    assert problem
