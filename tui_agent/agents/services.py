"""What the agents of one session share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from tui_agent.agents.server_tools import ServerTools
from tui_agent.budget import BudgetState, Meter
from tui_agent.context import ConversationState, History, MemoryChoice
from tui_agent.events import BudgetStopped, Event
from tui_agent.journal import Journal
from tui_agent.models import Catalog, Model, ModelClient, RequestOptions
from tui_agent.permissions import PermissionBroker
from tui_agent.registry import ToolMetadata
from tui_agent.runtime import Runtime
from tui_agent.sandbox import Limits, Sandbox
from tui_agent.workflow import Tool, WorkflowState

MOST_READERS = 8
"""Commands that only read which run at once, over all agents; more would only slow each other down."""


@dataclass
class Services:
    """The session's parts, for its agents. The states are read through functions: they change with each event.

    `prompts` is held while a prompt is taken up or a run ends, so that none falls between; `changes` is held
    by whichever step is changing the world; `readers` counts the commands at work that only read; `resolved` is
    notified when the user decides about an uncertain step or answers a question. `interrupting` says that a
    cancellation is the user's doing and is to be recorded; without it the program is closing, and everything stays as
    it is; `interrupt_reason` says what did it where it was not the user. `time_up` says that it is a limit on time
    that does it. `subagents` are those at work, by name; `stopping` those that the user ends alone, `naming` is held
    while one gets its name. `request_options` is what the settings and the session ask of every request.
    """

    runtime: Runtime
    journal: Journal
    workspace: Path
    config_dir: Path
    steps_dir: Path
    tools: dict[str, ToolMetadata]
    client: ModelClient
    catalog: Catalog
    broker: PermissionBroker
    conversation: Callable[[], ConversationState]
    workflow: Callable[[], WorkflowState]
    budget: Callable[[], BudgetState]
    meter: Meter
    mode: Callable[[], str]
    load_history: Callable[[str], Awaitable[History]]
    find_events: Callable[..., Awaitable[list[Event]]]
    prompts: asyncio.Lock = field(default_factory=asyncio.Lock)
    changes: asyncio.Lock = field(default_factory=asyncio.Lock)
    readers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_READERS))
    resolved: asyncio.Condition = field(default_factory=asyncio.Condition)
    implementations: dict[str, Tool] = field(default_factory=dict)
    request_options: Callable[[], RequestOptions] = RequestOptions
    sandbox: Sandbox | None = None
    limits: Limits | None = None
    naming: asyncio.Lock = field(default_factory=asyncio.Lock)
    subagents: dict[str, asyncio.Task[str]] = field(default_factory=dict)
    stopping: set[str] = field(default_factory=set)
    memory_files: MemoryChoice = "ask"
    system_prompt: str = ""
    server_tools: ServerTools = ServerTools()
    compact_at: int | None = None
    interrupting: bool = False
    interrupt_reason: str = ""
    time_up: BudgetStopped | None = None
    closing: bool = False

    def ended_by_user(self, agent: str) -> bool:
        """Return whether a cancellation of this agent is the user's doing and is to be recorded."""
        return self.interrupting or agent in self.stopping

    async def model(self) -> Model:
        """Return the session's model, with the limits that its server states where the catalog knows none."""
        model = self.catalog.find(self.conversation().model)
        if model.known and self.client.capabilities.is_api:
            return model
        facts = await self.client.ask_facts(model.id)
        if facts is not None:
            self.catalog.learn(facts)
        return self.catalog.find(model.id)
