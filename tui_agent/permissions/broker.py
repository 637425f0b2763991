"""Brings a call to its decision: by the policy at once, or by the person when they get to it.

Requests and decisions are events: a request that a crash left open is simply there again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tui_agent.events import PermissionDecided, PermissionRequested
from tui_agent.journal import Recorder
from tui_agent.permissions.engine import judge
from tui_agent.permissions.state import PermissionsState
from tui_agent.runtime import Runtime


class NoSuchRequest(Exception):
    """The request was decided already, or never was."""


@dataclass
class PermissionBroker:
    """The waiting requests of one session. `unattended` sessions have nobody to ask: they deny."""

    runtime: Runtime
    state: Callable[[], PermissionsState]
    unattended: bool = False
    _decided: dict[str, asyncio.Event] = field(default_factory=dict)

    async def decide(self, request: PermissionRequested, *, inside: bool, mode: str, recorder: Recorder) -> None:
        """Bring a call to its decision; it is on disk when this returns."""
        verdict = judge(
            effect=request.effect,
            inside=inside,
            scope=request.session_scope,
            mode=mode,
            grants=self.state().grants,
        )
        decision = PermissionDecided(
            step=request.step,
            tool=request.tool,
            call_hash=request.call_hash,
            verdict="deny",
            by=verdict.by,
            reason=verdict.reason,
        )
        if verdict.verdict != "ask":
            await recorder.record(decision.model_copy(update={"verdict": verdict.verdict}))
            return
        request = request.model_copy(update={"why": verdict.reason})
        if self.unattended:
            reason = f"nobody is there to be asked ({verdict.reason})"
            update = {"request": request.request, "by": "unattended", "reason": reason}
            await recorder.record(request, decision.model_copy(update=update))
            return
        await recorder.record(request)
        await self.wait(request.request)

    async def wait(self, request_id: str) -> None:
        """Wait until the person has decided on a request that is on disk."""
        while any(pending.request == request_id for pending in self.state().pending):
            await self._decided.setdefault(request_id, asyncio.Event()).wait()
        self._decided.pop(request_id, None)

    async def resolve(
        self,
        request_id: str,
        verdict: Literal["allow", "deny"],
        *,
        scope: Literal["once", "session"],
        comment: str,
        recorder: Recorder,
    ) -> None:
        """Record the person's decision and let the step go on. Raises `NoSuchRequest` for one not waiting."""
        request = next((p for p in self.state().pending if p.request == request_id), None)
        if request is None:
            raise NoSuchRequest(f"the request {request_id} is not waiting: it was decided or cancelled")
        granted = scope == "session" and verdict == "allow"
        decision = PermissionDecided(
            request=request.request,
            step=request.step,
            tool=request.tool,
            call_hash=request.call_hash,
            verdict=verdict,
            by="person",
            scope=scope,
            grant=request.session_scope if granted else "",
            comment=comment,
            seconds=max(0.0, self.runtime.now() - request.time),
        )
        await recorder.scoped(request.run, request.agent).record(decision)
        self._decided.setdefault(request_id, asyncio.Event()).set()
