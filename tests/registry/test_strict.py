"""Which tools are strict, and that the offline model, which knows the documented limits, takes all of them."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

from tui_agent.models.catalog import load_catalog
from tui_agent.models.offline.rules import check_body
from tui_agent.registry import assemble_pool, load_tools
from tui_agent.registry.strict import MAX_OPTIONAL, MAX_STRICT_TOOLS, count_optional, strict_schema, strict_tools

ALL = {"subagents", "modes"}


def own_tools(*, strict: bool) -> list[Any]:
    return assemble_pool(load_tools(), allowed=None, capabilities=ALL).api_tools(strict=strict)


def test_the_own_tools_are_strict_and_within_the_limits() -> None:
    tools = own_tools(strict=True)
    body = {"model": "offline", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}], "tools": tools}
    check_body(body, load_catalog())
    lenient = {tool["name"] for tool in tools if not tool.get("strict")}
    assert lenient == {"edit", "write"}  # their input streams as it is written, unchecked
    assert sum(count_optional(tool["input_schema"]) for tool in tools if tool.get("strict")) <= MAX_OPTIONAL


def test_a_strict_schema_refuses_nothing_that_the_whole_one_takes() -> None:
    inputs: list[dict[str, Any]] = [
        {"command": "ls", "timeout": 3600, "access": "full"},
        {"command": "ls"},
        {"pattern": "x", "context": 20, "mode": "files"},
        {"items": [{"text": "a", "state": "done"}]},
        {"question": "which?", "options": ["a", "b"]},
        {"path": "a", "offset": 1, "limit": 2},
    ]
    for whole, strict in zip(own_tools(strict=False), own_tools(strict=True), strict=True):
        for given in inputs:
            if Draft202012Validator(whole["input_schema"]).is_valid(given):
                assert Draft202012Validator(strict["input_schema"]).is_valid(given)


def test_limits_that_cannot_be_guaranteed_are_told() -> None:
    tools = {tool["name"]: tool["input_schema"]["properties"] for tool in own_tools(strict=True)}
    assert tools["bash"]["timeout"]["description"].endswith("{maximum: 3600}")
    assert tools["bash"]["access"]["type"] == "string"


def test_what_cannot_be_expressed_stays_as_it_is() -> None:
    for schema in (
        {"type": "object", "properties": {}},
        {"type": "object", "additionalProperties": False, "properties": {"a": {"type": "object"}}},
        {"type": "object", "additionalProperties": False, "patternProperties": {"a": {}}},
        {"type": "object", "additionalProperties": False, "properties": {"a": {"enum": [1, "a"]}}},
        None,
    ):
        assert strict_schema(schema) is None


def test_no_request_has_more_strict_tools_than_the_server_takes() -> None:
    schema: Any = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    made = strict_tools({"name": f"t{number}", "input_schema": schema} for number in range(40))
    assert sum("strict" in tool for tool in made) == MAX_STRICT_TOOLS
    wide: Any = {**schema, "properties": {f"p{number}": {"type": "string"} for number in range(10)}}
    made = strict_tools({"name": f"t{number}", "input_schema": wide} for number in range(5))
    assert ["strict" in tool for tool in made] == [True, True, False, False, False]
