"""The offline model refuses what only some of the API's models refuse, and what the SDK's types do not allow."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from tests.models.conftest import TOOLS, Talk, body_of
from tests.sdk_types import check_request
from tui_agent.models import InvalidRequestError, ModelRequest

TOOL = {"name": "read", "input_schema": {"type": "object", "properties": {}, "additionalProperties": False}}
HOUR, SHORT = {"type": "ephemeral", "ttl": "1h"}, {"type": "ephemeral"}


def png(side: int) -> dict[str, Any]:
    data = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", side, 10) + b"\x08\x02\x00\x00\x00"
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(data).decode()}
    return {"type": "image", "source": source}


def pdf(data: bytes) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "application/pdf", "data": base64.b64encode(data).decode()}
    return {"type": "document", "source": source}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": [*blocks, {"type": "text", "text": "look"}]}


def marked(mark: Any) -> dict[str, Any]:
    return {"type": "text", "text": "s", "cache_control": mark}


WEB = {"type": "web_search_20260318", "name": "web_search"}
CLOSED = {"type": "object", "properties": {}, "additionalProperties": False}
OPTIONAL = {f"p{number}": {"type": "string"} for number in range(25)}


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": "read", "input_schema": schema, "strict": True}


BROKEN: list[tuple[list[Any], dict[str, Any], str]] = [
    (["hi"], {"tool_choice": {"type": "any"}}, "forced tool use"),
    (["hi"], {"tool_choice": {"type": "tool", "name": "read"}}, "forced tool use"),
    (["hi"], {"tool_choice": {"type": "tool", "name": "nothing"}}, "not found"),
    (["hi"], {"temperature": 2}, "temperature: range"),
    (["hi"], {"stop_sequences": [" \n"]}, "non-whitespace"),
    (["hi"], {"output_config": {"effort": "huge"}}, "output_config.effort"),
    (["hi"], {"output_config": {"colour": 1}}, "output_config.colour"),
    (["hi"], {"thinking": {"type": "adaptive", "display": "loud"}}, "thinking.display"),
    (["hi"], {"system": [marked(SHORT)], "cache_control": HOUR}, "must not come after"),
    (["hi"], {"tools": [{**TOOLS[0], "strict": True}]}, "additionalProperties"),
    (
        ["hi"],
        {"tools": [strict({**CLOSED, "minProperties": 1})]},
        "minProperties",
    ),
    (["hi"], {"tools": [strict({**CLOSED, "properties": {"a": {"type": "number", "maximum": 3}}})]}, "'maximum'"),
    (["hi"], {"tools": [strict({**CLOSED, "properties": {"a": {"enum": ["b"]}}})]}, "must have a 'type'"),
    (["hi"], {"tools": [strict({**CLOSED, "properties": OPTIONAL})]}, "too many optional"),
    (["hi"], {"tools": [{**strict(CLOSED), "name": f"t{i}"} for i in range(21)]}, "Too many strict tools"),
    (["hi"], {"tools": [{**WEB, "type": "web_search_20200101"}]}, "does not match"),
    (["hi"], {"tools": [{**WEB, "name": "search"}]}, "name: Input should be 'web_search'"),
    (["hi"], {"tools": [{**WEB, "max_uses": 0}]}, "greater than 0"),
    (["hi"], {"tools": [{**WEB, "max_content_tokens": 5}]}, "Extra inputs"),
    (["hi"], {"tools": [{**WEB, "allowed_domains": ["a.org"], "blocked_domains": ["b.org"]}]}, "only one of"),
    (["hi"], {"tools": [{**WEB, "allowed_domains": ["https://a.org"]}]}, "is no domain"),
    ([user({**png(10), "source": {**png(10)["source"], "data": "***"}})], {}, "invalid base64"),
    ([user(png(8001))], {}, "8000 pixels"),
    ([user(*(png(2001) for _ in range(21)))], {}, "many-image requests: 2000 pixels"),
    ([user(pdf(b"garbage"))], {}, "PDF"),
]


@pytest.mark.parametrize(("messages", "more", "said"), BROKEN, ids=[said for _, _, said in BROKEN])
async def test_what_some_models_refuse_is_refused(
    messages: list[Any], more: dict[str, Any], said: str, talk: Talk
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await talk.post(*messages, **more)
    assert said in caught.value.message


async def test_what_is_right_is_taken(talk: Talk) -> None:
    await talk.send("hi", tool_choice={"type": "auto"}, tools=[{**TOOL, "strict": True}])
    await talk.send("hi", system=[marked(HOUR)], cache_control=SHORT, output_config={"effort": "max"})
    await talk.send(user(png(8000), pdf(b"%PDF-1.7 x")), thinking={"type": "adaptive", "display": "omitted"})
    for model in ("claude-opus-4-8[1m]", "claude-sonnet-5", "claude-haiku-5-5-20261001"):
        assert (await talk.send("say 5", model=model)).stop_reason == "end_turn"


async def test_a_stop_sequence_ends_the_answer(talk: Talk) -> None:
    whole = (await talk.send("say 100")).content[0]["text"]
    word = str(whole).split()[5]
    response = await talk.send("say 100", stop_sequences=["nowhere to be found", word])
    assert (response.stop_reason, response.stop_detail) == ("stop_sequence", word)
    assert response.content[0]["text"] == str(whole)[: str(whole).index(word)]


async def test_an_unknown_beta_is_refused(talk: Talk) -> None:
    client = await talk.client._ready()
    with pytest.raises(InvalidRequestError, match="anthropic-beta"):
        await talk.client._post(client, ModelRequest("m", b"{}", ("nonsense-2026-01-01",)))


async def test_no_count_is_less_than_the_real_one_says(talk: Talk) -> None:
    assert await talk.count("a", tools=None) == 8


GOOD = body_of("hi", thinking={"type": "adaptive", "display": "summarized"}, cache_control=HOUR)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": 1}, "colour is unknown"),
        ({"max_tokens": "5"}, "max_tokens: int is wanted"),
        ({"thinking": {"type": "adaptive", "display": "loud"}}, "thinking.display"),
        ({"cache_control": {"type": "ephemeral", "ttl": "2h"}}, "cache_control.ttl"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "y": 1}]}]},
            "messages.0.content",
        ),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"compaction": {"type": "summarize"}}, "compaction is unknown"),
    ],
)
def test_the_sdks_types_find_what_is_wrong(change: dict[str, Any], said: str) -> None:
    check_request("/v1/messages", GOOD, frozenset())
    with pytest.raises(ValueError, match=said):
        check_request("/v1/messages", {**GOOD, **change}, frozenset())


def test_beta_requests_have_types_of_their_own() -> None:
    check_request("/v1/messages", {**GOOD, "compaction": {"type": "summarize"}}, frozenset({"compact-2026-09-04"}))
    block = {"type": "compaction", "content": "s", "signature": "x", "encrypted_content": None}
    held = [{"role": "assistant", "content": [block]}, {"role": "user", "content": "go on"}]
    check_request("/v1/messages", {**GOOD, "messages": held}, frozenset({"compact-2026-09-04"}))
    with pytest.raises(ValueError, match=r"messages\.0"):
        check_request("/v1/messages", {**GOOD, "messages": held}, frozenset())
