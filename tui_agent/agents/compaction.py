"""Carrying out a compaction: a summary for what is cut off, a new history that begins with it, a receipt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tui_agent.agents.services import Services
from tui_agent.context import (
    CarryOver,
    History,
    begin_anew,
    build_request,
    can_cut,
    choose_person,
    find_doubts,
    guard_prefix,
    read_record,
    receipt_lines,
    split_lines,
    summary_request,
)
from tui_agent.context.compaction import SUMMARY_TOKENS, person_room, tokens_of_messages
from tui_agent.context.record import WorkRecord
from tui_agent.events import (
    MAIN_AGENT,
    ContextCompacted,
    Event,
    FileState,
    JsonObject,
    Notice,
    Receipt,
    ReceiptLine,
    Usage,
)
from tui_agent.journal import Recorder
from tui_agent.models import COMPACTION_BETA, Delta, Model, ModelError, ModelRequest

MOST_UNRESOLVED = 40
"""Lines of open and failed steps that a receipt lists."""


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


async def compact(
    services: Services,
    recorder: Recorder,
    history: History,
    cut: Cut,
    *,
    trigger: Literal["manual", "automatic"],
    reason: str = "",
    instructions: str = "",
) -> None:
    """Replace the messages of `cut` by a summary of them, in the journal and so in `history`.

    Where no model gives a summary, the journal's own facts take its place: a compaction that is needed does not
    fail. Raises `NothingToCompactError` and the journal's errors.
    """
    messages = history.messages()
    if cut.stop <= cut.start or not (can_cut(messages, cut.start) and can_cut(messages, cut.stop)):
        raise NothingToCompactError("there is nothing to compact yet")
    conversation = services.conversation()
    model = services.catalog.find(conversation.model)
    start = conversation.history_start if recorder.agent == MAIN_AGENT else 0
    events = await _read(services, max(start - 1, 0), agent=recorder.agent)
    record = read_record(await _read(services, 0, types=["step.planned", "step.finished"]))
    lines = receipt_lines(events)
    kept_since = history.seqs[cut.stop] if cut.stop < len(messages) else 1 << 62
    kept_until = history.seqs[cut.start] if cut.start else 0

    summary = await _summarise(services, recorder, history, cut, model, instructions)
    doubts = find_doubts(summary.text, record)
    person = choose_person(lines, person_room(model.context_window))
    kept, dropped = split_lines(lines, person, since=kept_since, until=kept_until)
    main = recorder.agent == MAIN_AGENT
    todo = services.workflow().todo if main else ()
    carried = CarryOver(
        person=[line for line in person if kept_until <= line.seq < kept_since],
        todo=todo,
        unresolved=_unresolved(services, recorder.agent, record),
        rules=_rules(services),
        doubts=doubts,
        files=list(history.file_hashes),
        record=record,
    )
    new = begin_anew(
        carried.text("" if summary.block is not None else summary.text),
        block=summary.block,
        before=messages[: cut.start],
        after=[*messages[cut.stop :], *_pending(history)],
    )
    receipt = Receipt(
        until=services.journal.last_seq,
        kept=[ReceiptLine(kind="todo", text=f"{item.text} ({item.state})") for item in todo] + kept,
        dropped=dropped,
        unresolved=list(carried.unresolved),
        doubts=doubts,
        tokens_before=history.window_tokens,
        tokens_after=history.head_tokens + tokens_of_messages(new),
    )
    await recorder.record(
        ContextCompacted(
            messages=new,
            summary=summary.text,
            receipt=receipt,
            trigger=trigger,
            reason=reason,
            author=summary.author,
            files=[FileState(path=path, sha256=sha) for path, sha in history.file_hashes.items()],
            usage=summary.usage,
            cost=summary.cost,
        )
    )
    if doubts:
        message = f"The summary claims what the journal does not hold: {doubts[0]}"
        message += f" and {len(doubts) - 1} more, see the receipt." if len(doubts) > 1 else "."
        await recorder.record(Notice(level="warning", code="compaction", message=message))


async def _summarise(
    services: Services, recorder: Recorder, history: History, cut: Cut, model: Model, instructions: str
) -> _Summary:
    """Ask the server for its own compaction where it offers one, else the model; else look into the journal."""
    attempts = ["model"]
    if not cut.start and await services.client.can_compact(model.id):
        attempts.insert(0, "server")
    problem = ""
    for author in attempts:
        try:
            if author == "server":
                return await _by_server(services, history, cut, model, instructions)
            return await _by_model(services, history, cut, model, instructions)
        except ModelError as error:
            problem = f"{error.kind}: {error.message}"
        except _NoSummaryError:
            problem = "the answer held no summary"
    message = f"No summary could be had ({problem}). The journal's own facts take its place."
    await recorder.record(Notice(level="warning", code="compaction", message=message))
    return _Summary("", "journal")


class _NoSummaryError(Exception):
    pass


async def _by_model(services: Services, history: History, cut: Cut, model: Model, instructions: str) -> _Summary:
    trial = history.until(cut.stop).with_prompt(summary_request(instructions))
    request = build_request(
        trial, model=model.id, max_tokens=min(SUMMARY_TOKENS, model.max_output), options=model.options
    )
    guard_prefix(trial, request)
    response = await services.client.stream(ModelRequest(model.id, request.body), _ignore)
    text = "\n\n".join(str(b["text"]) for b in response.content if b.get("type") == "text").strip()
    if not text:
        raise _NoSummaryError
    return _Summary(text, "model", response.usage, services.catalog.cost(response.usage, model.id))


async def _by_server(services: Services, history: History, cut: Cut, model: Model, instructions: str) -> _Summary:
    config: JsonObject = {"type": "summarize"}
    if instructions.strip():
        config["instructions"] = summary_request(instructions)
    request = build_request(
        history.until(cut.stop),
        model=model.id,
        max_tokens=min(SUMMARY_TOKENS, model.max_output),
        options={**model.options, "compaction": config},
    )
    response = await services.client.stream(ModelRequest(model.id, request.body, betas=(COMPACTION_BETA,)), _ignore)
    block = next((b for b in response.content if b.get("type") == "compaction" and b.get("content")), None)
    if block is None:
        raise _NoSummaryError
    cost = services.catalog.cost(response.usage, model.id)
    return _Summary(str(block["content"]), "server", response.usage, cost, block)


async def _ignore(deltas: Sequence[Delta]) -> None:
    """A summary is shown when it is whole."""


def _pending(history: History) -> list[JsonObject]:
    blocks = history.pending_blocks()
    return [{"role": "user", "content": list(blocks)}] if blocks else []


def _unresolved(services: Services, agent: str, record: WorkRecord) -> list[str]:
    workflow = services.workflow()
    open_steps = [step for step in workflow.steps.values() if step.agent == agent]
    lines = [f"{step.title or step.tool}: {step.status}" for step in open_steps]
    lines += [f"question to the person, not answered: {question.text}" for question in workflow.questions.values()]
    return (lines + list(record.failed.values())[-MOST_UNRESOLVED:])[:MOST_UNRESOLVED]


def _rules(services: Services) -> list[str]:
    grants = [grant.pattern for grant in services.broker.state().grants]
    return [f"mode {services.mode()}", *(f"allowed for this session: {pattern}" for pattern in grants)]


async def _read(
    services: Services, after: int, *, agent: str | None = None, types: Sequence[str] = ()
) -> list[Event]:
    events: list[Event] = []
    while page := await services.find_events(after, agent=agent, types=types):
        events += page
        after = page[-1].seq or 0
    return events


