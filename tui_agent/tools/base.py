"""What tools have in common."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from tui_agent.events import Intent
from tui_agent.sandbox import Sandbox
from tui_agent.tools.files import Target, display, resolve
from tui_agent.workflow import Call, Finding, Outcome, Plan, ToolContext


class PureTool:
    """A tool that changes nothing: a crash leaves nothing to look for, it is simply run again."""

    def title(self, call: Call) -> str:
        """Return one line for the screen."""
        return call.tool

    takes_path = False
    """Whether the call's `path` names what it reads: that is held open from the plan on."""

    async def plan(self, call: Call, context: ToolContext) -> Plan:
        """Return the plan, with what the call's path names held open. Raises `ToolError` where it cannot be."""
        target = await asyncio.to_thread(_held_target, call, context) if self.takes_path else None
        return Plan(Intent(effect="pure", key=call.step), self.title(call), target=target)

    async def run(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Do it."""
        raise NotImplementedError

    async def probe(self, call: Call, intent: Intent, context: ToolContext) -> Finding:
        """Say that it can be run again."""
        return Finding("not_started", "it changes nothing, so it is simply run again")

    async def attach(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Refuse: there is nothing that outlives a crash."""
        raise NotImplementedError(f"{call.tool} leaves nothing running")


def _held_target(call: Call, context: ToolContext) -> Target:
    """Return what the call names, held open. Raises `ToolError`: what cannot be held now is not looked up later."""
    target = target_of(call, context)
    assert target.held
    return target


def target_of(call: Call, context: ToolContext, *, reading: bool = True) -> Target:
    """Return what the call's `path` names; without one, the workspace. Raises `ToolError` for no path.

    What was planned and decided on is what is meant, wherever the path leads by now. A path in `/tmp` is one in the
    folder that commands see there.
    """
    if isinstance(context.target, Target):
        return context.target
    path = str(call.input.get("path", "."))
    return locate(path, context.workspace, context.runtime.home, context.sandbox, reading=reading)


def locate(path: str, workspace: Path, home: Path, sandbox: Sandbox | None, *, reading: bool) -> Target:
    """Return what a path names for a tool; one in `/tmp` is in the folder that commands see there.

    Raises `ToolError` for no path. Blocking.
    """
    temporary = sandbox.temporary() if sandbox is not None else None
    if temporary is None:
        return resolve(path, workspace, home)
    target = resolve(temporary.locate(path, reading=reading), workspace, home)
    return replace(target, shown=display(temporary.shown(str(target.real)))) if not target.inside else target
