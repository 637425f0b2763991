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
from tui_agent.events import (
    EVENT_TYPES,
    EventBase,
    FileState,
    Intent,
    JsonObject,
    Judgement,
    ModuleVerdict,
    PermissionDecided,
    RunStarted,
    StepOutput,
    StepPlanned,
    StepStarted,
    TodoChanged,
    TodoItem,
    TurnFinished,
    Usage,
)
from tui_agent.journal import Journal
from tui_agent.journal.redacted import EXACT_FIELDS, redacted
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


async def test_what_the_server_signed_is_kept_to_the_letter_and_nothing_else(tmp_path: Path) -> None:
    journal = await Journal.create(tmp_path / "a" / "session.db", "a", RUNTIME)
    sealed: list[JsonObject] = [
        {"type": "thinking", "thinking": KEY, "signature": KEY},
        {"type": "redacted_thinking", "data": KEY},
        {"type": "web_search_tool_result", "content": [{"encrypted_content": KEY}]},
    ]
    said: list[JsonObject] = [
        {"type": "text", "text": KEY},
        {"type": "tool_use", "id": "c", "name": "write", "input": {"content": KEY, "signature": KEY}},
    ]
    finished = TurnFinished(turn="t", model="m", content=sealed + said, stop_reason="tool_use", usage=Usage())
    (committed,) = await journal.append(finished)
    assert isinstance(committed.event, TurnFinished)
    assert committed.event.content[:3] == sealed
    assert KEY not in str(committed.event.content[3:])
    await journal.close()


def test_a_call_that_held_a_secret_is_marked() -> None:
    planned = StepPlanned(step="s", turn="t", call_id="c", tool="bash", input={"command": KEY}, effect="supervised")
    clean = redacted(planned, Redactor({}))
    assert clean.withheld
    assert clean.input == {"command": "[redacted: GitHub token]"}
    assert not redacted(planned.model_copy(update={"input": {}, "title": KEY}), Redactor({})).withheld


def test_what_is_compared_with_the_disk_stays() -> None:
    state = FileState(path=f"/{KEY}", sha256="0")
    intent = Intent(effect="checkable", key="k", before=[state], after=[state], spool=f"/{KEY}")
    started = StepStarted(step="s", tool="write", intent=intent)
    assert redacted(started, Redactor({})) is started


def test_the_parts_of_an_event_are_cleaned_too() -> None:
    changed = TodoChanged(step="s", items=[TodoItem(text="x"), TodoItem(text=KEY)])
    assert redacted(changed, Redactor({})).items[1].text == "[redacted: GitHub token]"
    module = ModuleVerdict(name="m", verdict="ask", reason=KEY)
    judgement = Judgement(verdict="ask", reason=KEY, winner="m", modules=[module])
    decided = PermissionDecided(step="s", tool="bash", call_hash="h", verdict="allow", by="mode", judgement=judgement)
    assert KEY not in redacted(decided, Redactor({})).model_dump_json()


def _with_secret(kind: type[EventBase]) -> st.SearchStrategy[EventBase]:
    def put(arguments: dict[str, Any]) -> EventBase:
        event = kind.model_validate(arguments)
        update: dict[str, Any] = {}
        for name in kind.model_fields:
            value = getattr(event, name)
            if name in EXACT_FIELDS or name in {"seq", "hash", "version"}:
                continue
            if isinstance(value, str) and kind.model_fields[name].annotation is str:
                update[name] = f"{value} {KEY} {SECRET}"
            elif kind.model_fields[name].annotation == JsonObject:
                update[name] = {**value, "nested": [{"text": KEY}, SECRET]}
        return event.model_copy(update=update)

    return values(kind).map(put)


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_event_type_lets_a_secret_through(name: str, data: st.DataObject) -> None:
    event = data.draw(_with_secret(EVENT_TYPES[name]))
    text = redacted(event, Redactor(RUNTIME.environment)).model_dump_json()
    assert KEY not in text
    assert "word" not in text
