"""The decoder and the accumulator by themselves: any chunking of the bytes gives the same response."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_agent.events import Usage
from tui_agent.models import INVALID_JSON, MalformedResponseError, ModelError, OverloadedError
from tui_agent.models.stream import Delta, EventDecoder, ResponseBuilder, read_usage

EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {"id": "msg_1", "model": "m", "usage": {"input_tokens": 7, "cache_read_input_tokens": 5}},
    },
    {"type": "ping"},
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "thinking", "thinking": "", "signature": ""},
    },
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "sig"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "redacted_thinking", "data": "xyz"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": "", "citations": None}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "grüße 🎈\u2028\r\n"}},
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "citations_delta", "citation": {"cited_text": "c"}},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "end"}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "content_block_start",
        "index": 3,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {}},
    },
    {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": '{"path"'}},
    {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": ': "a\\n"}'}},
    {"type": "content_block_stop", "index": 3},
    {"type": "content_block_start", "index": 4, "content_block": {"type": "new_kind", "data": 1}},
    {"type": "content_block_delta", "index": 4, "delta": {"type": "new_delta", "more": [1]}},
    {"type": "content_block_stop", "index": 4},
    {"type": "something_new", "x": 1},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
]

CONTENT = [
    {"type": "thinking", "thinking": "hm", "signature": "sig"},
    {"type": "redacted_thinking", "data": "xyz"},
    {"type": "text", "text": "grüße 🎈\u2028\r\nend", "citations": [{"cited_text": "c"}]},
    {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"path": "a\n"}},
    {"type": "new_kind", "data": 1, "more": [1]},
]


def wire(events: list[dict[str, Any]], newline: bytes = b"\n") -> bytes:
    lines = []
    for event in events:
        data = json.dumps(event, ensure_ascii=False).encode()
        lines.append(b"event: " + event["type"].encode() + newline + b"data: " + data + newline + newline)
    return b": comment" + newline + newline + b"".join(lines)


def build(chunks: list[bytes]) -> tuple[ResponseBuilder, list[Delta]]:
    decoder, builder = EventDecoder(), ResponseBuilder()
    deltas = []
    for chunk in chunks:
        for name, data in decoder.feed(chunk):
            delta = builder.add(name, data)
            if delta:
                deltas.append(delta)
    return builder, deltas


@given(st.lists(st.integers(0, 5000), max_size=60), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_chunking_gives_the_same_response(cuts: list[int], newline: bytes) -> None:
    data = wire(EVENTS, newline)
    data += newline  # a CR at the very end could be half of a CRLF
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    builder, deltas = build([data[a:b] for a, b in itertools.pairwise(places)])
    assert builder.finished
    response = builder.response()
    assert response.content == CONTENT
    assert response.usage == Usage(input_tokens=7, cache_read_tokens=5, output_tokens=9)
    assert response.stop_reason == "tool_use"
    assert "".join(delta.text for delta in deltas if delta.block == 2) == CONTENT[2]["text"]
    assert [delta.tool for delta in deltas if delta.kind == "tool_input"] == ["read"] * 3


@given(st.integers(0, 2600))
def test_any_cut_keeps_a_prefix_and_claims_no_more(cut: int) -> None:
    builder, deltas = build([wire(EVENTS)[:cut]])
    assert not builder.finished or cut >= len(wire(EVENTS)) - 1
    whole = builder.blocks_completed
    assert builder.content[:whole] == CONTENT[:whole]
    shown = "".join(delta.text for delta in deltas if delta.block == 2)
    assert str(CONTENT[2]["text"]).startswith(shown)


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_garbage_is_a_typed_error_or_nothing(chunks: list[bytes]) -> None:
    try:
        builder, _ = build([*chunks, b"\n\n"])
    except ModelError:
        return
    assert not builder.finished


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
shaped = st.fixed_dictionaries(
    {"type": st.sampled_from([event["type"] for event in EVENTS] + ["error"])},
    optional={
        "index": st.integers(0, 2) | json_values,
        "delta": json_values
        | st.fixed_dictionaries({"type": st.sampled_from(["text_delta", "input_json_delta", "citations_delta"])}),
        "message": json_values,
        "content_block": json_values | st.fixed_dictionaries({"type": st.sampled_from(["text", "tool_use"])}),
        "usage": json_values,
        "error": json_values,
    },
)


@given(st.lists(shaped, max_size=8))
def test_events_of_wrong_shape_are_typed_errors(events: list[dict[str, Any]]) -> None:
    builder = ResponseBuilder()
    try:
        for event in [EVENTS[0], *events]:
            builder.add("", json.dumps(event).encode())
        if builder.finished:
            builder.response()
    except ModelError:
        pass
    builder.partial_usage()


@pytest.mark.parametrize("raw", ['{"a": ', "[1, 2]", '"text"', "nul"])
def test_tool_input_that_is_no_object_is_marked(raw: str) -> None:
    events = [dict(event) for event in EVENTS if event.get("index") in {None, 3}]
    events = [event for event in events if event["type"] != "content_block_delta"]
    events.insert(
        3, {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": raw}}
    )
    builder, _ = build([wire(events)])
    assert builder.response().content[0]["input"] == {INVALID_JSON: raw}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "message_start", "message": {"usage": {"input_tokens": "many"}}},
        {"type": "message_start", "message": {"usage": {"iterations": 3}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": [], "text": "x"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": [1]}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": 5}},
        {"type": "content_block_start", "index": [], "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "early"}},
        {"type": "error", "error": "text"},
        [1],
    ],
)
def test_an_event_of_wrong_content_is_malformed(event: Any) -> None:
    builder = ResponseBuilder()
    if "message" not in event:
        builder.add("", json.dumps(EVENTS[0]).encode())
    with pytest.raises(MalformedResponseError):
        builder.add("", json.dumps(event).encode())
    builder.partial_usage()


def test_a_stop_of_wrong_content_is_malformed() -> None:
    stop = {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": "no"}, "usage": {}}
    with pytest.raises(MalformedResponseError):
        build([wire([EVENTS[0], stop, EVENTS[-1]])])


def test_error_event_is_typed() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}, "request_id": "req_1"}
    with pytest.raises(OverloadedError, match="busy") as caught:
        build([wire([*EVENTS[:4], error])])
    assert caught.value.request_id == "req_1"


@pytest.mark.parametrize("missing", ["message_delta", "message_start", "content_block_stop"])
def test_a_response_without_its_parts_is_not_whole(missing: str) -> None:
    with pytest.raises(MalformedResponseError):
        build([wire([event for event in EVENTS if event["type"] != missing])])


def test_compaction_iterations_are_counted() -> None:
    usage = {
        "input_tokens": 0,
        "output_tokens": 0,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_1h_input_tokens": 10, "ephemeral_5m_input_tokens": 20},
        "iterations": [
            {"type": "compaction", "input_tokens": 100, "output_tokens": 50},
            {"type": "message", "input_tokens": 7, "output_tokens": 7},
        ],
    }
    assert read_usage(usage) == Usage(
        input_tokens=100, output_tokens=50, cache_write_tokens=20, cache_write_1h_tokens=10
    )


@pytest.mark.parametrize("half", [b"\\ud83d", b"\\uD83D", b"\xed\xa0\xbd"])
def test_half_of_a_surrogate_pair_is_replaced(half: bytes) -> None:
    builder = ResponseBuilder()
    for event in EVENTS[:1]:
        builder.add("", json.dumps(event).encode())
    begun = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "a HERE b"}}
    delta = builder.add("", json.dumps(begun).encode().replace(b"HERE", half))
    assert delta is not None
    assert delta.text.strip("\ufffd ab") == ""
    assert "\ufffd" in delta.text
    assert delta.text.encode()
