"""One turn: a request, its attempts, its response, all in the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from tui_agent.agents.calls import with_distinct_calls
from tui_agent.agents.metering import MeteredRequest
from tui_agent.agents.server_tools import web_notices
from tui_agent.agents.services import Services
from tui_agent.context import INTERRUPTED, AnswerStop, LastTurn, Request, miss_reason
from tui_agent.events import (
    BudgetStopped,
    EventBase,
    JsonObject,
    Notice,
    StepPlanned,
    TurnDelta,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    Usage,
)
from tui_agent.journal import Recorder
from tui_agent.models import (
    Delta,
    ModelError,
    ModelRequest,
    Response,
    backoff,
)

PlanSteps = Callable[[str, list[JsonObject], AnswerStop], list[StepPlanned]]
"""Makes the planned steps of a response: called with the turn's id, the content blocks, and how the answer ended."""


@dataclass
class Turn:
    """One model request of an agent; `take` sees it through.

    `sent` is called with the request once it is on disk that it will be sent; `last` is the agent's turn before;
    `known_calls` are the ids of the tool calls in the history; `notices` are recorded with the first attempt.
    """

    services: Services
    recorder: Recorder
    metered: MeteredRequest
    sent: Callable[[Request], None]
    last: LastTurn | None = None
    known_calls: Collection[str] = ()
    notices: Sequence[Notice] = ()
    attempt: int = 0
    _partial: dict[int, Delta] = field(default_factory=dict)
    _shown: Delta | None = None
    _announced: bool = False
    _over: bool = False
    _cut: Usage | None = None

    def __post_init__(self) -> None:
        self._clean = self.recorder.journal.redactor.stream()

    @property
    def id(self) -> str:
        """The turn's id."""
        return self.metered.turn

    async def take(self, plan: PlanSteps) -> TurnFinished | TurnFailed | BudgetStopped:
        """Send the request until it is answered or cannot be; return how it ended, which is on disk by then.

        Each attempt is reserved before it is sent; where a limit does not allow it, the stop is returned. The
        steps that the response asks for are planned in the same transaction. Cancelled by the user, the turn is
        recorded as interrupted, with what had arrived.
        """
        try:
            return await self._attempt(plan)
        except asyncio.CancelledError:
            if self.services.ended_by_user(self.recorder.agent) and self._announced and not self._over:
                await self._interrupted()
            raise
        finally:
            await self.services.meter.done(self.id)

    async def _attempt(self, plan: PlanSteps) -> TurnFinished | TurnFailed | BudgetStopped:
        while True:
            self.attempt += 1
            self._partial.clear()
            self._clean, self._shown = self.recorder.journal.redactor.stream(), None
            stop = await self.metered.reserve(self.attempt, self._started)
            if stop is not None:
                return await self._refused(stop)
            begun = self.services.runtime.monotonic()
            sent = self.metered.request
            request = ModelRequest(self.metered.model.id, sent.body, sent.betas)
            try:
                response = await self.services.client.stream(request, self._show, self._cut_off)
            except ModelError as error:
                failed = await self._fail(error)
                if failed.retry_seconds is None:
                    return failed
                self._partial.clear()
                await self.services.runtime.sleep(failed.retry_seconds)
            else:
                return await self._finish(response, self.services.runtime.monotonic() - begun, plan)

    def _started(self, request: Request) -> list[EventBase]:
        self._announced = True
        self.sent(request)
        number = self.services.budget().turns + (self.attempt == 1)
        return [
            *(self.notices if self.attempt == 1 else ()),
            TurnStarted(
                turn=self.id,
                model=self.metered.model.id,
                number=number,
                attempt=self.attempt,
                message_count=request.message_count,
                prefix=request.digest,
                until=request.until,
            ),
        ]

    async def _show(self, deltas: Sequence[Delta]) -> None:
        shown: list[Delta] = []
        for delta in deltas:
            if self._shown is not None and self._shown.block != delta.block:
                shown.append(replace(self._shown, text=self._clean.end()))
            self._shown = delta
            shown.append(replace(delta, text=self._clean.feed(delta.text)))
            known = self._partial.get(delta.block)
            text = known.text + delta.text if known else delta.text
            self._partial[delta.block] = Delta(delta.block, delta.kind, text, delta.tool)
        await self.recorder.stream(
            *(TurnDelta(turn=self.id, block=d.block, kind=d.kind, text=d.text, tool=d.tool) for d in shown if d.text)
        )

    def _cut_off(self, usage: Usage) -> None:
        self._cut = usage

    async def _refused(self, stop: BudgetStopped) -> BudgetStopped:
        if self.attempt > 1:
            message = "A limit leaves no room for another attempt."
            failed = TurnFailed(turn=self.id, attempt=self.attempt, kind="budget", message=message, cost=0.0)
            await self.metered.settle(failed, stop)
        else:
            await self.recorder.record(stop)
        return stop

    async def _finish(self, response: Response, seconds: float, plan: PlanSteps) -> TurnFinished:
        usage, cost = self.metered.billed(response.usage, response.content)
        new_id = partial(self.services.runtime.new_id, "call")
        content, problems = with_distinct_calls(response.content, self.known_calls, new_id)
        held = self.metered.projected
        stop = AnswerStop(
            response.stop_reason,
            response.stop_detail,
            held.max_output_tokens if held is not None else 0,
            held.clamped_by if held is not None else "",
        )
        finished = TurnFinished(
            turn=self.id,
            attempt=self.attempt,
            model=response.model,
            content=content,
            stop_reason=stop.reason,
            stop_detail=stop.detail,
            max_tokens=stop.max_tokens,
            clamped_by=stop.clamped_by,
            stop_details=response.stop_details,
            usage=usage,
            cost=cost,
            seconds=seconds,
            message_id=response.message_id,
            cache_miss_reason=miss_reason(
                self.last,
                usage,
                model=response.model,
                begun=self.services.runtime.now() - seconds,
                diagnosis=response.cache_miss_reason,
            ),
        )
        self._over = True
        remarks = self.metered.remarks(usage, cost)
        notices = [Notice(level="warning", code="server", message=problem) for problem in problems]
        notices += web_notices(content)
        steps = plan(self.id, content, stop)
        await self.metered.settle(finished, *steps, *notices, *remarks, drop_chunks=[self.id])
        return finished

    async def _fail(self, error: ModelError) -> TurnFailed:
        retry = None
        if error.retryable:
            retry = backoff(self.attempt, error.retry_after, self.services.runtime.random)
        billed = self.metered.billed_failure(error, self._received())
        failed = self._failed(error.kind, error.message, billed, error.partial if retry is None else [], retry)
        self._over = retry is None
        await self.metered.settle(failed, *self.metered.remarks(failed.usage, failed.cost), drop_chunks=[self.id])
        return failed

    async def _interrupted(self) -> None:
        billed: tuple[Usage, float | None] = (Usage(), 0.0)
        if self._cut is not None:
            billed = self.metered.billed_cut(self._cut, self._received())
        message = "Stopped: the time limit is reached." if self.services.time_up is not None else "Interrupted."
        arrived = partial_blocks(self._partial.values())
        failed = self._failed("interrupted", message, billed, arrived, None)
        await self.metered.settle(failed, drop_chunks=[self.id])

    def _failed(
        self,
        kind: str,
        message: str,
        billed: tuple[Usage, float | None],
        partial: list[JsonObject],
        retry: float | None,
    ) -> TurnFailed:
        usage, cost = billed
        return TurnFailed(
            turn=self.id,
            attempt=self.attempt,
            kind=kind,
            message=message,
            partial=partial,
            usage=usage,
            cost=cost,
            retry_seconds=retry,
            note=INTERRUPTED if kind == "interrupted" else "",
        )

    def _received(self) -> int:
        """Return the bytes of the answer that had arrived."""
        return sum(len(delta.text.encode()) for delta in self._partial.values())


def partial_blocks(deltas: Iterable[Delta]) -> list[JsonObject]:
    """Return deltas, one for each block and whole, as content blocks: text and thinking, for people to see."""
    blocks: list[JsonObject] = []
    for delta in deltas:
        if delta.kind == "text":
            blocks.append({"type": "text", "text": delta.text})
        elif delta.kind == "thinking":
            blocks.append({"type": "thinking", "thinking": delta.text})
    return blocks
