"""Whatever happened to a session's file: it opens right, or what can be read is salvaged and said; and it goes on."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest

from tests.session.damage import DAMAGES
from tests.session.older import NAMES, unpack
from tests.session.support import Watcher, opened, options
from tui_agent.events import Notice
from tui_agent.journal import JournalDamaged, NewerSchema
from tui_agent.runtime import Runtime
from tui_agent.session import resume_session, verify_session
from tui_agent.submissions import Interrupt

SESSIONS = ("tools", "approvals", "compaction", "subagent")


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_session_opens_is_salvaged_if_need_be_and_goes_on(damage: str, tmp_path: Path) -> None:
    number = list(DAMAGES).index(damage)
    await _keeps_the_promise(tmp_path, SESSIONS[number % len(SESSIONS)], damage, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("damage", DAMAGES)
async def test_every_session_of_an_earlier_version_stands_every_damage(
    damage: str, seed: int, tmp_path: Path
) -> None:
    for name in NAMES:
        await _keeps_the_promise(tmp_path / name, name, damage, seed)


async def _keeps_the_promise(tmp_path: Path, name: str, damage: str, seed: int) -> None:
    unpack(tmp_path / "data", name)
    (tmp_path / "workspace").mkdir(parents=True, exist_ok=True)
    path = tmp_path / "data/sessions" / name / "session.db"
    DAMAGES[damage](path, random.Random(zlib.crc32(f"{damage} {name} {seed}".encode())))
    damaged = path.read_bytes()
    try:
        handle = await resume_session(name, options(tmp_path))
    except (JournalDamaged, NewerSchema):
        # Nothing of it can be read, or it says that a newer version wrote it: then it stays as it was.
        assert damage in {"cut anywhere", "cut at a page", "a byte of the header"}, damage
        assert path.read_bytes() == damaged
        return
    await handle.close()
    report = handle._core.journal.salvage
    if report is not None:
        assert report.set_aside.read_bytes() == damaged
        told = [event for event in await _events(tmp_path, name) if isinstance(event, Notice)]
        assert any(str(report.set_aside) in notice.message for notice in told)
    async with opened(options(tmp_path), name) as session:
        assert session.handle._core.journal.salvage is None, "the second opening differs from the first"
        await _prompts_work(session)
    async with opened(options(tmp_path), name) as session:
        assert session.handle._core.journal.salvage is None
        await _prompts_work(session)
    found = await verify_session(path, Runtime())
    assert found.ok, found.message


async def _prompts_work(session: Watcher) -> None:
    if session.handle.state.conversation.active_run is not None:
        await session.handle.do(Interrupt())
        await session.idle()
    for _ in range(2):
        await session.prompt("say 5")
        ended = session.of("run.finished")[-1]
        assert ended.outcome == "completed", ended.reason
    items = await session.handle.items(0, session.handle.item_count)
    assert items


async def _events(tmp_path: Path, name: str) -> list[object]:
    async with opened(options(tmp_path), name) as session:
        return list(await session.handle._core.journal.read(limit=5000))
