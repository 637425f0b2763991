"""What a session does first when it is opened again: say what a crash cut off.

Steps are not touched here: the agent loop settles them by looking, when the run goes on.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable

from tui_agent.agents import partial_blocks
from tui_agent.events import BudgetBooked, Crash, Event, TurnDelta, TurnFailed, TurnProjected, Usage
from tui_agent.journal import BootRecord, Journal, Recorder
from tui_agent.models import Delta
from tui_agent.session.state import SessionState

CHARACTERS_PER_TOKEN = 4

Price = Callable[[Usage, str], float | None]
"""Gives the dollars of a usage of a model; None when its price is not known."""


async def record_interruptions(journal: Journal, state: SessionState, price: Price, cause: tuple[str, str]) -> None:
    """Record the crash of an earlier boot, and each answer that was still being written when it ended.

    `cause` is why it crashed and its stack, as `BlackBox.cause` gives them.
    What had arrived of the answer stays, marked; its cost is booked as an estimate.
    """
    boot = journal.crashed_boot
    if boot is not None:
        await Recorder(journal).record(_crash(boot, *cause))
    kind, message = ("crash" if boot is not None else "closed"), "The program stopped while this was being written."
    await end_open_turns(journal, state, price, kind, message)


async def end_open_turns(journal: Journal, state: SessionState, price: Price, kind: str, message: str) -> None:
    """Record each turn that nobody is working on any more as failed, with what had arrived of its answer.

    Every request that was under way is booked with what was projected for its input, and the output that arrived.
    """
    recorder = Recorder(journal)
    chunks = (
        await journal.chunks() if state.budget.reserved or any(run.turn for run in state.conversation.runs) else []
    )
    reserved = {projected.turn: projected for projected in state.budget.reserved}
    for run in state.conversation.runs:
        if not run.turn:
            continue
        partial = _partial(chunks, run.turn)
        written = sum(len(delta.text) for delta in partial)
        held = reserved.pop(run.turn, None)
        usage, cost = _cut_usage(held, written, state.conversation.offline, price)
        failed = TurnFailed(
            turn=run.turn,
            attempt=held.attempt if held is not None else 1,
            kind=kind,
            message=message,
            partial=partial_blocks(partial),
            usage=usage,
            cost=cost,
        )
        await recorder.scoped(run.id, run.agent).record(failed, drop_chunks=[run.turn])
    for projected in reserved.values():
        usage, cost = _cut_usage(projected, 0, state.conversation.offline, price)
        booked = BudgetBooked(turn=projected.turn, usage=usage, cost=cost, reason=f"{projected.purpose}: cut off")
        await recorder.scoped(projected.run, projected.agent).record(booked)


def _cut_usage(
    projected: TurnProjected | None, written: int, simulated: bool, price: Price
) -> tuple[Usage, float | None]:
    """Return what a request that was cut off is booked with, after `written` characters of its answer."""
    if projected is None:
        return Usage(), 0.0
    output = min(projected.max_output_tokens, written // CHARACTERS_PER_TOKEN + 1) if written else 0
    usage = Usage(input_tokens=projected.input_tokens, output_tokens=output, estimated=True, simulated=simulated)
    return usage, price(usage, projected.model)


def failure(journal: Journal, what: str, error: Exception) -> Crash:
    """Return the event for an error of this program's own; `what` says what failed."""
    return Crash(
        boot=journal.boot,
        reason=f"{what}: {type(error).__name__}: {error}",
        last_seq=journal.last_seq,
        traceback="".join(traceback.format_exception(error)),
    )


def _crash(boot: BootRecord, cause: str, trace: str) -> Crash:
    reason = f"Recovered after a crash: {cause} (start {boot.number}, process {boot.pid}). Nothing on disk was lost."
    return Crash(boot=boot.number, reason=reason, last_seq=boot.last_seq, traceback=trace)


def _partial(chunks: Iterable[Event], turn: str) -> list[Delta]:
    blocks: dict[int, Delta] = {}
    for chunk in chunks:
        if isinstance(chunk, TurnDelta) and chunk.turn == turn:
            known = blocks.get(chunk.block)
            text = known.text + chunk.text if known else chunk.text
            blocks[chunk.block] = Delta(chunk.block, chunk.kind, text, chunk.tool)
    return [blocks[index] for index in sorted(blocks)]
