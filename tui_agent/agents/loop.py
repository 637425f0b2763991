"""The agent loop.

Each round looks at what the journal says and does the next thing: settle open steps, take up queued
prompts, check the limits, take a turn. Nothing but the journal is remembered between rounds, so a run that
a crash cut off goes on by entering the loop again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any

from tui_agent.agents.agent_type import AgentType, load_agent_types
from tui_agent.agents.cache_life import LONG_WAIT_SECONDS, hour_notice, keeps_an_hour
from tui_agent.agents.compaction import Cut, compact, compaction_reason, read_events
from tui_agent.agents.ending import Ending, ending_of_answer, ending_of_failure, ending_of_stop
from tui_agent.agents.handover import work_until_end
from tui_agent.agents.hands import Hands, Show
from tui_agent.agents.metering import MeteredRequest, to_the_end
from tui_agent.agents.repair import repair_history
from tui_agent.agents.server_tools import offered_server_tools
from tui_agent.agents.services import Services
from tui_agent.agents.turn import Turn
from tui_agent.agents.waiting import ANSWERING, ASKING, WATCHED, waited_for_user
from tui_agent.budget import agent_stop
from tui_agent.config.settings import Effort
from tui_agent.context import (
    INTERRUPTED,
    ActiveRun,
    FileWatch,
    History,
    LastTurn,
    Request,
    SessionFacts,
    assemble_context,
    build_request,
    changed_facts,
    choose_memory,
    describe_held,
    facts_note,
    find_cut,
    guard_prefix,
    load_memory,
)
from tui_agent.events import (
    MAIN_AGENT,
    BudgetStopped,
    ContextNoted,
    ContextStale,
    JsonObject,
    Notice,
    PoolAssembled,
    PoolEntry,
    PromptAccepted,
    RunFinished,
    RunStarted,
    TurnFailed,
    TurnFinished,
)
from tui_agent.journal import Recorder
from tui_agent.models import Model
from tui_agent.permissions import PLAN_APPROVAL
from tui_agent.registry import lacks_tools
from tui_agent.workflow import Step, ToolError

MAX_OUTPUT = 32_000
"""Output tokens one turn may have; enough for long files, and small against every current window."""

MAX_OUTPUT_HIGH = 64_000
"""… at effort xhigh and max, where the documentation asks for room to think and act."""

MAX_BROKEN_ANSWERS = 3
"""How many answers in a row may break off half-way before the run gives up."""

MAX_REPAIRS = 2
"""How often a request that was refused for its content is mended and sent again before the run ends."""

MAX_CUT_ANSWERS = 3
"""How many answers in a row may be cut at their output limit in the middle of a call before the run ends."""

_CUT_AGAIN = "Say how to go on in smaller steps, or choose a model with longer answers with /model."


class Agent:
    """One agent at work on one run."""

    def __init__(self, services: Services, run: str, agent: str, agent_type: str) -> None:
        self.services = services
        self.run_id = run
        self.agent = agent
        self.type: AgentType = load_agent_types(services.runtime.home)[agent_type]
        self.recorder = Recorder(services.journal, run, agent)
        self.hands = Hands(services, self.recorder, self.type, self._run_subagent)
        self.show: Show | None = None
        self._shown: set[str] = set()
        self.ending: Ending | None = None
        self._broken = 0
        self._cut = 0
        self._repairs = 0
        self._squeezed = False
        self._watch = FileWatch()

    async def run(self) -> str:
        """Work until the run is over, record how it ended, and return the last answer's text.

        When the user interrupts, open steps are cancelled and the history stays valid; queued prompts are
        taken up at once. Cancelled otherwise (the program closes), everything is left for the next start.
        """
        while True:
            try:
                history = await self.services.load_history(self.agent)
                ending = self.ending = await self._work(history)
                async with self.services.prompts:
                    if ending.answered and self._is_main and self.services.conversation().queued:
                        continue
                    await self._finish(ending, history.stop.reason)
            except asyncio.CancelledError:
                if not self.services.ended_by_user(self.agent):
                    raise
                if await self._interrupted():
                    continue
                if not self._is_main:
                    raise
                return ""
            return history.last_text

    async def _interrupted(self) -> bool:
        """Cancel what is open and finish the run; return whether it goes on instead, with prompts that wait."""
        services = self.services
        by_user = "The user interrupted this call."
        reason = services.interrupt_reason if services.interrupting else "the user stopped this agent"
        interrupted = Ending("interrupted", reason or "the user stopped it", told=not reason)
        await self._cancel(interrupted, by_user if services.time_up is None else _TIME_UP)
        if not self._is_main:
            await self._finish(interrupted)
            return False
        # Another interruption is of no account until the end stands: it would leave a run that nobody works on.
        async with services.prompts:
            stop = services.time_up
            goes_on = stop is None and bool(services.conversation().queued)
            if stop is not None:
                await self._finish(ending_of_stop(stop, recorded=False))
            elif not goes_on:
                await self._finish(interrupted)
        services.interrupting, services.time_up = False, None
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        return goes_on and self._active_run() is not None

    @property
    def _is_main(self) -> bool:
        return self.agent == MAIN_AGENT

    async def _work(self, history: History) -> Ending:
        if self.services.interrupting:  # before this agent began
            raise asyncio.CancelledError
        self.hands.history = history
        while True:
            await self._settle_steps()
            await self._accept_prompts()
            if not history.needs_turn:
                return ending_of_answer(history.stop, self.services.budget(), self.services.runtime.now())
            if self._cut >= MAX_CUT_ANSWERS:
                return Ending("truncated", f"{self._cut} answers in a row reached their output limit", _CUT_AGAIN)
            stop = self._agent_stop()
            if stop is not None:
                await self.recorder.record(stop)
                return ending_of_stop(stop, recorded=True)
            await self._load_context(history)
            await self._note_changes(history)
            await self._make_room(history)
            ended = await self._take_turn(history)
            if isinstance(ended, BudgetStopped):
                return ending_of_stop(ended, recorded=True)
            if isinstance(ended, TurnFailed):
                if await self._mend(history, ended):
                    continue
                self._broken += 1
                if not ended.partial or self._broken >= MAX_BROKEN_ANSWERS:
                    return ending_of_failure(ended)
            else:
                self._broken, self._repairs, self._squeezed = 0, 0, False
                self._cut = self._cut + 1 if history.stop.cut else 0

    def _agent_stop(self) -> BudgetStopped | None:
        """Return the stop where this agent has taken all the turns that its type may have.

        That is a default: for the main agent a limit on turns that the user set, or lifted, counts in its place.
        """
        budget, active = self.services.budget(), self._active_run()
        if self._is_main and ("run.turns" in budget.chosen or self.type.max_turns >= (budget.max_turns or 0)):
            return None
        return agent_stop(active.turns if active else 0, self.type.max_turns)

    async def _note_changes(self, history: History) -> None:
        """Let the model know, once each change, of what holds for the session and of files that others changed."""
        facts = changed_facts(history.facts, await self._facts(self.hands.offered))
        if facts:
            await self.recorder.record(ContextNoted(text=facts_note(facts), facts=facts))
        known, told = dict(history.file_hashes), dict(history.told_hashes)
        files = await asyncio.to_thread(self._watch.changed, known, told)
        # A step that ended meanwhile may have changed a file itself.
        files = [file for file in files if history.file_hashes.get(file.path) == known[file.path]]
        if files:
            await self.recorder.record(ContextStale(files=files))

    async def _make_room(self, history: History) -> None:
        """Compact the history when the window, or a limit, would soon have no room for it."""
        model = await self.services.model()
        effort = self.type.effort or self.services.request_options().effort
        reason = compaction_reason(self.services, history, max_output=longest_answer(model, effort))
        cut = Cut(0, find_cut(history, model.context_window)) if reason else Cut(0, 0)
        if cut.stop:
            await compact(self.services, self.recorder, history, cut, trigger="automatic", reason=reason)

    async def _mend(self, history: History, failed: TurnFailed) -> bool:
        """Make a request that was refused fit to be sent again; return whether that can help.

        One that is too long is compacted, once. Of one that is refused for its content the block at fault is taken
        out; where that was not it, all images and documents. An answer that comes makes both possible again.
        """
        if failed.partial or failed.retry_seconds is not None:
            return False
        if failed.kind == "context_too_long" and not self._squeezed:
            self._squeezed = True
            window = min(
                self.services.catalog.find(self.services.conversation().model).context_window, history.window_tokens
            )
            cut = Cut(0, find_cut(history, window))
            reason = "the server says that the request is too long"
            if cut.stop:
                await compact(
                    self.services, self.recorder, history, cut, trigger="automatic", reason=reason, window=window
                )
            return bool(cut.stop)
        if failed.kind == "invalid_request" and self._repairs < MAX_REPAIRS:
            self._repairs += 1
            return await repair_history(self.recorder, history, failed.message, everything=self._repairs > 1)
        return False

    async def _take_turn(self, history: History) -> TurnFinished | TurnFailed | BudgetStopped:
        services = self.services
        model = await services.model()
        # What is not sent after all must leave no trace in the history.
        trial = history.trial()
        trial.prepare()
        last = history.last_turn
        asked = services.request_options()
        waited = await self._waited_since(last)
        can, now = services.client.capabilities, services.runtime.now()
        hour = keeps_an_hour(model, can, last, trial.window_tokens, waited=waited, now=now)
        options = replace(
            asked,
            cache="1h" if hour else asked.cache,
            effort=self.type.effort or asked.effort,
            diagnose=True,
            previous_message_id=(last.message_id or None) if last else None,
        )
        head = services.client.head(model, options, trial.block_types)

        def build(max_tokens: int) -> Request:
            return build_request(
                trial,
                model=model.id,
                max_tokens=max_tokens,
                fields=head.fields,
                counted=head.counted,
                betas=head.betas,
            )

        def sent(request: Request) -> None:
            history.sent_prefix = request.prefix

        turn_id = services.runtime.new_id("turn")
        wanted = longest_answer(model, options.effort)
        metered = MeteredRequest(services, self.recorder, model, turn_id, build, wanted)
        guard_prefix(trial, metered.request)
        notices = [hour_notice(waited)] if hour else []
        turn = Turn(services, self.recorder, metered, sent, history.last_turn, history.call_ids, notices)
        return await turn.take(self.hands.plan_steps)

    async def _settle_steps(self) -> None:
        steps = self._open_steps()
        for step in steps:
            if self.show is not None and step.id not in self._shown:
                self._shown.add(step.id)
                await self.show(f"{step.title or step.tool}\n")
        if steps:
            await _all(self.hands.executor.settle(step.id) for step in steps)

    def _open_steps(self) -> list[Step]:
        steps = self.services.workflow().steps.values()
        return sorted((step for step in steps if step.agent == self.agent), key=lambda step: step.order)

    async def fail(self, reason: str) -> None:
        """Finish the run after an error: what is open is cancelled, so that its history stays valid."""
        ending = Ending("failed", reason)
        await self._cancel(ending, "tui-agent failed.")
        await self._finish(ending)

    async def _cancel(self, ending: Ending, why: str) -> None:
        """Finish the open steps of this agent as cancelled, and before them the runs of its subagents."""
        steps = self._open_steps()
        asked = {step.id for step in steps}
        for run in self.services.conversation().runs:
            if run.parent_step in asked:
                child = Agent(self.services, run.id, run.agent, run.agent_type)
                await child._cancel(ending, why)
                await child._finish(ending)
        for step in steps:
            done = await work_until_end(self.services, step.id, step.order) if step.tool == "task" else ""
            await self.hands.executor.cancel_open(step.id, f"{why}\n{done}" if done else why)

    async def _accept_prompts(self) -> None:
        if not self._is_main:
            return
        async with self.services.prompts:
            queued = self.services.conversation().queued
            if queued:
                accepted = (PromptAccepted(prompt_id=prompt.prompt_id) for prompt in queued)
                await to_the_end(self.recorder.record(*accepted))

    def _active_run(self) -> ActiveRun | None:
        runs = self.services.conversation().runs
        return next((run for run in runs if run.id == self.run_id), None)

    async def _load_context(self, history: History) -> None:
        """Fix the head of every request to come, unless it is: the pool of tools, the prompt, the memory files.

        A session that version 0.1.0 began in plan mode has a head without the tools that change something. It gets
        a new head, with an event that says so, before the first request that does not go on with a tool's result.
        """
        reason = ""
        if history.system:
            if not (history.settled and lacks_tools(history.pool.values())):
                return
            reason = "the tools that plan mode left out are offered now; the prompt cache begins anew"
        services = self.services
        pool = self.hands.new_pool
        model = await services.model()
        strict = services.client.capabilities.offers("strict_tools", model.id)
        served, entries = await self._server_tools(model.id)
        memory = await asyncio.to_thread(load_memory, services.config_dir, services.workspace, services.runtime.home)
        chosen = await asyncio.to_thread(choose_memory, memory, services.memory_files, services.config_dir)
        loaded = await asyncio.to_thread(
            assemble_context,
            prompt=self.type.prompt,
            workspace=services.workspace,
            model=services.conversation().model,
            memory=chosen.given,
            tools=[*pool.api_tools(strict=strict), *served],
            added=services.system_prompt if self._is_main else "",
            facts=await self._facts([tool.name for tool in pool.tools]),
            runtime=services.runtime,
            reason=reason,
        )
        assembled = PoolAssembled(agent_type=self.type.name, entries=[*pool.entries, *entries])
        problems = [Notice(level="warning", code="memory", message=problem) for problem in memory.problems]
        if chosen.held:
            problems.append(held_notice(describe_held(chosen.held), attended=not services.broker.unattended))
        await self.recorder.record(assembled, loaded, *(problems if self._is_main else ()))

    async def _server_tools(self, model: str) -> tuple[list[JsonObject], list[PoolEntry]]:
        """Return the tools that the model's server is to run itself, and their entries in the pool."""
        wanted = self.services.server_tools
        names = tuple(name for name in wanted.names if self.type.tools is None or name in self.type.tools)
        if not names:
            return [], []
        rules = await asyncio.to_thread(self.services.broker.rules)
        return offered_server_tools(replace(wanted, names=names), self.services.client.capabilities, model, rules)

    async def _facts(self, offered: Collection[str]) -> dict[str, str]:
        """Return what holds for the session now, by name, as the model reads it; `offered` are its tools."""
        services = self.services
        sandbox = await services.sandbox.state() if services.sandbox is not None else None
        kind = "" if sandbox is None else "reduced" if sandbox.reduced else sandbox.kind
        facts = SessionFacts(
            mode="" if self.type.narrowing.read_only else services.mode(),
            offers_exit_plan=PLAN_APPROVAL in offered,
            sandbox=kind,
            domains=services.sandbox.domains if services.sandbox is not None and kind == "bubblewrap" else (),
            attended=not services.broker.unattended,
            now=services.runtime.now(),
            background=list(services.workflow().background.values()),
            ended=services.workflow().ended,
            folders=services.conversation().added if services.conversation().folders else None,
        )
        return facts.sentences()

    async def _finish(self, ending: Ending, stop_reason: str = "") -> None:
        """Record how the run ended, unless that is recorded, to the end also when cancelled.

        `stop_reason` is the API's word for how the last answer ended.
        """
        await to_the_end(self._record_end(ending, stop_reason))

    async def _record_end(self, ending: Ending, stop_reason: str) -> None:
        active = self._active_run()
        if active is None:
            return
        waited = await self._waited(self.services.runtime.now())
        seconds = self.services.meter.run_seconds()
        if not self._is_main:  # its start is known by the system's clock alone, which can have been set meanwhile
            seconds = min(seconds, max(0.0, self.services.runtime.now() - active.started))
        clocked = self.services.meter.clocked() if self._is_main else []
        taken = self.services.budget().spend_of(self.run_id)
        finished = RunFinished(
            outcome=ending.outcome,
            reason=ending.reason,
            hint=ending.hint,
            told=ending.told,
            stop_reason=stop_reason,
            note=INTERRUPTED if ending.outcome == "interrupted" else "",
            turns=taken.turns,
            seconds=seconds,
            waited=min(waited, seconds),
            usage=taken.usage,
            cost=taken.known_cost,
        )
        await self.recorder.record(*([ending.stop] if ending.stop else []), *clocked, finished)

    async def _waited(self, now: float) -> float:
        """Return how many seconds this run has waited for the user, `now` being its end."""
        services = self.services
        started = await services.find_events(subject=self.run_id, types=["run.started"])
        since = (started[0].seq or 0) if started else 0
        agent = None if self._is_main else self.agent
        if not await services.find_events(since, agent=agent, types=ASKING, limit=1):
            return 0.0
        return waited_for_user(await read_events(services, since, agent=agent, types=WATCHED), now)

    async def _waited_since(self, last: LastTurn | None) -> float:
        """Return for how many of the seconds since the last turn a request or a question was open."""
        services = self.services
        now = services.runtime.now()
        if last is None or now - last.time < LONG_WAIT_SECONDS:
            return 0.0
        agent = None if self._is_main else self.agent
        return waited_for_user(await read_events(services, last.seq, agent=agent, types=ANSWERING), now)

    async def _run_subagent(self, step: str, agent_type: str, prompt: str, show: Show) -> str:
        """Run a subagent for a step and return its answer; pick up the one of an earlier boot if there is one.

        One that did not complete its work says so, with what it had done.
        """
        services, order = self.services, self.services.workflow().steps[step].order
        known = next((run for run in services.conversation().runs if run.parent_step == step), None)
        if known is None:
            for event in await services.find_events(order, types=["run.started"]):
                if isinstance(event, RunStarted) and event.parent_step == step:
                    return (await services.load_history(event.agent)).last_text
            child = await self._begin_subagent(step, agent_type, prompt)
        else:
            child = Agent(services, known.id, known.agent, known.agent_type)
        child.show = show
        work = services.subagents[child.agent] = asyncio.create_task(child.run(), name=child.agent)
        try:
            answer = await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if child.agent not in services.stopping or task is None or task.cancelling():
                raise
            said = "[The user stopped this agent. Do not start it again unless they ask for that.]"
            raise ToolError(f"{said}\n{await work_until_end(services, step, order)}") from None
        finally:
            services.subagents.pop(child.agent, None)
            services.stopping.discard(child.agent)
        ending = child.ending
        if ending is None or ending.outcome == "completed":
            return answer
        how = f"[This agent did not complete its work: {ending.outcome.replace('_', ' ')}: {ending.reason}]"
        return f"{how}\n{await work_until_end(services, step, order)}"

    async def _begin_subagent(self, step: str, agent_type: str, prompt: str) -> Agent:
        """Record the start of a subagent under a name of its own in this session, e.g. `explore-2`."""
        services = self.services
        async with services.naming:
            started = await read_events(services, 0, types=["run.started"])
            number = 1 + sum(
                isinstance(e, RunStarted) and bool(e.parent_step) and e.agent_type == agent_type for e in started
            )
            child = Agent(services, services.runtime.new_id("run"), f"{agent_type}-{number}", agent_type)
            event = RunStarted(prompt=prompt, agent_type=agent_type, parent_step=step, parent_agent=self.agent)
            await to_the_end(child.recorder.record(event))
        return child


def longest_answer(model: Model, effort: Effort | None) -> int:
    """Return the output tokens that a turn may have: more at high effort, where the window has room for it."""
    much = effort in {"xhigh", "max"} and model.context_window >= 4 * MAX_OUTPUT_HIGH
    return min(model.max_output, MAX_OUTPUT_HIGH if much else MAX_OUTPUT)


def held_notice(held: Sequence[str], *, attended: bool) -> Notice:
    """Return the notice of memory files that wait for the user's agreement."""
    how = "/trust shows them and asks" if attended else "run `tui-agent trust` here, or pass --memory-files always"
    message = f"Not given to the model, as you have not agreed to it yet: {', '.join(held)}. To agree, {how}."
    return Notice(level="info" if attended else "warning", code="memory", message=message)


_TIME_UP = "The time limit stopped this call."


async def _all(tasks: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait for all; then raise the first error, if any."""
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
