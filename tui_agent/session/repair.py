"""What a session needs after its damaged file was salvaged, so that its next prompt works and nothing runs twice."""

from __future__ import annotations

from tui_agent.context.mending import LOST_RESULT, SALVAGED
from tui_agent.events import (
    MAIN_AGENT,
    Notice,
    PermissionRevoked,
    PromptWithdrawn,
    RunFinished,
    SessionConfigured,
    StepFinished,
)
from tui_agent.journal import Journal, Recorder
from tui_agent.session.state import SessionState
from tui_agent.workflow.state import Step

_REASON = "this part of the session's file was damaged"


async def repair_salvaged(journal: Journal, state: SessionState) -> None:
    """Close what the lost events left open, if the salvage was the last thing that happened to the session.

    What may have happened unseen is never done again: open calls are closed as unknown, unless their intent is on
    disk and looking can tell. Prompts that waited may have been sent, grants revoked, the mode changed: prompts are
    withdrawn, and grants and modes that allow more than `ask` end.
    """
    last = await journal.read(journal.last_seq - 1)
    if not (last and isinstance(last[-1], Notice) and last[-1].code == SALVAGED):
        return
    recorder = Recorder(journal)
    closed = {step.id for step in state.workflow.steps.values() if await _is_lost(journal, state, step)}
    for step in state.workflow.steps.values():
        if step.id in closed:
            result = StepFinished(
                step=step.id,
                tool=step.tool,
                outcome="error",
                result=[{"type": "text", "text": LOST_RESULT}],
                summary=f"what became of it is not known: {_REASON}",
            )
            await recorder.scoped(step.run, step.agent).record(result)
    main = [run.id for run in state.conversation.runs if run.agent == MAIN_AGENT]
    for run in state.conversation.runs:
        overtaken = run.id in main[:-1] or run.parent_step in closed
        if overtaken:
            ended = RunFinished(outcome="failed", reason=f"its end is not known: {_REASON}", turns=run.turns)
            await recorder.scoped(run.id, run.agent).record(ended)
    for prompt in state.conversation.queued:
        await recorder.record(PromptWithdrawn(prompt_id=prompt.prompt_id))
    for grant in state.permissions.grants:
        await recorder.record(PermissionRevoked(grant=grant.pattern))
    if state.conversation.mode not in {"ask", "plan"}:
        await recorder.record(SessionConfigured(mode="ask"))


async def _is_lost(journal: Journal, state: SessionState, step: Step) -> bool:
    """Say whether looking cannot tell any more what became of an open step."""
    if step.intent is None and step.effect != "pure":
        return True  # that it was begun may be among what was lost
    if step.run not in {run.id for run in state.conversation.runs}:
        return True
    later = await journal.read(step.order, agent=step.agent, types=["turn.started"], limit=1)
    return bool(later)
