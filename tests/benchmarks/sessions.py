"""Makes long sessions out of real events: prompts, Markdown answers, reads, edits with diffs, commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tui_agent.events import (
    EffectClass,
    EventBase,
    JsonObject,
    RunFinished,
    RunStarted,
    SessionCreated,
    StepFinished,
    StepPlanned,
    StepStarted,
    TurnFinished,
    TurnProjected,
    TurnStarted,
    Usage,
)
from tui_agent.events.types import Intent
from tui_agent.journal import Journal
from tui_agent.models.offline.prose import markdown
from tui_agent.runtime import Runtime
from tui_agent.session import OpenOptions, resume_session

LAST_ANSWER = "This is the last answer of the session."

DIFF = """--- a/src/module.py
+++ b/src/module.py
@@ -10,4 +10,6 @@
 def login(user):
-    if user:
+    if user and user.active:
+        log(user)
         return user
+    return None
"""

TOOLS = ("read", "edit", "bash", "grep")
MODEL = "claude-sonnet-5-5"
ITEMS_IN_RUN = 2 * len(TOOLS) + 3
"""A prompt, a turn before each step, the steps, the answer, the end."""


def run_events(number: int, final: str = "") -> Iterator[EventBase]:
    """Yield the events of one run: a prompt, four turns with a step each, an answer."""
    run = f"run_{number}"
    yield RunStarted(
        run=run, prompt=f"Task {number}: make the tests of module {number} pass, then say what was wrong."
    )
    turns = len(TOOLS) + 1
    for place, tool in enumerate([*TOOLS, ""]):
        turn, step, call = f"turn_{number}_{place}", f"step_{number}_{place}", f"toolu_{number}_{place}"
        tokens = 4_000 + 40 * (turns * number + place)
        yield TurnProjected(run=run, turn=turn, input_tokens=tokens, max_output_tokens=32_000)
        yield TurnStarted(run=run, turn=turn, model=MODEL, number=turns * number + place + 1)
        planned = _planned(tool, number) if tool else None
        text = f"I'll use `{tool}` on **module {number}**." if tool else final or markdown(120 + number % 7 * 40)
        content: list[JsonObject] = [{"type": "text", "text": text}]
        if planned:
            content.append({"type": "tool_use", "id": call, "name": tool, "input": planned.input})
        yield TurnFinished(
            run=run,
            turn=turn,
            model=MODEL,
            content=content,
            stop_reason="tool_use" if planned else "end_turn",
            usage=Usage(input_tokens=12, output_tokens=150, cache_read_tokens=tokens, cache_write_tokens=200),
            cost=0.004,
            seconds=1.5,
        )
        if planned:
            ids = {"run": run, "step": step, "turn": turn, "call_id": call}
            yield planned.model_copy(update=ids)
            yield StepStarted(run=run, step=step, tool=tool, intent=Intent(effect=planned.effect, key=step))
            yield _outcome(tool).model_copy(update={"run": run, "step": step})
    yield RunFinished(run=run, outcome="completed", turns=turns, seconds=21.0, usage=Usage(output_tokens=750))


def _planned(tool: str, number: int) -> StepPlanned:
    path = f"src/module_{number % 40}.py"
    changed = {"old": "    if user:\n", "new": "    if user and user.active:\n        log(user)\n"}
    effects: dict[str, tuple[EffectClass, JsonObject]] = {
        "read": ("pure", {"path": path}),
        "edit": ("checkable", {"path": path, **changed}),
        "bash": ("supervised", {"command": f"pytest -q tests/test_module_{number % 40}.py"}),
        "grep": ("pure", {"pattern": f"login_{number}", "path": "src"}),
    }
    effect, call = effects[tool]
    title = f"{tool} {call.get('path') or call.get('command')}"
    return StepPlanned(step="", turn="", call_id="", tool=tool, input=call, effect=effect, title=title)


def _outcome(tool: str) -> StepFinished:
    view = "\n".join(f"{line:4} some text of line {line} that a tool gave" for line in range(1, 31))
    return StepFinished(
        step="",
        tool=tool,
        outcome="ok",
        result=[{"type": "text", "text": view}],
        summary="30 lines",
        view="" if tool == "edit" else view,
        diff=DIFF if tool == "edit" else "",
        exit_code=0 if tool == "bash" else None,
        seconds=0.04,
    )


async def make_session(data_dir: Path, workspace: Path, items: int, name: str = "session_long") -> str:
    """Write a session of at least `items` items, 0 included, open and close it once, and return its id."""
    journal = await Journal.create(data_dir / "sessions" / name / "session.db", name, Runtime())
    await journal.append(SessionCreated(workspace=str(workspace), model=MODEL, mode="ask"))
    number = 0
    while journal.item_count < items:
        last = journal.item_count + ITEMS_IN_RUN >= items
        await journal.append(*run_events(number, LAST_ANSWER if last else ""))
        number += 1
    await journal.close()
    # As every session is that was left properly: with a snapshot, and in the list.
    options = OpenOptions(data_dir=data_dir, config_dir=data_dir / "config", workspace=workspace)
    handle = await resume_session(name, options)
    await handle.close()
    return name
