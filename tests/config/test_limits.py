"""Limits in settings files: each is kept or named by itself, and a project can only tighten them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_agent.config import Paths
from tui_agent.config.paths import project_settings
from tui_agent.config.settings import LoadedSettings, load_settings


def load(tmp_path: Path, own: str, project: str = "") -> LoadedSettings:
    paths = Paths(tmp_path / "data", tmp_path / "config")
    paths.config.mkdir(exist_ok=True)
    paths.settings.write_text(own)
    workspace = tmp_path / "workspace"
    if project:
        project_settings(workspace).parent.mkdir(parents=True)
        project_settings(workspace).write_text(project)
    return load_settings(paths, workspace, {})


def test_limits_by_scope(tmp_path: Path) -> None:
    loaded = load(tmp_path, "[limits.run]\nturns = 9\ncost = 2\n[limits.day]\ncost = 10.5\ntime = 3600\n")
    assert loaded.problems == ()
    assert loaded.settings.all_limits() == {
        "run.turns": 9,
        "run.cost": 2.0,
        "day.cost": 10.5,
        "day.time": 3600.0,
    }


def test_of_two_limits_on_turns_the_lower_counts(tmp_path: Path) -> None:
    assert load(tmp_path, "max_turns = 5\n[limits.run]\nturns = 9\n").settings.all_limits() == {"run.turns": 5}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("[limits.run]\ncost = 'five'", "limits.run.cost: Input should be a valid number"),
        ("[limits.run]\ncost = inf", "limits.run.cost"),
        ("[limits.run]\nturns = 0", "limits.run.turns"),
        ("[limits.run]\ncots = 1", "limits.run.cots: unknown limit"),
        ("[limits.week]\ncost = 1", "limits.week: there are the tables [limits.run]"),
    ],
)
def test_a_wrong_limit_is_named_and_takes_no_other_with_it(tmp_path: Path, wrong: str, named: str) -> None:
    loaded = load(tmp_path, f"[limits.day]\ncost = 3\n{wrong}\n")
    assert loaded.settings.all_limits() == {"run.turns": 50, "day.cost": 3.0}
    (problem,) = loaded.problems
    assert named in problem.message
    assert problem.line == (3 if "week" in wrong else 4)


def test_a_project_only_tightens(tmp_path: Path) -> None:
    own = "[limits.run]\ncost = 2\ntokens = 1000\n"
    loaded = load(tmp_path, own, "[limits.run]\ncost = 5\ntokens = 10\n[limits.session]\ncost = 1\n")
    assert loaded.settings.all_limits() == {
        "run.turns": 50,
        "run.cost": 2.0,
        "run.tokens": 10,
        "session.cost": 1.0,
    }
