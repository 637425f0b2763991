"""What a session does first when it is opened again: say what a crash cut off.

Steps are not touched here: the agent loop settles them by looking, when the run goes on.
"""

from __future__ import annotations

from collections.abc import Iterable

from tui_agent.agents import partial_blocks
from tui_agent.context.conversation import ConversationState
from tui_agent.events import Crash, Event, TurnDelta, TurnFailed, Usage
from tui_agent.journal import BootRecord, Journal, Recorder
from tui_agent.models import Delta

CHARACTERS_PER_TOKEN = 4


async def record_interruptions(journal: Journal, conversation: ConversationState) -> None:
    """Record the crash of an earlier boot, and each answer that was still being written when it ended.

    What had arrived of the answer stays, marked; its cost is booked as an estimate.
    """
    boot = journal.crashed_boot
    if boot is not None:
        await Recorder(journal).record(_crash(boot))
    kind, message = ("crash" if boot is not None else "closed"), "The program stopped while this was being written."
    await end_open_turns(journal, conversation, kind, message)


async def end_open_turns(journal: Journal, conversation: ConversationState, kind: str, message: str) -> None:
    """Record each turn that nobody is working on any more as failed, with what had arrived of its answer."""
    recorder = Recorder(journal)
    cut = [run for run in conversation.runs if run.turn]
    if not cut:
        return
    chunks = await journal.chunks()
    for run in cut:
        partial = _partial(chunks, run.turn)
        written = sum(len(delta.text) for delta in partial)
        usage = Usage(output_tokens=written // CHARACTERS_PER_TOKEN + 1, estimated=True) if partial else Usage()
        failed = TurnFailed(
            turn=run.turn,
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
