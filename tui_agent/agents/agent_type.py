"""Agent types as data: prompt, tools, limits."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class AgentType:
    """One type of agent. `tools` None means every tool of the session; `max_turns` bounds one run."""

    name: str
    description: str
    prompt: str
    tools: tuple[str, ...] | None
    max_turns: int


@cache
def load_agent_types() -> dict[str, AgentType]:
    """Return the built-in agent types by name."""
    types = {}
    folder = resources.files("tui_agent.agents") / "types"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name, _, suffix = file.name.rpartition(".")
        if suffix != "toml":
            continue
        data = tomllib.loads(file.read_text("utf-8"))
        tools = None if data["tools"] == "all" else tuple(data["tools"])
        types[name] = AgentType(name, data["description"], data["prompt"].strip(), tools, data["max_turns"])
    return types
