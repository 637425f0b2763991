"""What a request begins with, as readable files in `heads/`: a change of any text that the model gets is seen there.

`pytest tests/context/test_head.py --snapshot-update` writes them anew; look at the difference before you commit it.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from tui_agent.agents import AgentType, load_agent_types
from tui_agent.context import SessionFacts, assemble_context
from tui_agent.context.history import BYTES_PER_TOKEN, encode
from tui_agent.events import ContextLoaded
from tui_agent.registry import assemble_pool, load_tools
from tui_agent.runtime import Runtime

FOLDER = Path(__file__).parent / "heads"

MOST_TOKENS = 3_000
"""What the first request of a session may have, without memory files, by the project's own estimate."""

HEADS = {
    "general": ("general", "ask", True),
    "general-in-plan-mode": ("general", "plan", True),
    "general-headless": ("general", "ask", False),
    "explore": ("explore", "ask", True),
    "plan": ("plan", "ask", True),
}
"""Each file: the agent type, the mode, whether the user is there."""


def head(workspace: Path, kind: AgentType, mode: str, *, attended: bool, main: bool) -> ContextLoaded:
    """Return the head of an agent's requests, on a day and in a folder that do not change."""
    capabilities = {"subagents", "modes"} if main else set()
    pool = assemble_pool(load_tools(), allowed=kind.tools, capabilities=capabilities)
    facts = SessionFacts(
        mode="" if kind.narrowing.read_only else mode,
        offers_exit_plan=main,
        sandbox="bubblewrap",
        domains=(),
        attended=attended,
        now=1_790_000_000.0,
    )
    return assemble_context(
        prompt=kind.prompt,
        workspace=workspace,
        model="claude-opus-5-5",
        memory=[],
        tools=pool.api_tools(strict=True),
        facts=facts.sentences(),
        runtime=Runtime(environment={"PATH": "/usr/bin:/bin"}),
    )


def readable(loaded: ContextLoaded, workspace: Path) -> str:
    """Return a head as text: the system prompt, then each tool with its description and its input."""
    parts = [str(block["text"]) for block in loaded.system]
    for tool in loaded.tools:
        schema = tool["input_schema"]
        assert isinstance(schema, dict)
        extra = {key: value for key, value in tool.items() if key not in {"name", "description", "input_schema"}}
        parts.append(f"=== {tool['name']} {json.dumps(extra) if extra else ''}".rstrip() + f"\n{tool['description']}")
        parts.append(json.dumps(schema["properties"], indent=2, ensure_ascii=False))
    text = "\n\n".join(parts).replace(str(workspace), "WORKSPACE")
    return text.replace(f"{platform.system()} {platform.machine()}", "PLATFORM") + "\n"


@pytest.mark.parametrize("name", HEADS)
def test_the_head_is_as_it_was_looked_at(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    kind, mode, attended = HEADS[name]
    loaded = head(tmp_path, load_agent_types(tmp_path)[kind], mode, attended=attended, main=kind == "general")
    text = readable(loaded, tmp_path)
    file = FOLDER / f"{name}.txt"
    if request.config.getoption("update_snapshots"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("mode", ["ask", "accept-edits", "plan", "sandboxed", "bypass"])
@pytest.mark.parametrize("attended", [True, False])
def test_the_first_request_is_small(mode: str, tmp_path: Path, attended: bool) -> None:
    for name, kind in load_agent_types(tmp_path).items():
        loaded = head(tmp_path, kind, mode, attended=attended, main=name == "general")
        tokens = (len(encode(loaded.system)) + len(encode(loaded.tools))) // BYTES_PER_TOKEN
        assert tokens <= MOST_TOKENS
        assert sum(source.tokens for source in loaded.sources) <= tokens


def test_the_model_reads_of_the_user_and_of_no_issue(tmp_path: Path) -> None:
    for kind in load_agent_types(tmp_path).values():
        text = readable(head(tmp_path, kind, "plan", attended=True, main=True), tmp_path).lower()
        assert "person" not in text
