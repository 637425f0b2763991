"""Carrying out a compaction: a summary for what is cut off, a new history that begins with it, a receipt."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tui_agent.agents.metering import MeteredRequest, to_the_end
from tui_agent.agents.repair import repair_history
from tui_agent.agents.services import Services
from tui_agent.budget import stop_reason
from tui_agent.budget.limits import amount, split
from tui_agent.context import (
    CarryOver,
    History,
    Request,
    begin_anew,
    build_request,
    can_cut,
    choose_user_words,
    compaction_due,
    find_doubts,
    guard_prefix,
    read_record,
    receipt_lines,
    split_lines,
    summary_request,
)
from tui_agent.context.compaction import LEAST_TURNS, SUMMARY_TOKENS, tokens_of_messages, user_words_room
from tui_agent.context.record import WorkRecord
from tui_agent.events import (
    MAIN_AGENT,
    BudgetBooked,
    BudgetStopped,
    ContextCompacted,
    Event,
    EventBase,
    FileState,
    JsonObject,
    Notice,
    PromptAccepted,
    PromptQueued,
    Receipt,
    ReceiptLine,
    Usage,
)
from tui_agent.journal import Recorder
from tui_agent.models import (
    ContextTooLongError,
    Delta,
    InvalidRequestError,
    Model,
    ModelError,
    ModelRequest,
    Response,
)

MOST_UNRESOLVED = 40
"""Lines of open and failed steps that a receipt lists."""


TURNS_LEFT = 3
"""A limit on tokens or cost that leaves fewer turns of the present size is reason enough to compact."""

WORTH_IT = 3
LEAST_SAVED = 8_000
"""… where the history is this many times the head of the request and this many tokens larger."""


MOST_REPAIRS = 2
"""How often the request for a summary is mended that was refused for its content."""

MOST_HALVINGS = 4
"""How often the request for a summary is shortened by half that was too long."""


class BudgetRefusedError(Exception):
    """A limit does not allow the request for a summary."""

    def __init__(self, stop: BudgetStopped) -> None:
        super().__init__(f"there is no room for a summary: {stop_reason(stop)}. {stop.hint}")
        self.stop = stop


class NothingToCompactError(Exception):
    """There is nothing in the part of the window that was to be compacted."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Which messages a compaction replaces: those from `start` on and before `stop`; the others stay."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Summary:
    text: str
    author: Literal["model", "server", "journal"]
    usage: Usage = Usage()
    cost: float | None = 0.0
    block: JsonObject | None = None
    metered: MeteredRequest | None = None


def compaction_reason(services: Services, history: History, *, max_output: int) -> str:
    """Return why a history must be compacted before its next turn, for the window or for a limit; else empty.

    `max_output` is what the next answer may take, in tokens.
    """
    model = services.catalog.find(services.conversation().model)
    due = compaction_due(history, window=model.context_window, max_output=max_output, percent=services.compact_at)
    if due or not history.needs_turn or history.turns < LEAST_TURNS:
        return due
    size = history.window_tokens
    if size < WORTH_IT * history.head_tokens + LEAST_SAVED:
        return ""
    price = services.catalog.worst_price(model.id, size, hour=False)
    needs = {"input_tokens": float(size), "tokens": float(size), "cost": price.input * size if price else 0.0}
    state, now = services.budget(), services.runtime.now()
    for key, maximum in state.limits.items():
        scope, kind = split(key)
        if needs.get(kind):
            account = state.account(scope, now)
            left = maximum - amount(account.used, kind) - amount(account.reserved, kind)
            if left < TURNS_LEFT * needs[kind]:
                return f"the {scope}'s limit on {kind} has room for less than {TURNS_LEFT} turns of {size:,} tokens"
    return ""


async def compact(
    services: Services,
    recorder: Recorder,
    history: History,
    cut: Cut,
    *,
    trigger: Literal["manual", "automatic"],
    reason: str = "",
    instructions: str = "",
    window: int = 0,
) -> None:
    """Replace the messages of `cut` by a summary of them, in the journal and so in `history`.

    `window` is the context window in tokens where it is smaller than the model is known to have.
    Where no model gives a summary, the journal's own facts take its place: a compaction that is needed does not
    fail. Raises `NothingToCompactError`, a manual one `BudgetRefusedError`, and the journal's errors.
    """
    messages = history.messages()
    if cut.stop <= cut.start or not (can_cut(messages, cut.start) and can_cut(messages, cut.stop)):
        raise NothingToCompactError("there is nothing to compact yet")
    conversation = services.conversation()
    model = await services.model()
    start = conversation.history_start if recorder.agent == MAIN_AGENT else 0
    events = _since_last(await read_events(services, max(start - 1, 0), agent=recorder.agent))
    record = read_record(await read_events(services, 0, types=["step.planned", "step.finished"]))
    lines = receipt_lines(events)
    kept_since = history.seqs[cut.stop] if cut.stop < len(messages) else 1 << 62
    kept_until = history.seqs[cut.start] if cut.start else 0

    try:
        summary = await _Writer(services, recorder, model, history, cut, instructions).write()
    except BudgetRefusedError:
        if trigger == "manual":
            raise
        summary = _Summary("", "journal")
    messages = history.messages()  # blocks that the server refused may have been taken out meanwhile
    doubts = find_doubts(summary.text, record)
    user = choose_user_words(lines, user_words_room(window or model.context_window))
    kept, dropped = split_lines(lines, user, since=kept_since, until=kept_until)
    main = recorder.agent == MAIN_AGENT
    todo = services.workflow().todo if main else ()
    carried = CarryOver(
        user=[line for line in user if kept_until <= line.seq < kept_since],
        todo=todo,
        unresolved=_unresolved(services, recorder.agent, record),
        rules=_rules(services),
        doubts=doubts,
        files=[path for path in history.file_hashes if path not in history.memory_loaded],
        record=record,
    )
    # A prompt that came meanwhile goes into the new history at once: whoever reads it again begins there.
    automatic = main and trigger == "automatic"
    async with services.prompts if automatic else contextlib.nullcontext():
        queued = history.queued({prompt.prompt_id for prompt in services.conversation().queued}) if automatic else []
        new = begin_anew(
            carried.text("" if summary.block is not None else summary.text),
            block=summary.block,
            before=messages[: cut.start],
            after=[*messages[cut.stop :], *_as_message(history.pending_blocks()), *map(_as_prompt, queued)],
        )
        receipt = Receipt(
            until=services.journal.last_seq,
            kept=[
                *(ReceiptLine(kind="todo", text=f"{item.text} ({item.state})") for item in todo),
                *kept,
                *(ReceiptLine(kind="prompt", text=prompt.prompt, seq=prompt.seq or 0) for prompt in queued),
            ],
            dropped=dropped,
            unresolved=list(carried.unresolved),
            doubts=doubts,
            tokens_before=history.window_tokens,
            tokens_after=history.head_tokens + tokens_of_messages(new),
        )
        files = [FileState(path=path, sha256=sha) for path, sha in history.file_hashes.items()]
        compacted = ContextCompacted(
            messages=new,
            summary=summary.text,
            receipt=receipt,
            trigger=trigger,
            reason=reason,
            author=summary.author,
            files=[*files, *(file for prompt in queued for file in prompt.files)],
            turn=summary.metered.turn if summary.metered else "",
            usage=summary.usage,
            cost=summary.cost,
        )
        taken = [PromptAccepted(prompt_id=prompt.prompt_id) for prompt in queued]
        if summary.metered is not None:
            remarks = summary.metered.remarks(summary.usage, summary.cost)
            await summary.metered.settle(*taken, compacted, *remarks)
        else:
            await to_the_end(recorder.record(*taken, compacted))
    if doubts:
        message = f"The summary claims what the journal does not hold: {doubts[0]}"
        message += f" and {len(doubts) - 1} more, see the receipt." if len(doubts) > 1 else "."
        await recorder.record(Notice(level="warning", code="compaction", message=message))


class _NoSummaryError(Exception):
    """The answer held no summary."""


@dataclass
class _Writer:
    """Gets a summary: from the server's own compaction where it offers one, else from the model."""

    services: Services
    recorder: Recorder
    model: Model
    history: History
    cut: Cut
    instructions: str
    since: int = 0
    halvings: int = 0

    async def write(self) -> _Summary:
        """Return the summary. Where none is to be had, the journal's facts stand alone; a notice says why.

        Raises `BudgetRefusedError`.
        """
        attempts = [self._by_model]
        if not self.cut.start and await self.services.client.can_compact(self.model.id):
            attempts.insert(0, self._by_server)
        problem = ""
        for attempt in attempts:
            try:
                return await self._mended(attempt)
            except ModelError as error:
                problem = f"{error.kind}: {error.message}"
            except _NoSummaryError:
                problem = "the answer held no summary"
        message = f"No summary could be had ({problem}). The journal's own facts take its place."
        await self.recorder.record(Notice(level="warning", code="compaction", message=message))
        return _Summary("", "journal")

    async def _mended(self, attempt: Callable[[], Awaitable[_Summary]]) -> _Summary:
        """Ask for a summary; where the request is refused for its content, take out what is at fault and ask again.

        Where it is too long, the older half of what is to be summarised is left out, as often as `MOST_HALVINGS`: the
        journal's facts cover it.
        """
        repairs = 0
        while True:
            try:
                return await attempt()
            except ContextTooLongError:
                if attempt != self._by_model or not self._halve():
                    raise
            except InvalidRequestError as error:
                repairs += 1
                if repairs > MOST_REPAIRS:
                    raise
                everything = repairs > 1
                if not await repair_history(self.recorder, self.history, error.message, everything=everything):
                    raise

    def _halve(self) -> bool:
        """Leave the older half of the messages out of the request; return whether that was possible."""
        self.halvings += 1
        messages = self.history.messages()
        middle = (self.since + self.cut.stop) // 2
        starts = [i for i in range(middle, self.cut.stop) if can_cut(messages, i)]
        if not starts or starts[0] == self.since or self.halvings > MOST_HALVINGS:
            return False
        self.since = starts[0]
        return True

    async def _by_model(self) -> _Summary:
        part = self.history.until(self.cut.stop, self.since)
        trial = part.with_prompt(summary_request(self.instructions))
        metered, response = await self._ask(trial, None)
        text = "\n\n".join(str(b["text"]) for b in response.content if b.get("type") == "text").strip()
        return await self._made(metered, response, text, "model", None)

    async def _by_server(self) -> _Summary:
        config: JsonObject = {"type": "summarize"}
        if self.instructions.strip():
            config["instructions"] = summary_request(self.instructions)
        trial = self.history.until(self.cut.stop)
        metered, response = await self._ask(trial, config)
        block = next((b for b in response.content if b.get("type") == "compaction" and b.get("content")), None)
        text = str(block["content"]) if block else ""
        return await self._made(metered, response, text, "server", block)

    async def _ask(self, trial: History, compaction: JsonObject | None) -> tuple[MeteredRequest, Response]:
        options = replace(self.services.request_options(), effort=None, compaction=compaction)
        head = self.services.client.head(self.model, options, trial.block_types)

        def build(max_tokens: int) -> Request:
            return build_request(
                trial,
                model=self.model.id,
                max_tokens=max_tokens,
                fields=head.fields,
                counted=head.counted,
                betas=head.betas,
            )

        services = self.services
        wanted = min(SUMMARY_TOKENS, self.model.max_output)
        turn = services.runtime.new_id("turn")
        metered = MeteredRequest(services, self.recorder, self.model, turn, build, wanted, "compaction")
        guard_prefix(trial, metered.request)
        reserved = False
        cut_off = Usage()

        def on_reserved(_request: Request) -> Sequence[EventBase]:
            nonlocal reserved
            reserved = True
            return ()

        def on_cut(usage: Usage) -> None:
            nonlocal cut_off
            cut_off = usage

        try:
            stop = await metered.reserve(1, on_reserved)
            if stop is not None:
                await services.meter.done(turn)
                raise BudgetRefusedError(stop)
            request = ModelRequest(self.model.id, metered.request.body, metered.request.betas)
            return metered, await services.client.stream(request, _ignore, on_cut)
        except ModelError as error:
            await self._book(metered, metered.billed_failure(error, 0), f"no summary: {error.kind}")
            raise
        except asyncio.CancelledError:
            if reserved:
                await self._book(metered, metered.billed_cut(cut_off, 0), "interrupted")
            raise

    async def _made(
        self,
        metered: MeteredRequest,
        response: Response,
        text: str,
        author: Literal["model", "server"],
        block: JsonObject | None,
    ) -> _Summary:
        if not text:
            await self._book(metered, metered.billed(response.usage, response.content), "no summary")
            raise _NoSummaryError
        return _Summary(text, author, *metered.billed(response.usage, response.content), block, metered)

    async def _book(self, metered: MeteredRequest, billed: tuple[Usage, float | None], reason: str) -> None:
        usage, cost = billed
        booked = BudgetBooked(turn=metered.turn, usage=usage, cost=cost, reason=reason)
        await metered.settle(booked, *metered.remarks(usage, cost))


async def _ignore(deltas: Sequence[Delta]) -> None:
    """A summary is shown when it is whole."""


def _as_message(blocks: list[JsonObject]) -> list[JsonObject]:
    return [{"role": "user", "content": list(blocks)}] if blocks else []


def _as_prompt(prompt: PromptQueued) -> JsonObject:
    return _as_message(prompt.content or [{"type": "text", "text": prompt.prompt}])[0]


def _since_last(events: list[Event]) -> list[Event]:
    """Return the events from the newest compaction among them on: those before it are summarised already."""
    last = max((i for i, event in enumerate(events) if isinstance(event, ContextCompacted)), default=0)
    return events[last:]


def _unresolved(services: Services, agent: str, record: WorkRecord) -> list[str]:
    workflow = services.workflow()
    open_steps = [step for step in workflow.steps.values() if step.agent == agent]
    lines = [f"{step.title or step.tool}: {step.status}" for step in open_steps]
    lines += [f"question to the user, not answered: {question.text}" for question in workflow.questions.values()]
    return (lines + list(record.failed.values())[-MOST_UNRESOLVED:])[:MOST_UNRESOLVED]


def _rules(services: Services) -> list[str]:
    grants = [grant.pattern for grant in services.broker.state().grants]
    return [f"mode {services.mode()}", *(f"allowed for this session: {pattern}" for pattern in grants)]


async def read_events(
    services: Services, after: int, *, agent: str | None = None, types: Sequence[str] = ()
) -> list[Event]:
    """Return all events after a seq, of one agent or of all, of some types or of all. Raises the journal's errors."""
    events: list[Event] = []
    while page := await services.find_events(after, agent=agent, types=types):
        events += page
        after = page[-1].seq or 0
    return events
