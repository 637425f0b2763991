"""What all tests share: a home, folder and environment of their own, and nothing of the machine's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test fails by the clock: these machines are shared.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")

KEPT = {"PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "COVERAGE_PROCESS_START", "CI"}


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a HOME, a working folder and data folders under tmp_path, and only harmless variables."""
    for name in list(os.environ):
        if name not in KEPT and not name.startswith(("PYTEST", "TEXTUAL_SNAPSHOT")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    workspace = tmp_path / "workspace"
    home.mkdir()
    workspace.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("TUI_AGENT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TUI_AGENT_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(workspace)
    return workspace
