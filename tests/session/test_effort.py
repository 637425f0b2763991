"""How much the model puts into an answer: by setting, by option, in the session, by agent type."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.session.support import Watcher, opened, options
from tui_agent.agents import loop
from tui_agent.agents.agent_type import load_agent_types, read_agent_type
from tui_agent.cli import cli
from tui_agent.models.offline import OfflineServer
from tui_agent.runtime import Runtime
from tui_agent.session import OpenOptions, SessionError
from tui_agent.submissions import Configure


@pytest.fixture
async def server() -> AsyncIterator[OfflineServer]:
    server = OfflineServer(record=True)
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.stop)


def on(server: OfflineServer, tmp_path: Path, setting: str = "", **changes: Any) -> OpenOptions:
    """Options for a session on that server, with an effort in the settings."""
    (tmp_path / "config").mkdir(exist_ok=True)
    if setting:
        (tmp_path / "config/settings.toml").write_text(f'effort = "{setting}"\n')
    return options(tmp_path, offline=False, base_url=server.base_url, api_key="k", model="sonnet", **changes)


def asked(server: OfflineServer) -> list[tuple[str, int]]:
    """The effort and the longest answer of each request for a message."""
    bodies = [request.body for request in server.requests if request.path == "/v1/messages"]
    return [(body.get("output_config", {}).get("effort", ""), body["max_tokens"]) for body in bodies]


async def test_a_setting_holds_until_the_session_says_otherwise(server: OfflineServer, tmp_path: Path) -> None:
    async with opened(on(server, tmp_path, "low")) as session:
        await session.prompt("say 3")
        await session.handle.do(Configure(effort="max"))
        await session.prompt("say 3")
        name = session.handle.session
    async with opened(on(server, tmp_path, "low"), name) as session:
        await session.prompt("say 3")
        await session.handle.do(Configure(effort="default"))
        await session.prompt("say 3")
        with pytest.raises(SessionError, match="xhigh, max, default"):
            await session.handle.do(Configure(effort="huge"))
    assert asked(server) == [("low", 32_000), ("max", 64_000), ("max", 64_000), ("low", 32_000)]


async def test_an_option_goes_before_the_setting(server: OfflineServer, tmp_path: Path) -> None:
    async with opened(on(server, tmp_path, "low", effort="xhigh")) as session:
        await session.prompt("say 3")
    async with opened(replace(on(server, tmp_path, "low"), effort=None)) as session:
        await session.prompt("say 3")
    assert asked(server) == [("xhigh", 64_000), ("low", 32_000)]


def test_the_command_line_passes_it_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = OfflineServer(record=True)
    server.start()
    try:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.base_url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
        arguments = ["run", "--model", "sonnet", "--effort", "medium", "-p", "say 3"]
        done = CliRunner().invoke(cli, arguments, prog_name="tui-agent", obj=Runtime())
        assert done.exit_code == 0, done.stderr
        assert asked(server) == [("medium", 32_000)]
        wrong = CliRunner().invoke(cli, ["run", "--effort", "huge", "-p", "x"], prog_name="tui-agent", obj=Runtime())
        assert wrong.exit_code == 2
        assert "xhigh" in wrong.stderr
    finally:
        server.stop()


async def test_an_agent_type_has_an_effort_of_its_own(
    server: OfflineServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "explore.toml"
    lines = (
        'description = "Looks."',
        'prompt = "Look."',
        'tools = ["read", "grep", "glob"]',
        'effort = "low"',
        "max_turns = 5",
    )
    file.write_text("\n".join(lines))
    quick = read_agent_type(file, tmp_path)
    monkeypatch.setattr(loop, "load_agent_types", lambda home: load_agent_types(home) | {"explore": quick})
    async with opened(on(server, tmp_path, effort="high")) as session:
        await session.prompt("explore apples")
        assert done(session) == "completed"
    efforts = [effort for effort, _ in asked(server)]
    assert (efforts[0], efforts[-1]) == ("high", "high")
    assert set(efforts[1:-1]) == {"low"}


def done(session: Watcher) -> str:
    outcome: str = session.of("run.finished")[-1].outcome
    return outcome
