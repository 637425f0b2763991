"""Puts the parts of a session together: the only place that knows how they depend on each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tui_agent.agents import ServerTools, Services, narrowing_for
from tui_agent.budget import Meter
from tui_agent.config.settings import Effort, LoadedSettings
from tui_agent.events import Notice
from tui_agent.journal import Journal, Recorder
from tui_agent.models import ModelClient, RequestOptions
from tui_agent.permissions import PermissionBroker, SandboxState
from tui_agent.registry import ToolMetadata, load_tools
from tui_agent.runtime import Runtime
from tui_agent.sandbox import Limits, Sandbox, own_installation
from tui_agent.session.backend import Backend
from tui_agent.session.blackbox import BlackBox
from tui_agent.session.chores import Chores
from tui_agent.session.core import SessionCore
from tui_agent.session.driver import Driver
from tui_agent.session.histories import Histories
from tui_agent.session.options import OpenOptions
from tui_agent.session.session_rules import SessionRules
from tui_agent.session.sessions import Sessions
from tui_agent.session.state import SessionState
from tui_agent.session.view import SessionView


def make_client(backend: Backend, options: OpenOptions) -> ModelClient:
    """Return the client of the server that a session asks."""
    # The offline model has another address at each start.
    remembered = None if backend.offline else options.data_dir / "servers.json"
    return ModelClient(
        base_url=backend.base_url, api_key=backend.api_key, runtime=options.runtime, capabilities_file=remembered
    )


_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a session that can be replaced: what it asks, what it can do, and where commands run."""

    client: Callable[[Backend, OpenOptions], ModelClient] = make_client
    tools: Callable[[], dict[str, ToolMetadata]] = load_tools
    sandbox: Callable[..., Sandbox] = Sandbox


def assemble(
    journal: Journal,
    state: SessionState,
    options: OpenOptions,
    settings: LoadedSettings,
    backend: Backend,
    *,
    parts: Parts | None = None,
) -> SessionCore:
    """Return the parts of a session whose journal is open and whose state is folded. Nothing works yet."""
    parts = parts or Parts()
    runtime: Runtime = options.runtime
    folder = journal.path.parent
    workspace = Path(state.conversation.workspace or options.workspace)
    given = settings.settings
    recorder = Recorder(journal)

    def show(notice: Notice) -> None:
        view.warn(notice)

    chores = Chores(journal, runtime, show)
    view = SessionView(journal, state, chores.spawn)
    histories = Histories(journal, lambda: view.state.conversation.history_start)
    sessions = Sessions(options.data_dir)
    ledger = sessions.ledger(journal.session)
    rules = SessionRules(journal, view, options, recorder, chores)
    sandbox = parts.sandbox(
        runtime,
        workspace=workspace,
        data=options.data_dir,
        config=options.config_dir,
        scratch=folder / "scratch",
        enabled=given.sandbox == "on",
        domains=given.network_domains,
        passed=given.pass_environment,
        additional=rules.usable_folders,
    )

    async def sandbox_state() -> SandboxState:
        found = await sandbox.state()
        return "none" if found.kind == "none" else "reduced" if found.reduced else "available"

    def request_options() -> RequestOptions:
        effort = cast("Effort | None", view.state.conversation.effort or given.effort)
        return RequestOptions(display=given.thinking, effort=effort, fallbacks=given.fallbacks)

    services = Services(
        runtime=runtime,
        journal=journal,
        workspace=workspace,
        config_dir=options.config_dir,
        steps_dir=folder / "steps",
        tools=parts.tools(),
        client=parts.client(backend, options),
        catalog=backend.catalog,
        broker=PermissionBroker(
            runtime,
            lambda: view.state.permissions,
            workspace,
            rules.read,
            sandbox_state,
            lambda agent: narrowing_for(agent, view.state.conversation, view.state.workflow, runtime.home),
            protected=tuple(map(str, (options.config_dir, options.data_dir, *own_installation()))),
            folders=rules.open_folders,
            temporary=sandbox.temporary,
            unattended=options.unattended,
        ),
        conversation=lambda: view.state.conversation,
        workflow=lambda: view.state.workflow,
        budget=lambda: view.state.budget,
        meter=Meter(runtime, lambda: view.state.budget, ledger),
        mode=lambda: view.state.conversation.mode,
        load_history=histories.load,
        find_events=journal.read,
        request_options=request_options,
        sandbox=sandbox,
        limits=Limits(
            processes=given.command_processes,
            memory=given.command_memory * _MB,
            written=given.command_disk * _MB,
            file=given.command_disk * _MB,
            output=given.command_output * _MB,
        ),
        compact_at=given.compact_at,
        memory_files=options.memory_files or given.memory_files,
        server_tools=ServerTools.of(given),
        system_prompt=_joined(given.append_system_prompt, options.system_prompt),
    )
    return SessionCore(
        journal=journal,
        options=options,
        settings=settings,
        backend=backend,
        recorder=recorder,
        view=view,
        chores=chores,
        histories=histories,
        sessions=sessions,
        ledger=ledger,
        rules=rules,
        sandbox=sandbox,
        services=services,
        driver=Driver(services, view, chores.spawn, ledger.release),
        blackbox=BlackBox(folder),
    )


def _joined(*texts: str) -> str:
    return "\n\n".join(text.strip() for text in texts if text.strip())
