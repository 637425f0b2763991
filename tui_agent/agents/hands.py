"""An agent's tools at work: what the step executor needs of the agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tui_agent.agents.agent_type import AgentType, load_agent_types
from tui_agent.agents.calls import call_problem
from tui_agent.agents.services import Services
from tui_agent.context import AnswerStop, History, is_agreed, nested_memory
from tui_agent.events import (
    MAIN_AGENT,
    JsonObject,
    QuestionAsked,
    SessionConfigured,
    StepPlanned,
    TodoChanged,
    TodoItem,
)
from tui_agent.journal import Recorder
from tui_agent.models import INVALID_JSON
from tui_agent.registry import Pool, ToolMetadata, assemble_pool, implementation, validate_input
from tui_agent.verification import check_read_back
from tui_agent.workflow import (
    Call,
    Outcome,
    Step,
    StepExecutor,
    Tool,
    ToolContext,
    ToolError,
    output_stream,
)

Show = Callable[[str], Awaitable[None]]
"""Shows a line of text of a running step."""

RunSubagent = Callable[[str, str, str, Show], Awaitable[str]]
"""Runs a subagent: called with the step that asks, the agent type, the prompt, and what shows its calls; returns its
answer."""


class Hands:
    """Plans and runs the steps of one agent with the tools of its pool."""

    def __init__(
        self, services: Services, recorder: Recorder, agent_type: AgentType, run_subagent: RunSubagent
    ) -> None:
        self.services = services
        self.recorder = recorder
        self._run_subagent = run_subagent
        self.history: History | None = None
        self.new_pool: Pool = assemble_pool(
            services.tools,
            allowed=agent_type.tools,
            capabilities={"subagents", "modes"} if recorder.agent == MAIN_AGENT else set(),
        )
        self.executor = StepExecutor(
            runtime=services.runtime,
            host=self,
            broker=services.broker,
            recorder=recorder,
            state=services.workflow,
            mode=services.mode,
            workspace=services.workspace,
            changes=services.changes,
            readers=services.readers,
            resolved=services.resolved,
        )

    def plan_steps(self, turn: str, content: list[JsonObject], stop: AnswerStop) -> list[StepPlanned]:
        """Return a planned step for each tool call of a response, in order; `stop` says how the response ended."""
        planned = []
        for position, block in enumerate(content):
            if block.get("type") != "tool_use":
                continue
            name, value = str(block["name"]), block.get("input")
            call_input: JsonObject = value if isinstance(value, dict) else {}
            step = self.services.runtime.new_id("step")
            if self.services.journal.redactor.value(call_input) is not call_input:
                self.services.broker.whole[step] = call_input
            found = self.tool(name)
            title = name
            if found is not None and not self.invalid_input(found[0], call_input):
                title = found[1].title(Call(step, name, call_input, self.recorder.agent))
            planned.append(
                StepPlanned(
                    step=step,
                    turn=turn,
                    call_id=str(block["id"]),
                    tool=name,
                    input=call_input,
                    effect=found[0].effect if found else "pure",
                    title=title,
                    problem=call_problem(position, content, stop),
                )
            )
        return planned

    @property
    def offered(self) -> list[str]:
        """The names of the tools that the agent's requests offer: of the recorded pool, once there is one."""
        recorded = self.history.pool if self.history is not None else {}
        entries = recorded.values() or self.new_pool.entries
        return sorted(entry.name for entry in entries if entry.offered and entry.name in self.services.tools)

    def tool(self, name: str) -> tuple[ToolMetadata, Tool] | None:
        """Return a tool that the agent is offered with its implementation, imported on first use."""
        if name not in self.offered:
            return None
        metadata = self.services.tools[name]
        known = self.services.implementations.get(name)
        if known is None:
            known = self.services.implementations[name] = implementation(metadata)
        return metadata, known

    def invalid_input(self, metadata: ToolMetadata, call_input: JsonObject) -> list[str]:
        """Return what is wrong with a call's input, by the tool's schema."""
        if INVALID_JSON in call_input:
            return [f"it is not valid JSON: {str(call_input[INVALID_JSON])[:200]}"]
        return validate_input(metadata, call_input)

    def tool_context(self, step: Step) -> ToolContext:
        """Return the context for one step. Each attempt has a spool folder of its own."""
        services = self.services
        attempt = max(step.attempt, 1)
        spool = services.steps_dir / (step.id if attempt == 1 else f"{step.id}.{attempt}")

        async def run_agent(agent_type: str, prompt: str, show: Show) -> str:
            known = load_agent_types(services.runtime.home)
            if agent_type not in known:
                raise ToolError(f"there is no agent type {agent_type!r}; there are: {', '.join(known)}")
            return await self._run_subagent(step.id, agent_type, prompt, show)

        async def ask(text: str, options: list[str]) -> str:
            return await self._ask(step, text, options)

        async def set_todo(items: list[TodoItem]) -> None:
            await self.recorder.record(TodoChanged(step=step.id, items=items))

        async def set_mode(mode: str) -> None:
            await self.recorder.record(SessionConfigured(mode=mode))

        model = services.catalog.find(services.conversation().model)
        return ToolContext(
            runtime=services.runtime,
            workspace=services.workspace,
            spool=spool,
            output=output_stream(self.recorder, step.id),
            ask=ask,
            run_agent=run_agent,
            set_todo=set_todo,
            files_read=self.history.file_hashes if self.history else {},
            images=model.images,
            documents=model.documents,
            closing=lambda: services.closing,
            environment=step.decision.environment if step.decision else {},
            hidden=step.decision.hidden if step.decision else (),
            read_only=_only_reads(step),
            unasked=_unasked(step),
            protection=lambda: services.broker.protection(agent=self.recorder.agent),
            limits=services.limits,
            left_out=lambda paths, folder: services.broker.left_out(
                step.tool, paths, folder, agent=self.recorder.agent, mode=services.mode()
            ),
            sandbox=services.sandbox,
            background=lambda: {step: each.title for step, each in services.workflow().background.items()},
            mode=services.mode,
            set_mode=set_mode,
            chosen_mode=step.decision.mode if step.decision else "",
        )

    def check_outcome(self, step: Step, outcome: Outcome) -> str:
        """Return how the files on disk differ from what the step announced."""
        return check_read_back(step.intent, outcome) if step.intent else ""

    def memory_for(self, outcome: Outcome) -> tuple[list[JsonObject], list[str]]:
        """Return the memory files of folders that a step's files are in and that the agent has not seen yet."""
        if self.history is None:
            return [], []
        loaded = self.history.memory_loaded
        found = nested_memory(self.services.workspace, outcome.effects, loaded, self.services.runtime.home)
        if not is_agreed(found.project, self.services.memory_files, self.services.config_dir):
            return [], []
        paths = [str(memory.path) for memory in found.files]
        loaded.update(paths)
        return [{"type": "text", "text": memory.block()} for memory in found.files], paths

    async def _ask(self, step: Step, text: str, options: list[str]) -> str:
        """Ask the user, or wait on for a question that an earlier boot asked."""
        services = self.services
        answered = await services.find_events(subject=step.id, types=["question.answered"])
        if answered:
            return str(getattr(answered[-1], "answer", ""))
        waiting = next((q for q in services.workflow().questions.values() if q.step == step.id), None)
        if waiting is None:
            if services.broker.unattended:
                raise ToolError("Nobody is there to answer. Decide yourself and say what you assumed.")
            question = services.runtime.new_id("question")
            await self.recorder.record(QuestionAsked(step=step.id, question=question, text=text, options=options))
        else:
            question = waiting.id
        async with services.resolved:
            await services.resolved.wait_for(lambda: question not in services.workflow().questions)
        answered = await services.find_events(subject=step.id, types=["question.answered"])
        return str(getattr(answered[-1], "answer", ""))


def _only_reads(step: Step) -> bool:
    """Return whether a command was allowed, without a question, because it changes nothing."""
    decision = step.decision
    if decision is None or decision.by != "policy" or decision.judgement is None:
        return False
    return decision.judgement.read_only


def _unasked(step: Step) -> bool:
    """Return whether a command runs because the sandbox holds it, and for no other reason."""
    decision = step.decision
    return decision is not None and bool(decision.judgement and decision.judgement.winner == "sandbox")
