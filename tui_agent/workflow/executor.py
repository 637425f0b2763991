"""Takes a step from its plan to its outcome, wherever it is, also after a crash.

The order is what makes a crash harmless: the intent is on disk before the tool runs, the outcome is on disk
before the model or the screen is told. What a crash cut off is classified by looking (`probe`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from tui_agent.events import (
    Intent,
    JsonObject,
    PermissionRequested,
    StepFinished,
    StepOutput,
    StepRecovered,
    StepStarted,
    WorkspaceChanged,
)
from tui_agent.journal import Recorder
from tui_agent.permissions import PLAN_APPROVAL, NoSuchRequest, PermissionBroker, hash_call
from tui_agent.registry import ToolMetadata
from tui_agent.runtime import Runtime
from tui_agent.workflow.state import Step, WorkflowState
from tui_agent.workflow.tool import Call, Finding, Outcome, Plan, Tool, ToolContext, ToolError, Unknowable

MOST_ASKED_AGAIN = 5
"""How often a call is decided anew because what it names has changed since."""

_CHANGED = "what it would do has changed since it was decided on"

FOLDER_GONE = (
    "The session's folder {folder} does not exist any more: it was deleted or renamed. No tool can work until the "
    "user opens the session with its new folder: tui-agent --resume SESSION --cwd FOLDER"
)


class StepHost(Protocol):
    """What the executor needs of the agent whose steps it runs."""

    def tool(self, name: str) -> tuple[ToolMetadata, Tool] | None:
        """Return a tool of the agent's pool; None when the pool does not have it."""
        ...

    @property
    def offered(self) -> list[str]:
        """The names of the tools of the agent's pool."""
        ...

    def invalid_input(self, metadata: ToolMetadata, call_input: JsonObject) -> list[str]:
        """Return what is wrong with a call's input, empty when it is of the tool's schema."""
        ...

    def tool_context(self, step: Step) -> ToolContext:
        """Return the context in which the tool works for this step."""
        ...

    def check_outcome(self, step: Step, outcome: Outcome) -> str:
        """Return how the outcome differs from what the intent announced, empty when it does not."""
        ...

    def memory_for(self, outcome: Outcome) -> tuple[list[JsonObject], list[str]]:
        """Return instruction files of folders the step entered, as result blocks, and their paths."""
        ...


FinalOutcome = Literal["ok", "error", "denied", "cancelled", "skipped"]


def text_result(text: str) -> list[JsonObject]:
    """Return a tool result of one text block."""
    return [{"type": "text", "text": text or "(no output)"}]


@dataclass
class _Settling:
    """How far a step is for those that wait for it: `over`, or `passable` by calls that only read."""

    over: asyncio.Event = field(default_factory=asyncio.Event)
    passable: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class StepExecutor:
    """Runs the steps of one agent.

    Those that may change something run one after another, in order. `pure` ones run at once. A command that only
    reads, by the decision on it, runs beside others of its kind, as many at once as `readers` lets through; it waits
    for earlier calls that may change something, but not for one that waits for the user.
    """

    runtime: Runtime
    host: StepHost
    broker: PermissionBroker
    recorder: Recorder
    state: Callable[[], WorkflowState]
    mode: Callable[[], str]
    workspace: Path
    changes: asyncio.Lock
    resolved: asyncio.Condition
    readers: asyncio.Semaphore
    _settling: dict[str, _Settling] = field(default_factory=dict)
    _plans: dict[str, Plan] = field(default_factory=dict)
    _asked_again: dict[str, int] = field(default_factory=dict)

    async def settle(self, step_id: str) -> None:
        """Bring one step to its outcome. Cancelled, the step stays as it is: see `cancel_open`."""
        settling = self._settling[step_id] = _Settling()
        try:
            await self._settle(step_id)
        finally:
            self._plans.pop(step_id, None)
            self._asked_again.pop(step_id, None)
            self.broker.places.pop(step_id, None)
            del self._settling[step_id]
            settling.over.set()
            settling.passable.set()

    async def _settle(self, step_id: str) -> None:
        while (step := self.state().steps.get(step_id)) is not None:
            if step.problem:
                await self._finish(step, "error", text_result(step.problem), step.problem)
                return
            found = self.host.tool(step.tool)
            if found is None:
                message = _unknown_tool(step.tool, self.host.offered)
                await self._finish(step, "error", text_result(message), message)
                return
            metadata, tool = found
            if self._lost(step, metadata) and step.status in {"planned", "waiting", "approved"} - _decided(step):
                await self._finish(step, "error", text_result(_LOST), _LOST)
                return
            step = self._with_secret(step)
            if problems := self.host.invalid_input(metadata, step.input):
                message = "The call was not run. Its input is not valid:\n" + "\n".join(problems)
                await self._finish(step, "error", text_result(message), problems[0])
                return
            call = Call(step.id, step.tool, step.input, step.agent, max(step.attempt, 1))
            try:
                await self._advance(step, call, tool, metadata)
            except ToolError as error:
                await self._finish(step, "error", text_result(str(error)), _first_line(str(error)))
            except Unknowable as lost:
                await self.recorder.record(
                    StepRecovered(step=step.id, finding="uncertain", action="ask", evidence=str(lost))
                )

    def _lost(self, step: Step, metadata: ToolMetadata) -> bool:
        """Say whether a call that changes something is not known to the letter any more, since a restart."""
        return step.withheld and step.id not in self.broker.whole and metadata.effect != "pure"

    def _with_secret(self, step: Step) -> Step:
        return replace(step, input=self.broker.whole[step.id]) if step.id in self.broker.whole else step

    async def cancel_open(self, step_id: str, reason: str) -> None:
        """Finish a step that the user interrupted; what it had done by then is looked for and told."""
        step = self.state().steps.get(step_id)
        if step is None:
            return
        step = self._with_secret(step)
        found = self.host.tool(step.tool)
        if step.status == "running" and step.intent is not None and found is not None:
            call = Call(step.id, step.tool, step.input, step.agent, max(step.attempt, 1))
            try:
                context = self.host.tool_context(step)
                finding = await found[1].probe(call, step.intent, context)
                if finding.state == "running":  # since an earlier start; taken up only to be ended
                    attached = asyncio.ensure_future(found[1].attach(call, step.intent, context))
                    await asyncio.sleep(0)
                    attached.cancel()
                    await asyncio.wait({attached})
                    finding = await found[1].probe(call, step.intent, context)
            except Exception as error:
                # Whatever it is, a step that cannot be looked at must not keep the run from ending.
                finding = Finding("uncertain", f"it could not be looked at ({type(error).__name__}: {error}).")
            seconds = max(0.0, self.runtime.now() - step.started)
            if finding.outcome is not None and not finding.outcome.error:
                await self._acknowledge(step.id, finding.outcome, seconds, recovered=False)
                return
            if finding.outcome is not None:
                result = [*finding.outcome.result, *text_result(reason)]
                await self._finish(step, "cancelled", result, reason, view=finding.outcome.view)
                return
            if finding.state == "uncertain":
                reason = f"{reason} How far it got is not known: {finding.evidence}"
        await self._finish(step, "cancelled", text_result(reason), reason)

    async def _advance(self, step: Step, call: Call, tool: Tool, metadata: ToolMetadata) -> None:
        match step.status:
            case "planned":
                if not await asyncio.to_thread(self.workspace.is_dir):
                    raise ToolError(FOLDER_GONE.format(folder=self.workspace))
                await self._ask(step, await self._plan(step, call, tool), metadata)
            case "waiting":
                self._let_pass(step)
                if step.id not in self._plans:  # an earlier start asked
                    with suppress(ToolError):
                        self._hold(step, await tool.plan(call, self.host.tool_context(step)))
                        await self._reconsider(step)
                await self.broker.wait(self._request_of(step))
            case "denied":
                await self._finish_denied(step)
            case "approved" if step.resolution in {"happened", "skip"}:
                await self._finish_resolved(step)
            case "approved":
                await self._run(step, call, tool, metadata)
            case "running" if metadata.effect == "pure" or _only_reads(step):
                await self._recover(step, call, tool, metadata)
            case "running":
                async with self.changes:
                    await self._recover(step, call, tool, metadata)
            case "uncertain":
                self._let_pass(step)
                async with self.resolved:
                    await self.resolved.wait_for(lambda: self._status(step.id) != "uncertain")

    def _status(self, step_id: str) -> str:
        step = self.state().steps.get(step_id)
        return step.status if step else ""

    def _request_of(self, step: Step) -> str:
        pending = (p for p in self.broker.state().pending if p.step == step.id)
        request = next(pending, None)
        return request.request if request else ""

    def _hold(self, step: Step, plan: Plan) -> None:
        """Keep a plan until its step is over: what it holds open is decided on, and acted on."""
        self._plans[step.id] = plan
        if plan.target is not None:
            self.broker.places[step.id] = str(plan.target.real)

    async def _reconsider(self, step: Step) -> None:
        """Decide a waiting call anew, where that could not be done before it was held open."""
        if step.id in self.broker.unplaced:
            self.broker.unplaced.discard(step.id)
            with suppress(NoSuchRequest):  # the user was faster
                await self.broker.reconsider(self._request_of(step), mode=self.mode, recorder=self.recorder)

    async def _ask(self, step: Step, plan: Plan, metadata: ToolMetadata, why: str = "") -> None:
        self._hold(step, plan)
        request = PermissionRequested(
            step=step.id,
            request=self.runtime.new_id("request"),
            tool=step.tool,
            tier=metadata.tier,
            effect=metadata.effect,
            input=step.input,
            call_hash=hash_call(step.tool, step.input, self.workspace),
            title=plan.title,
            why=why,
            preview=plan.preview,
            bound=plan.digest,
            # A rule made of what is on disk would be about another call.
            session_scope="" if step.withheld else plan.scope,
        )
        asked = partial(self._let_pass, step)
        await self.broker.decide(request, mode=self.mode(), recorder=self.recorder, asked=asked)

    async def _run(self, step: Step, call: Call, tool: Tool, metadata: ToolMetadata) -> None:
        await self._check_decision(step)
        if metadata.effect == "pure":
            changed = await self._start(step, call, tool)
        elif _only_reads(step):
            self._let_pass(step)
            await self._await_turn(step, reads=True)
            async with self.readers:
                changed = await self._start(step, call, tool)
        else:
            await self._await_turn(step)
            async with self.changes:
                changed = await self._start(step, call, tool)
        if changed is not None:
            await self._ask_again(step, changed, metadata)

    async def _check_decision(self, step: Step) -> None:
        """Raise `ToolError` where the decision does not hold: it was on another call, or for a sandbox that is gone.

        Asked before each run, also of a step that a crash stopped before it did anything.
        """
        decision = step.decision
        if decision is not None and decision.call_hash != hash_call(step.tool, step.input, self.workspace):
            raise ToolError("The decision was made on another call; this one was not run.")
        winner = decision.judgement.winner if decision is not None and decision.judgement is not None else ""
        if winner == "sandbox" and await self.broker.sandbox() == "none":
            raise ToolError("The call was allowed inside the sandbox only, and there is none now; it was not run.")

    async def _ask_again(self, step: Step, plan: Plan, metadata: ToolMetadata) -> None:
        """Have a call decided anew that would do something else than what was decided on."""
        self._asked_again[step.id] = self._asked_again.get(step.id, 0) + 1
        if self._asked_again[step.id] > MOST_ASKED_AGAIN:
            raise ToolError("What this call names changes all the time; nothing was done. Look at it again.")
        await self._ask(step, plan, metadata, _CHANGED)

    def _let_pass(self, step: Step) -> None:
        """Let later calls that only read go ahead of this step."""
        if step.id in self._settling:
            self._settling[step.id].passable.set()

    async def _plan(self, step: Step, call: Call, tool: Tool) -> Plan:
        try:
            return await tool.plan(call, self.host.tool_context(step))
        except ToolError:
            # It may need what an earlier call is still to do.
            if not await self._await_turn(step):
                raise
        return await tool.plan(call, self.host.tool_context(step))

    async def _await_turn(self, step: Step, *, reads: bool = False) -> bool:
        """Let what was asked for earlier be over, as a call may build on it; say whether there was any.

        One that `reads` passes those that read too, and those that wait for the user.
        """
        waited = False
        for earlier in list(self.state().steps.values()):
            if earlier.agent == step.agent and earlier.order < step.order and earlier.effect != "pure":
                settling = self._settling.get(earlier.id)
                if settling is not None:
                    waited = True
                    await (settling.passable if reads else settling.over).wait()
        return waited

    async def _start(self, step: Step, call: Call, tool: Tool) -> Plan | None:
        """Run an approved step; where it would do something else by now, do nothing and return its plan."""
        attempt = step.attempt + 1
        call = replace(call, attempt=attempt)
        context = self.host.tool_context(replace(step, attempt=attempt))
        plan = await tool.plan(call, context)
        if step.resolution == "run_again":
            # What the file holds may differ since the first attempt; where it is may not.
            if step.intent is not None and _paths(plan.intent) != _paths(step.intent):
                return plan
        elif step.decision is not None and step.decision.bound and plan.digest != step.decision.bound:
            return plan
        held = self._plans.get(step.id)
        if held is not None and held.digest and held.digest == plan.digest:
            plan = held
        context = replace(context, target=plan.target)
        self.runtime.failpoint("workflow.before_intent")
        await self.recorder.record(StepStarted(step=step.id, tool=step.tool, intent=plan.intent, attempt=attempt))
        self.runtime.failpoint("workflow.after_intent")
        begun = self.runtime.monotonic()
        outcome = await tool.run(call, plan.intent, context)
        self.runtime.failpoint("workflow.before_outcome")
        await self._acknowledge(step.id, outcome, self.runtime.monotonic() - begun, recovered=False)
        self.runtime.failpoint("workflow.after_outcome")
        return None

    async def _recover(self, step: Step, call: Call, tool: Tool, metadata: ToolMetadata) -> None:
        """Look how far a step got that an earlier boot had started, and go on from there."""
        assert step.intent is not None  # a running step has recorded its intent
        context = self.host.tool_context(step)
        finding = await tool.probe(call, step.intent, context)
        self.runtime.failpoint("workflow.probed")
        actions: dict[str, Literal["run", "attach", "adopt", "ask"]] = {
            "not_started": "run",
            "running": "attach",
            "finished": "adopt",
            "uncertain": "ask",
        }
        recovered = StepRecovered(
            step=step.id, finding=finding.state, action=actions[finding.state], evidence=finding.evidence
        )
        await self.recorder.record(recovered)
        seconds = max(0.0, self.runtime.now() - step.started)
        match finding.state:
            case "finished" if finding.outcome is not None:
                await self._acknowledge(step.id, finding.outcome, seconds, recovered=True)
            case "running":
                outcome = await tool.attach(call, step.intent, context)
                await self._acknowledge(step.id, outcome, self.runtime.now() - step.started, recovered=True)
            case "not_started":
                if self._lost(step, metadata):
                    raise ToolError(_LOST)
                await self._check_decision(step)
                if metadata.effect == "pure" and step.decision is not None and step.decision.bound:
                    # Nothing was kept open over the restart: what the path leads to by now was never decided on.
                    plan = await tool.plan(call, context)
                    if plan.digest != step.decision.bound:
                        raise ToolError(_LEADS_ELSEWHERE)
                    context = replace(context, target=plan.target)
                outcome = await tool.run(call, step.intent, context)
                await self._acknowledge(step.id, outcome, self.runtime.now() - step.started, recovered=True)

    async def _acknowledge(self, step_id: str, outcome: Outcome, seconds: float, *, recovered: bool) -> None:
        step = self.state().steps[step_id]
        result = _edit_note(step) + outcome.result
        difference = self.host.check_outcome(step, outcome)
        if difference:
            result.append({"type": "text", "text": f"Warning: {difference}"})
        blocks, memory = self.host.memory_for(outcome)
        finished = StepFinished(
            step=step.id,
            tool=step.tool,
            outcome="error" if outcome.error or difference else "ok",
            result=[*result, *blocks],
            summary=difference or outcome.summary,
            view=outcome.view,
            diff=outcome.diff,
            exit_code=outcome.exit_code,
            effects=outcome.effects,
            memory=memory,
            seconds=seconds,
            recovered=recovered,
        )
        changed = []
        before = {state.path: state for state in (step.intent.before if step.intent else [])}
        for after in outcome.effects:
            old = before.get(after.path)
            if old is not None and old.sha256 != after.sha256:
                changed.append(WorkspaceChanged(step=step.id, before=old, after=after))
        await self.recorder.record(finished, *changed, drop_chunks=[step.id])
        self.broker.whole.pop(step.id, None)

    async def _finish_denied(self, step: Step) -> None:
        decision = step.decision
        comment = decision.comment if decision else ""
        reason = decision.reason if decision else ""
        plan = step.tool == PLAN_APPROVAL
        if decision is not None and decision.by == "person":
            message = "The user did not approve the plan." if plan else "The user denied this call."
            if comment:
                message += f" They say: {comment}"
            else:
                message += " Ask what to change." if plan else " Do not try it in another way; ask what they want."
            if plan:
                message += " The mode is still plan: hand in the changed plan with exit_plan."
        else:
            message = f"This call was denied: {reason}."
            if decision is not None and decision.by == "mode" and self.mode() == "plan":
                message += _IN_PLAN_MODE
        await self._finish(step, "denied", text_result(message), comment or reason or "denied")

    async def _finish_resolved(self, step: Step) -> None:
        comment = f" They say: {step.comment}" if step.comment else ""
        if step.resolution == "happened":
            message = f"The program stopped during this call. The user says that it happened.{comment}"
            await self._finish(step, "ok", text_result(message), "it happened, says the user")
        else:
            message = (
                "The program stopped during this call; how far it got is not known. "
                f"The user chose not to run it again.{comment}"
            )
            await self._finish(step, "skipped", text_result(message), "not run again")

    async def _finish(
        self, step: Step, outcome: FinalOutcome, result: list[JsonObject], summary: str, view: str = ""
    ) -> None:
        finished = StepFinished(
            step=step.id,
            tool=step.tool,
            outcome=outcome,
            result=_edit_note(step) + result,
            summary=_first_line(summary),
            view=view,
        )
        await self.recorder.record(finished, drop_chunks=[step.id])
        self.broker.whole.pop(step.id, None)


_LOST = (
    "This call held a secret, which is not kept in the session, and the program was started anew since. "
    "It was not run: make it again if it is still needed."
)

_LEADS_ELSEWHERE = (
    "What this call names leads elsewhere since the program was started anew. Nothing was read: make the call again "
    "if it is still needed."
)


_IN_PLAN_MODE = (
    " In plan mode you can read, search, delegate, and run commands that only read, each in a call of its own. What "
    "changes something waits until the user has approved a plan."
)


def _unknown_tool(name: str, offered: list[str]) -> str:
    """Return what the model reads when it calls a tool that it is not offered: the nearest name, and all names."""
    near = get_close_matches(name.lower(), offered, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"There is no tool named {name!r}.{hint} Your tools are: {', '.join(offered)}."


def _paths(intent: Intent) -> list[str]:
    """Return the paths of the files that an intent is about."""
    return [state.path for state in (*intent.before, *intent.after)]


def _only_reads(step: Step) -> bool:
    """Return whether the step was allowed because it changes nothing."""
    decision = step.decision
    return decision is not None and decision.judgement is not None and decision.judgement.read_only


def _decided(step: Step) -> set[str]:
    """Return the status in which the user has said what became of a step, so that nothing is run."""
    return {"approved"} if step.resolution in {"happened", "skip"} else set()


def output_stream(recorder: Recorder, step: str) -> Callable[[str], Awaitable[None]]:
    """Return the function by which a tool shows output while it runs. It may hold back the end for a while."""
    stream = recorder.journal.redactor.stream()

    async def show(text: str) -> None:
        clean = stream.feed(text)
        if clean:
            await recorder.stream(StepOutput(step=step, text=clean))

    return show


def _edit_note(step: Step) -> list[JsonObject]:
    """Return what the model must know of a call that the user changed; its own call stands there unchanged."""
    return text_result(step.edited) if step.edited else []


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:200] if text.strip() else ""
