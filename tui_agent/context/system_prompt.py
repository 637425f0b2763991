"""The fixed head of an agent's requests: its prompt, its environment, its memory files.

The texts are data: an agent type's own in `agents/types`, what holds for every type in `prompts/harness.md`.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from tui_agent.context.git import describe_git
from tui_agent.context.history import BYTES_PER_TOKEN
from tui_agent.context.memory import MemoryFile
from tui_agent.events import ContextLoaded, ContextSource, JsonObject
from tui_agent.runtime import Runtime


def assemble_context(
    *,
    prompt: str,
    workspace: Path,
    model: str,
    memory: Sequence[MemoryFile],
    tools: list[JsonObject],
    facts: Mapping[str, str],
    runtime: Runtime,
    added: str = "",
    reason: str = "",
) -> ContextLoaded:
    """Return the head as the event that fixes it for the rest of the session. Blocking: runs git.

    `facts` are the session's facts, by name, as the model reads them; `added` is what the user adds to the prompt by
    a setting or a flag; `reason` says why the head replaces an
    earlier one.
    """
    environment = _environment(workspace, model, facts, runtime)
    parts = {"agent prompt": prompt.strip(), "how the program works": harness_text(), "environment": environment}
    if added:
        parts["added by the user"] = f"Added by the user:\n\n{added}"
    system: list[JsonObject] = [{"type": "text", "text": "\n\n".join(parts.values())}]
    sources = [
        *(_source("system", name, text) for name, text in parts.items()),
        _source("tools", f"{len(tools)} tools", json.dumps(tools, separators=(",", ":"))),
    ]
    for file in memory:
        text = file.block()
        system.append({"type": "text", "text": text})
        source = _source("memory", str(file.path), text)
        origin = str(file.imported_by or "")
        sources.append(source.model_copy(update={"sha256": file.sha256, "imported_by": origin}))
    return ContextLoaded(system=system, tools=tools, sources=sources, facts=dict(facts), reason=reason)


@cache
def harness_text() -> str:
    """Return what every agent is told of the program: its marks, its tools' habits, git."""
    return (files("tui_agent.context") / "prompts" / "harness.md").read_text(encoding="utf-8").strip()


def _source(kind: str, name: str, text: str) -> ContextSource:
    data = text.encode("utf-8", "surrogatepass")
    return ContextSource.model_validate(
        {
            "kind": kind,
            "name": name,
            "tokens": len(data) // BYTES_PER_TOKEN,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    )


def _environment(workspace: Path, model: str, facts: Mapping[str, str], runtime: Runtime) -> str:
    git = describe_git(workspace, runtime.environment)
    lines = [
        f"Workspace: {workspace}",
        f"Platform: {platform.system()} {platform.machine()}",
        f"Model: {model}",
        f"Git: {git}" if git else "Git: not a repository",
        *facts.values(),
    ]
    return "Environment, as the session starts:\n" + "\n".join(f"- {line}" for line in lines)
