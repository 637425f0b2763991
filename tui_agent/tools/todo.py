"""The `todo` tool: the agent's list of what is to do, shown to the user."""

from __future__ import annotations

from typing import Literal, cast

from tui_agent.events import Intent, TodoItem
from tui_agent.tools.base import PureTool
from tui_agent.tools.views import count
from tui_agent.workflow import Call, Outcome, ToolContext, text_result

_MARKS = {"pending": "[ ]", "active": "[>]", "done": "[x]"}


class Todo(PureTool):
    """Replaces the whole list."""

    def title(self, call: Call) -> str:
        """Return how much of the list is done."""
        items = _items(call)
        done = sum(item.state == "done" for item in items)
        return f"todo {done}/{len(items)} done"

    async def run(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Set the list."""
        items = _items(call)
        await context.set_todo(items)
        done = sum(item.state == "done" for item in items)
        summary = f"{count(len(items), 'item')}, {done} done"
        view = "\n".join(f"{_MARKS[item.state]} {item.text}" for item in items)
        return Outcome(text_result(f"The list is set: {summary}."), summary=summary, view=view)


def _items(call: Call) -> list[TodoItem]:
    given = call.input["items"]
    assert isinstance(given, list)
    return [
        TodoItem(text=str(item["text"]), state=cast("Literal['pending', 'active', 'done']", str(item["state"])))
        for item in given
        if isinstance(item, dict)
    ]
