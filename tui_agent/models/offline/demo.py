"""The demo: a small sample project with a bug, and the scenario in which the agent repairs it."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path

from tui_agent.models.offline.scenario import Scenario, parse_scenario

_DATA = "demo-data"
"""The folder is no Python identifier on purpose: its files are data and nobody imports them."""


def copy_demo(target: Path) -> Path:
    """Copy the sample project to `target`, a folder that is made, and return it.

    Raises `FileExistsError` when there is something at `target` already.
    """
    with resources.as_file(resources.files("tui_agent.models.offline") / _DATA / "project") as source:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def demo_scenario_file() -> AbstractContextManager[Path]:
    """Return the scenario as a file on disk, for as long as the context is open."""
    return resources.as_file(resources.files("tui_agent.models.offline") / _DATA / "demo.toml")


def demo_scenario() -> Scenario:
    """Return the scenario that goes with the sample project."""
    data = resources.files("tui_agent.models.offline") / _DATA / "demo.toml"
    return parse_scenario(data.read_text(encoding="utf-8"), "demo.toml")
