"""Brings a call to its decision: by the policy at once, or by the user when they get to it.

Requests and decisions are events: a request that a crash left open is simply there again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shlex
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tui_agent.events import (
    JsonObject,
    Judgement,
    ModuleVerdict,
    PermissionDecided,
    PermissionRequested,
    RuleMatch,
    StepEdited,
)
from tui_agent.journal import Recorder
from tui_agent.permissions.narrowing import Narrowing
from tui_agent.permissions.policy import MODES, Policy, PolicyDecision, Request, SandboxState, failed_decision
from tui_agent.permissions.rule_sources import listed_rules
from tui_agent.permissions.rules import RuleSet
from tui_agent.permissions.state import PermissionsState
from tui_agent.runtime import Runtime
from tui_agent.sandbox import Protection

if TYPE_CHECKING:
    from tui_agent.sandbox import TemporaryFolder

_STRICTNESS = {"allow": 0, "ask": 1, "deny": 2}

EXACT = "exact:"
"""Begins a grant for one exact call, by its hash; any other grant is a rule."""


class NoSuchRequest(Exception):
    """The request was decided already, or never was."""


def hash_call(tool: str, call_input: JsonObject, workspace: Path) -> str:
    """Return the SHA-256 that a decision on this exact call is bound to."""
    call = json.dumps([tool, call_input, str(workspace)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(call.encode("utf-8", "surrogatepass")).hexdigest()


_NO_PLACE = "place"
"""What decides a call whose place is not held open."""


@dataclass
class PermissionBroker:
    """Decides the calls of one session, and keeps those that wait for the user.

    `rules` reads the rules that hold in the workspace (blocking; they are read for each decision, so that a change
    counts at once). `protected` are the program's own folders; `folders` returns what is open besides the workspace
    (blocking).
    `temporary` returns the folder that is seen as `/tmp`, where there is one (blocking). `narrowing` says what the
    types of an agent and of those above it forbid besides. `sandbox` says what commands run in. `unattended`
    sessions have nobody to ask: they deny. `whole` are the inputs, by step, of open calls that hold a secret: the
    journal, and so every state and request, has them without it, and they are nowhere else. `places` are the real
    paths, by step, that open calls name: each is decided on as well as the path as it is written, and without it a
    call that was asked about one is left to the user. `unplaced` are the steps that could not be decided anew for
    want of it: whoever holds one open then has to ask again.
    """

    runtime: Runtime
    state: Callable[[], PermissionsState]
    workspace: Path
    rules: Callable[[], RuleSet]
    sandbox: Callable[[], Awaitable[SandboxState]]
    narrowing: Callable[[str], Narrowing] = lambda agent: Narrowing()
    protected: tuple[str, ...] = ()
    folders: Callable[[], tuple[str, ...]] = lambda: ()
    temporary: Callable[[], TemporaryFolder | None] = lambda: None
    unattended: bool = False
    whole: dict[str, JsonObject] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    unplaced: set[str] = field(default_factory=set)
    _decided: dict[str, asyncio.Event] = field(default_factory=dict)
    _settling: set[str] = field(default_factory=set)

    async def decide(
        self,
        request: PermissionRequested,
        *,
        mode: str,
        recorder: Recorder,
        asked: Callable[[], None] = lambda: None,
    ) -> None:
        """Bring a call to its decision; it is on disk when this returns. `asked` is called when the user is asked."""
        sandbox: SandboxState = await self.sandbox() if request.tool == "bash" else "none"
        found = await asyncio.to_thread(self._judge, request, mode, sandbox, recorder.agent)
        judgement = _judgement(found)
        decision = PermissionDecided(
            step=request.step,
            tool=request.tool,
            call_hash=request.call_hash,
            bound=request.bound,
            verdict="deny",
            by=_by(found),
            reason=found.reason,
            judgement=judgement,
            environment=dict(found.environment),
            hidden=list(found.hidden),
        )
        if found.verdict != "ask":
            await recorder.record(decision.model_copy(update={"verdict": found.verdict}))
            return
        why = "; ".join(part for part in (found.reason, request.why) if part)
        request = request.model_copy(update={"why": why, "judgement": judgement})
        if self.unattended:
            reason = f"nobody is there to be asked ({found.reason})"
            update = {"request": request.request, "by": "unattended", "reason": reason}
            await recorder.record(request, decision.model_copy(update=update))
            return
        await recorder.record(request)
        asked()
        await self.wait(request.request)

    async def wait(self, request_id: str) -> None:
        """Wait until the user has decided on a request that is on disk."""
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
        by: Literal["person", "unattended"] = "person",
        mode: str = "",
    ) -> None:
        """Record the user's decision and let the step go on. Raises `NoSuchRequest` for one not waiting.

        `mode` is the session's mode after a plan that is approved.
        """
        request = self.waiting(request_id)
        granted = scope == "session" and verdict == "allow"
        decision = PermissionDecided(
            request=request.request,
            step=request.step,
            tool=request.tool,
            call_hash=request.call_hash,
            bound=request.bound,
            verdict=verdict,
            by=by,
            reason="nobody is there to be asked" if by == "unattended" else "",
            scope=scope,
            grant=(request.session_scope or EXACT + request.call_hash) if granted else "",
            comment=comment,
            seconds=max(0.0, self.runtime.now() - request.time),
            judgement=request.judgement,
            mode=mode,
        )
        await self._settle(request, decision, recorder)

    async def edit(self, change: StepEdited, recorder: Recorder) -> None:
        """Put a changed call in the place of the one that waits: it is decided anew. Raises `NoSuchRequest`."""
        request = self.waiting(change.request)
        await self._settle(request, change, recorder)

    async def reconsider(self, request_id: str, *, mode: Callable[[], str], recorder: Recorder) -> bool:
        """Decide a waiting call anew, after rules, grants or the mode changed; return whether it still waits."""
        request = self.waiting(request_id)
        sandbox: SandboxState = await self.sandbox() if request.tool == "bash" else "none"
        found = await asyncio.to_thread(self._judge, request, mode(), sandbox, request.agent)
        while found.mode != mode() or (found.winner == _NO_PLACE and request.step in self.places):
            # The mode changed again meanwhile, or what the call names is held open by now.
            found = await asyncio.to_thread(self._judge, request, mode(), sandbox, request.agent)
        if found.winner == _NO_PLACE:
            self.unplaced.add(request.step)
        if found.verdict == "ask" or all(p.request != request_id for p in self.state().pending):
            return found.verdict == "ask"
        decision = PermissionDecided(
            request=request_id,
            step=request.step,
            tool=request.tool,
            call_hash=request.call_hash,
            bound=request.bound,
            verdict=found.verdict,
            by=_by(found),
            reason=found.reason,
            seconds=max(0.0, self.runtime.now() - request.time),
            judgement=_judgement(found),
            environment=dict(found.environment),
            hidden=list(found.hidden),
        )
        await self._settle(request, decision, recorder)
        return False

    async def would(self, request_id: str, more: RuleSet, *, mode: str) -> PolicyDecision:
        """Return what the policy would say of a waiting call with some rules more. Raises `NoSuchRequest`."""
        request = self.waiting(request_id)
        sandbox: SandboxState = await self.sandbox() if request.tool == "bash" else "none"
        return await asyncio.to_thread(self._judge, request, mode, sandbox, request.agent, more)

    async def asking(self, request_id: str, *, mode: str) -> list[str]:
        """Return the commands of a waiting line that would ask if each stood alone, in their order.

        Raises `NoSuchRequest`.
        """
        request = self.waiting(request_id)
        sandbox = await self.sandbox()
        return await asyncio.to_thread(self._asking, request, mode, sandbox)

    def _asking(self, request: PermissionRequested, mode: str, sandbox: SandboxState) -> list[str]:
        try:
            from tui_agent.permissions.guard.shell import parse_line

            line = parse_line(str(request.input.get("command", "")), str(self.workspace), str(self.runtime.home))
        except Exception:  # what cannot be parsed asks as a whole
            return []
        found: list[str] = []
        for command in line.inner():
            text = shlex.join(command.argv)
            alone = request.model_copy(update={"input": {**request.input, "command": text}})
            plain = all(word.constant and "*" not in word.text for word in command.words)
            if plain and text and self._judge(alone, mode, sandbox, request.agent).verdict == "ask":
                found.append(text)
        return found

    def left_out(self, tool: str, paths: Sequence[str], folder: str, *, agent: str, mode: str) -> set[str]:
        """Return those of `paths`, real, that an agent's search by `tool` in `folder` leaves out (blocking).

        These are the files that would not be read without a question; but whoever was allowed to search a
        protected folder sees what is protected no more than that.
        """
        policy = Policy(self.rules().plus(self.narrowing(agent).rules), str(self.runtime.home), self.protected)
        return policy.left_out(tool, paths, folder, workspace=str(self.workspace), mode=mode)

    def protection(self, *, agent: str) -> Protection:
        """Return what the sandbox has to keep from an agent's commands (blocking: reads the rules)."""
        policy = Policy(self.rules().plus(self.narrowing(agent).rules), str(self.runtime.home), self.protected)
        return policy.protection(str(self.workspace))

    def waiting(self, request_id: str) -> PermissionRequested:
        """Return a request that waits. Raises `NoSuchRequest`."""
        request = next((p for p in self.state().pending if p.request == request_id), None)
        if request is None:
            raise NoSuchRequest(f"the request {request_id} is not waiting: it was decided or cancelled")
        return request

    async def _settle(
        self, request: PermissionRequested, event: PermissionDecided | StepEdited, recorder: Recorder
    ) -> None:
        """Record what ends a request; of two that come at once, only the first."""
        if request.request in self._settling:
            raise NoSuchRequest(f"the request {request.request} is being decided")
        self._settling.add(request.request)
        try:
            await recorder.scoped(request.run, request.agent).record(event)
        finally:
            self._settling.discard(request.request)
        self._decided.setdefault(request.request, asyncio.Event()).set()

    def _judge(
        self, request: PermissionRequested, mode: str, sandbox: SandboxState, agent: str, more: RuleSet | None = None
    ) -> PolicyDecision:
        call = Request(
            tool=request.tool,
            input=self.whole.get(request.step, request.input),
            workspace=str(self.workspace),
            mode=mode,
            tier=request.tier,
            effect=request.effect,
            agent=agent,
            sandbox=sandbox,
        )
        try:
            granted = [grant.pattern for grant in self.state().grants]
            rules = self.rules().plus(more or RuleSet())
            # after the rules were read: files that hold rules may add folders, or no longer
            call = replace(call, folders=self.folders(), temporary=self.temporary())
            narrowing = self.narrowing(agent)
        except Exception as error:
            return failed_decision(call, error)

        def decide(call: Request, call_hash: str) -> PolicyDecision:
            home = str(self.runtime.home)
            return judge(call, call_hash, rules, granted, home=home, protected=self.protected, narrowing=narrowing)

        found = decide(call, request.call_hash)
        place = self.places.get(request.step, "")
        if request.bound and not place and found.verdict == "allow":
            # What it was planned for could not be held open again after a restart: nobody knows where that leads.
            return replace(found, verdict="ask", reason="what it names cannot be looked at now", winner=_NO_PLACE)
        written = str(Path(os.path.realpath(self.workspace)) / str(call.input.get("path", ".")))
        if not place or os.path.normpath(written) == place:
            return found
        # What was planned is at `place`, wherever the written path leads now; an exact grant is not for it.
        there = decide(replace(call, input={**call.input, "path": place}), "")
        return there if _STRICTNESS[there.verdict] > _STRICTNESS[found.verdict] else found


def judge(
    call: Request,
    call_hash: str,
    rules: RuleSet,
    granted: Iterable[str],
    *,
    home: str,
    protected: tuple[str, ...],
    narrowing: Narrowing,
) -> PolicyDecision:
    """Decide a call under the rules that stand in files, what was granted for the session, and the agent's types.

    Never raises: a check that fails where it could have denied, denies.
    """
    try:
        return _judge(call, call_hash, rules, list(granted), home=home, protected=protected, narrowing=narrowing)
    except Exception as error:
        return failed_decision(call, error)


def _judge(
    call: Request,
    call_hash: str,
    rules: RuleSet,
    granted: list[str],
    *,
    home: str,
    protected: tuple[str, ...],
    narrowing: Narrowing,
) -> PolicyDecision:
    session = listed_rules(
        [pattern for pattern in granted if not pattern.startswith(EXACT)],
        [],
        [],
        source="session",
        home=home,
        base=call.workspace,
    )
    policy = Policy(rules.plus(session).plus(narrowing.rules), home, protected)
    # the mode plan forbids just what is not known to change nothing
    found = policy.decide(replace(call, mode="plan") if narrowing.read_only and call.mode in MODES else call)
    found = narrowing.on(found, call.mode)
    access = call.input.get("access", "sandbox")
    if found.verdict == "allow" and access != "sandbox" and call.mode != "bypass" and call.sandbox != "none":
        wanted = {"network": "for the network", "write": "to write in the workspace"}.get(
            str(access), "to run outside the sandbox"
        )
        found = replace(found, verdict="ask", reason=f"it asks {wanted}", winner="access")
    if found.verdict == "ask" and EXACT + call_hash in granted:
        return replace(found, verdict="allow", reason="granted for this session: exactly this call", winner="grant")
    return found


def _judgement(found: PolicyDecision) -> Judgement:
    return Judgement(
        verdict=found.verdict,
        reason=found.reason,
        winner=found.winner,
        read_only=found.verdict == "allow" and found.read_only,
        mode=found.mode,
        tier=found.tier,
        agent_types=list(found.agent_types),
        rules=[
            RuleMatch(rule=r.rule, verdict=r.verdict, source=r.source, file=r.file, line=r.line) for r in found.rules
        ],
        modules=[
            ModuleVerdict(name=m.name, verdict=m.verdict, reason=m.reason)
            for m in found.modules
            if m.verdict != "pass"
        ],
    )


def _by(found: PolicyDecision) -> Literal["mode", "grant", "policy"]:
    if found.winner == "mode":
        return "mode"
    granted = any(rule.source == "session" and rule.verdict == "allow" for rule in found.rules)
    return "grant" if found.winner == "grant" or (granted and found.verdict == "allow") else "policy"
