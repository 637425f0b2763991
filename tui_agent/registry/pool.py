"""The pool: which tools an agent offers the model, and why each other one is left out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tui_agent.events import JsonObject, PoolEntry
from tui_agent.registry.metadata import ToolMetadata
from tui_agent.registry.strict import strict_tools


@dataclass(frozen=True, slots=True)
class Pool:
    """The tools that are offered, and an entry with the reason for every tool of the registry."""

    tools: tuple[ToolMetadata, ...]
    entries: tuple[PoolEntry, ...]

    def api_tools(self, *, strict: bool = False) -> list[JsonObject]:
        """Return the tools as the Messages API takes them, always in the same order: by name.

        `strict` asks the server to guarantee inputs that fit, where a tool's schema allows that.
        """
        tools = [_api_tool(tool) for tool in self.tools]
        return strict_tools(tools) if strict else tools


def assemble_pool(
    tools: Mapping[str, ToolMetadata] | Iterable[ToolMetadata],
    *,
    allowed: Collection[str] | None,
    capabilities: Collection[str],
) -> Pool:
    """Choose from `tools` what is offered.

    `allowed` are the names that the agent's type allows, None for all; `capabilities` what the agent can do, e.g.
    `subagents`. The session's mode plays no part: it changes, and the tools that a request offers never do.
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
        else:
            offered.append(tool)
            entries.append(PoolEntry(name=tool.name, offered=True, reason=f"{tool.tier} tool"))
            continue
        entries.append(PoolEntry(name=tool.name, offered=False, reason=reason))
    return Pool(tuple(offered), tuple(entries))


OLD_PLAN_REASON = "plan mode offers only"
"""How version 0.1.0 began the reason for a tool that it left out of the pool of a session begun in plan mode."""


def lacks_tools(entries: Iterable[PoolEntry]) -> bool:
    """Say whether a recorded pool lacks tools only because an earlier version chose it in plan mode."""
    return any(not entry.offered and entry.reason.startswith(OLD_PLAN_REASON) for entry in entries)


def _api_tool(tool: ToolMetadata) -> JsonObject:
    entry: JsonObject = {
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.input_schema,
    }
    if tool.eager_input:
        entry["eager_input_streaming"] = True
    return entry
