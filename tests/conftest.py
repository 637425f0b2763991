"""What all tests share: a home, folder and environment of their own, and nothing of the machine's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.sdk_types import check_request
from tui_agent.models.offline import OfflineServer
from tui_agent.session.backend import KEEP_VARIABLE

# No test fails by the clock: these machines are shared.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=30)
settings.register_profile("long", settings.get_profile("here"), max_examples=500)
settings.load_profile("here")

QUICK = (
    "tests/test_",
    "tests/agents/",
    "tests/budget/test_estimate.py",
    "tests/budget/test_limits.py",
    "tests/budget/test_meter.py",
    "tests/config/",
    "tests/context/",
    "tests/e2e/test_screen.py::test_read_then_edit_with_approval[80]",
    "tests/events/",
    "tests/journal/test_append.py",
    "tests/journal/test_positions.py",
    "tests/journal/test_verify.py",
    "tests/models/test_catalog.py",
    "tests/models/test_request.py",
    "tests/models/test_rules.py",
    "tests/models/test_stream.py",
    "tests/permissions/test_policy.py",
    "tests/permissions/test_rules.py",
    "tests/registry/",
    "tests/sandbox/test_boxed.py",
    "tests/session/test_order.py",
    "tests/session/test_permissions.py",
    "tests/session/test_session.py",
    "tests/tools/test_change.py",
    "tests/tools/test_read.py",
    "tests/tools/test_small_tools.py",
    "tests/ui/test_approving.py",
    "tests/ui/test_first_paint.py",
    "tests/ui/test_render.py",
    "tests/ui/test_terminal_cells.py",
)
"""What `-m quick` runs: for each room the tests that fail first when its behaviour changes, under a minute in all."""

KEPT = {"PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "COVERAGE_PROCESS_START", "CI"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the quick tests."""
    for item in items:
        if item.nodeid.startswith(QUICK) and "long" not in item.keywords:
            item.add_marker(pytest.mark.quick)


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


@pytest.fixture(autouse=True, scope="session")
def typed_requests() -> Iterator[None]:
    """Let every offline model of this process check each request against the SDK's own parameter types."""
    OfflineServer.check_types = staticmethod(check_request)
    yield
    OfflineServer.check_types = None


@pytest.fixture(autouse=True)
def typed_requests_of_processes(isolated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Check what apps that the test starts as processes ask of their offline model, when the test is over."""
    folder = tmp_path / "requests"
    monkeypatch.setenv(KEEP_VARIABLE, str(folder))
    yield
    for file in sorted(folder.glob("*.json")):
        kept = json.loads(file.read_text(encoding="utf-8"))
        try:
            check_request(kept["path"], kept["body"], frozenset(kept["betas"]))
        except ValueError as error:
            pytest.fail(f"A request of an app is not as the SDK's types have it: {error}")
