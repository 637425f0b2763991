"""The `bash_output` tool: a look at a command that runs in the background."""

from __future__ import annotations

import asyncio
import re

from tui_agent import sandbox
from tui_agent.events import Intent
from tui_agent.tools.base import PureTool
from tui_agent.tools.spool import changed_note, describe_end, left_note, newest_spool, output_view
from tui_agent.tools.views import count
from tui_agent.workflow import Call, Outcome, ToolContext, ToolError, text_result

_KILL_WAIT = 4.0


class BashOutput(PureTool):
    """Shows the state and the output; can wait for the end, and ask for it, which twice is the same as once."""

    def title(self, call: Call) -> str:
        """Return the id and whether the command is to be ended."""
        return f"bash_output {call.input.get('id', '')}".rstrip() + (
            " (kill)" if call.input.get("kill") is True else ""
        )

    async def run(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Look, after waiting as long as was asked for."""
        if "id" not in call.input:
            rows = [f"{step}: {title}" for step, title in context.background().items()]
            text = "\n".join(rows) or "No command runs in the background."
            return Outcome(text_result(text), summary=count(len(rows), "command"), view=text)
        step = str(call.input["id"])
        # The id becomes part of a path.
        spool = None
        if re.fullmatch(r"[A-Za-z0-9_-]+", step):
            spool = await asyncio.to_thread(newest_spool, context.spool.parent, step)
        if spool is None:
            running = ", ".join(context.background()) or "none"
            raise ToolError(f"no command of this session has the id {step!r}; running in the background: {running}")
        given = call.input.get("wait", 0)
        seconds = float(given) if isinstance(given, int | float) else 0.0
        if call.input.get("kill") is True:
            await asyncio.to_thread(sandbox.kill, spool)
            seconds = max(seconds, _KILL_WAIT)

        async def ignore(data: bytes, skipped: int) -> None:
            pass

        try:
            async with asyncio.timeout(seconds):
                record = await sandbox.wait(spool, ignore, context.runtime)
        except TimeoutError:
            record = await asyncio.to_thread(sandbox.inspect, spool)
        view = await asyncio.to_thread(output_view, record)
        state = {
            "never_started": "was never started",
            "running": "still running",
            "died": "died; how far it got is not known",
            "finished": f"ended: {describe_end(record, None)}",
        }[record.state]
        changed = []
        if context.sandbox is not None and record.state == "finished":
            changed = await context.sandbox.after(spool)
        if changed:
            state += f"; {changed_note(changed)}"
        if left := left_note(record):
            state += f"; {left}"
        return Outcome(
            text_result(f"{view or '(no output yet)'}\n[{state}; {count(record.output_bytes, 'byte')} of output]"),
            summary=state,
            view=view,
            exit_code=record.exit_code,
        )
