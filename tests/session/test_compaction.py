"""Compaction in real sessions: automatic, partial, server-side, and what always comes through it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.session.support import Watcher, opened, options
from tui_agent.models.offline import OfflineServer, RecordedRequest, practice
from tui_agent.models.offline.errors import invalid
from tui_agent.session import OpenOptions, SessionError
from tui_agent.submissions import Compact, Configure, Interrupt, PutBack, Submit


def small_window(tmp_path: Path, tokens: int, **changes: Any) -> OpenOptions:
    """Options for a session whose model has a window of that many tokens."""
    config = tmp_path / "config"
    config.mkdir(exist_ok=True)
    (config / "settings.toml").write_text('prices = "prices.toml"\nmodel = "offline"\n')
    (config / "prices.toml").write_text(f"[models.offline]\ncontext_window = {tokens}\nmax_output = 1000\n")
    return options(tmp_path, **changes)


def text_of(compacted: Any) -> str:
    """All that the new history says, as JSON."""
    return json.dumps(compacted.messages, ensure_ascii=False)


async def served(server: OfflineServer, tmp_path: Path, **changes: Any) -> OpenOptions:
    """Options for a session on a server of the test's own."""
    base_url = await asyncio.to_thread(server.start)
    return options(tmp_path, offline=False, base_url=base_url, api_key="k", model="sonnet", **changes)


async def test_it_comes_by_itself_between_the_turns_of_a_run(tmp_path: Path, isolated: Path) -> None:
    for number in range(12):
        (isolated / f"{number}.txt").write_text(f"file {number} " * 400)
    prompt = " then ".join(f"read {number}.txt" for number in range(12))
    async with opened(small_window(tmp_path, 9_000)) as session:
        await session.prompt("plan dig; plant")
        await session.prompt(prompt)
        compacted = session.of("context.compacted")
        assert compacted
        assert all(event.trigger == "automatic" and event.reason for event in compacted)
        assert session.of("run.finished")[-1].outcome == "completed"
        # The newest exchange stays as it is: a call with its result, which the model has not seen yet.
        last = compacted[0].messages[-1]
        assert last["role"] == "user"
        assert last["content"][0]["type"] == "tool_result"
        kinds = [event.type for event in session.events if event.type in {"context.compacted", "turn.finished"}]
        for number, kind in enumerate(kinds[:-1]):
            assert kind != "context.compacted" or kinds[number + 1] == "turn.finished"  # never twice in a row
        assert "dig" in text_of(compacted[-1])
        assert max(event.usage.prompt_tokens for event in session.of("turn.finished")) < 9_000
        assert [e for e in session.of("notice") if e.level == "error"] == []
        name = session.handle.session
    async with opened(small_window(tmp_path, 9_000), name) as session:
        await session.prompt("read 1.txt")
        assert session.of("run.finished")[-1].outcome == "completed"
        assert session.of("notice") == []


async def test_ten_compactions_and_the_plan_is_intact(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.prompt("plan dig the hole; plant the tree; water it")
        await session.prompt("say 5 then Always use tabs")
        for _ in range(10):
            await session.handle.do(Compact())
            await session.prompt("say 5")
        last = session.of("context.compacted")[-1]
        assert len(session.of("context.compacted")) == 10
        text = text_of(last)
        assert all(part in text for part in ("dig the hole", "plant the tree", "water it", "Always use tabs"))
        assert next(line.text for line in last.receipt.kept if line.kind == "todo").startswith("dig the hole")
        assert [item.text for item in session.handle.state.workflow.todo] == [
            "dig the hole",
            "plant the tree",
            "water it",
        ]


async def test_every_decision_is_in_a_receipt(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("a\n")
    async with opened(options(tmp_path)) as session:
        for number in range(40):
            await session.prompt(f"say 3 then note-{number}-{'x' * 600}")
        await session.prompt("read a.txt")
        await session.handle.do(Compact())
        receipt = session.of("context.compacted")[0].receipt
        prompts = {event.seq for event in session.of("run.started")}
        answers = {event.seq for event in session.of("turn.finished")}
        steps = {event.seq for event in session.of("step.finished")}
        listed = {line.seq for line in (*receipt.kept, *receipt.dropped)}
        assert prompts | steps <= listed
        assert answers - listed <= {e.seq for e in session.of("turn.finished") if e.stop_reason == "tool_use"}
        await session.prompt("say 3")
        await session.handle.do(Compact())
        second = session.of("context.compacted")[1].receipt
        kept_before = {line.seq for line in receipt.kept if line.kind == "prompt"}
        assert kept_before <= {line.seq for line in (*second.kept, *second.dropped)}


async def test_what_was_not_done_is_not_reported_as_done(
    tmp_path: Path, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lie = "I wrote src/new.py and fixed `old.py`. I ran `make test`. All tests pass. Next I will edit later.py."
    monkeypatch.setattr(practice, "summary", lambda request: lie)
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.prompt("write old.py: x\nrun false")
        await session.handle.do(Compact())
        compacted = session.of("context.compacted")[0]
        doubts = " ".join(compacted.receipt.doubts)
        assert "src/new.py" in doubts
        assert "make test" in doubts
        assert "no test run that passed" in doubts
        assert "change of old.py" not in doubts
        assert "later.py" not in doubts.split("“")[0]
        assert any("false" in line for line in compacted.receipt.unresolved)
        assert "without a fact" in text_of(compacted)
        assert any("claims" in notice.message for notice in session.of("notice"))


async def test_only_what_is_older_than_a_prompt(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("needle\n")
    async with opened(options(tmp_path)) as session:
        await session.prompt("say 5")
        await session.prompt("read a.txt")
        await session.prompt("say 6")
        second = session.of("run.started")[1].seq
        await session.handle.do(Compact(before=second))
        compacted = session.of("context.compacted")[0]
        assert "needle" in text_of(compacted)
        assert all(line.seq < second for line in compacted.receipt.dropped)
        await session.prompt("read a.txt")
        assert session.of("run.finished")[-1].outcome == "completed"


async def test_only_from_a_prompt_on(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("needle\n")
    async with opened(options(tmp_path)) as session:
        await session.prompt("read a.txt")
        await session.prompt("say 6")
        await session.handle.do(Compact(since=session.of("run.started")[1].seq))
        compacted = session.of("context.compacted")[0]
        assert "tool_result" in text_of(compacted)
        await session.prompt("read a.txt")
        assert session.of("run.finished")[-1].outcome == "completed"
        with pytest.raises(SessionError, match="prompt"):
            await session.handle.do(Compact(since=10_000))


async def test_the_servers_own_compaction_where_it_offers_one(tmp_path: Path) -> None:
    server = OfflineServer(compaction=True, record=True)
    try:
        async with opened(await served(server, tmp_path)) as session:
            await session.prompt("plan dig; plant")
            await session.prompt("say 5")
            await session.handle.do(Compact(instructions="keep the plan"))
            compacted = session.of("context.compacted")[0]
            assert compacted.author == "server"
            assert compacted.messages[0]["content"][0]["type"] == "compaction"
            assert compacted.usage.total_tokens > 0  # from the iterations: the top-level figures are 0
            assert "dig" in text_of(compacted)
            await session.prompt("say 7")
            assert session.of("run.finished")[-1].outcome == "completed"
            name = session.handle.session
        given = options(tmp_path, offline=False, base_url=server.base_url, api_key="k")
        async with opened(given, name) as session:
            await session.prompt("say 5")
            assert session.of("run.finished")[-1].outcome == "completed"
    finally:
        await asyncio.to_thread(server.stop)


async def test_without_a_summary_the_journals_facts_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(practice, "summary", lambda request: " ")
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.prompt("write a.txt: x")
        await session.handle.do(Compact())
        compacted = session.of("context.compacted")[0]
        assert compacted.author == "journal"
        assert "a.txt" in text_of(compacted)
        assert session.handle.state.budget.reserved == ()


async def test_what_was_dropped_can_be_put_back(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("needle\n")
    server = OfflineServer(record=True)
    try:
        async with opened(await served(server, tmp_path)) as session:
            await session.prompt("read a.txt")
            await session.handle.do(Compact())
            receipt = session.of("context.compacted")[0].receipt
            step = next(line for line in receipt.dropped if line.kind == "step")
            await session.handle.do(PutBack(seq=step.seq))
            await session.prompt("say 5")
            body = server.requests[-1].body
            assert "needle" in json.dumps(body["messages"][-1])
            assert "say 5" in json.dumps(body["messages"][-1])
            with pytest.raises(SessionError, match="no event"):
                await session.handle.do(PutBack(seq=10_000))
            with pytest.raises(SessionError, match="nothing"):
                await session.handle.do(PutBack(seq=1))
    finally:
        await asyncio.to_thread(server.stop)


async def test_a_compaction_can_be_stopped_and_holds_prompts_meanwhile(tmp_path: Path) -> None:
    server = OfflineServer(speed=20.0)
    try:
        async with opened(await served(server, tmp_path)) as session:
            await session.prompt("say 3")
            compacting = asyncio.create_task(session.handle.do(Compact()))
            await session.event("turn.projected", 2)
            await session.handle.do(Interrupt())
            with pytest.raises(SessionError, match="stopped"):
                await compacting
            assert session.of("context.compacted") == []
            assert session.handle.state.budget.reserved == ()
            await session.prompt("say 3")
            assert session.of("run.finished")[-1].outcome == "completed"
    finally:
        await asyncio.to_thread(server.stop)


async def test_a_limit_that_has_no_room_for_a_summary_is_named(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.prompt("say 5")
        await _limit(session, "session", "tokens", 1)
        with pytest.raises(SessionError, match="limit"):
            await session.handle.do(Compact())
        assert session.of("context.compacted") == []


async def _limit(session: Watcher, scope: str, kind: str, value: float) -> None:
    from tui_agent.events import SessionConfigured

    await session.handle._core.recorder.record(SessionConfigured(limits={"person": {f"{scope}.{kind}": value}}))


async def test_a_limit_that_comes_near_is_reason_enough(tmp_path: Path, isolated: Path) -> None:
    for number in range(8):
        (isolated / f"{number}.txt").write_text(f"file {number}\n" * 1200)
    prompt = " then ".join(f"read {number}.txt" for number in range(8))
    async with opened(options(tmp_path)) as session:
        await _limit(session, "run", "input_tokens", 110_000)
        await session.prompt(prompt)
        compacted = session.of("context.compacted")
        assert compacted
        assert "limit on input_tokens" in compacted[0].reason
        used = session.handle.state.budget.run_usage.prompt_tokens
        assert used <= 110_000


async def test_a_prompt_that_comes_during_a_compaction_is_not_lost(tmp_path: Path, isolated: Path) -> None:
    for number in range(5):
        (isolated / f"{number}.txt").write_text(f"file {number}\n" * 1000)
    server = OfflineServer(speed=400.0)
    base_url = await asyncio.to_thread(server.start)
    changes = {"offline": False, "base_url": base_url, "api_key": "k"}
    prompt = " then ".join(f"read {number}.txt" for number in range(5))
    try:
        async with opened(small_window(tmp_path, 14_000, **changes)) as session:
            await session.handle.do(Submit(prompt=prompt))
            await session.until(lambda: any(e.purpose == "compaction" for e in session.of("turn.projected")))
            await session.handle.do(Submit(prompt="say 7 and note-the-latecomer"))
            await session.idle()
            compacted = session.of("context.compacted")
            assert compacted
            assert text_of(compacted[0]).count("note-the-latecomer") == 1
            assert len(session.of("prompt.accepted")) == 1
            name = session.handle.session
        async with opened(small_window(tmp_path, 14_000, **changes), name) as session:
            await session.prompt("say 5")
            assert session.of("notice") == []
    finally:
        await asyncio.to_thread(server.stop)


async def test_the_header_stays_with_the_history_that_holds_the_block(tmp_path: Path) -> None:
    server = OfflineServer(record=True, compaction=True)
    given = await served(server, tmp_path)
    try:
        async with opened(given) as session:
            await session.prompt("say 5")
            assert not any("anthropic-beta" in request.headers for request in server.requests if request.body)
            await session.handle.do(Compact())
            await session.handle.do(Configure(limits={"run.cost": 0.5}))  # near enough to have the tokens counted
            await session.prompt("say 6")
            name = session.handle.session
        async with opened(given, name) as session:
            await session.prompt("say 7")
            assert session.of("notice") == []
            assert session.of("run.finished")[-1].outcome == "completed"
        sent = [request for request in server.requests if request.body and request.body["messages"]]
        holding = [request for request in sent if request.body["messages"][0]["content"][0]["type"] == "compaction"]
        assert {request.path for request in holding} == {"/v1/messages", "/v1/messages/count_tokens"}
        assert len(holding) >= 4
        assert {request.headers["anthropic-beta"] for request in holding} == {"compact-2026-09-04"}
    finally:
        await asyncio.to_thread(server.stop)


class Plain(OfflineServer):
    """A server that knows nothing of compaction."""

    async def _answer(self, http: Any, *rest: Any) -> bool:
        if b"compaction" in http.body:
            if self._requests is not None:
                self._requests.append(RecordedRequest(http.method, http.path, dict(http.headers), http.json()))
            raise invalid("messages.0.content.0: Input tag 'compaction' found using 'type' is unknown")
        return await super()._answer(http, *rest)


async def test_another_server_gets_the_summary_as_text(tmp_path: Path) -> None:
    server, plain = OfflineServer(compaction=True), Plain(record=True)
    given = await served(server, tmp_path)
    try:
        async with opened(given) as session:
            await session.prompt("say 5")
            await session.handle.do(Compact())
            name = session.handle.session
        async with opened(await served(plain, tmp_path), name) as session:
            await session.prompt("say 6")
            await session.prompt("say 7")
            assert [event.outcome for event in session.of("run.finished")] == ["completed", "completed"]
            assert [event.code for event in session.of("notice")] == ["server"]
        sent = [request for request in plain.requests if request.path == "/v1/messages"]
        assert [b"compaction" in json.dumps(request.body).encode() for request in sent] == [True, False, False]
        assert "Summary by the offline practice model" in json.dumps(sent[-1].body["messages"][0])
        assert "anthropic-beta" not in sent[-1].headers
    finally:
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(plain.stop)


async def test_a_share_of_the_window_can_be_set(tmp_path: Path, isolated: Path) -> None:
    for number in range(8):
        (isolated / f"{number}.txt").write_text(f"file {number}\n" * 2_000)
    given = small_window(tmp_path, 60_000)
    with (tmp_path / "config/settings.toml").open("a") as settings:
        settings.write("compact_at = 30\n")
    async with opened(given) as session:
        await session.prompt(" then ".join(f"read {number}.txt" for number in range(8)))
        assert "30 % of compact_at" in session.of("context.compacted")[0].reason
