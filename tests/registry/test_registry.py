from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_agent.registry import (
    RegistryError,
    assemble_pool,
    implementation,
    load_commands,
    load_tools,
    validate_input,
)
from tui_agent.registry.registry import parse_commands, parse_tool

GOOD = 'description = "d"\neffect = "pure"\nimplementation = "m:C"\n[input_schema]\ntype = "object"\n'


def test_listing_imports_no_implementation() -> None:
    program = (
        "import sys; from tui_agent.registry import *; t = load_tools(); load_commands();"
        "assemble_pool(t, allowed=None, capabilities=set()).api_tools();"
        "print(*(m for m in sys.modules if m.startswith('tui_agent.tools') or m == 'jsonschema'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_tool_has_an_implementation_and_a_sound_schema() -> None:
    for metadata in load_tools().values():
        tool = implementation(metadata)
        for method in ("title", "plan", "run", "probe", "attach"):
            assert callable(getattr(tool, method))
        validate_input(metadata, {})
        assert metadata.input_schema["additionalProperties"] is False


def test_the_everyday_tools_are_small() -> None:
    pool = assemble_pool(load_tools(), allowed=None, capabilities={"subagents", "modes"})
    sent = json.dumps(pool.api_tools(), ensure_ascii=False, separators=(",", ":")).encode()
    assert len(pool.tools) >= 9
    assert len(sent) / 4 < 1_700


def test_commands_have_unique_keys() -> None:
    commands = load_commands()
    keys = [key for command in commands.values() for key in command.keys]
    assert len(keys) == len(set(keys))
    assert {"help", "quit", "new", "sessions", "fork", "compact", "model", "mode"} <= set(commands)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("description = \n", "x.toml: .*line 1"),
        (GOOD.replace('"pure"', '"harmless"'), "'effect' must be one of pure, checkable"),
        (GOOD.replace("effect", "effekt"), "unknown key 'effekt'"),
        (GOOD.replace('effect = "pure"\n', ""), "'effect' is missing"),
        (GOOD.replace('"d"', "5"), "'description' must be a str"),
        (GOOD.replace('"object"', '"array"'), "type must be"),
    ],
)
def test_bad_metadata_is_named(text: str, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        parse_tool("x", text, "x.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[command]]\nname = 'a'\ndescription = 'd'\nwhere = 'here'", "where must be"),
        ("[[command]]\nname = 'a'\ndescription = 'd'\nwhere = 'screen'\n" * 2, "command a is there twice"),
        ("command = 5", "array of tables"),
        ("[[command]]\nwhere = 'screen'", "command 1: 'name' is missing"),
    ],
)
def test_bad_commands_are_named(text: str, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        parse_commands(text, "c.toml")


def test_a_missing_implementation_is_named() -> None:
    with pytest.raises(RegistryError, match="nowhere:Nothing"):
        implementation(parse_tool("x", GOOD.replace("m:C", "tui_agent.nowhere:Nothing"), "x.toml"))


def test_a_bad_schema_is_named() -> None:
    bad = replace(load_tools()["read"], input_schema={"type": "object", "properties": 5})
    with pytest.raises(RegistryError, match="input_schema of read"):
        validate_input(bad, {})


@pytest.mark.parametrize(
    ("tool", "given_input", "messages"),
    [
        ("read", {"path": "a"}, []),
        ("read", {}, ["input: missing path"]),
        ("read", {"path": 5}, ["path: must be string, not integer"]),
        ("read", {"path": "a", "lines": 3}, ["input: unknown lines; known are path, offset, limit"]),
        ("read", {"path": "a", "offset": True}, ["offset: must be integer, not boolean"]),
        ("edit", {"path": "a", "edits": [{}]}, ["edits[0]: missing old, new"]),
        ("grep", {"pattern": "a", "mode": "all"}, ["mode: must be one of content, files, count"]),
        ("bash", {"command": "x", "timeout": 4000}, ["timeout: 4000 is greater than the maximum of 3600"]),
    ],
)
def test_messages_say_what_to_do(tool: str, given_input: dict[str, object], messages: list[str]) -> None:
    assert validate_input(load_tools()[tool], given_input) == messages  # type: ignore[arg-type]  # JSON


def test_many_problems_are_cut() -> None:
    messages = validate_input(load_tools()["todo"], {"items": [5] * 50})
    assert messages[-1] == "and 45 more"


# --- pool -----------------------------------------------------------------------------------------


def test_the_reason_for_each_tool() -> None:
    pool = assemble_pool(load_tools(), allowed={"read", "task", "write"}, capabilities=set())
    reasons = {entry.name: (entry.offered, entry.reason) for entry in pool.entries}
    assert reasons["read"] == (True, "built-in tool")
    assert reasons["task"] == (False, "needs subagents")
    assert reasons["bash"] == (False, "not among the tools of this agent type")
    assert reasons["write"] == (True, "built-in tool")
    assert set(reasons) == set(load_tools())
    assert [tool.name for tool in pool.tools] == ["read", "write"]


@given(st.permutations(sorted(load_tools())))
def test_the_order_sent_is_always_the_same(names: list[str]) -> None:
    tools = load_tools()
    shuffled = {name: tools[name] for name in names}
    pool = assemble_pool(shuffled, allowed=None, capabilities={"subagents", "modes"})
    assert [tool["name"] for tool in pool.api_tools()] == sorted(names)


def test_long_inputs_are_streamed_as_they_are_written() -> None:
    pool = assemble_pool(load_tools(), allowed=None, capabilities=set())
    eager = {tool["name"] for tool in pool.api_tools() if tool.get("eager_input_streaming")}
    assert eager == {"write", "edit"}
