"""No secret reaches the disk, in whatever event it comes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.events.strategies import values
from tui_agent.events import EVENT_TYPES, EventBase, JsonObject, RunStarted, StepOutput, TurnFinished, Usage
from tui_agent.journal import Journal
from tui_agent.journal.redacted import VERBATIM_FIELDS, VERBATIM_TYPES, redacted
from tui_agent.redaction import Redactor
from tui_agent.runtime import Runtime

SECRET = 'pass "word" \\ of\nmine'
KEY = "ghp_" + "a1" * 18
RUNTIME = Runtime(environment={"MY_SECRET": SECRET})


async def test_nothing_of_a_session_holds_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "a" / "session.db"
    journal = await Journal.create(path, "a", RUNTIME)
    (committed,) = await journal.append(
        RunStarted(run="r", prompt=f"my {KEY}", content=[{"type": "text", "text": SECRET}])
    )
    await journal.append_chunks(StepOutput(step="s", text=f"x {SECRET} y"))
    await journal.save_layout('{"draft": "' + KEY + '"}')
    assert isinstance(committed.event, RunStarted)
    assert committed.event.prompt == "my [redacted: GitHub token]"
    assert committed.event.content == [{"type": "text", "text": "[redacted: MY_SECRET]"}]
    assert await journal.layout() == '{"draft": "[redacted: GitHub token]"}'
    await journal.close()
    data = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert KEY.encode() not in data
    assert b"word" not in data
    with closing(sqlite3.connect(path)) as connection:
        assert "redacted: MY_SECRET" in str(connection.execute("SELECT * FROM chunk").fetchall())


async def test_what_the_model_said_is_kept_to_the_letter(tmp_path: Path) -> None:
    journal = await Journal.create(tmp_path / "a" / "session.db", "a", RUNTIME)
    block = {"type": "thinking", "thinking": KEY, "signature": KEY}
    (committed,) = await journal.append(
        TurnFinished(turn="t", model="m", content=[block], stop_reason="end_turn", usage=Usage())
    )
    assert isinstance(committed.event, TurnFinished)
    assert committed.event.content == [block]
    await journal.close()


def _with_secret(kind: type[EventBase]) -> st.SearchStrategy[EventBase]:
    def put(arguments: dict[str, Any]) -> EventBase:
        event = kind.model_validate(arguments)
        update: dict[str, Any] = {}
        for name in kind.model_fields:
            value = getattr(event, name)
            if name in VERBATIM_FIELDS or name in {"seq", "hash", "version"}:
                continue
            if isinstance(value, str) and kind.model_fields[name].annotation is str:
                update[name] = f"{value} {KEY} {SECRET}"
            elif kind.model_fields[name].annotation == JsonObject:
                update[name] = {**value, "nested": [{"text": KEY}, SECRET]}
        return event.model_copy(update=update)

    return values(kind).map(put)


@pytest.mark.parametrize("name", sorted(set(EVENT_TYPES) - VERBATIM_TYPES))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_event_type_lets_a_secret_through(name: str, data: st.DataObject) -> None:
    event = data.draw(_with_secret(EVENT_TYPES[name]))
    text = redacted(event, Redactor(RUNTIME.environment)).model_dump_json()
    assert KEY not in text
    assert "word" not in text
