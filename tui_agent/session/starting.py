"""What a start of a session writes first: what it is about, and what this start asks for in place of what it had."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from tui_agent import __version__
from tui_agent.config import find_paths
from tui_agent.config.settings import LoadedSettings, Settings, load_settings
from tui_agent.events import EventBase, RunInterrupted, SessionConfigured, SessionCreated
from tui_agent.journal import Journal
from tui_agent.permissions import MODES, RuleSet
from tui_agent.permissions.rule_sources import flag_rules
from tui_agent.permissions.rules import RuleError
from tui_agent.session.backend import Backend
from tui_agent.session.errors import SessionError
from tui_agent.session.folders import FolderGuard
from tui_agent.session.limits import limit_layers
from tui_agent.session.options import OpenOptions
from tui_agent.session.state import SessionState


async def read_settings(options: OpenOptions) -> LoadedSettings:
    """Return the settings that hold for a start. Raises `SessionError` for rules of the start that cannot be used."""
    try:
        start_rules(options, options.workspace)
    except RuleError as error:
        raise SessionError(str(error)) from error
    paths = find_paths(options.runtime.environment, data_dir=options.data_dir, config_dir=options.config_dir)
    return await asyncio.to_thread(load_settings, paths, options.workspace, options.runtime.environment)


def start_rules(options: OpenOptions, workspace: Path) -> RuleSet:
    """Return the rules that hold for a start only. Raises `RuleError`."""
    return flag_rules(options.rules, home=str(options.runtime.home), base=str(workspace))


def checked_mode(mode: str) -> str:
    """Return a mode that there is. Raises `SessionError` for another."""
    if mode not in MODES:
        raise SessionError(f"there is no mode {mode!r}; there are: {', '.join(MODES)}")
    return mode


def folder_guard(options: OpenOptions, workspace: Path) -> FolderGuard:
    """Return what decides which folders may be added to a session in `workspace`."""
    return FolderGuard(workspace, options.runtime.home, (options.data_dir, options.config_dir))


async def read_folders(
    options: OpenOptions, settings: Settings, workspace: Path
) -> tuple[dict[str, list[str]], list[str]]:
    """Return the folders that this start's flags and settings add, by source, and what the settings may not add.

    Raises `SessionError` for a flag's folder that may not be added.
    """
    guard = folder_guard(options, workspace)

    def read() -> tuple[dict[str, list[str]], list[str]]:
        named = dict.fromkeys(guard.checked(folder) for folder in options.folders)
        from_settings, problems = guard.from_settings(settings.additional_directories)
        return {"session": [*guard.usable(named)], "settings": from_settings}, problems

    return await asyncio.to_thread(read)


def changed_folders(state: SessionState, folders: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the sources whose folders are not as the session has them; what the session was given stays."""
    held = state.conversation.folders
    wanted = {**folders, "session": [*dict.fromkeys((*held.get("session", ()), *folders.get("session", ())))]}
    return {name: list(paths) for name, paths in wanted.items() if held.get(name, ()) != tuple(paths)}


def created(
    options: OpenOptions, settings: Settings, backend: Backend, folders: Mapping[str, Sequence[str]]
) -> list[EventBase]:
    """Return the first events of a new session. Raises `SessionError` for a mode that there is not."""
    about = SessionCreated(
        workspace=str(options.workspace),
        model=backend.catalog.find(options.model or settings.model).id,
        mode=checked_mode(options.mode or settings.mode),
        app_version=__version__,
        offline=backend.offline,
    )
    layers, added = limit_layers(settings, options), changed_folders(SessionState(), folders)
    return [about, SessionConfigured(limits=layers, effort=options.effort, folders=added)]


def changed(
    state: SessionState,
    options: OpenOptions,
    settings: Settings,
    backend: Backend,
    folders: Mapping[str, Sequence[str]],
) -> list[EventBase]:
    """Return what this start asks for in place of what the session had; nothing where it is as before.

    Mode `bypass` never comes back by itself. Raises `SessionError` for a mode that there is not.
    """
    conversation = state.conversation
    mode = checked_mode(options.mode) if options.mode else conversation.mode
    if mode == "bypass" and options.mode != "bypass":
        mode = "ask"
    model = backend.catalog.find(options.model).id if options.model else conversation.model
    layers = limit_layers(settings, options)
    changes = SessionConfigured(
        mode=mode if mode != conversation.mode else None,
        model=model if model != conversation.model else None,
        effort=options.effort if options.effort != conversation.effort else None,
        offline=backend.offline if backend.offline != conversation.offline else None,
        folders=changed_folders(state, folders),
        limits={name: layer for name, layer in layers.items() if state.budget.layers.get(name, {}) != layer},
    )
    asked = (
        changes.limits
        or changes.folders
        or changes.model_dump(include={"mode", "model", "effort", "offline"}, exclude_none=True)
    )
    return [changes] if asked else []


async def read_interruption(journal: Journal, state: SessionState) -> RunInterrupted | None:
    """Return what stopped the run in progress, unless it has gone on with a prompt since."""
    run = state.conversation.active_run
    if run is None:
        return None
    asked = await journal.read(subject=run.id, types=["run.interrupted"])
    last = asked[-1] if asked else None
    if not isinstance(last, RunInterrupted):
        return None
    goes_on = await journal.read(last.seq or 0, agent=run.agent, types=["prompt.accepted"], limit=1)
    return None if goes_on else last
