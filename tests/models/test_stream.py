"""The decoder and the accumulator by themselves: any chunking of the bytes gives the same response."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_agent.events import Usage
from tui_agent.models import INVALID_JSON, MalformedResponseError, ModelError, OverloadedError, ServerError
from tui_agent.models.stream import Delta, EventDecoder, Reported, ResponseBuilder, read_reported, read_usage

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
        {"type": "content_block_delta", "index": 0, "delta": {"type": [], "text": "x"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": 5}},
        {"type": "content_block_start", "index": [], "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "early"}},
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


def test_error_without_a_type_is_the_servers() -> None:
    for body in ({"error": "text"}, {"message": "text"}, {"error": {"type": [], "message": "text"}}):
        with pytest.raises(ServerError, match="text"):
            build([wire([*EVENTS[:4], {"type": "error", **body}])])
    with pytest.raises(ServerError, match="went away"):
        build([wire(EVENTS[:4]) + b"event: error\ndata: the backend went away\n\n"])


def test_error_event_is_typed() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}, "request_id": "req_1"}
    with pytest.raises(OverloadedError, match="busy") as caught:
        build([wire([*EVENTS[:4], error])])
    assert caught.value.request_id == "req_1"


@pytest.mark.parametrize("missing", ["message_delta", "message_start", "content_block_stop"])
def test_a_response_without_its_parts_is_not_whole(missing: str) -> None:
    with pytest.raises(MalformedResponseError):
        build([wire([event for event in EVENTS if event["type"] != missing])])


def test_nothing_after_the_end_counts() -> None:
    tails = [
        b"data: [DONE]\n\n",
        b"event: error\ndata: {}\n\n",
        wire(EVENTS),
        b"data: {broken\n\n",
        b"event: message_start\ndata: 1\n\n",
    ]
    for tail in tails:
        builder, deltas = build([wire(EVENTS) + tail])
        assert builder.response().content == CONTENT
        assert len(deltas) == len(build([wire(EVENTS)])[1])


def test_done_before_the_end_is_no_event_either() -> None:
    assert build([wire(EVENTS[:-1]) + b"data: [DONE]\n\n" + wire(EVENTS[-1:])])[0].response().content == CONTENT


@pytest.mark.parametrize(
    "extra",
    [
        b"event: stats\ndata: 12 tokens/s\n\n",
        b"event: stats\ndata: [1]\n\n",
        b"event: ping\n\n",
        b"event: ping\ndata: pong\n\n",
        b"event: ping\ndata:\n\n",
        b"id: 7\nretry: 1000\n\n",
        b":\n\n",
        b"data\n: x\nevent: stats\n\n",
        b"\xef\xbb\xbf: mark\n\n",
    ],
)
def test_what_is_no_event_of_the_api_is_passed_over(extra: bytes) -> None:
    for place in range(len(EVENTS)):
        data = wire(EVENTS[:place]) + extra + wire(EVENTS[place:])
        assert build([data])[0].response().content == CONTENT


def test_a_byte_order_mark_is_no_part_of_a_field() -> None:
    first = b"\xef\xbb\xbfdata: " + json.dumps(EVENTS[0]).encode() + b"\n\n"
    assert build([first + wire(EVENTS[1:])])[0].response().content == CONTENT


def call(index: Any, call_id: Any = "toolu_1", name: Any = "read", more: Any = None) -> list[dict[str, Any]]:
    block = {"type": "tool_use", "id": call_id, "name": name, "input": {}, **(more or {})}
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        {"type": "content_block_stop", "index": index},
    ]


@pytest.mark.parametrize("second", ["toolu_1", "toolu_2"])
def test_calls_of_one_id_come_through_for_the_agent_to_tell_apart(second: str) -> None:
    assert len(build([wire([EVENTS[0], *call(0), *call(1, second), *EVENTS[-2:]])])[0].response().content) == 2


@pytest.mark.parametrize("index", [-1, -(2**70), 2**70, 10_000, 1.0, "0", True, None, [0]])
def test_an_index_that_there_cannot_be_is_malformed(index: Any) -> None:
    with pytest.raises(MalformedResponseError):
        build([wire([EVENTS[0], *call(index), *EVENTS[-2:]])])
    for kind, more in (("delta", {"delta": {"type": "text_delta", "text": "x"}}), ("stop", {})):
        with pytest.raises(MalformedResponseError):
            build([wire([*EVENTS[:4], {"type": f"content_block_{kind}", "index": index, **more}])])


@pytest.mark.parametrize(("call_id", "name"), [("", "read"), (None, "read"), (5, "read"), ("t", ""), ("t", None)])
def test_a_call_without_id_or_name_is_malformed(call_id: Any, name: Any) -> None:
    with pytest.raises(MalformedResponseError):
        build([wire([EVENTS[0], *call(0, call_id, name), *EVENTS[-2:]])])


@pytest.mark.parametrize(("given", "taken"), [(None, {}), ({"a": 1}, {"a": 1}), ([1], {INVALID_JSON: "[1]"})])
def test_the_input_of_a_call_is_always_an_object(given: Any, taken: dict[str, Any]) -> None:
    events = [EVENTS[0], *call(0, more={"input": given}), *EVENTS[-2:]]
    assert build([wire(events)])[0].response().content[0]["input"] == taken


def test_calls_of_a_model_that_declined_are_void() -> None:
    hop = {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}, "trigger": {"type": "refusal"}}
    handed = [
        {"type": "content_block_start", "index": 1, "content_block": hop},
        {"type": "content_block_stop", "index": 1},
    ]
    content = build([wire([EVENTS[0], *call(0), *handed, *call(2, "toolu_2"), *EVENTS[-2:]])])[0].response().content
    assert content == [hop, {"type": "tool_use", "id": "toolu_2", "name": "read", "input": {}}]


def test_a_compaction_block_is_kept_verbatim() -> None:
    whole = {
        "type": "compaction",
        "content": "summary",
        "encrypted_content": "x1",
        "signature": "s1",
        "tool_changes": [{"type": "tool_removal", "name": "a"}],
    }
    begun = {"type": "compaction", "content": None, "tool_changes": whole["tool_changes"]}
    deltas = [
        {"type": "compaction_delta", "content": "summary", "encrypted_content": "x1"},
        {"type": "signature_delta", "signature": "s1"},
    ]
    events = [
        EVENTS[0],
        {"type": "content_block_start", "index": 0, "content_block": begun},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "compaction"}},
        EVENTS[-1],
    ]
    assert build([wire(events)])[0].response().content == [whole]


def test_a_refusal_keeps_all_its_details() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "no", "fallback_credit_token": "t"}
    stop = {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}}
    response = build([wire([EVENTS[0], stop, EVENTS[-1]])])[0].response()
    assert response.stop_details == details
    assert response.stop_detail == "cyber: no"


def test_a_line_of_megabytes_takes_no_quadratic_time_and_has_a_limit() -> None:
    text = {"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "x" * 8_000_000}}
    data = wire([*EVENTS[:9], text, *EVENTS[9:]])
    builder, _ = build([data[at : at + 1000] for at in range(0, len(data), 1000)])
    assert len(builder.response().content[2]["text"]) > 8_000_000  # type: ignore[arg-type]
    decoder = EventDecoder()
    with pytest.raises(MalformedResponseError, match="more than"):
        for _ in range(100):
            decoder.feed(b"x" * 1_000_000)


def mutated(data: st.DataObject) -> bytes:
    """Return a stream with some of its events dropped, doubled, exchanged or spoiled."""
    events = [json.dumps(event, ensure_ascii=False).encode() for event in EVENTS]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(events) - 1))
        other = data.draw(st.integers(0, len(events) - 1))
        match data.draw(st.sampled_from(["drop", "double", "swap", "cut", "byte", "value", "noise"])):
            case "drop" if len(events) > 1:
                del events[at]
            case "double":
                events.insert(other, events[at])
            case "swap":
                events[at], events[other] = events[other], events[at]
            case "cut":
                events[at] = events[at][: data.draw(st.integers(0, 60))]
            case "byte" if events[at]:
                place = data.draw(st.integers(0, len(events[at]) - 1))
                events[at] = (
                    events[at][:place] + data.draw(st.binary(min_size=1, max_size=2)) + events[at][place + 1 :]
                )
            case "value":
                event = data.draw(shaped)
                events[at] = json.dumps(
                    {**event, **data.draw(st.dictionaries(st.text(max_size=3), json_values))}
                ).encode()
            case "noise":
                events.insert(at, data.draw(st.sampled_from([b"[DONE]", b"", b"{}", b"null", b"1e999", b"\xff\xfe"])))
    newline = data.draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    return b"".join(b"data: " + event + newline + newline for event in events) + newline


@given(st.data())
def test_a_spoiled_stream_is_whole_or_a_typed_error(data: st.DataObject) -> None:
    decoder, builder = EventDecoder(), ResponseBuilder()
    try:
        for name, body in decoder.feed(mutated(data)):
            builder.add(name, body)
    except ModelError as error:
        builder.give(error)
    usage = builder.partial_usage()
    assert min(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens) >= 0
    if not builder.finished:
        return
    response = builder.response()
    calls = [block for block in response.content if block["type"] == "tool_use"]
    assert all(isinstance(block["id"], str) and isinstance(block["input"], dict) for block in calls)
    assert len({block["id"] for block in calls}) == len(calls)
    assert response.stop_reason
    json.dumps(response.content, ensure_ascii=False).encode()


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
    found = read_usage(usage)
    assert (found.input_tokens, found.output_tokens) == (100, 50)
    assert (found.cache_write_tokens, found.cache_write_1h_tokens) == (20, 10)
    assert [part.kind for part in found.parts] == ["message", "compaction"]
    # The window holds what the last round of the answer had, not what the summary cost.
    assert found.last.total_tokens == 30


WRONG_COUNTS: list[Any] = [None, -1, -(10**30), 10**30, 1.5, float(10**30), "12", "many", True, [1], {"a": 1}]


@pytest.mark.parametrize("wrong", WRONG_COUNTS)
def test_a_figure_that_is_no_count_is_absent(wrong: Any) -> None:
    read = {"input_tokens": 9, "output_tokens": 3}
    assert read_reported(read) == Reported(9, 3)
    assert read_reported({**read, "input_tokens": wrong}) == Reported(None, 3)
    assert read_reported({**read, "output_tokens": wrong}) == Reported(9, None)
    assert read_usage({**read, "output_tokens": wrong}).output_tokens == 0
    for key in ("cache_read_input_tokens", "cache_creation_input_tokens"):
        assert read_reported({**read, key: wrong}).prompt in {None, 9}
        assert read_usage({**read, key: wrong}).prompt_tokens == (9 if wrong is None else 0)
    for key in ("cache_creation", "server_tool_use", "iterations", "speed", "inference_geo"):
        assert read_usage({**read, key: wrong}).total_tokens == 12
    assert read_usage({**read, "iterations": [wrong, {"type": wrong, "input_tokens": wrong}]}).total_tokens == 12


def test_a_response_says_what_the_server_did_not_report() -> None:
    silent = [dict(event) for event in EVENTS]
    silent[0] = {"type": "message_start", "message": {"id": "msg_1", "model": "m"}}
    silent[-2] = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    response = build([wire(silent)])[0].response()
    assert response.reported == Reported(None, None)
    assert response.usage == Usage()
    for usage in ("lots", [], 7):
        silent[-2] = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
        assert build([wire(silent)])[0].response().reported == Reported(None, None)


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
