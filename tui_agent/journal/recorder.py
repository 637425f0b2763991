"""Writes the events of one agent's run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tui_agent.events import MAIN_AGENT, EventBase
from tui_agent.journal.journal import Journal

E = TypeVar("E", bound=EventBase)


@dataclass(frozen=True, slots=True)
class Recorder:
    """A journal, and the run and agent in whose work events happen."""

    journal: Journal
    run: str = ""
    agent: str = MAIN_AGENT

    def scoped(self, run: str, agent: str) -> Recorder:
        """Return a recorder for another run and agent of the same journal."""
        return Recorder(self.journal, run, agent)

    async def record(self, *events: EventBase, drop_chunks: Sequence[str] = ()) -> tuple[EventBase, ...]:
        """Commit the events in one durable transaction, and return them as they stand on disk.

        `drop_chunks` are subjects whose streamed chunks these events replace. Raises the journal's errors.
        """
        committed = await self.journal.append(*map(self._stamped, events), drop_chunks=drop_chunks)
        return tuple(part.event for part in committed)

    async def stream(self, *deltas: EventBase) -> None:
        """Write deltas as chunks, before they are painted."""
        await self.journal.append_chunks(*map(self._stamped, deltas))

    def _stamped(self, event: E) -> E:
        return event.model_copy(update={"run": self.run, "agent": self.agent})
