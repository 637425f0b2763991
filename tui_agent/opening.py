"""Which session a start means: a new one, the latest of this folder, or a named one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tui_agent.config.paths import Paths, find_paths
from tui_agent.runtime import Runtime
from tui_agent.session.errors import SessionNotFound

if TYPE_CHECKING:
    from tui_agent.config.settings import Effort
    from tui_agent.permissions.rules import RuleVerdict
    from tui_agent.session import OpenOptions, SessionHandle


@dataclass(frozen=True, slots=True)
class Start:
    """What the command line said about the session to open; empty and None mean: not said."""

    runtime: Runtime
    cwd: Path
    continue_: bool = False
    resume: str = ""
    model: str = ""
    mode: str = ""
    effort: Effort | None = None
    max_turns: int | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    offline: bool = False
    scenario: Path | None = None
    data_dir: Path | None = None
    unattended: bool = False
    folders: tuple[str, ...] = ()
    move: bool = False
    on_screen: bool = False
    memory_files: Literal["", "ask", "always", "never"] = ""
    system_prompt: str = ""
    rules: Mapping[RuleVerdict, tuple[str, ...]] = field(default_factory=dict)

    @property
    def paths(self) -> Paths:
        """The folders to use."""
        return find_paths(self.runtime.environment, data_dir=self.data_dir)

    def options(self) -> OpenOptions:
        """Return the session's options. Imports the session room."""
        from tui_agent.session import OpenOptions

        paths = self.paths
        return OpenOptions(
            data_dir=paths.data,
            config_dir=paths.config,
            workspace=self.cwd,
            model=self.model,
            mode=self.mode,
            effort=self.effort,
            max_turns=self.max_turns,
            limits=self.limits,
            offline=self.offline,
            scenario=self.scenario,
            folders=self.folders,
            move=self.move,
            unattended=self.unattended,
            memory_files=self.memory_files,
            system_prompt=self.system_prompt,
            rules=self.rules,
            runtime=self.runtime,
        )

    async def open(self) -> SessionHandle:
        """Open the session that is meant; on screen a new one where there is none to go on with.

        Raises `SessionError`.
        """
        from tui_agent.session import open_session, resume_session

        if self.resume:
            return await resume_session(find_session(self.paths, self.resume), self.options())
        if self.continue_:
            try:
                return await resume_latest(self.paths, self.cwd, self.options())
            except SessionNotFound as error:
                if not self.on_screen:
                    raise
                handle = await open_session(self.options())
                handle.remarks.append(f"{error} This is a new session.")
                return handle
        return await open_session(self.options())


def find_session(paths: Paths, name: str) -> str:
    """Return the id that `name` stands for: the whole id, or a part that only one id holds.

    Raises `SessionNotFound`.
    """
    ids = paths.session_ids()
    if name in ids:
        return name
    matching = [session for session in ids if name in session]
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise SessionNotFound(f"No session {name!r} in {paths.sessions}. List them: tui-agent sessions")
    shown = ", ".join(matching[:5]) + (" …" if len(matching) > 5 else "")
    raise SessionNotFound(f"{len(matching)} sessions match {name!r}: {shown}. Write more of the id.")


async def resume_latest(paths: Paths, workspace: Path, options: OpenOptions) -> SessionHandle:
    """Open the session of this folder that was used last and can be opened; its remarks name those passed over.

    Raises `SessionNotFound` if there is none.
    """
    from tui_agent.journal import JournalDamaged, NewerSchema
    from tui_agent.session import list_sessions, resume_session

    passed_over: list[str] = []
    for session in await list_sessions(paths.data, workspace):
        try:
            handle = await resume_session(session.id, options)
        except (NewerSchema, JournalDamaged) as error:
            passed_over.append(f"Passed over {session.id}: {error}")
        else:
            handle.remarks += passed_over
            return handle
    if passed_over:
        raise SessionNotFound("\n".join([f"No session in {workspace} can be opened.", *passed_over]))
    raise SessionNotFound(f"No session in {workspace} yet.")
