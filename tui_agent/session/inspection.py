"""Answers questions about a session without changing it."""

from __future__ import annotations

import asyncio
import json

from tui_agent.context import Window, describe_held
from tui_agent.events import (
    MAIN_AGENT,
    ContextCompacted,
    ContextPutBack,
    EventBase,
    JsonObject,
    PoolAssembled,
    PoolEntry,
)
from tui_agent.models import Model
from tui_agent.session.audit import Audit, RulePreview
from tui_agent.session.core import SessionCore
from tui_agent.session.edits import Hunk, hunks_of
from tui_agent.session.limits import asks_for_cost
from tui_agent.session.window import read_window
from tui_agent.tools.grants import grant_scope


class Inspection:
    """Reads one session."""

    def __init__(self, core: SessionCore) -> None:
        self._core = core

    async def pool(self) -> dict[str, PoolEntry]:
        """Return what the main agent's newest pool says of each tool, by name; empty before the first turn."""
        entries: dict[str, PoolEntry] = {}
        after = 0
        while found := await self._core.journal.read(after, agent=MAIN_AGENT, types=["pool.assembled"]):
            after = found[-1].seq or 0
            newest = found[-1]
            if isinstance(newest, PoolAssembled):
                entries = {entry.name: entry for entry in newest.entries}
        return entries

    async def layout(self) -> JsonObject | None:
        """Return the screen's layout as it was saved last; None for a new session or one that is damaged."""
        text = await self._core.journal.layout()
        if text is None:
            return None
        try:
            layout = json.loads(text)
        except ValueError:
            return None
        return layout if isinstance(layout, dict) else None

    async def context(self) -> Window:
        """Return what is in the main agent's window, by source."""
        history = await self._core.histories.load(MAIN_AGENT)
        model = self._core.services.catalog.find(self._core.state.conversation.model)
        return await read_window(self._core.journal, self._core.state, history, model)

    @property
    def models(self) -> tuple[Model, ...]:
        """The models of the catalog and of the settings; a server may know others."""
        return tuple(self._core.services.catalog.models.values())

    async def receipts(self) -> list[ContextCompacted]:
        """Return the compactions of the main agent's history, the newest last, each with its receipt."""
        found = await self._core.journal.read(agent=MAIN_AGENT, types=["context.compacted"])
        return [event for event in found if isinstance(event, ContextCompacted)]

    async def put_back_since(self, seq: int) -> frozenset[int]:
        """Return the events that were put back after event `seq`, by their numbers."""
        found = await self._core.journal.read(seq, agent=MAIN_AGENT, types=["context.put_back"])
        return frozenset(event.source for event in found if isinstance(event, ContextPutBack))

    async def prompts_in_window(self) -> list[int]:
        """Return the events of the prompts that the model still has before it, oldest first."""
        history = await self._core.histories.load(MAIN_AGENT)
        return [seq for _, seq in history.prompts]

    async def held_memory(self) -> list[str]:
        """Return the project's memory files that wait for the user's agreement, a line for each with its size."""
        held = (await self._core.choose_memory())[1].held
        self._core.shown_memory = frozenset(file.sha256 for file in held)
        return describe_held(held)

    async def why(self, step: str) -> list[EventBase]:
        """Return what was asked, changed and decided about a step, oldest first."""
        types = ["permission.requested", "permission.decided", "step.edited"]
        return list(await self._core.journal.read(subject=step, types=types))

    @property
    def asks_for_cost(self) -> bool:
        """Whether the user has not said yet what a run may cost at most; the default holds meanwhile."""
        return not self._core.read_only and asks_for_cost(
            self._core.settings, self._core.state, self._core.backend.catalog
        )

    @property
    def damage(self) -> str:
        """What was wrong with the session's file when it was opened, and what became of it; empty if nothing."""
        report = self._core.journal.salvage
        return report.message if report is not None else ""

    async def hunks(self, request: str) -> list[Hunk]:
        """Return the parts of the change that a waiting call would make to a file. Raises as `edit`."""
        waiting = self._core.services.broker.waiting(request)
        return await asyncio.to_thread(hunks_of, waiting, self._core.locate)

    async def suggest_rules(self, request: str) -> list[str]:
        """Return a rule for each command of a waiting line that asks; empty if none is known to.

        They are for the exact commands where only that lets the line go. Raises `NoSuchRequest`.
        """
        mode = self._core.state.conversation.mode
        commands = await self._core.services.broker.asking(request, mode=mode)
        exact = list(dict.fromkeys(f"Bash({command})" for command in commands))
        wide = list(dict.fromkeys(grant_scope(command) or f"Bash({command})" for command in commands))
        for rules in (wide, exact):
            more = self._core.audit.allowing(rules, self._core.state.conversation.workspace)
            if (await self._core.services.broker.would(request, more, mode=mode)).verdict == "allow":
                return rules
        return wide

    async def preview_rules(self, request: str, *rules: str) -> RulePreview:
        """Return what rules would allow: this waiting call or not, and which past ones. Raises `NoSuchRequest`."""
        more = self._core.audit.allowing(rules, self._core.state.conversation.workspace)
        if more.problems:
            return RulePreview(problem=more.problems[0].partition(": ")[2])
        found = await self._core.services.broker.would(request, more, mode=self._core.state.conversation.mode)
        calls, allowed = await asyncio.to_thread(self._core.audit.newly_allowed, *rules)
        return RulePreview(found.verdict, found.reason, calls, allowed)

    async def folders(self) -> list[str]:
        """Return the folders that the session uses besides its workspace; those not usable now are left out."""
        return list(await asyncio.to_thread(self._core.rules.usable_folders))

    @property
    def audit(self) -> Audit:
        """The trail of all sessions, and the rules."""
        return self._core.audit
