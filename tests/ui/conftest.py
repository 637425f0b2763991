"""Snapshots stand in the top-level folder `snapshots/`, with everything that changes by itself frozen."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_textual_snapshot import SVGImageExtension


@pytest.fixture(scope="session", autouse=True)
def snapshot_folder():
    """Keep the pictures where a reader of the repository finds them."""
    folder = str(Path(__file__).resolve().parents[2] / "snapshots")
    patch = pytest.MonkeyPatch()
    patch.setattr(SVGImageExtension, "dirname", classmethod(lambda cls, *, test_location: folder))
    yield
    patch.undo()
