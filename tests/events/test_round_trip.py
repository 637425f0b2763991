"""Events survive the way to disk and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.events.strategies import events
from tui_agent.events import EVENT_TYPES, EventBase, UnknownEvent, event_adapter, parse_event


@given(events)
def test_an_event_is_the_same_after_a_round_trip(event: EventBase) -> None:
    body = event.model_dump_json()
    assert parse_event(body) == event
    assert event_adapter().validate_json(body) == event
    assert json.loads(body)["type"] == event.type


@given(events)
def test_seq_and_hash_are_set_from_outside(event: EventBase) -> None:
    read = parse_event(event.model_dump_json(exclude={"seq", "hash"}), seq=7, hash="abc")
    assert (read.seq, read.hash) == (7, "abc")


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers() | st.text(), max_size=4))
def test_an_unknown_type_is_kept_whole(extra: dict[str, object]) -> None:
    written = {**extra, "type": "future.thing", "session": "s", "time": 1.5}
    event = parse_event(json.dumps(written))
    assert isinstance(event, UnknownEvent)
    assert event.session == "s"
    assert json.loads(event.model_dump_json()) == written


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_damage_is_a_value_error(body: bytes | str) -> None:
    try:
        event = parse_event(body)
    except ValueError:
        return
    assert isinstance(event, EventBase)


def test_every_type_is_named_subject_happened() -> None:
    assert all(name in {"crash", "notice"} or name.count(".") == 1 for name in EVENT_TYPES)


@pytest.mark.parametrize("kind", EVENT_TYPES.values(), ids=list(EVENT_TYPES))
def test_every_type_is_immutable(kind: type[EventBase]) -> None:
    assert kind.model_config["frozen"]
