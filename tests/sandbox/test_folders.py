"""What is known of folders between two commands, and of those that cannot be looked into."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tui_agent.runtime import Runtime
from tui_agent.sandbox import Protection, Sandbox, SandboxState
from tui_agent.sandbox import tree as tree_module
from tui_agent.sandbox.masks import Masks
from tui_agent.sandbox.protected import guard
from tui_agent.sandbox.tree import Tree

NOTHING = Protection("nothing", lambda paths: {})


@pytest.fixture
def close(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of folders that cannot be listed from now on, also for root."""
    shut: list[str] = []
    real_access, real_scandir, real_listdir = os.access, os.scandir, os.listdir

    def access(path: str, mode: int) -> bool:
        return str(path) not in shut and real_access(path, mode)

    def refuse(path: object) -> None:
        if str(path) in shut:
            raise PermissionError(13, "Permission denied", str(path))

    def scandir(path: str = ".") -> object:
        refuse(path)
        return real_scandir(path)

    def listdir(path: str = ".") -> list[str]:
        refuse(path)
        return real_listdir(path)

    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "listdir", listdir)
    return shut


def test_a_closed_folder_is_masked_whole(tmp_path: Path, close: list[str]) -> None:
    (tmp_path / "shut").mkdir()
    (tmp_path / "shut/.env").write_text("x")
    close.append(str(tmp_path / "shut"))
    masks = Masks().find([Tree(str(tmp_path))], NOTHING, tmp_path / "home", asked=False, special=False)
    assert masks == (tmp_path / "shut",)


def test_a_closed_folder_stays_as_it_is(tmp_path: Path, close: list[str]) -> None:
    (tmp_path / "shut/.git").mkdir(parents=True)
    close.append(str(tmp_path / "shut"))
    assert tmp_path / "shut" in guard([tmp_path], [], [Tree(str(tmp_path))]).fixed


def test_it_is_looked_at_again_when_it_is_open(tmp_path: Path, close: list[str]) -> None:
    (tmp_path / "shut").mkdir()
    (tmp_path / "shut/a").touch()
    close.append(str(tmp_path / "shut"))
    tree = Tree(str(tmp_path))
    assert tree.folders()[str(tmp_path / "shut")].closed
    close.clear()
    assert list(tree.folders()[str(tmp_path / "shut")].files) == ["a"]


@pytest.mark.parametrize("inner", ["", "modules"])
def test_what_git_would_obey_in_a_closed_folder_cannot_be_written(
    tmp_path: Path, close: list[str], inner: str
) -> None:
    git = tmp_path / ".git"
    (git / "modules/one").mkdir(parents=True)
    for folder in (git, git / "modules/one"):
        (folder / "HEAD").touch()
    close.append(str(git / inner))
    assert git / inner in guard([tmp_path], [git]).fixed


def test_a_time_of_change_set_back_hides_nothing(tmp_path: Path) -> None:
    before = tmp_path.stat()
    time.sleep(0.15)
    tree = Tree(str(tmp_path))
    assert tree.folders()[str(tmp_path)].stamp is not None
    (tmp_path / ".env").touch()
    os.utime(tmp_path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert list(tree.folders()[str(tmp_path)].files) == [".env"]


async def test_folders_without_a_change_are_read_once_for_all_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = tmp_path / "workspace"
    (workspace / "a").mkdir(parents=True)
    box = Sandbox(
        Runtime(home=tmp_path / "home"), workspace, tmp_path / "d", tmp_path / "c", tmp_path / "s",
        probe=lambda: SandboxState("bubblewrap", "", program=Path("/usr/bin/bwrap")),
    )  # fmt: skip
    time.sleep(0.15)
    await box.enclose(["/bin/true"], {}, tmp_path / "1", "sandbox", protection=NOTHING)
    read: list[str] = []
    real = os.scandir

    def scandir(path: str) -> object:
        read.append(str(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(tree_module.os, "scandir", scandir)
        patch.setattr("tui_agent.sandbox.enclosure.executing_files", lambda *roots: {})  # looks for itself
        await box.enclose(["/bin/true"], {}, tmp_path / "2", "sandbox", protection=NOTHING)
        await box.after(tmp_path / "2")
    assert [path for path in read if path.startswith(str(workspace))] == []


def test_a_folder_that_can_be_listed_but_not_entered_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shut/inner").mkdir(parents=True)
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "shut" not in str(path) and real(path, mode))
    found = Tree(str(tmp_path)).folders()
    assert [path for path, folder in found.items() if folder.closed] == [str(tmp_path / "shut")]
    assert str(tmp_path / "shut/inner") not in found
