"""What tools have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tui_agent.events import Intent, JsonObject
from tui_agent.tools.files import Target, resolve
from tui_agent.tools.tool import Call, Finding, Outcome, Plan, ToolContext

P = ParamSpec("P")
R = TypeVar("R")


class PureTool:
    """A tool that changes nothing: a crash leaves nothing to look for, it is simply run again."""

    def title(self, call: Call) -> str:
        """Return one line for the screen."""
        return call.tool

    async def plan(self, call: Call, context: ToolContext) -> Plan:
        """Return the plan, which only says whether the call's `path` is inside the workspace."""
        path = call.input.get("path")
        inside = target_of(call, context).inside if isinstance(path, str) else True
        return Plan(Intent(effect="pure", key=call.step), self.title(call), inside=inside)

    async def run(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Do it."""
        raise NotImplementedError

    async def probe(self, call: Call, intent: Intent, context: ToolContext) -> Finding:
        """Say that it can be run again."""
        return Finding("not_started", "it changes nothing, so it is simply run again")

    async def attach(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Refuse: there is nothing that outlives a crash."""
        raise NotImplementedError(f"{call.tool} leaves nothing running")


def target_of(call: Call, context: ToolContext) -> Target:
    """Return what the call's `path` names; without one, the workspace. Raises `ToolError` for no path."""
    return resolve(str(call.input.get("path", ".")), context.workspace, context.runtime.home)


def text_result(text: str) -> list[JsonObject]:
    """Return `text` as the content of a tool_result block; the API refuses empty text."""
    return [{"type": "text", "text": text or "(nothing)"}]


async def to_the_end(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `function` in a thread. Cancelled, wait until it has ended all the same, and then be cancelled.

    A thread cannot be stopped; whoever cancels must not go on while it still writes.
    """
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # taken note of: the cancellation is what is reported
        raise
