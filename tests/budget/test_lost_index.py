"""The index or the whole data folder goes away, or another is put in its place, while sessions are open."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.budget.test_in_a_session import day_of
from tests.session.support import Watcher, opened, options
from tui_agent.journal import SessionIndex
from tui_agent.journal.errors import JournalGone
from tui_agent.runtime import Runtime
from tui_agent.session import list_sessions, open_session
from tui_agent.submissions import Configure, Fork, Interrupt, Submit

LIMIT = {"day.turns": 4.0}


def remove_index(data: Path) -> None:
    for path in data.glob("index.db*"):
        path.unlink()


def outcomes(session: Watcher) -> list[str]:
    return [event.outcome for event in session.of("run.finished")]


@pytest.mark.parametrize("how", ["removed", "an older copy", "an older copy over it", "another's"])
async def test_a_limit_of_the_day_holds_across_a_lost_index(tmp_path: Path, how: str) -> None:
    given = options(tmp_path, limits=LIMIT)
    data, kept = given.data_dir, tmp_path / "kept.db"
    async with opened(given) as one, opened(given) as two:
        await one.prompt("say 3")
        keep_copy(data / "index.db", kept)
        await two.prompt("say 3")
        await one.prompt("say 3")
        match how:
            case "removed":
                remove_index(data)
            case "an older copy":
                remove_index(data)
                kept.rename(data / "index.db")
            case "an older copy over it":
                shutil.copyfile(kept, data / "index.db")
                (data / "index.db-wal").write_bytes(b"")
            case _:
                remove_index(data)
                other = SessionIndex(tmp_path / "other.db", tmp_path / "none")
                await other.days()
                await other.close()
                (tmp_path / "other.db").rename(data / "index.db")
        async with opened(given) as three:
            await three.prompt("say 3")
            await asyncio.gather(one.prompt("say 3"), two.prompt("say 3"))
            ends = [*outcomes(one), *outcomes(two), *outcomes(three)]
    assert (ends.count("completed"), ends.count("stopped")) == (4, 2)
    used, reserved = await day_of(tmp_path)
    assert (used.turns, reserved.turns) == (4, 0)


def keep_copy(index: Path, kept: Path) -> None:
    import sqlite3

    with sqlite3.connect(index) as source, sqlite3.connect(kept) as target:
        source.backup(target)


async def test_a_request_under_way_stays_reserved_in_an_index_that_is_made_again(tmp_path: Path) -> None:
    given = options(tmp_path, limits={"day.output_tokens": 40_000.0})
    async with opened(given) as one:
        await one.handle.do(Submit(prompt="say 500 at 100"))
        await one.until(lambda: len(one.of("turn.delta")) > 1)
        remove_index(given.data_dir)
        async with opened(given) as two:
            await two.prompt("say 3")
            assert two.of("turn.projected")[0].max_output_tokens <= 8_000
        await one.handle.do(Interrupt())
        await one.idle()
    used, reserved = await day_of(tmp_path)
    assert reserved.output_tokens == 0
    spent = sum(session.handle.state.budget.usage.output_tokens for session in (one, two))
    assert used.output_tokens == spent


async def test_an_index_from_before_the_start_is_completed_before_the_first_reservation(tmp_path: Path) -> None:
    given = options(tmp_path, limits=LIMIT)
    kept = tmp_path / "kept.db"
    async with opened(given) as one:
        await one.prompt("say 3")
        keep_copy(given.data_dir / "index.db", kept)
        for _ in range(3):
            await one.prompt("say 3")
    remove_index(given.data_dir)
    kept.rename(given.data_dir / "index.db")
    async with opened(given) as two:
        await two.prompt("say 3")
        assert outcomes(two) == ["stopped"]


async def test_a_session_whose_file_is_gone_stops_and_says_so(tmp_path: Path) -> None:
    given = options(tmp_path)
    handle = await open_session(given)
    await handle.start()
    await Watcher(handle).prompt("say 3")
    shutil.rmtree(given.data_dir)
    with pytest.raises(JournalGone, match="was removed or exchanged while it was open"):
        await handle.do(Submit(prompt="say 3"))
    with pytest.raises(JournalGone):
        await handle.close()
    assert not given.data_dir.exists()


async def test_a_data_folder_that_goes_in_the_middle_of_a_run_halts_it(tmp_path: Path) -> None:
    given = options(tmp_path)
    away = tmp_path / "away"
    async with opened(given) as session:
        await session.handle.do(Submit(prompt="say 200 at 100"))
        await session.until(lambda: len(session.of("turn.delta")) > 1)
        given.data_dir.rename(away)
        await session.until(lambda: session.handle.halted)
        assert session.of("run.finished") == []
        messages = [notice.message for notice in session.of("notice") if notice.code == "journal"]
        assert "was removed or exchanged" in messages[0]
        away.rename(given.data_dir)
        await session.prompt("say 3")
        assert outcomes(session) == ["completed"]


def test_headless_says_that_nothing_is_kept(tmp_path: Path) -> None:
    for name in ("home", "work"):
        (tmp_path / name).mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "TUI_AGENT_DATA_DIR": str(tmp_path / "data"),
        "TUI_AGENT_CONFIG_DIR": str(tmp_path / "config"),
    }
    command = [
        sys.executable,
        "-m",
        "tui_agent",
        "run",
        "--offline",
        "-p",
        "run rm -r $DATA then say 3",
        "--mode",
        "bypass",
    ]
    environment["DATA"] = str(tmp_path / "data")
    (tmp_path / "config").mkdir(exist_ok=True)
    (tmp_path / "config" / "settings.toml").write_text('sandbox = "off"\npass_environment = ["DATA"]\n')
    ended = subprocess.run(
        command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1, ended
    assert "was removed or exchanged" in ended.stderr


async def test_the_list_and_the_books_made_again_are_those_that_were_live(tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text("login\n" * 20)
    given = options(tmp_path, limits={"day.cost": 50.0})
    async with opened(given) as one:
        await one.prompt("explore where is the login handled")
        await one.handle.do(Submit(prompt="say 300 at 100"))
        await one.until(lambda: len(one.of("turn.delta")) > 1)
        await one.handle.do(Interrupt())
        await one.idle()
        await one.handle.do(Configure(title="another title"))
        fork = await one.handle.do(Fork())
        await one.handle.do(Submit(prompt="say 300 at 200"))
        await one.until(lambda: len(one.of("turn.delta")) > len("more"))
        name = one.handle.session
    async with opened(given, fork) as two:
        await two.prompt("read a.txt")
    async with opened(given, name) as again:
        await again.idle()
    live, books = await list_sessions(given.data_dir), await day_of(tmp_path)
    remove_index(given.data_dir)
    assert await list_sessions(given.data_dir) == live
    again, _ = await day_of(tmp_path)
    assert again.model_dump() == pytest.approx(books[0].model_dump())
    assert books[1].cost == 0


@pytest.mark.parametrize("point", ["journal.after_commit", "budget.before_booked", "budget.after_reserved"])
@pytest.mark.parametrize(
    "number", [pytest.param(3, marks=pytest.mark.long), 5, pytest.param(8, marks=pytest.mark.long)]
)
def test_a_kill_between_the_answer_and_the_index_loses_no_spend(tmp_path: Path, point: str, number: int) -> None:
    for name in ("home", "workspace"):
        (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / "workspace" / "a.txt").write_text("x\n")
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), point, str(number)], cwd=Path.cwd(), timeout=60, check=False
    )
    assert child.returncode in {-signal.SIGKILL, 0}
    asyncio.run(check_books(tmp_path))


CHILD = """
import asyncio, os, signal, sys
from dataclasses import replace
from pathlib import Path
from tests.session.support import opened, options
folder, point, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
left = [number]
def kill(name):
    if name == point and left:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
async def main():
    given = options(folder, limits={"day.cost": 50.0})
    async with opened(replace(given, runtime=replace(given.runtime, failpoint=kill))) as session:
        await session.prompt("read a.txt then read a.txt then say 5")
asyncio.run(main())
"""


async def check_books(tmp_path: Path) -> None:
    given = options(tmp_path, limits={"day.cost": 50.0})
    given = replace(given, runtime=Runtime(home=tmp_path / "home", environment={}))
    total = 0.0
    for path in (tmp_path / "data" / "sessions").glob("*/session.db"):
        async with opened(given, path.parent.name) as session:
            await session.idle()
            await session.prompt("say 2")
            total += session.handle.state.budget.cost
    used, reserved = await day_of(tmp_path)
    assert used.cost == pytest.approx(total)
    assert reserved.cost == 0
