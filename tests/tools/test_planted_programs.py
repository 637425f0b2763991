"""A program that a command put into the workspace is never run outside of the sandbox, whatever the PATH says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.sandbox.inside import GIT
from tests.tools.support import Bench, text
from tui_agent.context.git import describe_git
from tui_agent.programs import find_program, without_writable
from tui_agent.runtime import Runtime
from tui_agent.ui.clipboard import clipboard_program


@pytest.fixture
def planted(bench: Bench) -> Bench:
    folder = bench.workspace / ".venv" / "bin"
    for name in ("rg", "git", "bash", "xclip", "wl-copy", "only-here"):
        path = bench.file(f".venv/bin/{name}", f"#!/bin/sh\ntouch {bench.root}/ESCAPED\n")
        path.chmod(0o755)
    bench.runtime = Runtime(environment={"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(bench.root)})
    return bench


async def test_searches_commands_and_git_run_those_of_the_system(planted: Bench) -> None:
    planted.file("a.txt", "needle\n")
    assert "a.txt" in text(await planted.do("grep", pattern="needle"))
    assert "a.txt" in text(await planted.do("glob", pattern="*.txt"))
    assert text(await planted.do("bash", command="echo ran")) == "ran"
    subprocess.run([*GIT, "init", "-q"], cwd=planted.workspace, check=True)
    assert describe_git(planted.workspace, planted.runtime.environment)
    assert not (planted.root / "ESCAPED").exists()


def test_none_of_the_workspace_is_found_not_by_a_link_either(planted: Bench, tmp_path: Path) -> None:
    environment = dict(planted.runtime.environment) | {"DISPLAY": ":9", "WAYLAND_DISPLAY": "w"}
    writable = [planted.workspace]
    assert find_program("only-here", environment, writable=writable) is None
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "only-here").symlink_to(planted.workspace / ".venv" / "bin" / "only-here")
    environment["PATH"] = f"{outside}:relative:{environment['PATH']}"
    assert find_program("only-here", environment, writable=writable) is None
    found = clipboard_program(environment, [str(planted.workspace)])
    assert found is None or str(planted.workspace) not in found[0]
    kept = without_writable(environment["PATH"], writable).split(":")
    assert str(outside) in kept
    assert not {"relative", str(planted.workspace / ".venv" / "bin")} & set(kept)
