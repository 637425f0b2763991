"""What the real API refuses is refused: each rule, through the client."""

from __future__ import annotations

from typing import Any

import pytest

from tests.models.conftest import TOOLS, Talk, assistant, body_of, results
from tui_agent.models import InvalidRequestError, ModelError, ModelNotFoundError, load_catalog
from tui_agent.models.offline.request import Request
from tui_agent.models.offline.rules import ApiError, check_body

USE = {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"path": "a"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}
TEXT = {"type": "text", "text": "hi"}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def model(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


BROKEN: list[tuple[str, list[Any], dict[str, Any], str]] = [
    ("unknown field", ["hi"], {"colour": 1}, "colour: Extra inputs are not permitted"),
    ("no max_tokens", ["hi"], {"max_tokens": None}, "max_tokens: Field required"),
    ("max_tokens 0", ["hi"], {"max_tokens": 0}, "greater than or equal to 1"),
    ("max_tokens too high", ["hi"], {"max_tokens": 128_001}, "128001 > 128000"),
    ("no messages", [], {}, "at least one message"),
    ("assistant first", [model(TEXT), "hi"], {}, 'first message must use the "user" role'),
    ("system first", [{"role": "system", "content": "x"}, "hi"], {}, 'first message must use the "user" role'),
    ("unknown role", [{"role": "tool", "content": "x"}], {}, "messages.0.role"),
    ("extra in message", [{"role": "user", "content": "x", "id": "1"}], {}, "messages.0.id: Extra inputs"),
    ("empty content", [user()], {}, "non-empty content"),
    ("empty text", [user({"type": "text", "text": ""})], {}, "text content blocks must be non-empty"),
    ("blank text", [user({"type": "text", "text": " \n"})], {}, "non-whitespace"),
    ("unknown block", [user({"type": "video"})], {}, "Input tag 'video'"),
    ("tool_use by user", [user(USE)], {}, "Input tag 'tool_use'"),
    (
        "unanswered call",
        [user(TEXT), model(USE), user(TEXT)],
        {},
        "without `tool_result` blocks immediately after: toolu_1",
    ),
    ("call at the end", [user(TEXT), model(USE)], {}, "without `tool_result`"),
    ("call then assistant", [user(TEXT), model(USE), model(TEXT)], {}, "without `tool_result`"),
    ("stray result", [user(TEXT), model(TEXT), user(RESULT)], {}, "unexpected `tool_use_id`"),
    (
        "result too late",
        [user(TEXT), model(USE), user(RESULT), model(TEXT), user(RESULT)],
        {},
        "unexpected `tool_use_id`",
    ),
    ("two results", [user(TEXT), model(USE), user(RESULT, RESULT)], {}, "must have a single result"),
    ("text before result", [user(TEXT), model(USE), user(TEXT, RESULT)], {}, "must come before all other content"),
    ("same id twice", [user(TEXT), model(USE, USE), user(RESULT)], {}, "ids must be unique"),
    (
        "id of an earlier turn",
        [user(TEXT), model(USE), user(RESULT), model(USE), user(RESULT)],
        {},
        "ids must be unique",
    ),
    ("bad id", [user(TEXT), model({**USE, "id": "a b"}), user(RESULT)], {}, "tool_use.id"),
    ("input is no object", [user(TEXT), model({**USE, "input": "x"}), user(RESULT)], {}, "valid dictionary"),
    ("unknown tool", [user(TEXT), model({**USE, "name": "fly"}), user(RESULT)], {}, "'fly'"),
    (
        "error without content",
        [user(TEXT), model(USE), user({**RESULT, "content": [], "is_error": True})],
        {},
        "is_error",
    ),
    (
        "empty text in result",
        [user(TEXT), model(USE), user({**RESULT, "content": [{"type": "text", "text": ""}]})],
        {},
        "non-empty",
    ),
    (
        "thinking unsigned",
        [user(TEXT), model({"type": "thinking", "thinking": "x"}), user(TEXT)],
        {},
        "signature: Field required",
    ),
    ("prefill", [user(TEXT), model(TEXT)], {}, "prefill"),
    ("tool twice", ["hi"], {"tools": [TOOLS[0], TOOLS[0]]}, "Tool names must be unique"),
    ("bad tool name", ["hi"], {"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, "tools.0.name"),
    ("no schema", ["hi"], {"tools": [{"name": "a"}]}, "input_schema: Field required"),
    ("schema of no object", ["hi"], {"tools": [{"name": "a", "input_schema": {}}]}, "input_schema.type"),
    ("tool_choice alone", ["hi"], {"tools": None, "tool_choice": {"type": "auto"}}, "tool_choice"),
    ("empty system", ["hi"], {"system": [{"type": "text", "text": ""}]}, "system: text content blocks"),
    ("thinking kind", ["hi"], {"thinking": {"type": "deep"}}, "thinking"),
    (
        "thinking budget",
        ["hi"],
        {"thinking": {"type": "enabled", "budget_tokens": 9000}},
        "`max_tokens` must be greater",
    ),
    (
        "five cache marks",
        [user(*[{**TEXT, "cache_control": {"type": "ephemeral"}}] * 5)],
        {},
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    ("cache mark's kind", ["hi"], {"cache_control": {"type": "forever"}}, "ephemeral"),
    ("cache mark's life", ["hi"], {"cache_control": {"type": "ephemeral", "ttl": "1d"}}, "ttl"),
]


@pytest.mark.parametrize(
    ("messages", "more", "said"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
async def test_rule(messages: list[Any], more: dict[str, Any], said: str, talk: Talk) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await talk.post(*messages, **more)
    assert said in caught.value.message
    assert not caught.value.retryable


GOOD: list[list[Any]] = [
    ["hi"],
    [user(TEXT), user(TEXT)],
    [user(TEXT), model(USE), user(RESULT, TEXT), {"role": "system", "content": "note"}],
    [user(TEXT), model(TEXT, {"type": "redacted_thinking", "data": "x"}, USE), user({**RESULT, "content": [TEXT]})],
    [user({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}})],
]


@pytest.mark.parametrize("messages", GOOD)
async def test_valid_requests_are_answered(messages: list[Any], talk: Talk) -> None:
    assert (await talk.send(*messages)).stop_reason


async def test_unknown_path_and_models(talk: Talk) -> None:
    client = await talk.client._ready()
    listed = await client.models.list()
    assert "claude-sonnet-5-5" in {model.id for model in listed.data}
    one = await client.models.retrieve("claude-haiku-5-5")
    assert one.max_tokens == 128_000
    import anthropic

    with pytest.raises(anthropic.NotFoundError):
        await client.models.retrieve("gpt-nothing")
    with pytest.raises(anthropic.NotFoundError):
        await client.files.list()


async def test_answer_without_streaming(talk: Talk) -> None:
    client = await talk.client._ready()
    message = await client.messages.create(
        model="claude-sonnet-5-5", max_tokens=100, messages=[{"role": "user", "content": "say 10"}]
    )
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 9


async def test_a_changed_signature_is_refused(talk: Talk) -> None:
    thinking = {"thinking": {"type": "adaptive", "display": "summarized"}}
    first = await talk.send("read a", **thinking)
    for change in ({"thinking": "other"}, {"signature": "forged"}):
        content = [{**first.content[0], **change}, *first.content[1:]]
        with pytest.raises(InvalidRequestError, match="Invalid `signature`"):
            await talk.send("read a", {"role": "assistant", "content": content}, results(first, "x"), **thinking)


async def test_a_signature_binds_to_system_tools_and_messages(talk: Talk) -> None:
    thinking: dict[str, Any] = {"thinking": {"type": "adaptive", "display": "summarized"}, "system": "one"}
    first = await talk.send("read a", **thinking)
    rest = (assistant(first), results(first, "x"))
    await talk.send("read a", *rest, **thinking)
    for prompt, change in (("read a", {"system": "two"}), ("read a", {"tools": TOOLS[:3]}), ("read b", {})):
        with pytest.raises(InvalidRequestError, match="Invalid `signature`"):
            await talk.send(prompt, *rest, **{**thinking, **change})


async def test_signatures_hold_in_another_process(talk: Talk, serve, connect) -> None:
    thinking = {"thinking": {"type": "adaptive", "display": "summarized"}}
    first = await talk.send("read a", **thinking)
    other = connect(serve().base_url)
    await other.send("read a", assistant(first), results(first, "x"), **thinking)


async def test_a_rewritten_prefix_is_refused(talk: Talk) -> None:
    first = await talk.send("read a")
    rest = (assistant(first), results(first, "x"))
    second = await talk.send("read a", *rest)
    await talk.send("read a", *rest, assistant(second), "read b")
    for change in ({"system": "new"}, {"tools": [*TOOLS, {"name": "new", "input_schema": {"type": "object"}}]}):
        with pytest.raises(InvalidRequestError, match="must not be rewritten"):
            await talk.send("read a", *rest, assistant(second), "read b", **change)
    with pytest.raises(InvalidRequestError, match="must not be rewritten"):
        await talk.send("read a", assistant(first), results(first, "trimmed"), assistant(second), "read b")


async def test_a_new_first_message_is_a_new_conversation(talk: Talk) -> None:
    first = await talk.send("hello")
    await talk.send("Summary of what was said before", assistant(first), "again")


async def test_moving_a_cache_mark_rewrites_nothing(talk: Talk) -> None:
    marked = {**TEXT, "cache_control": {"type": "ephemeral"}}
    first = await talk.send(user(marked))
    await talk.send(user(TEXT), assistant(first), user(marked))


@pytest.mark.parametrize(
    ("header", "said"), [("authorization", "x-api-key"), ("anthropic-version", "anthropic-version")]
)
async def test_headers_are_needed(header: str, said: str, talk: Talk) -> None:
    import anthropic

    client = await talk.client._ready()
    absent = client.with_options(default_headers={header: anthropic.Omit()})
    with pytest.raises((anthropic.AuthenticationError, anthropic.BadRequestError), match=said):
        await absent.messages.create(
            model="claude-sonnet-5-5", max_tokens=1, messages=[{"role": "user", "content": "x"}]
        )


async def test_body_that_is_no_json(talk: Talk) -> None:
    from tui_agent.models import ModelRequest

    for body in (b"{", b"[]", b"\xff", b'{"model": "\\ud800"}', '"\ud800"'.encode("utf-8", "surrogatepass")):
        with pytest.raises(InvalidRequestError):
            await talk.client.stream(ModelRequest("m", body), talk.on_deltas)


async def test_requests_are_recorded_only_on_demand(serve, connect) -> None:
    server = serve()
    await connect(server.base_url).send("hi")
    (request,) = server.requests
    assert request.path == "/v1/messages"
    assert request.body["messages"][0]["content"] == "hi"
    assert request.headers["authorization"] == "Bearer offline"
    with pytest.raises(RuntimeError, match="record=True"):
        _ = serve(record=False).requests


def test_unknown_model_is_not_found() -> None:
    with pytest.raises(ApiError) as caught:
        check_body(body_of("hi", model="gpt"), load_catalog())
    assert caught.value.status == 404
    assert ModelNotFoundError.kind == caught.value.kind.removesuffix("_error")
    assert issubclass(ModelNotFoundError, ModelError)


def test_prefix_hashes_are_by_content_not_by_spelling() -> None:
    one = Request(body_of("hi"))
    two = Request(body_of(user({"text": "hi", "type": "text", "cache_control": {"type": "ephemeral"}})))
    assert one.prefix[-1].hash == two.prefix[-1].hash
