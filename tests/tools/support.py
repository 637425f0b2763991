"""A tool with its context, as the workflow would call it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tui_agent.events import Intent, JsonObject, TodoItem
from tui_agent.registry import implementation, load_tools, validate_input
from tui_agent.runtime import Runtime
from tui_agent.sandbox import Sandbox
from tui_agent.workflow import Call, Finding, Outcome, Plan, Tool, ToolContext


@dataclass
class Bench:
    """A session's worth of tools over a workspace: plans, runs and probes calls, and keeps what they showed."""

    root: Path
    runtime: Runtime = field(default_factory=Runtime)
    files_read: dict[str, str] = field(default_factory=dict)
    live: list[str] = field(default_factory=list)
    todo: list[TodoItem] = field(default_factory=list)
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    protected: tuple[str, ...] = ()
    images: bool = True
    sandbox: Sandbox | None = None
    closing: bool = False
    steps: int = 0

    def __post_init__(self) -> None:
        self.workspace = self.root / "workspace"
        self.workspace.mkdir(parents=True, exist_ok=True)

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def tool(self, name: str) -> Tool:
        tool: Tool = implementation(load_tools()[name])
        return tool

    def call(self, name: str, **input: object) -> Call:
        self.steps += 1
        return Call(f"step_{self.steps}", name, dict(input), "main")  # type: ignore[arg-type]  # JSON by intention

    def context(self, step: str) -> ToolContext:
        async def output(text: str) -> None:
            self.live.append(text)

        async def ask(question: str, options: list[str]) -> str:
            self.asked.append((question, options))
            return "blue"

        async def run_agent(agent: str, prompt: str, show: Callable[[str], Awaitable[None]]) -> str:
            return f"{agent} says: {prompt}"

        async def set_todo(items: list[TodoItem]) -> None:
            self.todo = items

        def left_out(paths: Sequence[str], folder: str) -> set[str]:
            return {path for path in paths if any(name in path for name in self.protected)}

        return ToolContext(
            runtime=self.runtime,
            workspace=self.workspace,
            spool=self.root / "steps" / step,
            output=output,
            ask=ask,
            run_agent=run_agent,
            set_todo=set_todo,
            files_read=self.files_read,
            images=self.images,
            closing=lambda: self.closing,
            left_out=left_out,
            sandbox=self.sandbox,
        )

    async def plan(self, call: Call) -> Plan:
        assert validate_input(load_tools()[call.tool], call.input) == []
        return await self.tool(call.tool).plan(call, self.context(call.step))

    async def run(self, call: Call, intent: Intent) -> Outcome:
        return await self.tool(call.tool).run(call, intent, self.context(call.step))

    async def act(self, call: Call, plan: Plan) -> Outcome:
        """Run a plan as the workflow does: on what it holds open."""
        context = replace(self.context(call.step), target=plan.target)
        return await self.tool(call.tool).run(call, plan.intent, context)

    async def probe(self, call: Call, intent: Intent) -> Finding:
        return await self.tool(call.tool).probe(call, intent, self.context(call.step))

    async def attach(self, call: Call, intent: Intent) -> Outcome:
        return await self.tool(call.tool).attach(call, intent, self.context(call.step))

    async def do(self, name: str, **input: object) -> Outcome:
        call = self.call(name, **input)
        plan = await self.plan(call)
        return await self.run(call, plan.intent)


def text(outcome: Outcome) -> str:
    block: JsonObject = outcome.result[0]
    assert block["type"] == "text"
    return str(block["text"])
