"""Changing a call before it is allowed: what is decided, what is run, what the model is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.session.support import opened, options
from tui_agent.events import PermissionRequested
from tui_agent.sandbox import probe_sandbox
from tui_agent.session.edits import hunks_of, with_hunks
from tui_agent.session.errors import SessionError
from tui_agent.submissions import AllowAlways, ChooseHunks, Decide, EditCall, Revoke, Submit


async def test_an_edited_call_is_decided_anew_and_the_model_is_told(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch a"))
        first = await session.event("permission.requested")
        await session.handle.do(EditCall(request=first.request, input={**first.input, "command": "touch b"}))
        second = await session.event("permission.requested", 2)
        assert second.call_hash != first.call_hash
        assert not (isolated / "b").exists()
        await session.handle.do(Decide(request=second.request, verdict="allow"))
        await session.idle()
        assert (isolated / "b").exists()
        assert not (isolated / "a").exists()
        assert '"touch b"' in session.of("step.finished")[0].result[0]["text"]
        page = await session.handle.items(0, session.handle.item_count)
        assert any("touch b" in getattr(item, "title", "") for item in page.values())


async def test_an_edited_call_that_needs_no_permission_runs(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch a"))
        request = await session.event("permission.requested")
        await session.handle.do(EditCall(request=request.request, input={**request.input, "command": "ls"}))
        await session.idle()
        assert session.of("permission.decided")[0].judgement.winner == "read_only"


async def test_what_is_denied_stays_denied_when_it_is_edited_in(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch a"))
        request = await session.event("permission.requested")
        await session.handle.do(EditCall(request=request.request, input={**request.input, "command": "rm -rf /"}))
        await session.idle()
        assert session.of("permission.decided")[0].verdict == "deny"
        assert session.of("step.started") == []


async def test_a_call_that_is_not_valid_is_not_taken(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch a"))
        request = await session.event("permission.requested")
        for wrong in ({}, {"command": 3}, {**request.input, "unknown": 1}, dict(request.input)):
            with pytest.raises(SessionError):
                await session.handle.do(EditCall(request=request.request, input=wrong))
        assert session.handle.state.permissions.pending == (request,)


async def test_an_edit_outlives_a_restart(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch a"))
        first = await session.event("permission.requested")
        await session.handle.do(EditCall(request=first.request, input={**first.input, "command": "touch b"}))
        await session.event("permission.requested", 2)
        name = session.handle.session
    async with opened(options(tmp_path), name) as session:
        (request,) = session.handle.state.permissions.pending
        assert request.input["command"] == "touch b"
        await session.handle.do(Decide(request=request.request, verdict="allow"))
        await session.idle()
        assert (isolated / "b").exists()


async def test_a_saved_rule_lets_go_what_waits(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch a"))
        await session.event("permission.requested")
        await session.handle.do(AllowAlways(rules=("Bash(rm a)",)))
        assert session.handle.state.permissions.pending
        path = await session.handle.do(AllowAlways(rules=("Bash(touch *)",)))
        assert path == str(tmp_path / "config" / "permissions.toml")
        await session.idle()
        assert (isolated / "a").exists()
        decided = session.of("permission.decided")[0]
        assert decided.by == "policy"
        assert "Bash(touch *)" in decided.judgement.winner


async def test_a_revoked_grant_asks_again(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch a"))
        request = await session.event("permission.requested")
        await session.handle.do(Decide(request=request.request, verdict="allow", scope="session"))
        await session.idle()
        await session.handle.do(Revoke(grant=request.session_scope))
        assert session.handle.state.permissions.grants == ()
        await session.handle.do(Submit(prompt="run touch b"))
        await session.event("permission.requested", 2)


def request_of(tool: str, call_input: dict[str, object]) -> PermissionRequested:
    return PermissionRequested(
        step="s",
        request="r",
        tool=tool,
        tier="built-in",
        effect="checkable",
        input=call_input,  # type: ignore[arg-type]  # JSON by how it is made
        call_hash="",
        title="",
        why="",
    )


async def test_only_the_chosen_hunks_are_applied_and_the_model_is_told(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("one\ntwo\nthree\nfour\n")
    async with opened(options(tmp_path)) as session:
        await session.prompt("read a.txt")
        await session.handle.do(Submit(prompt="write a.txt: ONE\ntwo\nthree\nFOUR\n"))
        first = await session.event("permission.requested")
        hunks = await session.handle.inspect.hunks(first.request)
        assert [hunk.diff.splitlines()[:2] for hunk in hunks] == [["-one", "+ONE"], ["-four", "+FOUR"]]
        await session.handle.do(ChooseHunks(request=first.request, chosen={1}))
        second = await session.event("permission.requested", 2)
        await session.handle.do(Decide(request=second.request, verdict="allow"))
        await session.idle()
        assert (isolated / "a.txt").read_text().rstrip("\n") == "one\ntwo\nthree\nFOUR"
        told = session.of("step.finished")[-1].result[0]["text"]
        assert "1 of this call's 2 changes" in told
        assert "-one" in told


@pytest.mark.skipif(probe_sandbox().kind != "bubblewrap", reason="needs bubblewrap")
async def test_the_hunks_of_a_file_in_tmp_are_those_of_the_session_s_own_file(tmp_path: Path, isolated: Path) -> None:
    own = f"/tmp/{tmp_path.name}-hunks.txt"
    async with opened(options(tmp_path)) as session:
        folder = session.handle.path.parent / "scratch" / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / Path(own).name).write_text("one\ntwo\n")
        await session.prompt(f"read {own}")
        await session.handle.do(Submit(prompt=f"write {own}: ONE\ntwo\n"))
        first = await session.event("permission.requested")
        hunks = await session.handle.inspect.hunks(first.request)
        assert [hunk.diff.splitlines() for hunk in hunks] == [["-one", "+ONE"]]
        await session.handle.do(Decide(request=first.request, verdict="deny"))
        await session.idle()


_LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "\n"]), max_size=8).map("".join)


@given(st.lists(st.tuples(_LINES.filter(bool), _LINES), min_size=1, max_size=3), st.data())
def test_all_hunks_are_the_call_and_each_choice_is_between(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    request = request_of("edit", {"path": "f", "edits": [{"old": old, "new": new} for old, new in pairs]})
    hunks = hunks_of(request, Path)
    chosen = data.draw(st.sets(st.integers(0, max(0, len(hunks) - 1)), min_size=1)) if hunks else set()
    if not hunks:
        with pytest.raises(SessionError):
            with_hunks(request, Path, {0})
        return
    everything, _ = with_hunks(request, Path, set(range(len(hunks))))
    assert everything["edits"] == [{"old": o, "new": n} for o, n in pairs if o != n]
    some, note = with_hunks(request, Path, chosen)
    assert len(hunks_of(request_of("edit", some), Path)) <= len(hunks)
    assert f"{len(chosen)} of this call's {len(hunks)}" in note
