"""Carrying out a compaction: ask the model for a summary, begin a new history with it, leave a receipt."""

from __future__ import annotations

from collections.abc import Sequence

from tui_agent.agents import Services
from tui_agent.context import (
    History,
    build_receipt,
    build_request,
    carry_over,
    guard_prefix,
    summary_request,
)
from tui_agent.events import MAIN_AGENT, ContextCompacted, Event, Notice
from tui_agent.journal import Recorder
from tui_agent.models import Delta, ModelError, ModelRequest
from tui_agent.session.errors import SessionError
from tui_agent.session.state import SessionState

SUMMARY_TOKENS = 8_000
"""Output tokens a summary may have."""


async def compact(
    services: Services, recorder: Recorder, history: History, state: SessionState, instructions: str
) -> None:
    """Replace the main agent's history by a summary of it. Raises `SessionError` when there is none to be had."""
    if not history.message_count:
        raise SessionError("there is nothing to compact yet")
    model = services.catalog.find(state.conversation.model)
    trial = history.with_prompt(summary_request(instructions))
    request = build_request(trial, model=model.id, max_tokens=SUMMARY_TOKENS, options=model.options)
    guard_prefix(trial, request)

    async def ignore(deltas: Sequence[Delta]) -> None:
        """A summary is shown when it is whole."""

    try:
        response = await services.client.stream(ModelRequest(model.id, request.body), ignore)
    except ModelError as error:
        message = f"The conversation was not compacted: {error.kind}: {error.message}"
        await recorder.record(Notice(level="error", code="compaction", message=message))
        raise SessionError(message) from error
    summary = "\n\n".join(str(b["text"]) for b in response.content if b.get("type") == "text").strip()
    if not summary:
        raise SessionError("the model gave no summary; the conversation stays as it is")
    messages = carry_over(summary, state.workflow.todo)
    events = await _events_since(services, state.conversation.history_start)
    tokens_after = sum(len(str(message)) for message in messages) // 4
    receipt = build_receipt(
        events,
        todo=state.workflow.todo,
        unresolved=[step.title or step.tool for step in state.workflow.steps.values()],
        tokens_before=request.estimated_tokens,
        tokens_after=tokens_after,
    )
    await recorder.record(
        ContextCompacted(
            messages=messages,
            summary=summary,
            receipt=receipt,
            usage=response.usage,
            cost=services.catalog.cost(response.usage, model.id),
        )
    )


async def _events_since(services: Services, start: int) -> list[Event]:
    events: list[Event] = []
    after = max(start - 1, 0)
    while page := await services.find_events(after, agent=MAIN_AGENT):
        events += page
        after = page[-1].seq or 0
    return events
