"""The practice grammar, as a user types it and as the client sees it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.conftest import TOOLS, Talk, assistant, body_of, results
from tui_agent.models import load_catalog
from tui_agent.models.offline import HELP
from tui_agent.models.offline.answer import Message
from tui_agent.models.offline.grammar import VERBS, NotUnderstoodError, parse
from tui_agent.models.offline.player import Player
from tui_agent.models.offline.prose import markdown
from tui_agent.models.offline.request import Request
from tui_agent.models.offline.rules import check_body
from tui_agent.models.offline.tokens import text_tokens


def calls(prompt: str) -> list[list[tuple[str, Any]]]:
    return [[(step.call.tool, step.call.input) for step in group.steps] for group in parse(prompt)]


FORMS = [
    ("read a.py", "read", {"path": "a.py"}),
    ("READ a b.py", "read", {"path": "a b.py"}),
    ("read a.py:10-20", "read", {"path": "a.py", "offset": 10, "limit": 11}),
    ("read a.py:7", "read", {"path": "a.py", "offset": 7}),
    ("list", "glob", {"pattern": "**/*"}),
    ("list src", "glob", {"pattern": "**/*", "path": "src"}),
    ("search def main", "grep", {"pattern": "def main"}),
    ("search x in y in src", "grep", {"pattern": "x in y", "path": "src"}),
    ("run echo a then b", "bash", {"command": "echo a then b"}),
    ("write a.txt: hello", "write", {"path": "a.txt", "content": "hello\n"}),
    ("write a.py:\nif x:\n    y()\n", "write", {"path": "a.py", "content": "if x:\n    y()\n"}),
    ("edit a.py: x = 1 => x = 2", "edit", {"path": "a.py", "edits": [{"old": "x = 1", "new": "x = 2"}]}),
    ("edit a.py: x =>", "edit", {"path": "a.py", "edits": [{"old": "x", "new": ""}]}),
    (
        "plan A; B;",
        "todo",
        {"items": [{"text": "A", "state": "pending"}, {"text": "B", "state": "pending"}]},
    ),
    ("ask which one?", "ask", {"question": "which one?"}),
    ("explore where is the login", "task", {"agent": "explore", "prompt": "search login"}),
    ("explore is f (x)", "task", {"agent": "explore", "prompt": r"search is f \(x\)"}),
    ("explore read a.py", "task", {"agent": "explore", "prompt": "read a.py"}),
]


@pytest.mark.parametrize(("prompt", "tool", "inputs"), FORMS)
def test_form(prompt: str, tool: str, inputs: dict[str, Any]) -> None:
    assert calls(prompt) == [[(tool, inputs)]]


def test_lines_that_only_look_share_a_turn_and_then_does_not() -> None:
    shape = lambda prompt: [[tool for tool, _ in group] for group in calls(prompt)]  # noqa: E731
    assert shape("read a\nread b\nlist") == [["read", "read", "glob"]]
    assert shape("read a then read b") == [["read"], ["read"]]
    assert calls("read a, THEN  read b") == [[("read", {"path": "a"})], [("read", {"path": "b"})]]
    assert shape("read a\nrun b\nrun c\nread d") == [["read"], ["bash"], ["bash"], ["read"]]
    assert shape("write a: x\ny\nread a") == [["write"], ["read"]]
    assert shape("say 5\nread a\nsay 5") == [["read"], []]


@pytest.mark.parametrize(
    "prompt", ["reads a", "read", "say x", "say 0", "say 999999999", "edit a: b", "write a", "plan ;", "run"]
)
def test_what_is_not_of_the_grammar(prompt: str) -> None:
    with pytest.raises(NotUnderstoodError, match="line 1"):
        parse(prompt)


def test_nothing_is_done_when_a_line_is_not_understood() -> None:
    with pytest.raises(NotUnderstoodError, match="line 2: 'dance'"):
        parse("read a\ndance")


@given(st.integers(1, 3000))
def test_say_is_exactly_as_long_as_asked(tokens: int) -> None:
    text = markdown(tokens)
    assert len(text) == tokens * 4
    assert text_tokens(text) == tokens
    assert text.isascii()
    assert text.count("```") % 2 == 0


def test_every_form_is_in_the_help() -> None:
    assert all(f"`{verb}" in HELP for verb in VERBS)


prompts = st.text(max_size=80) | st.lists(
    st.tuples(st.sampled_from(VERBS), st.sampled_from([" ", ": ", " => ", "\n", " then ", ""]), st.text(max_size=15)),
    max_size=5,
).map(lambda parts: "\n".join(f"{verb} {text}{mark}{text}" for verb, mark, text in parts))


@settings(max_examples=300)
@given(prompts, st.booleans(), st.booleans())
def test_any_text_gets_a_valid_conversation_to_its_end(prompt: str, thinking: bool, fail: bool) -> None:
    if not prompt.strip() or "\ud800" <= max(prompt) <= "\udfff":
        return
    catalog, player = load_catalog(), Player()
    messages: list[Any] = [prompt]
    more = {"thinking": {"type": "adaptive"}} if thinking else {}
    for _ in range(30):
        body = body_of(*messages, **more)
        check_body(body, catalog)
        request = Request(body)
        answer = Message(request, player.answer(request), {})
        messages.append({"role": "assistant", "content": answer.content})
        if answer.stop_reason != "tool_use":
            break
        uses = [block["id"] for block in answer.content if block["type"] == "tool_use"]
        messages.append(
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": use, "content": "```\nx\n" * 9, "is_error": fail}
                    for use in uses
                ],
            }
        )
    assert answer.stop_reason in {"end_turn", "max_tokens"}
    check_body(body_of(*messages, "again", **more), catalog)


async def test_anything_else_gets_the_help(talk: Talk) -> None:
    response = await talk.send("Please fix my code")
    assert "no language model" in response.content[0]["text"]
    assert "'Please fix my code'" in response.content[0]["text"]


async def test_steps_come_one_after_the_other_and_the_summary_is_true(talk: Talk) -> None:
    first = await talk.send("read a.py then run make")
    assert [block["name"] for block in first.content if block["type"] == "tool_use"] == ["read"]
    rest: list[Any] = [assistant(first), results(first, "1 import os")]
    second = await talk.send("read a.py then run make", *rest)
    assert [block["name"] for block in second.content if block["type"] == "tool_use"] == ["bash"]
    rest += [assistant(second), results(second, "\n".join(f"line {n}" for n in range(20)))]
    third = await talk.send("read a.py then run make", *rest)
    text = third.content[0]["text"]
    assert third.stop_reason == "end_turn"
    assert "`read a.py`: 1 import os" in text
    assert "`run make` gave 20 lines, the last 8" in text
    assert "line 19" in text
    assert "line 2\n" not in text


async def test_a_failure_ends_the_work_and_says_what_is_left(talk: Talk) -> None:
    first = await talk.send("run make then read a")
    second = await talk.send("run make then read a", assistant(first), results(first, "denied", error=True))
    text = second.content[0]["text"]
    assert second.stop_reason == "end_turn"
    assert "`run make` failed" in text
    assert "Not done: `read a`" in text


async def test_a_missing_tool_is_said(talk: Talk) -> None:
    response = await talk.send("run make", tools=TOOLS[:2])
    assert response.stop_reason == "end_turn"
    assert "does not offer me the tool `bash`" in response.content[0]["text"]


async def test_a_prompt_typed_meanwhile_is_done_too(talk: Talk) -> None:
    first = await talk.send("read a")
    answered = results(first, "x")
    answered["content"].append({"type": "text", "text": "read b"})
    second = await talk.send("read a", assistant(first), answered)
    assert second.content[-1]["input"] == {"path": "b"}


async def test_after_an_interruption_only_the_new_prompt_counts(talk: Talk) -> None:
    first = await talk.send("run a then run b")
    answered = results(first, "cancelled", error=True)
    answered["content"].append({"type": "text", "text": "[The person interrupted this run.]"})
    answered["content"].append({"type": "text", "text": "read c"})
    second = await talk.send("run a then run b", assistant(first), answered)
    assert second.content[-1]["input"] == {"path": "c"}


async def test_compaction_names_prompts_and_files(talk: Talk) -> None:
    first = await talk.send("read src/a.py")
    rest = (assistant(first), results(first, "x"))
    second = await talk.send("read src/a.py", *rest)
    summary = await talk.send("read src/a.py", *rest, assistant(second), "Summarise this conversation for later.")
    text = summary.content[0]["text"]
    assert summary.stop_reason == "end_turn"
    assert "`read src/a.py`" in text
    assert "no language model" in text


async def test_explore_leads_a_subagent_to_its_own_answer(talk: Talk) -> None:
    first = await talk.send("explore where is login handled")
    prompt = first.content[-1]["input"]["prompt"]
    inner = await talk.send(prompt, system="You explore.")
    assert inner.content[-1]["name"] == "grep"
    answer = await talk.send(
        prompt, assistant(inner), results(inner, "src/login.py:3: def login"), system="You explore."
    )
    assert "src/login.py:3: def login" in answer.content[0]["text"]


async def test_the_tools_of_other_programs_are_called_by_their_own_names(talk: Talk) -> None:
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in ("Bash", "Edit", "Glob", "Read", "Write")]
    response = await talk.send("read a.txt:2-3\nlist src", tools=tools)
    calls = [(block["name"], block["input"]) for block in response.content if block["type"] == "tool_use"]
    assert calls == [
        ("Read", {"file_path": "a.txt", "offset": 2, "limit": 2}),
        ("Glob", {"pattern": "**/*", "path": "src"}),
    ]
    for prompt, name, inputs in (
        ("write a.txt: x", "Write", {"file_path": "a.txt", "content": "x\n"}),
        ("edit a.txt: x => y", "Edit", {"file_path": "a.txt", "old_string": "x", "new_string": "y"}),
        ("run make", "Bash", {"command": "make"}),
    ):
        response = await talk.send(prompt, tools=tools)
        assert [(b["name"], b["input"]) for b in response.content if b["type"] == "tool_use"] == [(name, inputs)]
        done = await talk.send(prompt, assistant(response), results(response, "ok"), tools=tools)
        assert done.stop_reason == "end_turn"
        assert "ok" in talk.text
    missing = await talk.send("search x", tools=tools)
    assert "`grep`" in missing.content[0]["text"]
    own = await talk.send("read a.txt", tools=[*tools, {"name": "read", "input_schema": {"type": "object"}}])
    assert [block["name"] for block in own.content if block["type"] == "tool_use"] == ["read"]
