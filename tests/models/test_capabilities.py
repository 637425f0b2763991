"""What a server can do: asked, refused, remembered by model, address and day."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.models.conftest import Talk, body_of
from tui_agent.models import InvalidRequestError, ModelClient, ModelRequest, RequestOptions, load_catalog
from tui_agent.models.capabilities import (
    KEPT_SECONDS,
    Capabilities,
    described_facts,
    named_feature,
    retirement,
)
from tui_agent.models.fields import features_of, make_head, without
from tui_agent.models.offline import OfflineServer
from tui_agent.models.offline.errors import invalid
from tui_agent.runtime import Runtime

SONNET = load_catalog().find("sonnet")
DAY = 86_400.0


class Old(OfflineServer):
    """A server that refuses some fields of a request, each in words of its own."""

    def __init__(self, refusals: dict[str, str], **more: Any) -> None:
        super().__init__(record=True, **more)
        self.refusals = refusals

    async def _answer(self, http: Any, *rest: Any) -> bool:
        body = http.json() if http.body else {}
        for feature in sorted(features_of(body) & self.refusals.keys()):
            raise invalid(self.refusals[feature])
        return await super()._answer(http, *rest)


@pytest.fixture
def old() -> Any:
    servers: list[Old] = []

    def make(refusals: dict[str, str]) -> Old:
        server = Old(refusals)
        server.start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.stop()


ALL = {
    "thinking": {"type": "adaptive", "display": "summarized"},
    "output_config": {"effort": "high"},
    "cache_control": {"type": "ephemeral", "ttl": "1h"},
    "diagnostics": {"previous_message_id": None},
}

REFUSALS = [
    ({"thinking_display": "thinking.adaptive.display: Extra inputs are not permitted"}, ["thinking_display"]),
    ({"effort": "output_config: Extra inputs are not permitted"}, ["effort"]),
    ({"effort": "This model does not support the effort parameter."}, ["effort"]),
    ({"diagnostics": "diagnostics: Extra inputs are not permitted"}, ["diagnostics"]),
    ({"cache_1h": "cache_control.ephemeral.ttl: Extra inputs are not permitted"}, ["cache_1h"]),
    ({"cache": "[{'type': 'extra_forbidden', 'loc': ('body', 'cache_control')}]"}, ["cache"]),
    ({"thinking": "adaptive thinking is not supported on this model"}, ["thinking"]),
    (
        {"thinking_display": "display: unknown", "effort": "effort: unknown", "cache_1h": "ttl: unknown"},
        ["cache_1h", "effort", "thinking_display"],
    ),
]


@pytest.mark.parametrize(("refusals", "names"), REFUSALS)
async def test_a_field_that_is_refused_is_left_out_and_remembered(
    refusals: dict[str, str], names: list[str], old: Callable[..., Old], connect: Callable[..., Talk]
) -> None:
    server = old(refusals)
    talk = connect(server.base_url)
    assert (await talk.send("say 5", **ALL)).stop_reason == "end_turn"
    sent = [request for request in server.requests if request.path == "/v1/messages"]
    assert len(sent) == 1
    can = talk.client.capabilities
    assert [name for name in sorted(REFUSED) if can.refused(name, "claude-sonnet-5-5")] == names  # type: ignore[arg-type]
    assert len(can.take_news()) == len(names)
    head = talk.client.head(SONNET, RequestOptions(effort="high", cache="1h", diagnose=True))
    assert not set(names) & features_of(head.fields)
    await talk.send("say 6", **head.fields, **{key: None for key in ALL if key not in head.fields})
    assert can.take_news() == []
    assert can.offers("effort", "another-model")


REFUSED = {"thinking", "thinking_display", "effort", "cache", "cache_1h", "diagnostics"}


async def test_a_count_is_asked_again_without_the_field_too(old: Callable[..., Old], connect: Any) -> None:
    server = old({"thinking_display": "thinking.display: unknown field"})
    talk = connect(server.base_url)
    assert await talk.count("hello there", thinking=ALL["thinking"])
    assert talk.client.capabilities.refused("thinking_display", "claude-sonnet-5-5")


async def test_a_refusal_that_names_nothing_is_tried_once_without_all(old: Any, connect: Any) -> None:
    talk = connect(old({"effort": "Bad request"}).base_url)
    assert (await talk.send("say 5", **ALL)).stop_reason == "end_turn"
    assert talk.client.capabilities.refused("effort", "claude-sonnet-5-5")
    other = connect(old({"effort": "Bad request", "thinking": "Bad request", "cache": "Bad request"}).base_url)
    with pytest.raises(InvalidRequestError, match="at least one message"):
        await other.send(model="claude-haiku-5-5")
    assert other.client.capabilities.take_news() == []


async def test_a_refused_content_is_no_refused_field(serve: Any, connect: Any) -> None:
    server = serve()
    talk = connect(server.base_url)
    blank = {"role": "user", "content": [{"type": "text", "text": " "}]}
    await talk.send("say 5", **ALL)
    with pytest.raises(InvalidRequestError, match="non-whitespace"):
        await talk.send(blank, **ALL)
    assert talk.client.capabilities.take_news() == []


@pytest.mark.parametrize(
    ("message", "feature"),
    [
        ("messages.1.content.0: Invalid `signature` in `thinking` block", None),
        ("messages.0.content.0.text: display cache_control effort", None),
        ("system.0.cache_control: effort", None),
        ("messages.0.content.0: Input tag 'compaction' found", "compaction_block"),
        ("Unexpected value(s) `compact-2026-09-04` for the `anthropic-beta` header", "compaction_block"),
        ("tools.3.custom.strict: Extra inputs are not permitted", "strict_tools"),
        ("tools.9: Input tag 'web_search_20260318' found using 'type' does not match", "web_search"),
        ("max_tokens: 5 > 4", None),
        ("fallbacks.0.model: not allowed", "fallbacks"),
    ],
)
def test_what_a_refusal_names(message: str, feature: str | None) -> None:
    every = {"thinking", "thinking_display", "effort", "cache", "strict_tools", "web_search", "compaction_block"}
    assert named_feature(message, every | {"fallbacks"}) == feature  # type: ignore[arg-type]
    assert named_feature(message, set()) is None


class Clock:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


def test_what_was_found_out_holds_for_some_days_and_its_address(tmp_path: Path) -> None:
    clock, file = Clock(), tmp_path / "data" / "servers.json"
    first = Capabilities("http://user:secret@host:1/", now=clock, file=file)
    first.refuse(["effort"], "m", "no")
    first.learn(described_facts("m", {"max_model_len": 8192}, clock.time))
    first.save()
    assert "secret" not in file.read_text()
    Capabilities("http://other", now=clock, file=file).save()
    again = Capabilities("http://host:1", now=clock, file=file)
    again.load()
    assert again.refused("effort", "m")
    assert again.facts("m").context_window == 8192  # type: ignore[union-attr]
    other = Capabilities("http://other", now=clock, file=file)
    other.load()
    other.refuse(["cache"], "m", "no")
    other.save()
    clock.time += KEPT_SECONDS + 1
    later = Capabilities("http://host:1", now=clock, file=file)
    later.load()
    assert not later.refused("effort", "m")
    assert later.facts("m") is None
    clock.time = 0.0  # what comes from the future is not believed either
    later.load()
    assert not later.refused("effort", "m")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 9}', '{"version": 1, "servers": 5}', '{"version":1,"servers":{"a":{"refused":7}}}'],
)
def test_a_spoiled_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "servers.json"
    file.write_text(text)
    can = Capabilities("a", now=Clock(), file=file)
    can.load()
    can.refuse(["cache"], "m", "no")
    can.save()
    again = Capabilities("a", now=Clock(), file=file)
    again.load()
    assert again.refused("cache", "m")


def test_a_file_of_wrong_values_harms_nothing(tmp_path: Path) -> None:
    file = tmp_path / "servers.json"
    wrong: list[Any] = [None, -1, "x", [], {}, True]
    for value in wrong:
        server = {"seen": value, "refused": {"m": {"effort": value, "nonsense": 1.0}}, "models": {"m": value}}
        full = {"asked": 1.0, "context_window": value, "features": value, "efforts": [], "fallbacks": []}
        server["models"]["n"] = full  # type: ignore[index]
        file.write_text(json.dumps({"version": 1, "servers": {"a": server, "b": value}}))
        can = Capabilities("a", now=lambda: 2.0, file=file)
        can.load()
        can.refuse(["cache"], "m", "no")
        can.save()


@pytest.mark.parametrize(
    ("entry", "window", "output"),
    [
        ({"id": "m", "max_input_tokens": 1_000_000, "max_tokens": 128_000}, 1_000_000, 128_000),
        ({"id": "m", "max_model_len": 32_768}, 32_768, None),
        ({"id": "m", "meta": {"n_ctx_train": 131_072, "n_params": 5}}, 131_072, None),
        ({"id": "m", "meta": {"n_ctx_train": 131_072, "n_ctx": 4096}}, 4096, None),
        ({"id": "m", "context_length": 65_536, "top_provider": {"max_completion_tokens": 8000}}, 65_536, 8000),
        ({"id": "m", "max_context_length": 131_072, "loaded_context_length": 4096}, 4096, None),
        ({"id": "m", "model_info": {"max_input_tokens": 9000, "max_output_tokens": 900}}, 9000, 900),
        ({"id": "m", "max_model_len": -1, "context_length": "many", "n_ctx": True}, None, None),
        ({"id": "m"}, None, None),
    ],
)
def test_limits_in_the_forms_of_many_servers(entry: dict[str, Any], window: int | None, output: int | None) -> None:
    facts = described_facts("m", entry, 0.0)
    assert (facts.context_window, facts.max_output) == (window, output)
    catalog = load_catalog()
    catalog.learn(facts)
    found = catalog.find("m")
    assert found.context_window == (window or 200_000)
    assert found.known == (window is not None)


YES = {"supported": True}


def test_a_server_may_allow_less_than_the_catalog_says() -> None:
    catalog = load_catalog()
    catalog.learn(described_facts("claude-sonnet-5-5", {"max_input_tokens": 200_000, "max_tokens": 500_000}, 0.0))
    assert catalog.find("sonnet").context_window == 200_000
    assert catalog.find("sonnet").max_output == 128_000


def test_a_model_is_asked_for_no_effort_that_it_does_not_have() -> None:
    yes, no = {"supported": True}, {"supported": False}
    effort = {"supported": True, "low": yes, "medium": yes, "high": yes, "max": no}
    entry = {"capabilities": {"effort": effort, "thinking": {"types": {"adaptive": yes}}, "structured_outputs": no}}
    can = Capabilities("", now=Clock())
    can.learn(described_facts(SONNET.id, entry, 0.0))
    assert "output_config" in make_head(SONNET, RequestOptions(effort="high"), can).fields
    assert "output_config" not in make_head(SONNET, RequestOptions(effort="max"), can).fields
    assert not can.offers("strict_tools", SONNET.id)


def test_the_end_of_a_model_is_told_in_time() -> None:
    def facts(**more: Any) -> Any:
        return described_facts("m", {"lifecycle": "active", **more}, 0.0)

    now = 1_790_000_000.0
    assert retirement(facts(), now) == ""
    assert retirement(facts(retires_at="2030-01-01T00:00:00Z"), now) == ""
    assert "retires on 2026-10-20" in retirement(facts(retires_at="2026-10-20T00:00:00Z"), now)
    assert "was to retire on 2026-01-20" in retirement(facts(retires_at="2026-01-20T00:00:00Z"), now)
    assert "is retired" in retirement(facts(lifecycle="retired"), now)
    for wrong in ("soon", 5, None, "2026-10-20", "99999-01-01T00:00:00Z"):
        assert retirement(facts(retires_at=wrong), now) == ""


async def test_thinking_is_shown_only_where_it_is_asked_for(talk: Talk) -> None:
    for display, shown in (("summarized", True), ("omitted", False), (None, False)):
        thinking = {"type": "adaptive", **({"display": display} if display else {})}
        response = await talk.send("read a.py", thinking=thinking)
        assert response.content[0]["type"] == "thinking"
        assert response.content[0]["signature"]
        assert bool(response.content[0]["thinking"]) == shown


async def test_facts_are_kept_between_starts(serve: Any, tmp_path: Path) -> None:
    server = serve()
    for _ in range(2):
        client = ModelClient(
            base_url=server.base_url, api_key="k", runtime=Runtime(), capabilities_file=tmp_path / "servers.json"
        )
        facts = await client.ask_facts("claude-haiku-5-5")
        assert facts is not None
        assert facts.described
        assert facts.context_window == 1_000_000
        await client.close()
    assert [request.path for request in server.all_requests] == ["/v1/models/claude-haiku-5-5"]


async def test_strict_is_taken_out_of_every_request_of_a_server_that_refuses_it(old: Any, connect: Any) -> None:
    server = old({"strict_tools": "tools.0.custom.strict: Extra inputs are not permitted"})
    talk = connect(server.base_url)
    talk.client.capabilities.learn(described_facts(SONNET.id, {"capabilities": {"structured_outputs": YES}}, 0.0))
    tools = [{"name": "read", "input_schema": {"type": "object"}, "strict": True}]
    for _ in range(2):
        body = body_of("say 5", tools=tools)
        await talk.client.stream(ModelRequest(body["model"], json.dumps(body).encode()), talk.on_deltas)
    assert ["strict" in json.dumps(request.body) for request in server.requests] == [False, False]
    assert len(talk.client.capabilities.take_news()) == 1


async def test_a_server_that_says_nothing_of_strict_tools_is_sent_none(serve: Any, connect: Any) -> None:
    server = serve()
    talk = connect(server.base_url)
    tools = [{"name": "read", "input_schema": {"type": "object", "additionalProperties": False}, "strict": True}]
    body = body_of("say 5", tools=tools)
    await talk.client.stream(ModelRequest(body["model"], json.dumps(body).encode()), talk.on_deltas)
    assert "strict" not in json.dumps(server.requests[-1].body)
    await talk.client.ask_facts(body["model"])
    await talk.client.stream(ModelRequest(body["model"], json.dumps(body).encode()), talk.on_deltas)
    assert server.requests[-1].body["tools"] == tools


@pytest.mark.parametrize(
    "words",
    [
        "tools: Schemas contain too many optional parameters (31). The maximum across all strict tools is 24.",
        "tools.2: Schema is too complex for compilation.",
        "Too many strict tools (21). The maximum number of strict tools supported is 20.",
    ],
)
def test_a_schema_that_is_too_much_for_the_server_is_about_strict_tools(words: str) -> None:
    assert named_feature(words, {"thinking", "strict_tools", "cache"}) == "strict_tools"


def test_what_a_server_searched_is_text_for_one_that_cannot() -> None:
    call = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "marzipan"}}
    found = {"type": "web_search_result", "title": "T", "url": "https://example.org", "encrypted_content": "E"}
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [found]}
    body = body_of("hi", tools=[{"type": "web_search_20260318", "name": "web_search", "max_uses": 1}])
    body["messages"].append({"role": "assistant", "content": [call, result]})
    assert "web_search" in features_of(body)
    changed, _ = without(json.dumps(body).encode(), ["web_search"])
    plain = json.loads(changed)
    assert plain["tools"] == []
    assert [block["type"] for block in plain["messages"][-1]["content"]] == ["text", "text"]
    assert "marzipan" in changed.decode()
    assert "T https://example.org" in changed.decode()
    assert "web_search" not in features_of(plain)
