"""What an open session does by itself."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Callable
from typing import Literal

from tui_agent.events import (
    BudgetBooked,
    BudgetClocked,
    ContextCompacted,
    Notice,
    PermissionDecided,
    PermissionRevoked,
    RunFinished,
    RunStarted,
    SandboxProbed,
    SessionConfigured,
    TurnFailed,
    TurnFinished,
)
from tui_agent.journal import Committed, JournalError
from tui_agent.journal.lock import is_free
from tui_agent.models import ModelError, retirement
from tui_agent.session.core import SessionCore
from tui_agent.session.recovery import record_interruptions
from tui_agent.session.state import digest, dump_state

FOLLOW_SECONDS = 1.0
"""How often a read-only session looks for what another window has written."""

HELD = "another window holds it"
LEFT = "the other window has left it; a prompt takes over"
"""Why a session is read-only: while its lock is held, and after that."""

SNAPSHOT_EVERY = 500
"""Events between snapshots of the folded state: what a start has to fold anew at most."""

_LISTED = (
    RunStarted,
    RunFinished,
    SessionConfigured,
    TurnFinished,
    TurnFailed,
    ContextCompacted,
    BudgetBooked,
    BudgetClocked,
)
"""Events that change what the list of sessions, its search and its ledger say."""


class Upkeep:
    """Keeps snapshots, list, ledger and followers of one session up to date."""

    def __init__(self, core: SessionCore, background_changed: Callable[[], None]) -> None:
        self._core = core
        self._background_changed = background_changed
        self._since_snapshot = 0
        self._last_written = core.state.conversation.updated  # before this start writes anything

    def committed(self, committed: tuple[Committed, ...]) -> None:
        """Take what was committed into all that follows the journal."""
        self._core.histories.take(committed)
        self._core.view.take(committed)
        durable = sum(part.event.durable for part in committed)
        self._since_snapshot += durable
        if self._since_snapshot >= SNAPSHOT_EVERY:
            self._since_snapshot = 0
            self._core.chores.spawn(self.save_snapshot())
        listed = [part.event for part in committed if isinstance(part.event, _LISTED)]
        if listed:
            self._core.chores.spawn(self._core.sessions.record(self._core.session, self._core.state, listed))
        self._background_changed()
        if any(isinstance(part.event, PermissionDecided | PermissionRevoked) for part in committed):
            self._core.chores.spawn(self._core.sessions.take_decisions(self._core.session))

    async def follow(self) -> None:
        """Show what the window that holds the session writes, and say when that one has left it or come back."""
        core = self._core
        locked = core.read_only_because == HELD
        try:
            while True:
                await core.view.follow()
                await asyncio.sleep(FOLLOW_SECONDS)
                if not locked:
                    continue
                left = await asyncio.to_thread(is_free, core.journal.path)
                if left != core.can_take_over:
                    core.can_take_over = left
                    core.read_only_because = LEFT if left else HELD
                    self._show("warning", f"Read-only: {core.read_only_because}.")
        except JournalError as error:
            self._show("error", f"This window no longer follows the other one: {error}")

    def _show(self, level: Literal["warning", "error"], message: str) -> None:
        self._core.view.warn(Notice(level=level, code="follow", message=message, time=self._core.runtime.now()))

    async def prepare(self) -> None:
        """Make the model client ready, and ask a server for what it says of the session's model."""
        with contextlib.suppress(ModelError):  # the first request meets it again, and says so
            await self._core.services.client.prepare()
        # What judges commands is imported while nothing waits for it, not with the first command.
        await asyncio.to_thread(importlib.import_module, "tui_agent.permissions.guard.judging")
        if self._core.backend.offline:
            return
        # Of a server that is not the API nothing is known: what it says of its models counts from the first turn.
        model = self._core.state.conversation.model
        facts = await self._core.services.client.ask_facts(model)
        if facts is not None:
            self._core.services.catalog.learn(facts)
            if said := retirement(facts, self._core.runtime.now()):
                await self._core.recorder.record(Notice(level="warning", code="retirement", message=said))

    async def settle_budget(self) -> None:
        """Book what an earlier start left: the time of its run, requests that were cut off, the day's books."""
        meter, crashed = self._core.services.meter, self._core.journal.crashed_boot is not None
        clocked = meter.clocked_until(self._last_written)
        if clocked:
            await self._core.recorder.record(*clocked)
        cause = await asyncio.to_thread(self._core.blackbox.cause) if crashed else ("", "")
        await record_interruptions(self._core.journal, self._core.state, self._core.backend.catalog.cost, cause)
        await asyncio.to_thread(self._core.blackbox.arm)
        under_way = {f"{projected.turn}.{projected.attempt}" for projected in self._core.state.budget.reserved}
        if self._last_written:
            # Not waited for: a lost index is filled from all sessions. It comes before whatever is reserved next.
            self._core.chores.spawn(self._core.ledger.settle(under_way))

    async def check_file(self) -> None:
        """Check what the opening of a large file left out."""
        found = await self._core.journal.check()
        if found:
            message = f"The session's file is damaged: {found}. It is salvaged the next time the session is opened."
            await self._core.recorder.record(Notice(level="error", code="journal.damaged", message=message))

    async def probe_sandbox(self) -> None:
        """Find out what commands run in, and record it when that is not as before."""
        found = await self._core.sandbox.state()
        shown = "reduced" if found.reduced else found.kind
        if shown != self._core.state.conversation.sandbox:
            await self._core.recorder.record(
                SandboxProbed(kind=found.kind, detail=found.detail, reduced=found.reduced)
            )

    async def save_snapshot(self) -> None:
        """Save the folded state, so that the next start need not fold all events."""
        seq, text = self._core.journal.last_seq, dump_state(self._core.state)
        await self._core.journal.save_snapshot(seq, text, digest(text))
