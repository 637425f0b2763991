"""No secret is in what a session leaves on disk, whoever said it; and all work goes on as if it were."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.context import changed_prefixes
from tests.session.support import Watcher, opened, options
from tui_agent.events import PermissionRequested
from tui_agent.journal import export_jsonl
from tui_agent.models.offline import OfflineServer
from tui_agent.models.offline.answer import Answer, Call
from tui_agent.models.offline.request import Request
from tui_agent.redaction import Redactor
from tui_agent.runtime import Runtime
from tui_agent.session import OpenOptions, SessionError, export_session
from tui_agent.submissions import AllowAlways, Decide, EditCall, Interrupt, Submit

TOKEN = 'hunter2-"ä"-hunter2'
KEY = "ghp_" + "a1" * 18
SECRETS = [TOKEN, json.dumps(TOKEN)[1:-1], json.dumps(TOKEN, ensure_ascii=False)[1:-1], KEY]


class Told(OfflineServer):
    """A model that says what it is told to, one answer after the other, in small pieces."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__(record=True, delta_tokens=1)
        self._left = list(answers)
        self._player.answer = self._next  # type: ignore[method-assign]

    def _next(self, request: Request) -> Answer:
        return self._left.pop(0)


def given(server: OfflineServer, tmp_path: Path, **changes: Any) -> OpenOptions:
    runtime = Runtime(home=tmp_path / "home", environment={"PATH": "/usr/bin:/bin", "MY_TOKEN": TOKEN})
    changes = {"mode": "bypass", "runtime": runtime, **changes}
    return options(tmp_path, offline=False, base_url=server.base_url, api_key="k", **changes)


def found(folder: Path) -> list[str]:
    """Return the files below a folder that hold a secret."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(secret.encode() in path.read_bytes() for secret in SECRETS)]


def write(name: str, content: str) -> Call:
    return Call("write", {"path": name, "content": content})


def bash(command: str, **more: Any) -> Call:
    return Call("bash", {"command": command, **more})


@pytest.fixture
def servers() -> Iterator[list[OfflineServer]]:
    made: list[OfflineServer] = []
    yield made
    for server in made:
        server.stop()


async def told(servers: list[OfflineServer], *answers: Answer) -> Told:
    server = Told(*answers)
    servers.append(server)
    await asyncio.to_thread(server.start)
    return server


async def test_nothing_on_disk_holds_a_secret_and_everything_is_done(
    tmp_path: Path, isolated: Path, servers: list[OfflineServer]
) -> None:
    (isolated / "theirs.env").write_text(f"T={TOKEN}\nK={KEY}\n")
    quoted = "'" + TOKEN + "'"
    server = await told(
        servers,
        Answer(
            text=f"I see {TOKEN} and {KEY}.",
            thinking="Let me see.",
            calls=(
                write("out.env", f"T={TOKEN}\nK={KEY}\n"),
                bash(f"printf %s {quoted} > typed; cat theirs.env; echo {KEY}"),
                bash(f"sleep 0.1; echo {KEY}; printf %s {quoted}", background=True),
                Call("read", {"path": "theirs.env"}),
                Call("todo", {"items": [{"text": f"rotate {KEY}", "state": "active"}]}),
            ),
        ),
        Answer(text="next", calls=(Call("edit", {"path": "out.env", "edits": [{"old": KEY, "new": f"x{TOKEN}"}]}),)),
        Answer(text=f"Done with {TOKEN}."),
        Answer(text="again"),
    )
    async with opened(given(server, tmp_path)) as session:
        await session.prompt(f"use {TOKEN} and {KEY}")
        await session.event("background.ended")
        assert [step.outcome for step in session.of("step.finished")] == ["ok"] * 6
        assert (isolated / "out.env").read_text() == f"T={TOKEN}\nK=x{TOKEN}\n"
        assert (isolated / "typed").read_text() == TOKEN
        assert found(tmp_path / "data") == []
        await export_session(session.handle, tmp_path / "out.md")
        await export_session(session.handle, tmp_path / "out.jsonl")
        name = session.handle.session
    async with opened(given(server, tmp_path), name) as session:
        await session.prompt("more")
        assert session.of("notice") == []
    assert found(tmp_path / "data") == []
    assert "[redacted: MY_TOKEN]" in (tmp_path / "out.md").read_text()
    assert not any(secret in (tmp_path / f"out.{kind}").read_text() for kind in ("md", "jsonl") for secret in SECRETS)
    bodies = [request.body for request in server.requests if request.path == "/v1/messages"]
    assert len(bodies) == 4
    assert not any(secret in json.dumps(body) for body in bodies for secret in SECRETS)
    assert "signature" in json.dumps(bodies[-1])
    assert changed_prefixes(bodies) == 0
    outputs = [path.read_text() for path in (tmp_path / "data").rglob("output")]
    assert any("[redacted: GitHub token]\n[redacted: MY_TOKEN]" in output for output in outputs)


async def test_what_streams_is_clean_on_its_way_to_the_screen(tmp_path: Path, servers: list[OfflineServer]) -> None:
    server = await told(servers, Answer(text=f"I see {TOKEN} and then much more, {KEY} " * 20, speed=400))
    async with opened(given(server, tmp_path)) as session:
        await session.handle.do(Submit(prompt="go"))
        await session.until(lambda: "redacted: GitHub" in streamed(session))
        await session.handle.do(Interrupt())
        await session.idle()
        text = streamed(session)
        assert "hunter2" not in text
        assert "ghp_" not in text
        assert "and then much more" in text
        assert "hunter2-" not in json.dumps(session.of("turn.failed")[0].partial)
    assert found(tmp_path / "data") == []


async def test_what_was_held_back_is_shown_when_its_block_ends(tmp_path: Path, servers: list[OfflineServer]) -> None:
    server = await told(servers, Answer(text="I try the task", calls=(bash("true"),)), Answer(text="done"))
    async with opened(given(server, tmp_path)) as session:
        await session.prompt("go")
        turn = session.of("turn.delta")[0].turn
        assert (
            "".join(d.text for d in session.of("turn.delta") if d.kind == "text" and d.turn == turn)
            == "I try the task"
        )


def streamed(session: Watcher) -> str:
    return "".join(delta.text for delta in session.of("turn.delta"))


async def waiting(session: Watcher) -> PermissionRequested:
    await session.until(lambda: bool(session.handle.state.permissions.pending))
    return session.handle.state.permissions.pending[0]


async def test_a_call_with_a_secret_is_allowed_as_it_is_and_cannot_be_changed(
    tmp_path: Path, isolated: Path, servers: list[OfflineServer]
) -> None:
    server = await told(servers, Answer(calls=(write("out.env", TOKEN),)), Answer(text="done"))
    async with opened(given(server, tmp_path, mode="ask")) as session:
        await session.handle.do(Submit(prompt="go"))
        request = await waiting(session)
        assert "hunter2" not in request.model_dump_json()
        assert "[redacted: MY_TOKEN]" in request.preview
        with pytest.raises(SessionError, match="secret"):
            await session.handle.do(EditCall(request=request.request, input={"path": "out.env", "content": "other"}))
        await session.handle.do(Decide(request=request.request, verdict="allow", scope="session"))
        await session.idle()
        assert (isolated / "out.env").read_text() == TOKEN
        assert session.handle.state.permissions.grants[0].pattern.startswith("exact:")


async def test_rules_are_held_against_the_whole_call(
    tmp_path: Path, isolated: Path, servers: list[OfflineServer]
) -> None:
    secret = "hunter2; touch evil"
    runtime = Runtime(home=tmp_path / "home", environment={"PATH": "/usr/bin:/bin", "MY_TOKEN": secret})
    server = await told(servers, Answer(calls=(bash(f"make {secret}"),)), Answer(text="done"))
    async with opened(given(server, tmp_path, mode="ask", runtime=runtime)) as session:
        await session.handle.do(Submit(prompt="go"))
        request = await waiting(session)
        assert request.input == {"command": "make [redacted: MY_TOKEN]"}
        assert request.session_scope == ""
        await session.handle.do(AllowAlways(rules=("Bash(make *)",)))
        assert session.handle.state.permissions.pending == (request,)
        await session.handle.do(Decide(request=request.request, verdict="deny"))
        await session.idle()
        assert session.handle.state.workflow.steps == {}
        assert session.handle._core.services.broker.whole == {}


async def test_no_secret_comes_in_by_a_change(tmp_path: Path, isolated: Path, servers: list[OfflineServer]) -> None:
    server = await told(servers, Answer(calls=(write("a", "x"),)), Answer(text="done"))
    async with opened(given(server, tmp_path, mode="ask")) as session:
        await session.handle.do(Submit(prompt="go"))
        request = await waiting(session)
        with pytest.raises(SessionError, match="secret"):
            await session.handle.do(EditCall(request=request.request, input={"path": "a", "content": TOKEN}))
        await session.handle.do(Decide(request=request.request, verdict="allow"))
        await session.idle()
        assert (isolated / "a").read_text() == "x"


@pytest.mark.parametrize("mode", ["ask", "bypass"])
async def test_after_a_restart_a_call_with_a_secret_is_not_run_in_another_form(
    tmp_path: Path, isolated: Path, servers: list[OfflineServer], mode: str
) -> None:
    """In `ask` the request waits when the program ends; in `bypass` the call waits for the one before it."""
    calls = (bash("sleep 0.6"), write("out.env", TOKEN), Call("read", {"path": f"{KEY}.txt"}))
    server = await told(servers, Answer(calls=calls[mode == "ask" :]), Answer(text="done"))
    async with opened(given(server, tmp_path, mode=mode)) as session:
        await session.handle.do(Submit(prompt="go"))
        if mode == "ask":
            await waiting(session)
        else:
            await session.event("step.started")
        name = session.handle.session
    async with opened(given(server, tmp_path, mode=mode), name) as session:
        await session.idle()
        assert session.handle.state.permissions.pending == ()
        lost = next(event for event in session.of("step.finished") if event.tool == "write")
        assert lost.outcome == "error"
        assert "make it again" in json.dumps(lost.result)
        assert session.of("run.finished")[-1].outcome == "completed"
    assert list(isolated.glob("*.env")) == []
    assert found(tmp_path / "data") == []


async def test_an_export_holds_no_secret_of_another_environment(tmp_path: Path, servers: list[OfflineServer]) -> None:
    server = await told(servers, Answer(text=f"I see {TOKEN}."))
    clean = options(tmp_path, offline=False, base_url=server.base_url, api_key="k")
    async with opened(clean) as session:
        await session.prompt("go")
        path = session.handle.path
        name = session.handle.session
    async with opened(given(server, tmp_path), name) as session:
        await export_session(session.handle, tmp_path / "out.md")
    assert (tmp_path / "out.md").read_text().endswith("I see [redacted: MY_TOKEN].\n\n*completed*\n\n")
    assert any("hunter2" in line for line in export_jsonl(path, Redactor({})))
    assert not any("hunter2" in line for line in export_jsonl(path, Redactor({"MY_TOKEN": TOKEN})))
