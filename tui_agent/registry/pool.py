"""The pool: which tools an agent offers the model, and why each other one is left out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tui_agent.events import JsonObject, PoolEntry
from tui_agent.registry.metadata import ToolMetadata


@dataclass(frozen=True, slots=True)
class Pool:
    """The tools that are offered, and an entry with the reason for every tool of the registry."""

    tools: tuple[ToolMetadata, ...]
    entries: tuple[PoolEntry, ...]

    def api_tools(self) -> list[JsonObject]:
        """Return the tools as the Messages API takes them, always in the same order: by name."""
        return [_api_tool(tool) for tool in self.tools]


def assemble_pool(
    tools: Mapping[str, ToolMetadata] | Iterable[ToolMetadata],
    *,
    allowed: Collection[str] | None,
    capabilities: Collection[str],
    mode: str,
) -> Pool:
    """Choose from `tools` what is offered.

    `allowed` are the names that the agent's type allows, None for all; `capabilities` what the session
    can do, e.g. `subagents`; in mode `plan` only tools that change nothing are offered.
    """
    known = tools.values() if isinstance(tools, Mapping) else tools
    offered: list[ToolMetadata] = []
    entries: list[PoolEntry] = []
    for tool in sorted(known, key=lambda tool: tool.name):
        missing = [need for need in tool.needs if need not in capabilities]
        if allowed is not None and tool.name not in allowed:
            reason = "not among the tools of this agent type"
        elif missing:
            reason = f"needs {', '.join(missing)}"
        elif mode == "plan" and tool.effect != "pure":
            reason = f"plan mode offers only tools that change nothing; this one is {tool.effect}"
        else:
            offered.append(tool)
            entries.append(PoolEntry(name=tool.name, offered=True, reason=f"{tool.tier} tool"))
            continue
        entries.append(PoolEntry(name=tool.name, offered=False, reason=reason))
    return Pool(tuple(offered), tuple(entries))


def _api_tool(tool: ToolMetadata) -> JsonObject:
    entry: JsonObject = {
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.input_schema,
    }
    if tool.eager_input:
        entry["eager_input_streaming"] = True
    return entry
