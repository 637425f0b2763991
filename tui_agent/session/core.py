"""The parts of one open session, which its modules share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tui_agent.agents import Services
from tui_agent.config import Paths
from tui_agent.config.settings import LoadedSettings
from tui_agent.context import Chosen, Memory, choose_memory, load_memory
from tui_agent.journal import Journal, Recorder
from tui_agent.runtime import Runtime
from tui_agent.sandbox import Sandbox
from tui_agent.session.audit import Audit
from tui_agent.session.backend import Backend
from tui_agent.session.blackbox import BlackBox
from tui_agent.session.chores import Chores
from tui_agent.session.driver import Driver
from tui_agent.session.errors import SessionReadOnly
from tui_agent.session.histories import Histories
from tui_agent.session.options import OpenOptions
from tui_agent.session.sessions import Ledger, Sessions
from tui_agent.session.state import SessionState
from tui_agent.session.view import SessionView
from tui_agent.tools.base import locate

if TYPE_CHECKING:
    from tui_agent.session.session_rules import SessionRules


@dataclass
class SessionCore:
    """What `assembly` put together for one session.

    `read_only_because` says why a session is read-only, `can_take_over` that the window that held it has left, so
    that resuming it again makes it writable. `closed` is set when closing begins.
    `shown_memory` are the SHA-256 of the memory files that the user was shown last, before they agreed to any.
    """

    journal: Journal
    options: OpenOptions
    settings: LoadedSettings
    backend: Backend
    recorder: Recorder
    view: SessionView
    chores: Chores
    histories: Histories
    sessions: Sessions
    ledger: Ledger
    rules: SessionRules
    sandbox: Sandbox
    services: Services
    driver: Driver
    blackbox: BlackBox
    read_only_because: str = ""
    can_take_over: bool = False
    closed: bool = False
    shown_memory: frozenset[str] = frozenset()

    @property
    def session(self) -> str:
        """The session's id."""
        return self.journal.session

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written here."""
        return self.journal.read_only

    @property
    def runtime(self) -> Runtime:
        """Clock, ids and environment."""
        return self.options.runtime

    @property
    def state(self) -> SessionState:
        """Everything folded so far."""
        return self.view.state

    @property
    def audit(self) -> Audit:
        """The trail of all sessions, and the rules."""
        return Audit(Paths(self.options.data_dir, self.options.config_dir), self.runtime)

    def require_writable(self) -> None:
        """Raise `SessionReadOnly` where nothing can be written."""
        if self.read_only:
            raise SessionReadOnly(f"this session is read-only here: {self.read_only_because}")

    def locate(self, path: str) -> Path:
        """Return the file that the path of a call that writes names, as the tool sees it. Raises `ToolError`."""
        return locate(path, self.services.workspace, self.runtime.home, self.sandbox, reading=False).real

    async def choose_memory(self) -> tuple[Memory, Chosen]:
        """Return the memory files of user and project, and which of them go to the model."""
        services, config = self.services, self.options.config_dir
        memory = await asyncio.to_thread(load_memory, config, services.workspace, services.runtime.home)
        return memory, await asyncio.to_thread(choose_memory, memory, services.memory_files, config)
