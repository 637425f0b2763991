"""The `ask` tool: a question to the user."""

from __future__ import annotations

from tui_agent.events import Intent
from tui_agent.tools.base import PureTool
from tui_agent.workflow import Call, Outcome, ToolContext, text_result


class Ask(PureTool):
    """Waits for the answer. After a crash the question is simply there again."""

    def title(self, call: Call) -> str:
        """Return the question."""
        return f"ask {call.input['question']}"

    async def run(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Ask."""
        options = call.input.get("options")
        answer = await context.ask(
            str(call.input["question"]), [str(option) for option in options] if isinstance(options, list) else []
        )
        return Outcome(text_result(f"The user answers: {answer}"), summary=answer.split("\n")[0], view=answer)
