"""What happens at the same time, and what an error leaves behind: no run stuck, nothing kept, nothing held."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.session.support import opened, options

SUBAGENT = """
[[turn]]
text = "I look."
[[turn.call]]
tool = "task"
input = { agent = "explore", prompt = "find the login code" }
[[turn]]
text = "Found."
[[side]]
match = "find the login code"
[[side.turn]]
text = "I read."
[[side.turn.call]]
tool = "read"
input = { path = "login.py" }
[[side.turn]]
text = "It is in login.py."
"""


def scenario(tmp_path: Path, text: str) -> Path:
    """Write a scenario file and return it."""
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    return path


async def test_several_who_ask_for_the_history_at_once_get_the_same_one(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.prompt("say hello")
        name = session.handle.session
    async with opened(options(tmp_path), name) as session:
        handle = session.handle
        window, prompts, _ = await asyncio.gather(
            handle.context(), handle.prompts_in_window(), handle.submit("say 2")
        )
        await session.idle()
        assert window.parts
        assert len(prompts) in {1, 2}
        assert session.of("run.finished")[-1].outcome == "completed"


async def test_the_history_of_a_subagent_goes_with_it(tmp_path: Path, isolated: Path) -> None:
    (isolated / "login.py").write_text("def login(): ...\n")
    async with opened(options(tmp_path, scenario=scenario(tmp_path, SUBAGENT), mode="bypass")) as session:
        await session.prompt("where is the login?")
        assert [run.outcome for run in session.of("run.finished")] == ["completed", "completed"]
        assert list(session.handle._histories._histories) == ["main"]
