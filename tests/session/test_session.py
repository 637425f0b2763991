"""The main job through the public door, on the offline model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.session.support import opened, options
from tui_agent.runtime import Runtime
from tui_agent.session import SessionError, list_sessions, resume_session, verify_session
from tui_agent.session.errors import SessionBusy, SessionNotFound, SessionReadOnly
from tui_agent.submissions import Answer, Compact, Configure, Decide, Fork, SaveLayout, Submit, Withdraw


async def test_a_prompt_is_answered(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("hello\n")
    async with opened(options(tmp_path)) as session:
        await session.prompt("read a.txt")
        finished = session.of("run.finished")[0]
        assert finished.outcome == "completed"
        answers = session.of("turn.finished")
        assert "hello" in str(answers[-1].content)
        items = await session.handle.items(0, 100)
        assert sorted(items) == list(range(session.handle.item_count))


async def test_reading_inside_the_workspace_never_asks(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("hello\n")
    async with opened(options(tmp_path)) as session:
        await session.prompt("read a.txt then search hello")
        assert session.of("permission.requested") == []


async def test_a_write_waits_for_the_user(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="write b.txt: hi"))
        request = await session.event("permission.requested")
        assert not (isolated / "b.txt").exists()
        assert "hi" in request.preview
        await session.handle.do(Decide(request=request.request, verdict="allow"))
        await session.idle()
        assert (isolated / "b.txt").read_text().strip() == "hi"
        assert [event.type for event in session.events].index("step.started") > [
            event.type for event in session.events
        ].index("permission.decided")


async def test_a_denied_call_is_not_run_and_the_comment_reaches_the_model(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch made"))
        request = await session.event("permission.requested")
        await session.handle.do(Decide(request=request.request, verdict="deny", comment="use the other folder"))
        await session.idle()
        assert not (isolated / "made").exists()
        finished = session.of("step.finished")[0]
        assert finished.outcome == "denied"
        assert "use the other folder" in str(finished.result)
        assert session.of("step.started") == []


async def test_a_session_grant_covers_the_next_call_of_its_kind(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="write b.txt: one"))
        request = await session.event("permission.requested")
        assert request.session_scope
        await session.handle.do(Decide(request=request.request, verdict="allow", scope="session"))
        await session.idle()
        await session.prompt("write b.txt: two")
        assert (isolated / "b.txt").read_text().strip() == "two"
        assert len(session.of("permission.requested")) == 1
        assert session.of("permission.decided")[-1].by == "grant"


async def test_a_decision_is_single_use(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch one"))
        request = await session.event("permission.requested")
        await session.handle.do(Decide(request=request.request, verdict="allow"))
        from tui_agent.permissions import NoSuchRequest

        with pytest.raises(NoSuchRequest):
            await session.handle.do(Decide(request=request.request, verdict="allow"))
        await session.idle()


async def test_unattended_sessions_deny_what_would_ask(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path, unattended=True)) as session:
        await session.prompt("run touch made")
        assert not (isolated / "made").exists()
        assert session.of("permission.decided")[0].by == "unattended"


async def test_bypass_asks_nothing_and_does_not_come_back(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.prompt("run touch made")
        assert (isolated / "made").exists()
        assert session.of("permission.requested") == []
        with pytest.raises(SessionError):
            await session.handle.do(Configure(mode="bypass"))
        name = session.handle.session
    async with opened(options(tmp_path), name) as session:
        assert session.handle.state.conversation.mode == "ask"


async def test_an_edit_of_a_file_that_was_read_before_a_restart(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("old text\n")
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.prompt("read a.txt")
        name = session.handle.session
    async with opened(options(tmp_path, mode="bypass"), name) as session:
        await session.prompt("edit a.txt: old => new")
        assert (isolated / "a.txt").read_text() == "new text\n"


async def test_a_prompt_typed_while_it_works_is_seen(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch one"))
        request = await session.event("permission.requested")
        await session.handle.do(Submit(prompt="read missing.txt"))
        assert len(session.handle.state.conversation.queued) == 1
        await session.handle.do(Decide(request=request.request, verdict="allow"))
        await session.idle()
        assert session.handle.state.conversation.queued == ()
        assert len(session.of("run.started")) == 1
        assert len(session.of("prompt.accepted")) == 1


async def test_a_queued_prompt_can_be_withdrawn(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch one"))
        request = await session.event("permission.requested")
        prompt = await session.handle.do(Submit(prompt="never mind"))
        await session.handle.do(Withdraw(prompt_id=prompt))
        await session.handle.do(Decide(request=request.request, verdict="allow"))
        await session.idle()
        assert session.of("prompt.accepted") == []


async def test_max_turns_stops_before_the_turn(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("x\n")
    async with opened(options(tmp_path, max_turns=1)) as session:
        await session.prompt("read a.txt")
        assert len(session.of("turn.started")) == 1
        assert session.of("budget.stopped")[0].limit == "turns"
        assert session.of("run.finished")[0].outcome == "stopped"
        await session.handle.do(Configure(max_turns=10))
        await session.prompt("read a.txt")
        assert session.of("run.finished")[-1].outcome == "completed"


async def test_a_subagent_explores_in_the_same_journal(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("the needle is here\n")
    async with opened(options(tmp_path)) as session:
        await session.prompt("explore needle")
        runs = session.of("run.started")
        assert [run.agent_type for run in runs] == ["general", "explore"]
        assert runs[1].parent_step
        assert session.of("run.finished")[-1].outcome == "completed"
        pools = session.of("pool.assembled")
        offered = {entry.name for entry in pools[1].entries if entry.offered}
        assert offered == {"read", "glob", "grep", "bash"}


async def test_the_model_asks_and_the_user_answers(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="ask which colour?"))
        question = await session.event("question.asked")
        await session.handle.do(Answer(question=question.question, answer="blue"))
        await session.idle()
        assert "blue" in str(session.of("step.finished")[0].result)


async def test_a_plan_becomes_the_todo_list(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.prompt("plan dig; plant; water")
        assert [item.text for item in session.handle.state.workflow.todo] == ["dig", "plant", "water"]


async def test_compaction_leaves_a_receipt_and_a_shorter_history(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("hello\n")
    async with opened(options(tmp_path)) as session:
        await session.prompt("plan dig; plant")
        await session.prompt("read a.txt")
        await session.handle.do(Compact())
        receipt = session.of("context.compacted")[0].receipt
        assert any("dig" in line.text for line in receipt.kept)
        assert any("read a.txt" in line.text for line in receipt.dropped)
        await session.prompt("read a.txt")
        assert session.of("run.finished")[-1].outcome == "completed"
        last = session.of("turn.started")[-1]
        assert last.message_count < 8
        name = session.handle.session
    async with opened(options(tmp_path), name) as session:
        await session.prompt("read a.txt")
        assert session.of("run.finished")[-1].outcome == "completed"
        assert session.of("notice") == []


async def test_compaction_waits_for_the_end_of_a_run(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch one"))
        request = await session.event("permission.requested")
        with pytest.raises(SessionBusy):
            await session.handle.do(Compact())
        await session.handle.do(Decide(request=request.request, verdict="deny"))
        await session.idle()


async def test_a_fork_goes_its_own_way(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("hello\n")
    async with opened(options(tmp_path)) as session:
        await session.prompt("read a.txt")
        fork = await session.handle.do(Fork())
        name = session.handle.session
    async with opened(options(tmp_path), fork) as forked:
        await forked.prompt("list")
        assert forked.of("run.finished")[0].outcome == "completed"
        assert forked.handle.state.conversation.prompts == 2
    async with opened(options(tmp_path), name) as session:
        assert session.handle.state.conversation.prompts == 1


async def test_a_second_window_is_read_only(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.prompt("say 20")
        other = await resume_session(session.handle.session, options(tmp_path))
        await other.start()
        assert other.read_only
        assert other.item_count == session.handle.item_count
        with pytest.raises(SessionReadOnly):
            await other.do(Submit(prompt="hello"))
        await other.close()


async def test_an_unknown_session_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SessionNotFound):
        await resume_session("session_none", options(tmp_path))


async def test_the_list_knows_the_sessions(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.prompt("say 20")
    found = await list_sessions(tmp_path / "data")
    assert [entry.title for entry in found] == ["say 20"]
    assert found[0].prompts == 1
    assert found[0].workspace == str(isolated)


async def test_a_closed_session_that_waits_is_not_listed_as_running(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch a"))
        await session.until(lambda: bool(session.handle.state.permissions.pending))
    [entry] = await list_sessions(tmp_path / "data")
    assert entry.state_words == "unfinished"


async def test_the_folded_state_is_the_same_after_a_restart(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("hello\n")
    async with opened(options(tmp_path)) as session:
        await session.prompt("read a.txt then plan a; b")
        before = session.handle.state
        name, path = session.handle.session, tmp_path / "data" / "sessions" / session.handle.session / "session.db"
    verification = await verify_session(path, Runtime())
    assert verification.ok
    async with opened(options(tmp_path), name) as session:
        assert session.handle.state == before


async def test_the_layout_comes_back(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(SaveLayout(layout={"focus": "prompt", "draft": {"text": "half a thou"}}))
        name = session.handle.session
    async with opened(options(tmp_path), name) as session:
        assert await session.handle.inspect.layout() == {"focus": "prompt", "draft": {"text": "half a thou"}}


async def test_nested_memory_files_come_with_the_first_file_of_their_folder(tmp_path: Path, isolated: Path) -> None:
    (isolated / "AGENTS.md").write_text("project rule\n")
    (isolated / "sub").mkdir()
    (isolated / "sub" / "AGENTS.md").write_text("nested rule\n")
    (isolated / "sub" / "a.txt").write_text("hello\n")
    async with opened(options(tmp_path)) as session:
        await session.prompt("read sub/a.txt then read sub/a.txt")
        loaded = session.of("context.loaded")[0]
        assert "project rule" in str(loaded.system)
        results = [str(event.result) for event in session.of("step.finished")]
        assert "nested rule" in results[0]
        assert "nested rule" not in results[1]


async def test_nested_memory_files_come_with_a_mention_as_with_reading(tmp_path: Path, isolated: Path) -> None:
    (isolated / "sub").mkdir()
    (isolated / "sub" / "AGENTS.md").write_text("nested rule\n")
    (isolated / "sub" / "a.txt").write_text("hello\n")
    async with opened(options(tmp_path)) as session:
        await session.prompt("say 3 of @sub/a.txt")
        assert str(session.of("run.started")[0].content).count("nested rule") == 1
        window = await session.handle.inspect.context()
        assert [part.path for part in window.parts if part.kind == "memory"] == [str(isolated / "sub" / "AGENTS.md")]
        await session.prompt("read sub/a.txt")
        assert "hello" in str(session.of("step.finished")[0].result)
        assert "nested rule" not in str(session.of("step.finished")[0].result)
        name = session.handle.session
    async with opened(options(tmp_path), name) as session:
        await session.prompt("say 3 of @sub/a.txt")
        assert "nested rule" not in str(session.of("run.started")[0].content), "once is enough"


async def test_a_queued_mention_brings_its_memory_too(tmp_path: Path, isolated: Path) -> None:
    (isolated / "sub").mkdir()
    (isolated / "sub" / "CLAUDE.md").write_text("nested rule\n")
    (isolated / "sub" / "a.txt").write_text("hello\n")
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="say 400 at 100"))
        await session.event("turn.delta")
        await session.prompt("say 3 of @sub/a.txt")
        assert "nested rule" in str(session.of("prompt.queued")[0].content)
        await session.prompt("read sub/a.txt")
        assert "nested rule" not in str(session.of("step.finished")[0].result)


async def test_the_list_says_the_same_when_it_is_made_again_from_the_sessions(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.prompt("say 5")
        await session.handle.do(Configure(title="Fives", model="opus"))
        await session.handle.do(Submit(prompt="ask How many?"))
        await session.event("question.asked")
    data = tmp_path / "data"
    recorded = await list_sessions(data)
    (data / "index.db").unlink()
    assert await list_sessions(data) == recorded
    assert (recorded[0].title, recorded[0].prompts, recorded[0].state) == ("Fives", 2, "running")


async def test_the_list_follows_a_session_whose_clock_jumped_back(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    given = options(tmp_path)
    given = replace(given, runtime=replace(given.runtime, now=lambda: now[0]))
    async with opened(given) as session:
        await session.prompt("say 5")
        now[0] -= 86_400
        await session.prompt("say 6")
        assert session.of("run.finished")[-1].seconds >= 0.0
    (found,) = await list_sessions(tmp_path / "data")
    assert (found.prompts, found.state) == (2, "idle")


async def test_the_first_request_is_small(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.prompt("say 5")
        assert session.of("turn.projected")[0].expected_input_tokens <= 3_000


async def test_a_prompt_that_is_no_valid_unicode_is_answered_all_the_same(tmp_path: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.prompt("say 5 \ud800 \x00 \x1b[2J")
        assert session.of("run.finished")[0].outcome == "completed"


async def test_a_wrong_settings_file_is_named_and_the_session_opens(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.toml").write_text('model = "sonnet"\nmax_turn = 3\n')
    async with opened(options(tmp_path)) as session:
        notice = await session.event("notice")
        assert "settings.toml:2" in notice.message
        await session.prompt("say 5")
        assert session.of("run.finished")[0].outcome == "completed"
