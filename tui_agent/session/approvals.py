"""Decisions of the user: permission requests, questions, uncertain steps, and the rules they save."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from pathlib import Path

from tui_agent.context import agree
from tui_agent.events import (
    MAIN_AGENT,
    ContextNoted,
    JsonObject,
    PermissionRequested,
    PermissionRevoked,
    QuestionAnswered,
    StepResolved,
)
from tui_agent.permissions import LoadedRules, NoSuchRequest
from tui_agent.session.core import SessionCore
from tui_agent.session.edits import edited, with_hunks
from tui_agent.session.errors import SessionError
from tui_agent.submissions import Decide, Resolve
from tui_agent.text import well_formed

MODES_AFTER_PLAN = ("ask", "accept-edits", "sandboxed")
"""The modes that the user can choose when they approve a plan."""


class Approvals:
    """Decides what waits for the user in one session."""

    def __init__(self, core: SessionCore) -> None:
        self._core = core

    async def decide(self, decision: Decide) -> None:
        """Decide on a waiting request. Raises `NoSuchRequest` when it is not waiting any more.

        Raises `SessionError` for a mode that cannot be chosen with a plan's approval.
        """
        self._core.require_writable()
        if decision.mode and decision.mode not in MODES_AFTER_PLAN:
            raise SessionError(f"after a plan the mode can be {' or '.join(MODES_AFTER_PLAN)}, not {decision.mode!r}")
        await self._core.services.broker.resolve(
            decision.request,
            decision.verdict,
            scope=decision.scope,
            comment=decision.comment,
            recorder=self._core.recorder,
            by="unattended" if decision.unattended else "person",
            mode=decision.mode,
        )
        if decision.verdict == "allow" and decision.scope == "session":
            await self.reconsider()

    async def edit(self, request: str, call_input: JsonObject) -> None:
        """Change a waiting call; it is decided anew. Raises `SessionError` when it is not valid, `NoSuchRequest`."""
        self._core.require_writable()
        await self._edit(self._core.services.broker.waiting(request), call_input, "")

    async def choose_hunks(self, request: str, chosen: Collection[int]) -> None:
        """Leave only these hunks (by number, from 0) in a waiting call; it is decided anew. Raises as `edit`."""
        self._core.require_writable()
        waiting = self._core.services.broker.waiting(request)
        call_input, note = await asyncio.to_thread(with_hunks, waiting, self._core.locate, chosen)
        await self._edit(waiting, call_input, note)

    async def always(self, rules: tuple[str, ...]) -> Path:
        """Save rules that allow to the user's file, all or none, and return that; requests they cover go on.

        Raises `RuleFileError`.
        """
        self._core.require_writable()
        path = await asyncio.to_thread(self._core.audit.add_rules, rules, "allow")
        await self.reconsider()
        return path

    async def revoke(self, grant: str) -> None:
        """Take a grant of this session back; does nothing when there is none such."""
        self._core.require_writable()
        if any(known.pattern == grant for known in self._core.state.permissions.grants):
            await self._core.recorder.record(PermissionRevoked(grant=grant))

    async def trust(self, shown: str) -> LoadedRules:
        """Let the project's files allow what they want to, as long as they have the hash that was `shown`.

        Raises `SessionError`, also when they have changed since, and `OSError`.
        """
        self._core.require_writable()
        rules = await asyncio.to_thread(self._core.audit.trust, self._core.state.conversation.workspace, shown)
        await asyncio.to_thread(self._core.rules.read)
        await self._core.rules.record_folders()
        await self.reconsider()
        return rules

    async def agree_to_memory(self) -> None:
        """Give the memory files that the user was shown last to the model from now on. Raises `OSError`.

        One that has changed since is held back.
        """
        self._core.require_writable()
        memory, chosen = await self._core.choose_memory()
        shown = self._core.shown_memory
        await asyncio.to_thread(agree, memory, shown, self._core.options.config_dir)
        history = await self._core.histories.load(MAIN_AGENT)
        agreed = [file for file in chosen.held if file.sha256 in shown]
        if history.system and agreed:
            text = "\n\n".join(file.block() for file in agreed)
            await self._core.recorder.record(ContextNoted(text=f"<memory>\n{text}\n</memory>"))

    async def answer(self, question: str, text: str) -> None:
        """Answer a question of the model; does nothing when it is not open any more."""
        self._core.require_writable()
        text = well_formed(text)
        known = self._core.state.workflow.questions.get(question)
        if known is not None:
            step = self._core.state.workflow.steps[known.step]
            answered = QuestionAnswered(step=known.step, question=question, answer=text)
            await self._core.recorder.scoped(step.run, step.agent).record(answered)
            async with self._core.services.resolved:
                self._core.services.resolved.notify_all()

    async def resolve(self, resolve: Resolve) -> None:
        """Decide about a step that a crash left uncertain; does nothing when it is not so any more."""
        self._core.require_writable()
        known = self._core.state.workflow.steps.get(resolve.step)
        if known is not None and known.status == "uncertain":
            resolved = StepResolved(step=resolve.step, resolution=resolve.resolution, comment=resolve.comment)
            await self._core.recorder.scoped(known.run, known.agent).record(resolved)
            async with self._core.services.resolved:
                self._core.services.resolved.notify_all()

    async def reconsider(self) -> None:
        """Decide what waits anew, since rules, grants or the mode changed."""
        for request in self._core.state.permissions.pending:
            with contextlib.suppress(NoSuchRequest):  # the user was faster
                await self._core.services.broker.reconsider(
                    request.request, mode=self._core.services.mode, recorder=self._core.recorder
                )

    async def _edit(self, request: PermissionRequested, call_input: JsonObject, note: str) -> None:
        step = self._core.state.workflow.steps.get(request.step)
        if (step is not None and step.withheld) or self._core.journal.redactor.value(call_input) is not call_input:
            raise SessionError(
                "a call with a secret in it cannot be changed, as no secret is kept: allow or deny it as it is"
            )
        metadata = self._core.services.tools[request.tool]
        change = await asyncio.to_thread(edited, request, metadata, call_input, self._core.services.workspace, note)
        await self._core.services.broker.edit(change, self._core.recorder)
