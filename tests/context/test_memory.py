"""Memory files and what they import."""

from __future__ import annotations

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
    files = load_memory(project / "config", project / "repo", project / "home")
    return {str(file.path.relative_to(project)): file.text for file in files}


def test_each_import_is_a_source_of_its_own(project: Path) -> None:
    (project / "repo" / "AGENTS.md").write_text("See @docs/style.md and\n- @docs/more\\ rules.md.\n")
    (project / "repo" / "docs").mkdir()
    (project / "repo" / "docs" / "style.md").write_text("tabs\n@deep.md")
    (project / "repo" / "docs" / "deep.md").write_text("deep")
    (project / "repo" / "docs" / "more rules.md").write_text("rules")
    files = load_memory(project / "config", project / "repo", project / "home")
    assert [file.path.name for file in files] == ["AGENTS.md", "style.md", "deep.md", "more rules.md"]
    assert files[2].imported_by == (project / "repo" / "docs" / "style.md").resolve()
    assert "imported by" in files[1].block()
    assert len({file.sha256 for file in files}) == 4


def test_code_and_names_import_nothing() -> None:
    text = "`@a.md` and ``x @b.md`` mail me@c.md\n```\n@d.md\n~~~\n@e.md\n```\n@f.md"
    assert list(import_paths(text)) == ["f.md"]


def test_a_project_cannot_import_from_outside_but_the_person_can(project: Path) -> None:
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
    files = nested_memory(project / "repo", touched, {root}, project / "home")
    assert [file.path.name for file in files] == ["AGENTS.md", "own.md"]
    assert (
        nested_memory(project / "repo", touched, [str(file.path) for file in files] + [root], project / "home") == []
    )
