"""Agent types as data: prompt, tools, limits, and what they forbid."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import cast

from tui_agent.config.settings import EFFORTS, Effort
from tui_agent.config.toml_file import TomlFile
from tui_agent.permissions import Narrowing, read_narrowing, together
from tui_agent.permissions.rules import RuleError


@dataclass(frozen=True, slots=True)
class AgentType:
    """One type of agent. `tools` None means every tool of the session; `max_turns` bounds one run.

    `narrowing` holds for its agents and for all below them. `effort` is how much its model is to put into an answer,
    None for as much as the session asks for.
    """

    name: str
    description: str
    prompt: str
    tools: tuple[str, ...] | None
    max_turns: int
    narrowing: Narrowing
    effort: Effort | None = None


@cache
def load_agent_types(home: Path) -> dict[str, AgentType]:
    """Return the built-in agent types by name. Raises `RuleError` for one that forbids in a way it cannot."""
    folder = resources.files("tui_agent.agents") / "types"
    files = sorted(Path(str(file)) for file in folder.iterdir() if file.name.endswith(".toml"))
    return {file.stem: read_agent_type(file, home) for file in files}


def read_agent_type(path: Path, home: Path) -> AgentType:
    """Return the type that a file describes; it has the file's name. Raises `RuleError`, with file and line."""
    text = path.read_text("utf-8")
    data = tomllib.loads(text)
    file = TomlFile(path, text, data)
    narrowing = read_narrowing(file, home)
    tools = None if data["tools"] == "all" else tuple(data["tools"])
    return AgentType(
        path.stem,
        data["description"],
        data["prompt"].strip(),
        tools,
        data["max_turns"],
        narrowing,
        _effort(file),
    )


def _effort(file: TomlFile) -> Effort | None:
    effort = file.values.get("effort")
    if effort is not None and effort not in EFFORTS:
        raise RuleError(str(file.problem("effort", f"effort is one of {', '.join(EFFORTS)}, not {effort!r}")))
    return cast("Effort | None", effort)


def narrowing_of(types: Iterable[str], home: Path) -> Narrowing:
    """Return what these agent types forbid together; one that is gone forbids nothing."""
    known = load_agent_types(home)
    return together(known[name].narrowing for name in types if name in known)
