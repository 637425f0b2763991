"""Limits in settings files: each is kept or named by itself, and a project can only tighten them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_agent.config import Paths
from tui_agent.config.paths import project_settings
from tui_agent.config.settings import LoadedSettings, load_settings, save_max_cost


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
    assert loaded.settings.limit_layers() == (
        {},
        {"run.turns": 9, "run.cost": 2.0, "day.cost": 10.5, "day.time": 3600.0},
    )


def test_of_two_limits_on_turns_the_lower_counts(tmp_path: Path) -> None:
    assert load(tmp_path, "max_turns = 5\n[limits.run]\nturns = 9\n").settings.limit_layers() == (
        {"run.cost": 5.0},
        {"run.turns": 5},
    )


@pytest.mark.parametrize(
    ("written", "defaults", "chosen"),
    [
        ("", {"run.turns": 500, "run.cost": 5.0}, {}),
        ("max_turns = 500", {"run.cost": 5.0}, {"run.turns": 500}),
        ("max_cost = 5.0", {"run.turns": 500, "run.cost": 5.0}, {}),  # as the first start writes it
        ("max_cost = 2\nmax_turns = 2000", {}, {"run.turns": 2000, "run.cost": 2}),
        ("max_cost = 0\nmax_turns = 0", {}, {"run.turns": None, "run.cost": None}),
        ("max_cost = 9\n[limits.run]\ncost = 4", {"run.turns": 500}, {"run.cost": 4}),
        ("max_cost = 3\n[limits.run]\ncost = 4", {"run.turns": 500}, {"run.cost": 3}),
        ("max_cost = 0\n[limits.run]\ncost = 4", {"run.turns": 500}, {"run.cost": 4}),
        ("[limits.run]\nturns = 900", {"run.cost": 5.0}, {"run.turns": 900}),
    ],
)
def test_what_nobody_set_is_a_default(
    tmp_path: Path, written: str, defaults: dict[str, float], chosen: dict[str, float | None]
) -> None:
    loaded = load(tmp_path, written + "\n")
    assert loaded.problems == ()
    assert loaded.settings.limit_layers() == (defaults, chosen)


def test_a_project_lowers_a_limit_that_the_user_lifted(tmp_path: Path) -> None:
    loaded = load(tmp_path, "max_cost = 0\nmax_turns = 0\n", "max_cost = 1\nmax_turns = 20\n")
    assert loaded.settings.limit_layers() == ({}, {"run.turns": 20, "run.cost": 1})


def test_a_project_lifts_nothing(tmp_path: Path) -> None:
    loaded = load(tmp_path, "max_cost = 2\n", "max_cost = 0\nmax_turns = 0\n")
    assert loaded.settings.limit_layers() == ({"run.turns": 500}, {"run.cost": 2})


def test_the_answer_to_the_first_start_is_kept_with_all_that_stood_there(tmp_path: Path) -> None:
    path = tmp_path / "config" / "settings.toml"
    save_max_cost(path, 2.5)
    assert load_settings(Paths(tmp_path / "data", tmp_path / "config"), tmp_path, {}).settings.max_cost == 2.5
    path.write_text("# mine\n[limits.day]\ncost = 20.0\n")
    save_max_cost(path, 0)
    loaded = load_settings(Paths(tmp_path / "data", tmp_path / "config"), tmp_path, {})
    assert loaded.problems == ()
    assert loaded.settings.limit_layers() == ({"run.turns": 500}, {"day.cost": 20.0, "run.cost": None})
    assert "# mine\n" in path.read_text()


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
    assert loaded.settings.limit_layers()[1] == {"day.cost": 3.0}
    (problem,) = loaded.problems
    assert named in problem.message
    assert problem.line == (3 if "week" in wrong else 4)


def test_a_project_only_tightens(tmp_path: Path) -> None:
    own = "[limits.run]\ncost = 2\ntokens = 1000\n"
    loaded = load(tmp_path, own, "[limits.run]\ncost = 5\ntokens = 10\n[limits.session]\ncost = 1\n")
    assert loaded.settings.limit_layers()[1] == {
        "run.cost": 2.0,
        "run.tokens": 10,
        "session.cost": 1.0,
    }
