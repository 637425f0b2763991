"""The folded state has a version: a snapshot of another one is neither loaded nor compared."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from tests.session.older import unpack
from tests.session.support import opened, options
from tui_agent.runtime import Runtime
from tui_agent.session import resume_session, verify_session
from tui_agent.session.state import FOLD_VERSION, SessionState, digest, dump_state, load_state, snapshot_version

PINNED = (10, "3a3d34563131bbcf")
"""The fold version, and the hash of the state's JSON schema that belongs to it."""


def test_the_fold_version_is_raised_with_every_change_of_the_state() -> None:
    schema = _bare(TypeAdapter(SessionState).json_schema(mode="serialization"))
    found = (FOLD_VERSION, hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()[:16])
    assert found == PINNED, (
        "The fields of SessionState (or of an event kept in it) changed. Do both:\n"
        "1. raise FOLD_VERSION in tui_agent/session/state.py by one, unless you did so already\n"
        f'2. in this test: PINNED = ({FOLD_VERSION}, "{found[1]}"), with the raised number\n'
        "Raise it too when only the meaning changed: a reducer that makes something else of the same events."
    )


def _bare(schema: Any) -> Any:
    """Return the schema without its texts: a docstring is no change."""
    if isinstance(schema, dict):
        texts = {key for key in ("title", "description") if isinstance(schema.get(key), str)}
        return {key: _bare(value) for key, value in schema.items() if key not in texts}
    return [_bare(part) for part in schema] if isinstance(schema, list) else schema


def test_a_dumped_state_names_its_version() -> None:
    text = dump_state(SessionState())
    assert json.loads(text)["fold"] == FOLD_VERSION == snapshot_version(text)
    assert load_state(text) == SessionState()


async def test_a_snapshot_of_another_version_is_not_believed_and_verify_says_so(tmp_path: Path) -> None:
    given = options(tmp_path)
    async with opened(given) as session:
        await session.prompt("say 5")
        name, state = session.handle.session, session.handle.state
    path = tmp_path / "data/sessions" / name / "session.db"
    later = dump_state(SessionState()).replace(f'"fold":{FOLD_VERSION}', f'"fold":{FOLD_VERSION + 1}')
    _set_snapshot(path, later)
    found = await verify_session(path, Runtime())
    assert found.ok
    assert f"snapshot of another version ({FOLD_VERSION + 1}): not compared" in found.message
    handle = await resume_session(name, given)
    assert handle.state.conversation.runs == state.conversation.runs
    assert handle.state.budget.usage == state.budget.usage
    await handle.close()
    found = await verify_session(path, Runtime())
    assert (found.ok, found.note) == (True, "")


async def test_a_snapshot_of_this_version_that_lies_is_found(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.prompt("say 5")
        name = session.handle.session
    path = tmp_path / "data/sessions" / name / "session.db"
    _set_snapshot(path, dump_state(SessionState()))
    assert not (await verify_session(path, Runtime())).ok


async def test_a_snapshot_without_a_version_counts_as_version_0(tmp_path: Path) -> None:
    unpack(tmp_path / "data", "tools")
    found = await verify_session(tmp_path / "data/sessions/tools/session.db", Runtime())
    assert found.ok
    assert found.note == "snapshot of another version (0): not compared"


def _set_snapshot(path: Path, state: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE snapshot SET state = ?, digest = ?", (state, digest(state)))
