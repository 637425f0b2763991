"""Calls of one answer that change something happen in the order in which the model made them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.session.support import opened, options
from tests.session.test_secrets import Told, bash, write
from tui_agent.models.offline.answer import Answer, Call
from tui_agent.submissions import Decide, Submit


async def test_in_the_order_of_the_answer(tmp_path: Path, isolated: Path) -> None:
    calls = (bash("sleep 0.1; echo one >> log"), write("two", "two\n"), bash("cat two >> log"), write("log2", "x"))
    server = Told(*[Answer(calls=calls), Answer(calls=(bash("rm two"), *calls[1:3]))] * 4, Answer(text="done"))
    try:
        await asyncio.to_thread(server.start)
        given = options(tmp_path, offline=False, base_url=server.base_url, api_key="k", mode="bypass")
        async with opened(given) as session:
            await session.prompt("go")
            planned = [event.step for event in session.of("step.planned")]
            assert [event.step for event in session.of("step.started")] == planned
            assert {event.outcome for event in session.of("step.finished")} == {"ok"}
        assert (isolated / "log").read_text() == "one\ntwo\ntwo\n" * 4
    finally:
        await asyncio.to_thread(server.stop)


async def test_a_call_may_build_on_the_one_before_it(tmp_path: Path, isolated: Path) -> None:
    change = Call("edit", {"path": "new", "edits": [{"old": "a", "new": "b"}]})
    again = Call("edit", {"path": "new", "edits": [{"old": "b", "new": "c"}]})
    server = Told(Answer(calls=(write("new", "a"), change, again, bash("cat new > seen"))), Answer(text="done"))
    try:
        await asyncio.to_thread(server.start)
        given = options(tmp_path, offline=False, base_url=server.base_url, api_key="k", mode="bypass")
        async with opened(given) as session:
            await session.prompt("go")
            assert [event.outcome for event in session.of("step.finished")] == ["ok"] * 4
        assert (isolated / "seen").read_text() == "c"
    finally:
        await asyncio.to_thread(server.stop)


async def test_what_is_allowed_first_waits_for_what_was_asked_first(tmp_path: Path, isolated: Path) -> None:
    server = Told(Answer(calls=(write("a", "a"), bash("ls > seen"))), Answer(text="done"))
    try:
        await asyncio.to_thread(server.start)
        given = options(tmp_path, offline=False, base_url=server.base_url, api_key="k", mode="ask")
        async with opened(given) as session:
            await session.handle.do(Submit(prompt="go"))
            await session.event("permission.requested", 2)
            pending = {request.tool: request.request for request in session.handle.state.permissions.pending}
            await session.handle.do(Decide(request=pending["bash"], verdict="allow"))
            await asyncio.sleep(0.2)
            assert session.of("step.started") == []
            await session.handle.do(Decide(request=pending["write"], verdict="allow"))
            await session.idle()
        assert (isolated / "seen").read_text() == "a\nseen\n"
    finally:
        await asyncio.to_thread(server.stop)


async def test_commands_that_only_read_run_side_by_side(tmp_path: Path, isolated: Path) -> None:
    for name in "abcd":
        (isolated / name).touch()
    waits = "while ! test -s {0}; do sleep 0.02; done; cat {0}"
    server = Told(Answer(calls=tuple(bash(waits.format(name)) for name in "abcd")), Answer(text="done"))
    try:
        await asyncio.to_thread(server.start)
        given = options(tmp_path, offline=False, base_url=server.base_url, api_key="k", mode="ask")
        async with opened(given) as session:
            await session.handle.do(Submit(prompt="go"))
            await session.event("step.started", 4)
            assert session.of("step.finished") == []
            for name in "dcba":  # each ends when it is written to: the last one first
                await asyncio.to_thread((isolated / name).write_text, f"this is {name}")
                await session.event("step.finished", "dcba".index(name) + 1)
            await session.idle()
            said = [str(event.result) for event in session.of("step.finished")]
            assert [next(name for name in "abcd" if f"this is {name}" in text) for text in said] == list("dcba")
    finally:
        await asyncio.to_thread(server.stop)


async def test_a_command_that_only_reads_does_not_wait_behind_one_that_nobody_decided(
    tmp_path: Path, isolated: Path
) -> None:
    server = Told(Answer(calls=(bash("touch made"), bash("ls"))), Answer(text="done"))
    try:
        await asyncio.to_thread(server.start)
        given = options(tmp_path, offline=False, base_url=server.base_url, api_key="k", mode="ask")
        async with opened(given) as session:
            await session.handle.do(Submit(prompt="go"))
            finished = await session.event("step.finished")
            assert (finished.step, finished.outcome) == (session.of("step.planned")[1].step, "ok")
            (pending,) = session.handle.state.permissions.pending
            await session.handle.do(Decide(request=pending.request, verdict="allow"))
            await session.idle()
        assert (isolated / "made").exists()
    finally:
        await asyncio.to_thread(server.stop)


async def test_a_command_that_only_reads_sees_what_an_earlier_call_changed(tmp_path: Path, isolated: Path) -> None:
    calls = (bash("sleep 0.2; echo new > log"), bash("cat log"), bash("rm log"))
    server = Told(Answer(calls=calls), Answer(text="done"))
    try:
        await asyncio.to_thread(server.start)
        given = options(tmp_path, offline=False, base_url=server.base_url, api_key="k", mode="bypass")
        async with opened(given) as session:
            await session.prompt("go")
            assert [event.outcome for event in session.of("step.finished")] == ["ok"] * 3
            assert "new" in str(session.of("step.finished")[1].result)
    finally:
        await asyncio.to_thread(server.stop)
