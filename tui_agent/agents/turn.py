"""One turn: a request, its attempts, its response, all in the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tui_agent.agents.services import Services
from tui_agent.context import Request
from tui_agent.events import (
    EventBase,
    JsonObject,
    StepPlanned,
    TurnDelta,
    TurnFailed,
    TurnFinished,
    TurnProjected,
    TurnStarted,
    Usage,
)
from tui_agent.journal import Recorder
from tui_agent.models import Delta, Model, ModelError, ModelRequest, Response, backoff

CHARACTERS_PER_TOKEN = 4
"""A rough ratio, for booking what a broken answer cost when the server did not say."""

PlanSteps = Callable[[str, list[JsonObject]], list[StepPlanned]]
"""Makes the planned steps of a response: called with the turn's id and the content blocks."""


@dataclass
class Turn:
    """One model request of an agent; `take` sees it through."""

    services: Services
    recorder: Recorder
    model: Model
    id: str
    number: int
    request: Request
    max_output_tokens: int
    attempt: int = 0
    _partial: dict[int, Delta] = field(default_factory=dict)

    async def take(self, plan: PlanSteps) -> TurnFinished | TurnFailed:
        """Send the request until it is answered or cannot be; return how it ended, which is on disk by then.

        The steps that the response asks for are planned in the same transaction. Cancelled by the person, the
        turn is recorded as interrupted, with what had arrived.
        """
        try:
            return await self._attempt(plan)
        except asyncio.CancelledError:
            if self.services.interrupting:
                await self._interrupted()
            raise

    async def _attempt(self, plan: PlanSteps) -> TurnFinished | TurnFailed:
        while True:
            self.attempt += 1
            self._partial.clear()
            await self._announce()
            begun = self.services.runtime.monotonic()
            try:
                request = ModelRequest(self.model.id, self.request.body)
                response = await self.services.client.stream(request, self._show)
            except ModelError as error:
                failed = await self._fail(error)
                if failed.retry_seconds is None:
                    return failed
                self._partial.clear()
                await self.services.runtime.sleep(failed.retry_seconds)
            else:
                return await self._finish(response, self.services.runtime.monotonic() - begun, plan)

    async def _announce(self) -> None:
        events: list[EventBase] = []
        if self.attempt == 1:
            usage = Usage(input_tokens=self.request.estimated_tokens, output_tokens=self.max_output_tokens)
            projected = TurnProjected(
                turn=self.id,
                input_tokens=self.request.estimated_tokens,
                max_output_tokens=self.max_output_tokens,
                max_cost=self.services.catalog.cost(usage, self.model.id),
            )
            events.append(projected)
        started = TurnStarted(
            turn=self.id,
            model=self.model.id,
            number=self.number,
            attempt=self.attempt,
            message_count=self.request.message_count,
            prefix=self.request.digest,
        )
        await self.recorder.record(*events, started)

    async def _show(self, deltas: Sequence[Delta]) -> None:
        for delta in deltas:
            known = self._partial.get(delta.block)
            text = known.text + delta.text if known else delta.text
            self._partial[delta.block] = Delta(delta.block, delta.kind, text, delta.tool)
        await self.recorder.stream(
            *(TurnDelta(turn=self.id, block=d.block, kind=d.kind, text=d.text, tool=d.tool) for d in deltas)
        )

    async def _finish(self, response: Response, seconds: float, plan: PlanSteps) -> TurnFinished:
        finished = TurnFinished(
            turn=self.id,
            model=response.model,
            content=response.content,
            stop_reason=response.stop_reason,
            stop_detail=response.stop_detail,
            usage=response.usage,
            cost=self.services.catalog.cost(response.usage, self.model.id),
            seconds=seconds,
            message_id=response.message_id,
            cache_miss_reason=response.cache_miss_reason,
        )
        await self.recorder.record(finished, *plan(self.id, response.content), drop_chunks=[self.id])
        return finished

    async def _fail(self, error: ModelError) -> TurnFailed:
        retry = None
        if error.retryable:
            retry = backoff(self.attempt, error.retry_after, self.services.runtime.random)
        usage = error.usage
        if usage.total_tokens == 0 and self._partial:
            usage = self._estimated_usage()
        failed = TurnFailed(
            turn=self.id,
            attempt=self.attempt,
            kind=error.kind,
            message=error.message,
            partial=error.partial if retry is None else [],
            usage=usage,
            cost=self.services.catalog.cost(usage, self.model.id) if usage.total_tokens else 0.0,
            retry_seconds=retry,
        )
        await self.recorder.record(failed, drop_chunks=[self.id])
        return failed

    async def _interrupted(self) -> None:
        usage = self._estimated_usage() if self._partial else Usage()
        failed = TurnFailed(
            turn=self.id,
            attempt=self.attempt,
            kind="interrupted",
            message="Interrupted.",
            partial=partial_blocks(self._partial.values()),
            usage=usage,
            cost=self.services.catalog.cost(usage, self.model.id) if usage.total_tokens else 0.0,
        )
        await self.recorder.record(failed, drop_chunks=[self.id])

    def _estimated_usage(self) -> Usage:
        written = sum(len(delta.text) for delta in self._partial.values())
        return Usage(
            input_tokens=self.request.estimated_tokens,
            output_tokens=written // CHARACTERS_PER_TOKEN + 1,
            estimated=True,
        )


def partial_blocks(deltas: Iterable[Delta]) -> list[JsonObject]:
    """Return deltas, one for each block and whole, as content blocks: text and thinking, for people to see."""
    blocks: list[JsonObject] = []
    for delta in deltas:
        if delta.kind == "text":
            blocks.append({"type": "text", "text": delta.text})
        elif delta.kind == "thinking":
            blocks.append({"type": "thinking", "thinking": delta.text})
    return blocks
