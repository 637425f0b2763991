"""What a project brings for the permission room is read once, inside the project, and never without end."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tui_agent.config import find_paths
from tui_agent.config.settings import load_settings
from tui_agent.permissions.policy import Policy, Request
from tui_agent.permissions.rule_sources import load_rules, project_hash, trust
from tui_agent.permissions.rules import RuleSet
from tui_agent.tools.search_files import rules_of

RULE_FILES = (".tui-agent/permissions.toml", ".claude/settings.json", ".claude/settings.local.json")


def within(seconds: float, work: object) -> None:
    """Run `work` in a thread; fail when it has not ended after some seconds."""
    assert callable(work)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it waits without end"


@pytest.mark.parametrize("name", [*RULE_FILES, ".tui-agent/settings.toml"])
@pytest.mark.parametrize("kind", ["pipe", "device", "outside"])
def test_a_settings_or_rule_file_that_is_no_file_of_the_project_is_refused_by_name(
    tmp_path: Path, name: str, kind: str
) -> None:
    workspace = tmp_path / "w"
    (workspace / name).parent.mkdir(parents=True)
    (tmp_path / "outside").write_text('allow = ["Bash(rm *)"]')
    if kind == "pipe":
        os.mkfifo(workspace / name)
    else:
        (workspace / name).symlink_to("/dev/zero" if kind == "device" else tmp_path / "outside")
    problems: list[str] = []

    def read() -> None:
        paths = find_paths({}, data_dir=tmp_path / "data", config_dir=tmp_path / "config")
        problems.extend(str(problem) for problem in load_settings(paths, workspace, {}).problems)
        loaded = load_rules(tmp_path / "config", workspace, tmp_path / "home", managed=tmp_path / "none")
        problems.extend(loaded.rules.problems)
        assert not loaded.held_back_rules

    within(5, read)
    assert any(name in problem and "not read" in problem for problem in problems)


def test_the_user_s_own_rule_file_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "dotfiles.toml").write_text('deny = ["Bash(rm *)"]')
    (tmp_path / "config/permissions.toml").symlink_to(tmp_path / "dotfiles.toml")
    loaded = load_rules(tmp_path / "config", tmp_path, tmp_path / "home", managed=tmp_path / "none")
    assert [rule.text for rule in loaded.rules.rules] == ["Bash(rm *)"]
    assert loaded.rules.problems == ()


def test_trust_never_counts_for_other_rules_while_two_folders_are_exchanged(tmp_path: Path) -> None:
    workspace, config = tmp_path / "w", tmp_path / "config"
    for folder, rule in ((".tui-agent", "Bash(ls *)"), ("other", "Bash(rm *)")):
        (workspace / folder).mkdir(parents=True)
        (workspace / folder / "permissions.toml").write_text(f'allow = ["{rule}"]')
    trust(config, workspace, project_hash(workspace))
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            (workspace / ".tui-agent").rename(workspace / "third")
            (workspace / "other").rename(workspace / ".tui-agent")
            (workspace / "third").rename(workspace / "other")

    thread = threading.Thread(target=exchange)
    thread.start()
    trusted = 0
    try:
        for _ in range(400):
            loaded = load_rules(config, workspace, tmp_path / "home", managed=tmp_path / "none")
            if loaded.trusted:
                trusted += 1
                assert [rule.text for rule in loaded.rules.rules] in ([], ["Bash(ls *)"])
    finally:
        stop.set()
        thread.join()
    assert trusted


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("git status", ".git/config"),
        ("rustfmt --check a.rs", "rust-toolchain.toml"),
        ("cargo tree", ".cargo/config.toml"),
    ],
)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_repository_or_toolchain_file_without_an_end_stops_no_decision(
    tmp_path: Path, command: str, name: str, kind: str
) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/zero")
    policy = Policy(RuleSet(), str(tmp_path / "home"))
    call = Request(tool="bash", input={"command": command}, workspace=str(tmp_path), mode="ask")
    verdicts: list[str] = []
    within(10, lambda: verdicts.append(policy.decide(call).verdict))
    assert verdicts == ["ask"]


def test_an_ignore_file_that_is_a_pipe_excludes_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".gitignore")
    found: list[object] = []
    within(5, lambda: found.append(rules_of(str(tmp_path))))
    assert found == [[]]
