"""What the model is told of changed files, and why the cache was missed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.context import changed_prefixes
from tests.session.support import opened, options
from tui_agent.models.offline import OfflineServer


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
            await session.handle.configure(model="opus")
            await session.prompt("say 3")
            await session.handle.compact()
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
            await handle.put_back(session.of("step.finished")[0].seq)
            (isolated / "b.txt").write_text("changed\n")
            await handle.submit("run sleep 0.2\nread a.txt")
            await session.event("step.started", 2)
            await handle.put_back(session.of("run.started")[0].seq)
            await handle.submit("say 4")
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
