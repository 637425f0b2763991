"""Answers of servers that are careless with the ids of tool calls, and endings nobody knows."""

from __future__ import annotations

from itertools import count

import pytest

from tui_agent.agents.calls import with_distinct_calls
from tui_agent.agents.ending import ending_of_answer
from tui_agent.budget import BudgetState
from tui_agent.context import AnswerStop
from tui_agent.events import JsonObject


def call(name: str, given: object = "x", **value: str) -> JsonObject:
    block: JsonObject = {"type": "tool_use", "name": name, "input": dict(value)}
    if given is not None:
        block["id"] = given  # type: ignore[assignment]  # what a server may send
    return block


def distinct(*blocks: JsonObject, known: set[str] | None = None) -> tuple[list[JsonObject], list[str]]:
    numbers = count(1)
    return with_distinct_calls(list(blocks), known or set(), lambda: f"new{next(numbers)}")


def test_a_call_that_a_server_sends_twice_is_kept_once() -> None:
    blocks, problems = distinct(
        call("bash", command="ls"), {"type": "text", "text": "and"}, call("bash", command="ls")
    )
    assert [block["type"] for block in blocks] == ["tool_use", "text"]
    assert "twice" in problems[0]


def test_two_calls_with_one_id_are_told_apart() -> None:
    blocks, problems = distinct(call("read", path="a"), call("read", path="b"), call("bash", command="ls"))
    assert [block["id"] for block in blocks] == ["x", "new1", "new2"]
    assert len(problems) == 2


@pytest.mark.parametrize("given", [None, "", 7])
def test_a_call_without_an_id_gets_one(given: object) -> None:
    assert distinct(call("read", given, path="a"))[0][0]["id"] == "new1"


def test_an_id_of_an_earlier_answer_is_not_used_again() -> None:
    assert distinct(call("read", path="a"), known={"x"})[0][0]["id"] == "new1"


def test_an_answer_without_calls_is_as_it_was() -> None:
    blocks: list[JsonObject] = [{"type": "thinking", "thinking": "", "signature": "s"}, {"type": "text", "text": "a"}]
    assert distinct(*blocks) == (blocks, [])


@pytest.mark.parametrize("reason", ["length", "content_filter", "tool_use"])
def test_an_ending_that_is_not_known_is_never_done(reason: str) -> None:
    ending = ending_of_answer(AnswerStop(reason), BudgetState(), 0.0)
    assert ending.outcome == "failed"
    assert ending.reason


def test_a_full_window_that_shortened_the_answer_is_named() -> None:
    ending = ending_of_answer(AnswerStop("max_tokens", "", 300, "window"), BudgetState(), 0.0)
    assert (ending.outcome, "/compact" in ending.hint) == ("window_full", True)
