"""How much of the input is read from the cache, and how large the first request is.

Run `python -m tests.benchmarks.context`. A scenario of 60 turns with tools (read, grep, bash, edit, todo) against
the offline server and its simulated cache, which follows the API's documented rules. Every request is compared
with the one before: none may change its prefix.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure
from tui_agent.events import TurnFinished
from tui_agent.models.offline import OfflineServer, parse_scenario
from tui_agent.runtime import Runtime
from tui_agent.session import OpenOptions, Update, open_session
from tui_agent.submissions import Submit

TURNS = 60
SETTLED = 3
"""Turns after which the share counts: the first ones have little to read."""

AIM_SHARE = 0.95
AIM_FIRST = 3_000


def scenario() -> str:
    """Return the scenario: all but the last turn call tools, as a day's work does."""
    calls: list[tuple[str, dict[str, Any]]] = [
        ("read", {"path": "src/app.py"}),
        ("grep", {"pattern": "def ", "path": "src"}),
        ("bash", {"command": "wc -l src/*.py"}),
        ("read", {"path": "notes.md"}),
        ("edit", {"path": "notes.md"}),
        ("todo", {"items": [{"text": "look", "state": "done"}, {"text": "change", "state": "active"}]}),
    ]
    parts = ['title = "sixty turns"\n']
    for number in range(TURNS - 1):
        tool, given = calls[number % len(calls)]
        if tool == "edit":
            given = {**given, "edits": [{"old": f"step {number}\n", "new": f"step {number}, done\n"}]}
        text = f"Turn {number + 1}: I look at what came back and go on with {tool}. " * 3
        parts.append(
            f"[[turn]]\nthinking = {json.dumps('What is next? ' * 5)}\ntext = {json.dumps(text)}\n"
            f"[[turn.call]]\ntool = {json.dumps(tool)}\ninput = {_inline(given)}\n"
        )
    return "\n".join([*parts, '[[turn]]\ntext = "All of it is done."\n'])


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_inline(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)


async def play(folder: Path) -> tuple[list[TurnFinished], list[dict[str, Any]]]:
    """Play the scenario in a session of its own; return its turns and the bodies of its requests."""
    workspace = folder / "workspace"
    (workspace / "src").mkdir(parents=True)
    source = "".join(f"def function_{number}(value):\n    return value + {number}\n\n" for number in range(60))
    (workspace / "src" / "app.py").write_text(source)
    (workspace / "notes.md").write_text("".join(f"step {number}\n" for number in range(TURNS)))
    server = OfflineServer(parse_scenario(scenario()), record=True)
    base_url = await asyncio.to_thread(server.start)
    options = OpenOptions(
        data_dir=folder / "data",
        config_dir=folder / "config",
        workspace=workspace,
        model="sonnet",
        mode="bypass",
        max_turns=TURNS + 1,
        base_url=base_url,
        api_key="benchmark",
        runtime=Runtime(home=folder / "home", environment={"PATH": "/usr/bin:/bin"}),
    )
    turns: list[TurnFinished] = []
    over = asyncio.Event()

    def watch(update: Update) -> None:
        for event in update.events:
            if isinstance(event, TurnFinished):
                turns.append(event)
            elif event.type == "run.finished":
                over.set()

    handle = await open_session(options)
    try:
        handle.subscribe(watch)
        await handle.start()
        await handle.do(Submit(prompt="Tidy the project up, in many small steps."))
        await asyncio.wait_for(over.wait(), 300)
    finally:
        await handle.close()
        await asyncio.to_thread(server.stop)
    bodies = [request.body for request in server.requests if request.path == "/v1/messages"]
    return turns, bodies


def changed_prefixes(bodies: list[dict[str, Any]]) -> int:
    """Return how many requests do not repeat the one before from its beginning."""
    changed = 0
    for before, after in itertools.pairwise(bodies):
        *earlier, last = before["messages"]
        messages = after["messages"]
        grown = messages[len(earlier)]
        same = (
            after["system"] == before["system"]
            and after["tools"] == before["tools"]
            and messages[: len(earlier)] == earlier
            and grown["role"] == last["role"]
            and grown["content"][: len(last["content"])] == last["content"]
        )
        changed += not same
    return changed


def main(report: Callable[[str], None] = print) -> list[Figure]:
    """Play, print the figures and return them. Raises `RuntimeError` when the scenario was not played whole."""
    with tempfile.TemporaryDirectory(prefix="tui-agent-context-") as folder:
        turns, bodies = asyncio.run(play(Path(folder)))
    if len(turns) != TURNS or turns[-1].content[-1].get("text") != "All of it is done.":
        raise RuntimeError(f"the scenario ended after {len(turns)} turns: {turns[-1].content if turns else ''}")
    settled = turns[SETTLED:]
    share = sum(t.usage.cache_read_tokens for t in settled) / sum(t.usage.prompt_tokens for t in settled)
    figures = [
        Figure(f"input read from cache, turns {SETTLED + 1}-{TURNS}", share, "", aim_least=AIM_SHARE),
        Figure("tokens of the first request", turns[0].usage.prompt_tokens, "", aim=AIM_FIRST),
        Figure("requests that changed their prefix", changed_prefixes(bodies), "", aim=0),
    ]
    for figure in figures:
        report(f"{figure.name}: {figure.value:.4g}{'' if figure.met else '  MISSED'}")
    report(f"the last request: {turns[-1].usage.prompt_tokens:,} tokens")
    return figures


if __name__ == "__main__":
    sys.exit(0 if all(figure.met for figure in main()) else 1)
