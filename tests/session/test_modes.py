"""The mode is the policy's business: what is offered stays, the model is told, and plan mode ends in a plan."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.session.older import unpack
from tests.session.support import Watcher, opened, options
from tui_agent.models.offline import OfflineServer
from tui_agent.runtime import Runtime
from tui_agent.session import SessionError, verify_session
from tui_agent.submissions import Compact, Configure, Decide, Interrupt, Submit

SCENARIO = """
[[turn]]
text = "Here is my plan."

[[turn.call]]
tool = "exit_plan"
input = { plan = "# Add a greeting\\n\\n1. write hello.txt" }

[[turn]]
text = "Now the work."

[[turn.call]]
tool = "write"
input = { path = "hello.txt", content = "hello\\n" }

[[turn]]
text = "Done."
"""


@asynccontextmanager
async def recorded(tmp_path: Path, session: str = "", **changes: Any) -> AsyncIterator[tuple[Watcher, OfflineServer]]:
    """A session on a server that keeps its requests."""
    server = OfflineServer(record=True)
    base_url = await asyncio.to_thread(server.start)
    try:
        given = options(tmp_path, offline=False, base_url=base_url, api_key="k", **changes)
        async with opened(given, session) as watcher:
            yield watcher, server
    finally:
        await asyncio.to_thread(server.stop)


def told(server: OfflineServer, number: int = -1) -> str:
    """Return the system prompt and the messages of a request as text."""
    body = server.requests[number].body
    return json.dumps([body["system"], body["messages"]])


def plan_scenario(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(SCENARIO)
    return path


async def test_the_offered_tools_and_the_head_do_not_change_with_the_mode(tmp_path: Path, isolated: Path) -> None:
    async with recorded(tmp_path, mode="plan") as (session, server):
        await session.prompt("say 3")
        for mode in ("ask", "accept-edits", "plan"):
            await session.handle.do(Configure(mode=mode))
            await session.prompt("say 3")
        heads = {json.dumps([r.body["system"], r.body["tools"]]) for r in server.requests}
        assert len(heads) == 1
        assert {"bash", "edit", "write", "exit_plan"} <= {tool["name"] for tool in server.requests[0].body["tools"]}
        assert len(session.of("pool.assembled")) == len(session.of("context.loaded")) == 1
        name = session.handle.session
    async with recorded(tmp_path, name) as (session, server):
        await session.prompt("say 3")
        assert session.of("pool.assembled") == []
        assert {json.dumps([r.body["system"], r.body["tools"]]) for r in server.requests} == heads


async def test_the_model_is_told_the_mode_and_each_change_of_it_once(tmp_path: Path, isolated: Path) -> None:
    async with recorded(tmp_path) as (session, server):
        await session.prompt("say 3")
        assert "Mode: ask." in told(server)
        await session.handle.do(Configure(mode="plan"))
        await session.handle.do(Configure(mode="ask"))
        await session.prompt("say 3")
        assert session.of("context.noted") == []  # nothing has changed since it was told
        await session.handle.do(Configure(mode="plan"))
        await session.prompt("say 3")
        await session.prompt("say 3")
        assert told(server).count("Mode: plan.") == 1
        assert [list(event.facts) for event in session.of("context.noted")] == [["mode"]]
        await session.handle.do(Configure(mode="accept-edits"))
        await session.handle.do(Compact())
        await session.prompt("say 3")
        assert told(server).count("Mode: accept-edits.") == 1  # the head says ask, the summary says nothing
        name = session.handle.session
    async with recorded(tmp_path, name) as (session, server):
        await session.prompt("say 3")
        assert session.of("context.noted") == session.of("notice") == []


async def test_plan_mode_in_a_running_session_denies_with_a_decision_and_says_what_goes(
    tmp_path: Path, isolated: Path
) -> None:
    async with opened(options(tmp_path)) as session:
        await session.prompt("say 3")
        await session.handle.do(Configure(mode="plan"))
        for number, prompt in enumerate(("write b.txt: x", "run touch b.txt", "run ls"), 1):
            await session.prompt(prompt)
            assert len(session.of("permission.decided")) == number
        assert [event.verdict for event in session.of("permission.decided")] == ["deny", "deny", "allow"]
        assert [event.judgement.mode for event in session.of("permission.decided")] == ["plan"] * 3
        finished = session.of("step.finished")
        assert [event.outcome for event in finished] == ["denied", "denied", "ok"]
        assert all("until the user has approved a plan" in str(event.result) for event in finished[:2])
        assert not (isolated / "b.txt").exists()


@pytest.mark.parametrize("mode", ["", "accept-edits"])
async def test_plan_approve_do_in_one_session(tmp_path: Path, isolated: Path, mode: str) -> None:
    async with opened(options(tmp_path, mode="plan", scenario=plan_scenario(tmp_path))) as session:
        await session.handle.do(Submit(prompt="add a greeting"))
        request = await session.event("permission.requested")
        assert (request.tool, request.preview) == ("exit_plan", "# Add a greeting\n\n1. write hello.txt")
        with pytest.raises(SessionError):
            await session.handle.do(Decide(request=request.request, verdict="allow", mode="bypass"))
        await session.handle.do(Decide(request=request.request, verdict="allow", mode=mode))
        if mode == "":
            write = await session.event("permission.requested", 2)
            assert session.handle.state.conversation.mode == "ask"
            await session.handle.do(Decide(request=write.request, verdict="allow"))
        await session.idle()
        assert (isolated / "hello.txt").read_text() == "hello\n"
        assert session.handle.state.conversation.mode == (mode or "ask")
        assert "approved the plan" in str(session.of("step.finished")[0].result)
        assert session.of("permission.decided")[0].mode == mode


async def test_a_plan_that_is_sent_back_leaves_the_mode_as_it_is(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path, mode="plan", scenario=plan_scenario(tmp_path))) as session:
        await session.handle.do(Submit(prompt="add a greeting"))
        request = await session.event("permission.requested")
        await session.handle.do(Decide(request=request.request, verdict="deny", comment="in French"))
        await session.idle()
        result = str(session.of("step.finished")[0].result)
        assert "did not approve the plan. They say: in French" in result
        assert session.of("step.finished")[1].outcome == "denied"  # the write
        assert session.handle.state.conversation.mode == "plan"


async def test_no_rule_approves_a_plan_and_a_deny_rule_still_denies_it(tmp_path: Path, isolated: Path) -> None:
    rules = tmp_path / "config" / "permissions.toml"
    rules.parent.mkdir()
    rules.write_text('allow = ["exit_plan"]\n')
    given = options(tmp_path, mode="plan", scenario=plan_scenario(tmp_path))
    async with opened(given) as session:
        await session.handle.do(Submit(prompt="add a greeting"))
        await session.event("permission.requested")
        await session.handle.do(Interrupt())
        await session.idle()
    rules.write_text('deny = ["exit_plan"]\n')
    async with opened(given) as session:
        await session.prompt("add a greeting")
        assert session.of("permission.decided")[0].verdict == "deny"


async def test_exit_plan_outside_plan_mode_asks_nobody(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path, mode="accept-edits", scenario=plan_scenario(tmp_path))) as session:
        await session.prompt("add a greeting")
        assert session.of("permission.requested") == []
        assert "nothing to approve" in str(session.of("step.finished")[0].result)
        assert session.handle.state.conversation.mode == "accept-edits"


async def test_nobody_is_there_to_approve_and_the_model_knows(tmp_path: Path, isolated: Path) -> None:
    async with recorded(tmp_path, mode="plan", unattended=True) as (session, server):
        await session.prompt("say 3")
        assert "Nobody is at the terminal" in told(server)
        assert "Give your plan as your answer" in told(server)
        name = session.handle.session
    async with recorded(tmp_path, name) as (session, server):
        await session.prompt("say 3")
        note = json.dumps(server.requests[-1].body["messages"]).partition("<session>")[2]
        assert "The user is at the terminal" in note
        assert "call exit_plan" in note
        assert "sandbox" not in note


async def test_a_session_that_0_1_0_began_in_plan_mode_gets_its_tools(tmp_path: Path, isolated: Path) -> None:
    unpack(tmp_path / "data", "plan")
    async with recorded(tmp_path, "plan", mode="ask") as (session, server):
        await session.prompt("say 3")
        await session.prompt("run pwd")
        assert [event.tool for event in session.of("permission.decided")] == ["bash"]
        assert session.of("run.finished")[-1].outcome == "completed"
        names = [{tool["name"] for tool in request.body["tools"]} for request in server.requests]
        assert all({"bash", "edit", "write", "exit_plan"} <= offered for offered in names)
        (loaded,) = session.of("context.loaded")
        assert "plan mode left out" in loaded.reason
        assert '"thinking"' not in json.dumps(server.requests[0].body["messages"])
        assert "Mode: ask." in told(server)
    async with recorded(tmp_path, "plan") as (session, server):
        await session.prompt("say 3")
        assert session.of("context.loaded") == session.of("notice") == []
    verification = await verify_session(tmp_path / "data/sessions/plan/session.db", Runtime())
    assert verification.ok
