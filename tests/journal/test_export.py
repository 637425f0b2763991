"""Session files as text, and copies of them for forks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.journal.conftest import created, execute, turn
from tui_agent.journal import Journal, JournalDamaged, JournalError, SessionLocked
from tui_agent.journal.export import copy_session, export_jsonl, read_events, read_head
from tui_agent.redaction import Redactor
from tui_agent.runtime import Runtime


async def test_export_is_the_journal_as_json(journal: Journal, path: Path) -> None:
    await journal.append(*turn(1, "schön"))
    lines = [json.loads(line) for line in export_jsonl(path, Redactor({}))]  # while the session is open
    assert lines == [json.loads(event.model_dump_json()) for event in await journal.read()]
    assert list(read_events(path)) == await journal.read()
    assert [event.seq for event in read_events(path, ["turn.started"])] == [2]
    assert read_head(path) == ("session_1", (await journal.read())[-1].time)


async def test_export_of_what_is_no_session(path: Path) -> None:
    with pytest.raises(JournalError, match="no session"):
        list(export_jsonl(path, Redactor({})))


@pytest.mark.parametrize("body", ["x'ff'", "'{'"])
async def test_export_names_a_damaged_event(journal: Journal, path: Path, body: str) -> None:
    await journal.append(*turn(1))
    await journal.close()
    execute(path, f"UPDATE event SET body = CAST({body} AS TEXT) WHERE seq = 2")
    lines = []
    with pytest.raises(JournalDamaged, match="event 2"):
        lines.extend(export_jsonl(path, Redactor({})))


async def test_a_fork_has_the_same_past_and_its_own_future(
    journal: Journal, path: Path, runtime: Runtime, tmp_path: Path
) -> None:
    for number in range(4):
        await journal.append(*turn(number))
    target = tmp_path / "fork" / "session.db"
    copy_session(path, target, "session_2", 6, runtime)  # while the session is open
    fork = await Journal.open(target, runtime)
    assert (fork.session, fork.last_seq, fork.boot, fork.crashed_boot) == ("session_2", 6, 2, None)
    original = [event.model_copy(update={"hash": None}) for event in await journal.read(limit=6)]
    assert [event.model_copy(update={"hash": None}) for event in await fork.read()] == original
    assert await fork.page("conversation", 0, 2)
    assert fork.head != (await journal.read())[5].hash
    assert (await fork.verify()).ok
    committed = await fork.append(turn(1)[1], created())
    assert [one.item for one in committed] == [3, None]
    assert committed[0].event.session == "session_2"
    assert (await fork.verify()).ok
    await fork.close()
    assert (await journal.verify()).ok
    assert journal.last_seq == 12


async def test_a_copy_keeps_declared_gaps(journal: Journal, path: Path, runtime: Runtime, tmp_path: Path) -> None:
    await journal.append(*turn(1), *turn(2))
    execute(path, "DELETE FROM event WHERE seq = 2", "INSERT INTO gap VALUES (2, 2)")
    target = tmp_path / "fork" / "session.db"
    copy_session(path, target, "session_2", 5, runtime)
    fork = await Journal.open(target, runtime, read_only=True)
    verification = await fork.verify()
    assert (verification.ok, [(gap.first, gap.last) for gap in verification.gaps]) == (True, [(2, 2)])
    await fork.close()


async def test_a_copy_that_cannot_be_made_leaves_nothing(
    journal: Journal, path: Path, runtime: Runtime, tmp_path: Path
) -> None:
    await journal.append(*turn(1))
    target = tmp_path / "fork" / "session.db"
    with pytest.raises(JournalError, match="no event 99"):
        copy_session(path, target, "session_2", 99, runtime)
    assert not target.exists()
    with pytest.raises(SessionLocked):
        copy_session(path, path, "session_2", 1, runtime)
    copy_session(path, target, "session_2", 1, runtime)
    with pytest.raises(JournalError, match="already"):
        copy_session(path, target, "session_3", 1, runtime)
