"""Sessions, index and spool are for their user alone, under any umask, and what was open is closed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.session.support import opened, options
from tui_agent.permissions import secret_level


@pytest.fixture(params=[0o000, 0o022, 0o777])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    return [
        str(path) for path in (folder, *folder.rglob("*")) if not path.is_symlink() and path.stat().st_mode & 0o077
    ]


@pytest.mark.usefixtures("_umask")
async def test_nothing_of_a_session_is_for_others(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir(mode=0o755)
    (tmp_path / "w").chmod(0o755)
    given = options(tmp_path, mode="bypass")
    async with opened(given) as session:
        await session.prompt("run echo hello")
        assert "hello" in str(session.of("step.finished")[0].result)
        database = session.handle.path
        assert stat.S_IMODE(database.stat().st_mode) == 0o600
        assert stat.S_IMODE(database.parent.stat().st_mode) == 0o700
        assert open_to_others(database.parent / "steps") == []
    assert open_to_others(given.data_dir) == []


async def test_what_an_earlier_version_left_open_is_closed(tmp_path: Path) -> None:
    given = options(tmp_path)
    async with opened(given) as session:
        await session.prompt("say 3")
        database = session.handle.path
    for path, mode in (
        (given.data_dir, 0o755),
        (database.parent, 0o755),
        (database, 0o644),
        (given.data_dir / "index.db", 0o644),
    ):
        path.chmod(mode)
    async with opened(given) as session:
        await session.prompt("say 4")
    for path in (given.data_dir, given.data_dir / "index.db", database.parent, database):
        assert not path.stat().st_mode & 0o077, path


@pytest.mark.parametrize(
    "name",
    [".env-local", ".env~", ".env_prod", "kubeconfig", "prod.kubeconfig", "deploy_key", "id_deploy_key", ".env2"],
)
def test_more_names_of_secret_files_ask(name: str) -> None:
    assert secret_level(f"/home/me/w/{name}") == "ask"


@pytest.mark.parametrize(
    "name", [".env-example", ".env.sample", "deploy_key.py", "deploy_key.pub", "keyboard", "environment"]
)
def test_names_that_are_no_secret_files_pass(name: str) -> None:
    assert secret_level(f"/home/me/w/{name}") == ""
