"""The message histories of a session's agents, read from the journal when a request needs one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tui_agent.context import History, fold_history
from tui_agent.events import MAIN_AGENT, EventBase, Notice, RunFinished
from tui_agent.journal import Committed, Journal, Recorder


class Histories:
    """One history for each agent at work; kept up with the journal from when it is first asked for.

    A subagent's is let go of when its run ends, the main agent's stays. `main_start` returns the seq of the event
    that the main agent's history begins with, which a compaction moves.
    """

    def __init__(self, journal: Journal, main_start: Callable[[], int]) -> None:
        self._journal = journal
        self._main_start = main_start
        self._histories: dict[str, History] = {}
        self._loading: dict[str, list[EventBase]] = {}
        self._one_at_a_time = asyncio.Lock()

    def take(self, committed: tuple[Committed, ...]) -> None:
        """Take what was committed into the histories it belongs to."""
        for part in committed:
            event = part.event
            if not event.durable:
                continue
            if event.agent in self._loading:
                self._loading[event.agent].append(event)
            elif event.agent in self._histories:
                self._histories[event.agent].apply(event)
                if isinstance(event, RunFinished) and event.agent != MAIN_AGENT:
                    del self._histories[event.agent]

    async def load(self, agent: str) -> History:
        """Return the history of an agent."""
        async with self._one_at_a_time:
            if agent not in self._histories:
                try:
                    self._histories[agent] = await self._load(agent, self._main_start() if agent == MAIN_AGENT else 0)
                finally:
                    self._loading.pop(agent, None)
            return self._histories[agent]

    async def _load(self, agent: str, start: int) -> History:
        late = self._loading[agent] = []
        until = self._journal.last_seq
        # The head (system prompt and tools) was fixed before any compaction.
        head_types = ["pool.assembled", "context.loaded"]
        head = await self._journal.read(0, agent=agent, types=head_types) if start else []
        events: list[EventBase] = [event for event in head if (event.seq or 0) < start]
        after = max(start - 1, 0)
        while page := await self._journal.read(after, agent=agent):
            events += [event for event in page if (event.seq or 0) <= until]
            after = page[-1].seq or 0
            if after >= until:
                break
        history, repeats = fold_history(events)
        if not repeats:
            message = (
                "This version reads the session's history differently from the one that wrote it. "
                "The conversation goes on; the server's prompt cache begins anew."
            )
            notice = Notice(level="warning", code="prefix-changed", message=message)
            await Recorder(self._journal, "", agent or MAIN_AGENT).record(notice)
        for event in late:
            if (event.seq or 0) > until:
                history.apply(event)
        return history
