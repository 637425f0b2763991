"""A request on its way through the budget: sized, counted where a limit is near, reserved, booked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tui_agent.agents.services import Services
from tui_agent.budget import Calibration, Demand, Estimate, counted_input, estimate_input
from tui_agent.budget.belief import LIKELY_BYTES_PER_TOKEN, answer_bytes, believed, least_input
from tui_agent.budget.limits import MIN_OUTPUT
from tui_agent.context import Request
from tui_agent.events import BudgetStopped, EventBase, JsonObject, Notice, TurnProjected, Usage
from tui_agent.journal import Recorder
from tui_agent.models import (
    CutStreamError,
    MalformedResponseError,
    Model,
    ModelError,
    StalledError,
    TimedOutError,
)

RESULT_TOKENS = 20_000
"""Tokens that a search or a fetch by the model's server adds to the prompt, at most: fetches are bounded to it."""

COUNT_SECONDS = 10.0
"""How long to wait for the server to count; the estimate serves after that."""


@dataclass
class MeteredRequest:
    """One request, from its projection to its booking; each attempt is checked anew.

    `build` makes the request with room for that many output tokens, `wanted` of which it would like.
    """

    services: Services
    recorder: Recorder
    model: Model
    turn: str
    build: Callable[[int], Request]
    wanted: int
    purpose: Literal["turn", "compaction"] = "turn"
    projected: TurnProjected | None = None
    _request: Request | None = None
    _room: int = -1
    _counted: int | None = None
    _doubt: str = ""

    @property
    def request(self) -> Request:
        """The request as it is to be sent: with the room for output that was granted."""
        return self._request if self._request is not None else self._built(self.wanted)

    async def reserve(self, attempt: int, started: Callable[[Request], Sequence[EventBase]]) -> BudgetStopped | None:
        """Reserve the worst case and put it on disk together with the events that `started` makes.

        Returns the stop, recorded by nobody yet, where a limit has no room for it. The caller ends the request
        with `settle`. Raises the journal's errors.
        """
        request = self.request
        estimate = await self._size(request)
        room = self.model.context_window - estimate.upper
        wanted = min(self.wanted, max(MIN_OUTPUT, room))
        demand = self._demand(request, estimate.upper, attempt, wanted)
        projected = TurnProjected(
            turn=self.turn,
            attempt=attempt,
            purpose=self.purpose,
            model=self.model.id,
            input_tokens=estimate.upper,
            max_output_tokens=demand.output_tokens,
            clamped_by="window" if wanted < self.wanted else "",
            counted=self._counted is not None,
            expected_input_tokens=estimate.expected,
            cached_tokens=estimate.cached,
            expected_cost=self._expected_cost(request, estimate, demand.output_tokens),
            estimated_tokens=self._estimate(request).expected,
            request_bytes=len(request.body),
        )

        async def commit(filled: TurnProjected) -> None:
            self._built(filled.max_output_tokens)
            await self.recorder.record(filled, *started(self.request), *self.services.meter.unpriced(demand))

        outcome = await self.services.meter.reserve(demand, projected, commit)
        if isinstance(outcome, BudgetStopped):
            return outcome
        self.projected = outcome
        return None

    async def settle(self, *events: EventBase, drop_chunks: Sequence[str] = ()) -> None:
        """Record how the request ended; what it used is booked in place of what it had reserved.

        Cancelled meanwhile, it is done all the same before the cancellation goes on.
        """
        await to_the_end(self._settle(events, drop_chunks))

    def billed(self, usage: Usage, content: Sequence[JsonObject]) -> tuple[Usage, float | None]:
        """Return the usage to book for an answer with these blocks, and its cost in dollars.

        Figures that cannot be true are replaced and marked; `remarks` says so.
        """
        return self._billed(usage, answer_bytes(content))

    def billed_failure(self, error: ModelError, received: int) -> tuple[Usage, float | None]:
        """Return the same for a request that failed after `received` bytes of its answer.

        A request that the server refused, or that never reached it, is free. For one that it took without saying
        what that used, the projection is booked.
        """
        taken = error.usage.total_tokens or error.usage.estimated or received or error.partial
        cut = isinstance(error, CutStreamError | StalledError | TimedOutError)
        if not taken and not cut and not (isinstance(error, MalformedResponseError) and error.retryable):
            return self._priced(Usage())
        return self.billed_cut(error.usage, max(received, answer_bytes(error.partial)))

    def billed_cut(self, usage: Usage, received: int) -> tuple[Usage, float | None]:
        """Return the same for an answer that was cut off after `received` bytes; `usage` is what was said of it."""
        if not usage.total_tokens:
            usage = self._cut_usage(received)
        return self._billed(usage, received)

    def remarks(self, usage: Usage, cost: float | None) -> list[Notice]:
        """Return the notices about a server whose figures cannot be true, or are more than it could be held to.

        `usage` and `cost` are what is booked.
        """
        meter, projected = self.services.meter, self.projected
        if projected is None:
            return []
        doubts = meter.doubted(self._doubt) if self._doubt else []
        return doubts or (meter.overrun(projected, usage, cost) if not usage.estimated else [])

    def _billed(self, usage: Usage, received: int) -> tuple[Usage, float | None]:
        projected, model = self.projected, self.model
        if projected is not None:
            window, most = model.context_window, model.max_output
            usage, self._doubt = believed(
                usage, projected, self.request.body, received, window=window, max_output=most
            )
        return self._priced(usage)

    def _priced(self, usage: Usage) -> tuple[Usage, float | None]:
        if self.services.conversation().offline:
            usage = usage.model_copy(update={"simulated": True})
        if not usage.total_tokens and not usage.web_searches:
            return usage, 0.0
        return usage, self.services.catalog.cost(usage, self.model.id)

    def _cut_usage(self, received: int) -> Usage:
        """Return the usage of a request that went out and whose usage nobody told: all of its input."""
        projected = self.projected
        if projected is None:
            return Usage()
        written = min(projected.max_output_tokens, received // LIKELY_BYTES_PER_TOKEN + 1) if received else 0
        return Usage(input_tokens=projected.input_tokens, output_tokens=written, estimated=True)

    async def _settle(self, events: Sequence[EventBase], drop_chunks: Sequence[str]) -> None:
        try:
            found = [
                Notice(level="info", code="server", message=message)
                for message in self.services.client.capabilities.take_news()
            ]
            committed = await self.recorder.record(*found, *events, drop_chunks=drop_chunks)
            await self.services.meter.book(self.recorder, committed)
        finally:
            await self.services.meter.done(self.turn)

    def _built(self, max_tokens: int) -> Request:
        if self._request is None or max_tokens != self._room:
            self._request, self._room = self.build(max_tokens), max_tokens
        return self._request

    async def _size(self, request: Request) -> Estimate:
        estimate = self._estimate(request)
        if self._counted is None:
            most = self._demand(request, len(request.body), 1, self.wanted)
            if self.services.meter.counting_needed(most):
                self._counted = await self._count(request)
        return estimate if self._counted is None else counted_input(estimate, self._counted)

    @property
    def _calibration(self) -> Calibration | None:
        """What this session's answers of the model have shown; None before the first."""
        return self.services.budget().calibrations.get(self.model.id)

    def _estimate(self, request: Request) -> Estimate:
        state = self.services.budget()
        return estimate_input(
            state.anchors.get(self.recorder.agent),
            self._calibration,
            self.model.id,
            len(request.body),
            self.services.runtime.now(),
        )

    async def _count(self, request: Request) -> int | None:
        """Return the server's count; None where it has none to give, now or ever."""
        try:
            async with asyncio.timeout(COUNT_SECONDS):
                counted = await self.services.client.count_tokens(self.model.id, request.count_body, request.betas)
        except (ModelError, TimeoutError):
            return None  # the request itself will say what is wrong; the estimate and its error serve meanwhile
        return counted if counted is not None and counted >= least_input(request.body) else None

    def _demand(self, request: Request, input_tokens: int, attempt: int, wanted: int) -> Demand:
        catalog, known = self.services.catalog, self._calibration
        factor = catalog.unknown_factor if known is None else catalog.factor(known.inference_geo, known.speed)
        hour = _asks_for_hour(request)
        searches, uses = _server_uses(request)
        first = input_tokens + uses * RESULT_TOKENS
        # Before each further round of the server's own tools the whole prompt goes to the model again.
        again = uses * input_tokens + RESULT_TOKENS * uses * (uses - 1) // 2
        price = catalog.worst_price(self.model.id, input_tokens + first * bool(uses), hour=hour, factor=factor)
        return Demand(
            model=self.model.id,
            turns=int(attempt == 1 and self.purpose == "turn"),
            input_tokens=first + again,
            output_tokens=wanted,
            input_price=price.input if price else None,
            output_price=price.output if price else None,
            fixed_cost=searches * catalog.web_search,
        )

    def _expected_cost(self, request: Request, estimate: Estimate, most_output: int) -> float | None:
        calibration = self._calibration
        answer = min(most_output, round(calibration.output_tokens)) if calibration else 0
        fresh = estimate.expected - estimate.cached
        hour = _asks_for_hour(request)
        usage = Usage(
            cache_read_tokens=estimate.cached,
            cache_write_tokens=0 if hour else fresh,
            cache_write_1h_tokens=fresh if hour else 0,
            output_tokens=answer,
            inference_geo=calibration.inference_geo if calibration else "",
            speed=calibration.speed if calibration else "",
        )
        return self.services.catalog.cost(usage, self.model.id)


def _asks_for_hour(request: Request) -> bool:
    """Whether the server is asked to keep the prompt for an hour."""
    # Marks for the cache stand before the messages; within a text the quotes would be escaped.
    return request.body.find(b'"ttl":"1h"', 0, request.body.find(b',"messages":')) >= 0


def _server_uses(request: Request) -> tuple[int, int]:
    """Return how many searches a request allows the model's server, and how many uses of its tools in all."""
    head = request.prefix.partition(b',"messages":')[0]
    if b'"type":"web_' not in head:
        return 0, 0
    searches = uses = 0
    for tool in json.loads(b"{" + head + b"}").get("tools", []):
        if str(tool.get("type", "")).startswith("web_"):
            uses += int(tool["max_uses"])
            searches += int(tool["max_uses"]) if tool["name"] == "web_search" else 0
    return searches, uses


async def to_the_end(work: Awaitable[object]) -> None:
    """Wait for `work`. Cancelled meanwhile, it is done all the same before the cancellation goes on."""
    working = asyncio.ensure_future(work)
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await working
        raise
