"""Mending a history that the server refuses for what is in it."""

from __future__ import annotations

from tui_agent.context import History, find_fault
from tui_agent.events import ContextRepaired
from tui_agent.journal import Recorder


async def repair_history(recorder: Recorder, history: History, refusal: str, *, everything: bool = False) -> bool:
    """Replace what the server refused with these words by notes, in the journal and so in `history`.

    With `everything`, all images and documents. Returns whether anything was replaced. Raises the journal's errors.
    """
    edits = find_fault(history.messages(), refusal, everything=everything)
    if edits:
        await recorder.record(ContextRepaired(reason=refusal, replaced=edits))
    return bool(edits)
