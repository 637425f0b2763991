"""Settings: what counts where, and that no file can keep the app from starting."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tui_agent.config import Paths, project_settings
from tui_agent.config.settings import LoadedSettings, Settings, load_settings


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "data", tmp_path / "config")
    made.config.mkdir()
    return made


@pytest.fixture
def project(isolated: Path) -> Path:
    (isolated / ".tui-agent").mkdir()
    return isolated


def load(paths: Paths, text: str | bytes = "", workspace: Path | None = None, **variables: str) -> LoadedSettings:
    data = text if isinstance(text, bytes) else text.encode()
    paths.settings.write_bytes(data)
    return load_settings(paths, workspace or paths.data, variables)


def messages(loaded: LoadedSettings) -> list[str]:
    return [str(problem) for problem in loaded.problems]


def test_defaults_without_any_file(paths: Paths, isolated: Path) -> None:
    assert load_settings(paths, isolated, {}) == LoadedSettings(Settings(), ())


def test_a_full_file(paths: Paths) -> None:
    loaded = load(
        paths,
        """
        model = "opus"
        mode = "ask"
        max_turns = 7
        theme = "tui-agent-light"
        base_url = "http://127.0.0.1:8080"
        prices = "prices.toml"
        notifications = false
        """,
    )
    assert loaded.problems == ()
    assert loaded.settings == Settings(
        model="opus",
        max_turns=7,
        theme="tui-agent-light",
        base_url="http://127.0.0.1:8080",
        prices=str(paths.config / "prices.toml"),
        notifications=False,
    )


def test_one_bad_key_costs_only_itself(paths: Paths) -> None:
    loaded = load(paths, 'model = "opus"\n\nmax_turns = "many"\nnotifications = 1\n')
    assert loaded.settings == Settings(model="opus")
    assert messages(loaded) == [
        f"{paths.settings}:3: max_turns: Input should be a valid integer",
        f"{paths.settings}:4: notifications: Input should be a valid boolean",
    ]


def test_an_unknown_key_is_named_with_a_suggestion(paths: Paths) -> None:
    loaded = load(paths, '# mine\nmodle = "opus"\n')
    assert messages(loaded) == [f"{paths.settings}:2: unknown key 'modle': did you mean 'mode' or 'model'?"]


def test_an_unknown_table_is_named(paths: Paths) -> None:
    assert load(paths, "[[zebra]]\nx = 1\n").problems[0].line == 1


def test_the_line_is_that_of_the_key_and_not_of_text_that_looks_like_it(paths: Paths) -> None:
    loaded = load(paths, 'theme = """\nmax_turns = 1\n"""\n"max_turns" = true\n[other]\nmax_turns = 1\n')
    assert [p.line for p in loaded.problems if p.message.startswith("max_turns")] == [4]


def test_bad_toml_is_named_with_its_line(paths: Paths) -> None:
    loaded = load(paths, 'model = "opus"\nmax_turns = = 3\n')
    assert loaded.settings == Settings()
    assert messages(loaded) == [f"{paths.settings}:2: not valid TOML: Invalid value"]


def test_what_ends_too_early_is_named_with_the_last_line(paths: Paths) -> None:
    assert load(paths, 'model = "opus"\nprices = [1').problems[0].line == 2


def test_bytes_that_are_no_text(paths: Paths) -> None:
    loaded = load(paths, b'model = "opus"\ntheme = "\xff"\n')
    assert messages(loaded) == [f"{paths.settings}:2: not UTF-8 text"]


def test_nesting_that_breaks_the_parser_is_a_problem(paths: Paths) -> None:
    assert load(paths, "x = " + "[" * 100_000).problems


def test_too_large(paths: Paths) -> None:
    assert "too large" in load(paths, "#" * 300_000).problems[0].message


def test_a_folder_or_pipe_in_its_place_is_not_read(paths: Paths) -> None:
    os.mkfifo(paths.settings)
    assert messages(load_settings(paths, paths.data, {})) == [f"{paths.settings}: not read: it is not a regular file"]


@pytest.mark.parametrize("mode", ["bypass", "anything"])
def test_no_file_can_switch_asking_off(paths: Paths, mode: str) -> None:
    loaded = load(paths, f'mode = "{mode}"\n')
    assert loaded.settings.mode == "ask"
    assert loaded.problems[0].line == 1


def test_bypass_in_a_file_says_where_it_can_come_from(paths: Paths) -> None:
    assert "--mode bypass" in load(paths, 'mode = "bypass"').problems[0].message


def test_the_environment_is_stronger_than_the_file(paths: Paths) -> None:
    loaded = load(
        paths,
        'model = "opus"\nmax_turns = 3',
        TUI_AGENT_MODEL="haiku",
        TUI_AGENT_MAX_TURNS="9",
        TUI_AGENT_MODE="bypass",
    )
    assert loaded == LoadedSettings(Settings(model="haiku", max_turns=9), ())


def test_a_bad_variable_is_named_and_the_file_counts(paths: Paths) -> None:
    loaded = load(paths, "max_turns = 3", TUI_AGENT_MAX_TURNS="lots", ANTHROPIC_BASE_URL="not a url")
    assert loaded.settings == Settings(max_turns=3)
    assert [p.file for p in loaded.problems] == [
        "environment variable TUI_AGENT_MAX_TURNS",
        "environment variable ANTHROPIC_BASE_URL",
    ]


@pytest.mark.parametrize(("project_says", "counts"), [(3, 3), (80, 10)])
def test_a_project_can_lower_but_not_raise_the_turns(
    paths: Paths, project: Path, project_says: int, counts: int
) -> None:
    project_settings(project).write_text(f"max_turns = {project_says}\n")
    assert load(paths, "max_turns = 10", project).settings.max_turns == counts


@pytest.mark.parametrize(
    "line",
    [
        'model = "opus"',
        'mode = "bypass"',
        'base_url = "http://evil.example"',
        'prices = "/etc/passwd"',
        'theme = "x"',
    ],
)
def test_a_project_can_set_nothing_else(paths: Paths, project: Path, line: str) -> None:
    project_settings(project).write_text(f"\n{line}\n")
    loaded = load(paths, "", project)
    assert loaded.settings == Settings()
    (problem,) = loaded.problems
    assert problem.line == 2
    assert str(paths.settings) in problem.message


LINES = st.sampled_from(
    ["model", "mode", "max_turns", "base_url", '"theme"', "[model]", "[[mode]]", "x.y", "'''", '"""', "é"]
)
VALUES = st.sampled_from(
    [
        '"a"',
        '"bypass"',
        "1",
        "-1",
        "true",
        "[1, 2]",
        "{ a = 1 }",
        "2020-01-01",
        "nan",
        '"http://[::1"',
        '"""',
        '"\\u0000"',
    ]
)
WRITTEN = st.lists(st.tuples(LINES, VALUES), max_size=6).map(
    lambda pairs: "\n".join(f"{key} = {value}" if key[0] not in "['\"" else key for key, value in pairs).encode()
)


@given(
    mine=st.binary(max_size=80) | WRITTEN,
    theirs=st.binary(max_size=80) | WRITTEN,
    variable=st.text(max_size=20),
)
@hypothesis_settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_load(tmp_path: Path, mine: bytes, theirs: bytes, variable: str) -> None:
    paths = Paths(tmp_path / "data", tmp_path / "config")
    workspace = tmp_path / "project"
    for file, data in ((paths.settings, mine), (project_settings(workspace), theirs)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    loaded = load_settings(
        paths,
        workspace,
        {"TUI_AGENT_MAX_TURNS": variable, "TUI_AGENT_MODEL": variable, "ANTHROPIC_BASE_URL": variable},
    )
    assert loaded.settings.mode == "ask"
    assert all(str(problem) for problem in loaded.problems)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("model = 'x'\n\n[limits.run]\ncost = 3\n# turns\nturns = 0\n", 6),
        ("[limits.run]\ncost = 3\n[limits.day]\ncost = 'much'\n", 4),
        ("[limits]\nrun.cost = 3\nday = { cost = 1,  turns = -1 }\n", 3),
        ("limits.run.cost = 3\nlimits.day.tokens = 1.5\n", 2),
        ("[limits.run]\n\n[limits.week]\ncost = 3\n", 3),
        ("network_domains = [\n  'a.example',  # a b\n  'b.example',\n  'no domain',\n]\n", 4),
        ('model = """\\\nx"""\nnotifications = \'yes\'\n', 3),
        ("\"mode\" = 'yolo'\n", 1),
        ("model = 'x'\nmodel = 'y'\n", 2),
        ("\ufeffmodel = 'x'\nmode = 'yolo'\n", 2),
    ],
)
def test_each_fault_carries_its_own_line(text: str, line: int, tmp_path: Path) -> None:
    paths = Paths(tmp_path / "data", tmp_path)
    paths.settings.write_text(text)
    (problem,) = load_settings(paths, tmp_path / "nowhere", {}).problems
    assert problem.line == line, problem
    assert problem.file == str(paths.settings)


def test_a_large_file_of_faults_is_read_at_once(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "data", tmp_path)
    paths.settings.write_text("".join(f"# mode mode {number}\n" for number in range(9_000)) + "mode = 'yolo'\n")
    before = time.process_time()
    (problem,) = load_settings(paths, tmp_path / "nowhere", {}).problems
    assert "mode" in problem.message
    assert time.process_time() - before < 5
