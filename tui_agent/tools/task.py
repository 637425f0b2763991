"""The `task` tool: a subagent."""

from __future__ import annotations

import asyncio

from tui_agent.events import Intent
from tui_agent.tools.base import PureTool
from tui_agent.tools.spill import cut_result
from tui_agent.tools.views import cut_view
from tui_agent.workflow import Call, Outcome, ToolContext, text_result

MOST_LINES = 2_000
MOST_CHARACTERS = 50_000


class Task(PureTool):
    """Runs a subagent and returns its final answer; the subagent's own steps are journalled for themselves."""

    def title(self, call: Call) -> str:
        """Return the agent type and the first line of its prompt."""
        prompt = str(call.input["prompt"]).strip().split("\n")[0]
        return f"task {call.input['agent']}: {prompt}"

    async def run(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Run it."""
        log: list[str] = []

        async def show(line: str) -> None:
            log.append(line)
            await context.output(line)

        answer = await context.run_agent(str(call.input["agent"]), str(call.input["prompt"]), show)
        text = await asyncio.to_thread(cut_result, context, answer, lines=MOST_LINES, characters=MOST_CHARACTERS)
        return Outcome(
            text_result(text),
            summary=str(call.input["agent"]),
            view=cut_view("\n".join(["".join(log), answer]) if log else answer),
        )
