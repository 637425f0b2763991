"""Where data and configuration are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_agent.config import Paths, SessionIdError, find_paths


def test_what_is_given_is_stronger_than_the_environment(tmp_path: Path) -> None:
    environment = {"TUI_AGENT_DATA_DIR": "/env/data", "TUI_AGENT_CONFIG_DIR": "/env/config"}
    assert find_paths(environment, data_dir=tmp_path) == Paths(tmp_path, Path("/env/config"))


def test_empty_variables_are_unset() -> None:
    found = find_paths({"TUI_AGENT_DATA_DIR": "", "TUI_AGENT_CONFIG_DIR": ""})
    assert found.data.is_absolute()
    assert "tui-agent" in str(found.data)


def test_relative_folders_become_absolute(isolated: Path) -> None:
    assert find_paths({}, data_dir=Path("here"), config_dir=Path("~/c")).data == isolated / "here"


def test_the_layout(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "config")
    database = paths.session_database("session_1")
    assert database == tmp_path / "sessions" / "session_1" / "session.db"
    assert paths.session_ids() == []
    database.parent.mkdir(parents=True)
    database.touch()
    (paths.sessions / "not-a-session").mkdir()
    assert paths.session_ids() == ["session_1"]


@pytest.mark.parametrize("session", ["", "..", "../x", "a/b", "/etc", "a\0b", "x" * 81, "a b"])
def test_no_session_id_leads_out_of_the_folder(tmp_path: Path, session: str) -> None:
    with pytest.raises(SessionIdError):
        Paths(tmp_path, tmp_path).session_database(session)
