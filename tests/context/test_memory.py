"""Memory files and what they import."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tui_agent.context import load_memory, nested_memory
from tui_agent.context.memory import IMPORT_DEPTH, import_paths
from tui_agent.events import FileState


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a folder to work in."""
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    (tmp_path / "config").mkdir(exist_ok=True)
    (tmp_path / "home").mkdir(exist_ok=True)
    return tmp_path


def load(project: Path) -> dict[str, str]:
    """Names of the loaded files, relative to the test's folder, with their texts."""
    files = load_memory(project / "config", project / "repo", project / "home").files
    return {str(file.path.relative_to(project)): file.text for file in files}


def test_each_import_is_a_source_of_its_own(project: Path) -> None:
    (project / "repo" / "AGENTS.md").write_text("See @docs/style.md and\n- @docs/more\\ rules.md.\n")
    (project / "repo" / "docs").mkdir()
    (project / "repo" / "docs" / "style.md").write_text("tabs\n@deep.md")
    (project / "repo" / "docs" / "deep.md").write_text("deep")
    (project / "repo" / "docs" / "more rules.md").write_text("rules")
    files = load_memory(project / "config", project / "repo", project / "home").files
    assert [file.path.name for file in files] == ["AGENTS.md", "style.md", "deep.md", "more rules.md"]
    assert files[2].imported_by == (project / "repo" / "docs" / "style.md").resolve()
    assert "imported by" in files[1].block()
    assert len({file.sha256 for file in files}) == 4


def test_code_and_names_import_nothing() -> None:
    text = "`@a.md` and ``x @b.md`` mail me@c.md\n```\n@d.md\n~~~\n@e.md\n```\n@f.md"
    assert list(import_paths(text)) == ["f.md"]


def test_a_project_cannot_import_from_outside_but_the_user_can(project: Path) -> None:
    (project / "home" / "secret.md").write_text("secret")
    (project / "repo" / "AGENTS.md").write_text("@~/secret.md\n@../home/secret.md\n@link.md")
    (project / "repo" / "link.md").symlink_to(project / "home" / "secret.md")
    assert list(load(project)) == ["repo/AGENTS.md"]
    (project / "config" / "AGENTS.md").write_text("@~/secret.md")
    assert list(load(project)) == ["config/AGENTS.md", "home/secret.md", "repo/AGENTS.md"]


def test_cycles_end_and_depth_is_bounded(project: Path) -> None:
    repo = project / "repo"
    (repo / "AGENTS.md").write_text("@0.md @AGENTS.md")
    for number in range(IMPORT_DEPTH + 3):
        (repo / f"{number}.md").write_text(f"@{number + 1}.md @AGENTS.md")
    assert list(load(project)) == ["repo/AGENTS.md", *(f"repo/{number}.md" for number in range(IMPORT_DEPTH))]


def test_a_nested_file_comes_with_its_imports_once(project: Path) -> None:
    folder = project / "repo" / "src"
    folder.mkdir()
    (folder / "AGENTS.md").write_text("nested @../root.md @own.md")
    (folder / "own.md").write_text("own")
    (project / "repo" / "root.md").write_text("root")
    touched = [FileState(path=str(folder / name), sha256=None) for name in ("a.py", "b.py")]
    root = str(project / "repo" / "root.md")
    files = nested_memory(project / "repo", touched, {root}, project / "home").files
    assert [file.path.name for file in files] == ["AGENTS.md", "own.md"]
    loaded = [*(str(file.path) for file in files), root]
    assert nested_memory(project / "repo", touched, loaded, project / "home").files == ()


def test_every_usual_name_is_read_and_nothing_twice(project: Path) -> None:
    repo, home = project / "repo", project / "home"
    (repo / ".claude").mkdir()
    (home / ".claude").mkdir()
    (home / ".claude" / "CLAUDE.md").write_text("mine, from another program")
    (repo / "AGENTS.md").write_text("for all agents")
    (repo / "CLAUDE.md").write_text("@AGENTS.md\nand for this one")
    (repo / ".claude" / "CLAUDE.md").write_text("for all agents")  # the same again
    (repo / "CLAUDE.local.md").write_text("only here")
    files = load_memory(project / "config", repo, home).files
    names = [str(file.path.relative_to(project)) for file in files]
    assert names == ["home/.claude/CLAUDE.md", "repo/AGENTS.md", "repo/CLAUDE.md", "repo/CLAUDE.local.md"]
    assert [file.own for file in files] == [True, False, False, False]
    (repo / "CLAUDE.md").unlink()
    (repo / "CLAUDE.md").symlink_to("AGENTS.md")
    assert "repo/CLAUDE.md" not in load(project)


def test_what_is_refused_or_missing_leaves_a_trace(project: Path) -> None:
    repo = project / "repo"
    (project / "home" / "key").write_text("secret")
    (repo / ".env").write_text("TOKEN=x")
    (repo / "AGENTS.md").write_text("@gone.md @~/key @.env @colleague @types/node me@example.org\nrule")
    memory = load_memory(project / "config", repo, project / "home")
    assert [file.path.name for file in memory.files] == ["AGENTS.md"]
    told = " ".join(memory.problems)
    assert [word in told for word in ("@gone.md", "home/key", ".env")] == [True] * 3
    assert len(memory.problems) == 3


@pytest.mark.parametrize("kind", ["key outside", "pipe", "zero", "folder link", "device", "huge", "env inside"])
def test_a_memory_file_that_is_none_is_not_read_and_blocks_nothing(project: Path, kind: str) -> None:
    repo, file = project / "repo", project / "repo" / "AGENTS.md"
    (project / "home" / ".ssh").mkdir()
    (project / "home" / ".ssh" / "id").write_text("private key")
    if kind == "key outside":
        file.symlink_to("../home/.ssh/id")
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "zero":
        file.symlink_to("/dev/zero")
    elif kind == "folder link":
        (repo / ".claude").symlink_to("../home/.ssh")
        (project / "home" / ".ssh" / "CLAUDE.md").write_text("private")
    elif kind == "device":
        file.symlink_to("/proc/self/environ")
    elif kind == "huge":
        file.write_bytes(b"x" * 3_000_000)
    else:
        (repo / ".env").write_text("TOKEN=x")
        file.symlink_to(".env")
    memory = load_memory(project / "config", repo, project / "home")
    assert memory.files == ()
    assert len(memory.problems) == 1
