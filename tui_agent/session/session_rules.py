"""The rules and the added folders that hold in a session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from tui_agent.events import EventBase, Notice, SessionConfigured
from tui_agent.journal import Journal, Recorder
from tui_agent.permissions import RuleSet, load_rules
from tui_agent.session.chores import Chores
from tui_agent.session.errors import SessionError
from tui_agent.session.options import OpenOptions
from tui_agent.session.starting import folder_guard, start_rules
from tui_agent.session.view import SessionView
from tui_agent.text import inert_line


class SessionRules:
    """Reads the rules and the folders that hold, whenever they are asked for, and records what changed in them.

    `on_change` decides waiting requests anew; the handle sets it. Nothing is recorded before `begin` and after `end`.
    """

    def __init__(
        self, journal: Journal, view: SessionView, options: OpenOptions, recorder: Recorder, chores: Chores
    ) -> None:
        self.on_change: Callable[[], Awaitable[None]]
        self._journal = journal
        self._view = view
        self._options = options
        self._recorder = recorder
        self._chores = chores
        workspace = Path(view.state.conversation.workspace or options.workspace)
        self._guard = folder_guard(options, workspace)
        self._file_folders: tuple[str, ...] = ()  # as the rule files were when last read
        self._problems: tuple[str, ...] = ()
        self._recording = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def begin(self) -> None:
        """Read the rules for the first time; from here on, what changes in them is recorded."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self.read)
        await self.record_folders()

    def end(self) -> None:
        """Record nothing more: the session closes."""
        self._closed = True

    def read(self) -> RuleSet:
        """Read the rules that hold (blocking: for a thread); problems in their files that are new are recorded."""
        workspace = Path(self._view.state.conversation.workspace)
        loaded = load_rules(self._options.config_dir, workspace, self._options.runtime.home)
        folders, refused = self._guard.from_files(loaded)
        self._file_folders = tuple(folders)
        rules = loaded.rules.plus(RuleSet(problems=tuple(refused))).plus(start_rules(self._options, workspace))
        if not self._journal.read_only and self._loop is not None and self._files_changed_folders():
            self._loop.call_soon_threadsafe(self._tell_folders)
        if rules.problems != self._problems and not self._journal.read_only and self._loop is not None:
            new = [problem for problem in rules.problems if problem not in self._problems]
            self._problems = rules.problems
            if new:
                self._loop.call_soon_threadsafe(self._tell_rules, new)
        return rules

    def usable_folders(self) -> tuple[str, ...]:
        """Return the added folders that may be used now: recorded, still in order, still in the files (blocking)."""
        sources = self._view.state.conversation.folders
        kept = [folder for name, paths in sources.items() if name != "files" for folder in paths]
        kept += [folder for folder in sources.get("files", ()) if folder in self._file_folders]
        return self._guard.usable(dict.fromkeys(kept))

    def open_folders(self) -> tuple[str, ...]:
        """Return what calls may use besides the workspace: the session's own folders, and those added (blocking)."""
        own = (str(self._journal.path.parent / name) for name in ("steps", "outputs", "scratch/tmp"))
        return (*own, *self.usable_folders())

    async def lost_folders(self) -> list[str]:
        """Return what to say of the folders that the session was given and cannot use any more."""
        given = self._view.state.conversation.folders.get("session", ())
        refusals = [(folder, await asyncio.to_thread(self._guard.refusal, folder)) for folder in given]
        return [f"The added folder {folder} is not used: {reason}" for folder, reason in refusals if reason]

    async def add_folder(self, path: str) -> str:
        """Let the session use another folder like its workspace, and return its real path.

        Requests that wait are decided anew. Raises `SessionError`, which says why, for one that may not be added.
        """
        folder = await asyncio.to_thread(self._guard.checked, path)
        if await asyncio.to_thread(self._guard.is_open, folder):
            raise SessionError(f"{path} is in the workspace already")
        held = self._view.state.conversation.folders.get("session", ())
        if folder not in held:
            await self._recorder.record(SessionConfigured(folders={"session": [*held, folder]}))
            await self.on_change()
        return folder

    async def remove_folder(self, path: str) -> str:
        """Take back a folder that the session was given, and return its real path; it may be gone from the disk.

        Requests that wait are decided anew. Raises `SessionError`, which says why, for one that the session was not
        given, or that the settings or a rule file add.
        """
        sources = self._view.state.conversation.folders
        held = sources.get("session", ())
        folder = await asyncio.to_thread(self._guard.named, path)
        if folder not in held:
            where = {"settings": "settings.toml (additional_directories)", "files": "the folder's rule files"}
            adds = next((where[name] for name in where if folder in sources.get(name, ())), "")
            if adds:
                raise SessionError(f"{inert_line(path)} is added by {adds}: take it out there")
            raise SessionError(f"{inert_line(path)} is not one of the session's added folders")
        await self._recorder.record(SessionConfigured(folders={"session": [name for name in held if name != folder]}))
        await self.on_change()
        return folder

    def _files_changed_folders(self) -> bool:
        return self._view.state.conversation.folders.get("files", ()) != self._file_folders

    def _tell_folders(self) -> None:
        if not self._closed:
            self._chores.spawn(self.record_folders())

    async def record_folders(self) -> None:
        """Record which folders the rule files add, where that is not as before; requests are decided anew."""
        async with self._recording:
            if self._files_changed_folders():
                await self._recorder.record(SessionConfigured(folders={"files": list(self._file_folders)}))
                await self.on_change()

    def _tell_rules(self, problems: Sequence[str]) -> None:
        if not self._closed:
            notices = [Notice(level="warning", code="permissions", message=problem) for problem in problems]
            self._chores.spawn(self._record_all(notices))

    async def _record_all(self, events: Sequence[EventBase]) -> None:
        await self._recorder.record(*events)
