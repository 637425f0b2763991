"""What the model is told of changed files, and why the cache was missed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.context import changed_prefixes
from tests.session.support import opened, options
from tui_agent.models.offline import OfflineServer
from tui_agent.models.offline.request import Request as CountedRequest
from tui_agent.submissions import Compact, Configure, PutBack, Submit


async def test_the_model_is_told_once_of_each_change(tmp_path: Path, isolated: Path) -> None:
    file = isolated / "a.txt"
    file.write_text("one\n")
    server = OfflineServer(record=True)
    base_url = await asyncio.to_thread(server.start)
    given = options(tmp_path, offline=False, base_url=base_url, api_key="k", mode="bypass")

    def told() -> int:
        return json.dumps(server.requests[-1].body["messages"]).count("<changed-files>")

    try:
        async with opened(given) as session:
            await session.prompt("read a.txt")
            await session.prompt("edit a.txt: one => two")
            assert told() == 0  # the agent's own doing
            file.write_text("three\n")
            await session.prompt("say 3")
            assert told() == 1
            await session.prompt("say 4")
            assert told() == 1
            file.unlink()
            await session.prompt("say 5")
            assert told() == 2
            assert "(deleted)" in json.dumps(server.requests[-1].body["messages"][-1])
            await session.prompt("say 6")
            assert told() == 2
            file.write_text("two\n")  # as the agent left it, but it believes that the file is gone
            await session.prompt("say 7")
            assert told() == 3
            assert [event.files[0].path for event in session.of("context.stale")] == [str(file)] * 3
            assert session.of("notice") == []
            name = session.handle.session
        async with opened(given, name) as session:
            await session.prompt("say 3")
            assert told() == 3
    finally:
        await asyncio.to_thread(server.stop)


async def test_a_changed_memory_file_is_told(tmp_path: Path, isolated: Path) -> None:
    (isolated / "AGENTS.md").write_text("tabs\n")
    async with opened(options(tmp_path)) as session:
        await session.prompt("say 3")
        (isolated / "AGENTS.md").write_text("spaces\n")
        await session.prompt("say 3")
        assert [file.path for file in session.of("context.stale")[0].files] == [str(isolated / "AGENTS.md")]


async def test_every_miss_has_its_reason(tmp_path: Path, isolated: Path) -> None:
    (isolated / "AGENTS.md").write_text("long " * 4000)
    now = [1_000_000.0]
    runtime = replace(options(tmp_path).runtime, now=lambda: now[0])
    server = OfflineServer(runtime=runtime)
    base_url = await asyncio.to_thread(server.start)
    given = options(tmp_path, offline=False, base_url=base_url, api_key="k", model="sonnet", runtime=runtime)
    try:
        async with opened(given) as session:
            for _ in range(2):
                await session.prompt("say 3")
            now[0] += 400
            await session.prompt("say 3")
            await session.handle.do(Configure(model="opus"))
            await session.prompt("say 3")
            await session.handle.do(Compact())
            await session.prompt("say 3")
            reasons = [turn.cache_miss_reason for turn in session.of("turn.finished")]
            assert reasons[0] == "first request"
            assert reasons[1] == ""
            assert "400 s after" in reasons[2]
            assert "model was changed" in reasons[3]
            entries = await session.handle.entries(0, session.handle.entry_count)
            assert any("cache miss: first request" in entry.detail for entry in entries.values())
    finally:
        await asyncio.to_thread(server.stop)


async def test_no_request_changes_its_prefix_whatever_is_added(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("one\n")
    (isolated / "b.txt").write_text("two\n")
    server = OfflineServer(record=True)
    base_url = await asyncio.to_thread(server.start)
    given = options(tmp_path, offline=False, base_url=base_url, api_key="k", mode="bypass")
    try:
        async with opened(given) as session:
            handle = session.handle
            await session.prompt("read a.txt")
            await session.prompt("say 3 about @b.txt")
            await handle.do(PutBack(seq=session.of("step.finished")[0].seq))
            (isolated / "b.txt").write_text("changed\n")
            await handle.do(Submit(prompt="run sleep 0.2\nread a.txt"))
            await session.event("step.started", 2)
            await handle.do(PutBack(seq=session.of("run.started")[0].seq))
            await handle.do(Submit(prompt="say 4"))
            await session.idle()
            await session.prompt("say 5")
            name = handle.session
        async with opened(given, name) as session:
            await session.prompt("say 6")
            assert session.of("notice") == []
        bodies = [request.body for request in server.requests if request.path == "/v1/messages"]
        assert len(bodies) >= 6
        assert changed_prefixes(bodies) == 0
        assert json.dumps(bodies[-1]).count("<put-back>") == 2
    finally:
        await asyncio.to_thread(server.stop)


class _Meanwhile(OfflineServer):
    """Lets something happen while it counts a request, so before the request is sent."""

    happen: Callable[[], None] = staticmethod(lambda: None)

    def counted(self, request: CountedRequest) -> int:
        self.happen()
        return super().counted(request)


async def test_what_comes_between_counting_and_sending_goes_with_the_next_request(
    tmp_path: Path, isolated: Path
) -> None:
    server = _Meanwhile(record=True)
    base_url = await asyncio.to_thread(server.start)
    limits = {"session.tokens": 60_000.0}  # so near that each request is counted
    given = options(tmp_path, offline=False, base_url=base_url, api_key="k", mode="bypass", limits=limits)
    loop = asyncio.get_running_loop()
    try:
        async with opened(given) as session:
            handle = session.handle
            await session.prompt("say 3")
            first = session.of("run.started")[0].seq

            async def interfere() -> None:
                await handle.do(PutBack(seq=first))
                await handle.do(Submit(prompt="say 7"))

            def once() -> None:
                server.happen = lambda: None
                asyncio.run_coroutine_threadsafe(interfere(), loop).result(10)

            server.happen = once
            await session.prompt("say 4")
            assert [event.outcome for event in session.of("run.finished")] == ["completed", "completed"]
            name = handle.session
        async with opened(given, name) as session:
            await session.prompt("say 5")
            assert session.of("notice") == []
        counted = [request.body for request in server.requests if request.path.endswith("count_tokens")]
        sent = [request.body for request in server.requests if request.path == "/v1/messages"]
        assert len(sent) == 4
        assert counted[1]["messages"] == sent[1]["messages"]
        assert "<put-back>" not in json.dumps(sent[1])
        last = json.dumps(sent[2]["messages"][-1])
        assert "<put-back>" in last
        assert "say 7" in last
        assert changed_prefixes(sent) == 0
        assert sent[3]["messages"][: len(sent[2]["messages"])] == sent[2]["messages"]
    finally:
        await asyncio.to_thread(server.stop)
