"""Data folders that are not as the program left them: damaged, copied, read-only, of a newer version."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_run import result, run, tui_agent


def data(tmp_path: Path, session: str) -> Path:
    return tmp_path / "data" / "sessions" / session


def listed() -> dict[str, dict[str, Any]]:
    return {session["id"]: session for session in json.loads(tui_agent("sessions", "--json").stdout)}


def unreadable(tmp_path: Path, session: str) -> None:
    (data(tmp_path, session) / "session.db").write_bytes(b"rubbish" * 1000)


def newer(tmp_path: Path, session: str) -> None:
    with closing(sqlite3.connect(data(tmp_path, session) / "session.db")) as connection:
        connection.execute("PRAGMA user_version = 99")


def test_a_damaged_session_is_listed_with_its_problem_each_time(tmp_path: Path) -> None:
    good, bad = result("-p", "say 5")["session"], result("-p", "say 6")["session"]
    unreadable(tmp_path, bad)
    (tmp_path / "data" / "index.db").unlink()
    for _ in range(2):  # the first listing makes the index again, the second finds it there
        found = listed()
        assert found[good]["problem"] == ""
        assert "session.db is damaged" in found[bad]["problem"]
        text = tui_agent("sessions").stdout.splitlines()
        assert text[-1].startswith(f"{bad}  ")
        assert "is damaged" in text[-1]


def test_sessions_that_are_copied_or_removed_by_hand_are_seen(tmp_path: Path) -> None:
    one, two = result("-p", "say 5")["session"], result("-p", "say 6")["session"]
    shutil.move(data(tmp_path, one), tmp_path / "away")
    assert set(listed()) == {two}
    (tmp_path / "data" / "index.db").unlink()
    assert set(listed()) == {two}
    shutil.move(tmp_path / "away", data(tmp_path, one))
    shutil.copytree(data(tmp_path, two), data(tmp_path, "copied"))
    found = listed()
    assert found[one]["title"] == "say 5"
    assert f"is the session {two}" in found["copied"]["problem"]


def test_continue_passes_over_what_a_newer_version_wrote_and_says_so(tmp_path: Path) -> None:
    older, newest = result("-p", "say 5")["session"], result("-p", "say 6")["session"]
    newer(tmp_path, newest)
    done = run("--continue", "--output", "json", "-p", "say 7")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["session"] == older
    assert f"warning: Passed over {newest}" in done.stderr
    assert "newer version" in done.stderr
    assert "Passed over" not in run("--continue", "-p", "say 8").stderr, "now that one is the latest"
    newer(tmp_path, older)
    nothing = run("--continue", "-p", "say 9")
    assert nothing.exit_code == 2
    assert older in nothing.stderr
    assert newest in nothing.stderr


def as_reader(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line where nothing at all can be written."""
    if shutil.which("bwrap") is None:
        pytest.skip("there is no bwrap")
    inside = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    command = [*inside, sys.executable, "-m", "tui_agent", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=100)
    if "bwrap:" in done.stderr:
        pytest.skip(done.stderr)
    return done


@pytest.mark.parametrize("index", ["there", "gone", "damaged"])
def test_a_read_only_folder_can_be_looked_at(tmp_path: Path, index: str) -> None:
    good, bad = result("-p", "write a.txt: x")["session"], result("-p", "say 6")["session"]
    unreadable(tmp_path, bad)
    path = tmp_path / "data" / "index.db"
    if index == "gone":
        path.unlink()
    elif index == "damaged":
        path.write_bytes(b"rubbish" * 1000)
    before = sorted(os.walk(tmp_path / "data"))
    sessions = as_reader("sessions", "--json")
    assert sessions.returncode == 0, sessions.stderr
    found = {session["id"]: session for session in json.loads(sessions.stdout)}
    assert found[good]["title"] == "write a.txt: x"
    assert "is damaged" in found[bad]["problem"]
    verified = as_reader("verify", good)
    assert (verified.returncode, verified.stdout[:3]) == (0, "ok "), verified.stderr
    assert "session.created" in as_reader("export", good).stdout
    assert "a.txt" in as_reader("audit").stdout
    assert as_reader("registry", "tools").returncode == 0
    assert sorted(os.walk(tmp_path / "data")) == before


def test_a_run_in_a_read_only_folder_says_what_is_wrong(tmp_path: Path) -> None:
    session = result("-p", "say 5")["session"]
    resumed = as_reader("run", "--offline", "--resume", session, "-p", "say 6")
    assert resumed.returncode == 2
    assert resumed.stderr == (
        "This session is read-only: its folder cannot be written. Start a new one, without --resume.\n"
    )
    begun = as_reader("run", "--offline", "-p", "say 6")
    assert begun.returncode == 2
    assert "Read-only file system" in begun.stderr
