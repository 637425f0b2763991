"""How a session is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tui_agent.runtime import Runtime

if TYPE_CHECKING:
    from tui_agent.config.settings import Effort
    from tui_agent.permissions.rules import RuleVerdict


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """Where a session's files are, what it works on, and how.

    `model` and `mode` empty, and `effort` None, mean: the settings' or, on a resume, the session's own. `base_url`
    and `api_key` None mean: as the environment says; with neither, the offline model answers. `scenario` is a
    file for the offline model. `limits` hold for this start, by `scope.kind`, such as `run.cost`; 0 lifts
    one, and `max_turns` 0 that on turns.
    `folders` are added besides the workspace, absolute or from the workspace.
    `move` brings a session that is resumed along to `workspace`; without it, it stays in its own folder.
    `unattended` sessions have nobody to ask: what would ask is denied. `memory_files` empty means
    as the settings say; `system_prompt` is added to the system prompt of a new session, after the settings' own.
    `rules` hold for this start besides those in files, by verdict; they are never saved.
    """

    data_dir: Path
    config_dir: Path
    workspace: Path
    model: str = ""
    mode: str = ""
    effort: Effort | None = None
    max_turns: int | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    offline: bool = False
    scenario: Path | None = None
    base_url: str | None = None
    api_key: str | None = None
    folders: tuple[str, ...] = ()
    move: bool = False
    unattended: bool = False
    memory_files: Literal["", "ask", "always", "never"] = ""
    system_prompt: str = ""
    rules: Mapping[RuleVerdict, tuple[str, ...]] = field(default_factory=dict)
    runtime: Runtime = field(default_factory=Runtime)
