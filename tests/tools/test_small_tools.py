from __future__ import annotations

import pytest

from tests.tools.support import Bench, text
from tui_agent.events import TodoItem


async def test_todo(bench: Bench) -> None:
    items = [{"text": "a", "state": "done"}, {"text": "b", "state": "active"}]
    outcome = await bench.do("todo", items=items)
    assert bench.todo == [TodoItem(text="a", state="done"), TodoItem(text="b", state="active")]
    assert outcome.view == "[x] a\n[>] b"
    assert text(outcome) == "The list is set: 2 items, 1 done."
    assert text(await bench.do("todo", items=[])) == "The list is set: 0 items, 0 done."


async def test_ask(bench: Bench) -> None:
    outcome = await bench.do("ask", question="Which colour?", options=["red", "blue"])
    assert bench.asked == [("Which colour?", ["red", "blue"])]
    assert text(outcome) == "The user answers: blue"


async def test_task(bench: Bench) -> None:
    outcome = await bench.do("task", agent="explore", prompt="find x")
    assert text(outcome) == "explore says: find x"


@pytest.mark.parametrize("tool", ["todo", "ask", "task", "read", "glob", "grep", "bash_output"])
async def test_what_changes_nothing_is_run_again(bench: Bench, tool: str) -> None:
    given: dict[str, dict[str, object]] = {
        "todo": {"items": []},
        "ask": {"question": "q"},
        "task": {"agent": "plan", "prompt": "p"},
        "glob": {"pattern": "*"},
        "grep": {"pattern": "x"},
        "bash_output": {"id": "x"},
    }
    call = bench.call(tool, **given.get(tool, {"path": "."}))
    plan = await bench.plan(call)
    assert plan.intent.effect == "pure"
    assert plan.title
    assert (await bench.probe(call, plan.intent)).state == "not_started"
