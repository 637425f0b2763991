"""The `exit_plan` tool: a finished plan, which the user approves or sends back. Approval ends plan mode."""

from __future__ import annotations

from tui_agent.events import Intent
from tui_agent.tools.base import PureTool
from tui_agent.workflow import Call, Outcome, Plan, ToolContext, ToolError, text_result

MODE_AFTER = "ask"
"""The mode after a plan is approved by somebody who names none."""


class ExitPlan(PureTool):
    """Waits for the user's decision on a plan; once it is approved, changes the session's mode to the one chosen."""

    def title(self, call: Call) -> str:
        """Return the plan's first line."""
        lines = str(call.input["plan"]).strip().splitlines()
        first = lines[0].lstrip("# ").strip() if lines else ""
        return f"plan: {first}" if first else "plan"

    async def plan(self, call: Call, context: ToolContext) -> Plan:
        """Return the plan for the user to read. Raises `ToolError` outside plan mode."""
        mode = context.mode()
        if mode != "plan":
            raise ToolError(f"The mode is {mode}, not plan: there is nothing to approve. Go on with the work.")
        return Plan(Intent(effect="pure", key=call.step), self.title(call), preview=str(call.input["plan"]))

    async def run(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Change the mode: the plan has been approved. Run again after a crash, it changes nothing more."""
        if context.mode() == "plan":
            await context.set_mode(context.chosen_mode or MODE_AFTER)
        mode = context.mode()
        text = f"The user approved the plan. The mode is {mode} now: carry the plan out."
        return Outcome(text_result(text), summary=f"approved; the mode is {mode}", view=str(call.input["plan"]))
