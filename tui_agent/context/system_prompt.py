"""The fixed head of an agent's requests: its prompt, its environment, its memory files."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import time
from pathlib import Path

from tui_agent.context.history import BYTES_PER_TOKEN
from tui_agent.context.memory import MemoryFile
from tui_agent.events import ContextLoaded, ContextSource, JsonObject
from tui_agent.runtime import Runtime


def assemble_context(
    *,
    prompt: str,
    workspace: Path,
    model: str,
    memory: list[MemoryFile],
    tools: list[JsonObject],
    runtime: Runtime,
) -> ContextLoaded:
    """Return the head as the event that fixes it for the rest of the session. Blocking: runs git."""
    environment = _environment(workspace, model, runtime)
    system: list[JsonObject] = [{"type": "text", "text": f"{prompt.strip()}\n\n{environment}"}]
    sources = [
        _source("system", "agent prompt", prompt),
        _source("system", "environment", environment),
        _source("tools", f"{len(tools)} tools", json.dumps(tools, separators=(",", ":"))),
    ]
    for file in memory:
        text = file.block()
        system.append({"type": "text", "text": text})
        source = _source("memory", str(file.path), text)
        origin = str(file.imported_by or "")
        sources.append(source.model_copy(update={"sha256": file.sha256, "imported_by": origin}))
    return ContextLoaded(system=system, tools=tools, sources=sources)


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


def _environment(workspace: Path, model: str, runtime: Runtime) -> str:
    day = time.strftime("%Y-%m-%d", time.gmtime(runtime.now()))
    lines = [
        f"Folder: {workspace}",
        f"Platform: {platform.system()} {platform.machine()}",
        f"Date: {day}",
        f"Model: {model}",
    ]
    branch = git_branch(workspace)
    lines.append(f"Git branch: {branch}" if branch else "Not a git repository")
    return "Environment:\n" + "\n".join(lines)


def git_branch(workspace: Path) -> str:
    """Return the checked-out branch, empty outside a repository. Blocking, at most two seconds."""
    command = ["git", "-C", str(workspace), "branch", "--show-current"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
