"""What a session does first when it is opened again: say what a crash cut off.

Steps are not touched here: the agent loop settles them by looking, when the run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tui_agent.agents import partial_blocks
from tui_agent.events import BudgetBooked, Crash, Event, TurnDelta, TurnFailed, Usage
from tui_agent.journal import BootRecord, Journal, Recorder
from tui_agent.models import Delta
from tui_agent.session.state import SessionState

CHARACTERS_PER_TOKEN = 4

Price = Callable[[Usage, str], float | None]
"""Gives the dollars of a usage of a model; None when its price is not known."""


async def record_interruptions(journal: Journal, state: SessionState, price: Price) -> None:
    """Record the crash of an earlier boot, and each answer that was still being written when it ended.

    What had arrived of the answer stays, marked; its cost is booked as an estimate.
    """
    boot = journal.crashed_boot
    if boot is not None:
        await Recorder(journal).record(_crash(boot))
    kind, message = ("crash" if boot is not None else "closed"), "The program stopped while this was being written."
    await end_open_turns(journal, state, price, kind, message)
    for projected in state.budget.reserved:
        if projected.purpose != "turn":
            usage = Usage(input_tokens=projected.input_tokens, estimated=True, simulated=state.conversation.offline)
            cost = price(usage, projected.model)
            booked = BudgetBooked(turn=projected.turn, usage=usage, cost=cost, reason=f"{projected.purpose} cut off")
            await Recorder(journal, projected.run, projected.agent).record(booked)


async def end_open_turns(journal: Journal, state: SessionState, price: Price, kind: str, message: str) -> None:
    """Record each turn that nobody is working on any more as failed, with what had arrived of its answer.

    It is booked with what was projected for its input, and with the output that arrived.
    """
    recorder = Recorder(journal)
    cut = [run for run in state.conversation.runs if run.turn]
    if not cut:
        return
    chunks = await journal.chunks()
    reserved = {projected.turn: projected for projected in state.budget.reserved}
    for run in cut:
        partial = _partial(chunks, run.turn)
        written = sum(len(delta.text) for delta in partial)
        output = written // CHARACTERS_PER_TOKEN + 1 if partial else 0
        projected = reserved.get(run.turn)
        usage = Usage()
        cost: float | None = 0.0
        if projected is not None:
            usage = Usage(
                input_tokens=projected.input_tokens,
                output_tokens=min(output, projected.max_output_tokens),
                estimated=True,
                simulated=state.conversation.offline,
            )
            cost = price(usage, projected.model)
        failed = TurnFailed(
            turn=run.turn,
            attempt=projected.attempt if projected is not None else 1,
            cost=cost,
            kind=kind,
            message=message,
            partial=partial_blocks(partial),
            usage=usage,
        )
        await recorder.scoped(run.id, run.agent).record(failed, drop_chunks=[run.turn])


def _crash(boot: BootRecord) -> Crash:
    reason = (
        f"The program ended without closing this session (start {boot.number}, process {boot.pid}): "
        "it was killed, crashed, or the machine went down. Everything up to then is here."
    )
    return Crash(boot=boot.number, reason=reason, last_seq=boot.last_seq)


def _partial(chunks: Iterable[Event], turn: str) -> list[Delta]:
    blocks: dict[int, Delta] = {}
    for chunk in chunks:
        if isinstance(chunk, TurnDelta) and chunk.turn == turn:
            known = blocks.get(chunk.block)
            text = known.text + chunk.text if known else chunk.text
            blocks[chunk.block] = Delta(chunk.block, chunk.kind, text, chunk.tool)
    return [blocks[index] for index in sorted(blocks)]
