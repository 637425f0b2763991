"""Decisions in real sessions: the rules, the modes, the reasons that stay with each decision."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest

from tests.session.support import Watcher, opened, options
from tui_agent.events import SessionConfigured
from tui_agent.permissions import PermissionBroker
from tui_agent.sandbox import Sandbox
from tui_agent.session import NoSuchRequest, SessionError
from tui_agent.submissions import Configure, Decide, Submit


@pytest.mark.parametrize("path", ["link", "..", "../outside.txt", "~/x", "/etc/passwd"])
async def test_reading_outside_asks(tmp_path: Path, isolated: Path, path: str) -> None:
    (tmp_path / "outside.txt").write_text("x")
    (isolated / "link").symlink_to(tmp_path / "outside.txt")
    async with opened(options(tmp_path, unattended=True)) as session:
        await session.prompt(f"read {path}")
        assert session.of("step.finished")[0].outcome == "denied"
        assert session.of("permission.decided")[0].by == "unattended"


@pytest.mark.parametrize("command", ["ls -la", "git status", "cat a.txt | head -3", "grep -rn x . 2>/dev/null"])
async def test_ordinary_commands_that_only_read_do_not_ask(tmp_path: Path, isolated: Path, command: str) -> None:
    (isolated / "a.txt").write_text("x\n")
    async with opened(options(tmp_path, unattended=True)) as session:
        await session.prompt(f"run {command}")
        decided = session.of("permission.decided")[0]
        assert decided.verdict == "allow"
        assert decided.judgement.winner == "read_only"


@pytest.mark.parametrize("line", ["run grep -rh KEY .", "run find . -type f | xargs cat", "search KEY in ."])
async def test_a_search_from_above_does_not_show_what_is_protected(tmp_path: Path, isolated: Path, line: str) -> None:
    if "run" in line and Sandbox.probe().kind != "bubblewrap":
        pytest.skip("no bubblewrap here")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "permissions.toml").write_text('deny = ["Read(./private/**)"]\n')
    for name in (".env", "private/notes.txt", "public.txt"):
        (isolated / name).parent.mkdir(exist_ok=True)
        (isolated / name).write_text(f"KEY of {name}\n")
    async with opened(options(tmp_path, unattended=True)) as session:
        await session.prompt(line)
        finished = session.of("step.finished")[0]
        shown = str(finished.result)
        assert finished.outcome == "ok"
        assert "KEY of public.txt" in shown
        assert "KEY of private" not in shown
        assert "KEY of .env" not in shown
        assert (
            "protected, so it looked empty here: .env, private" if "run" in line else "2 files left out, protected"
        ) in shown
    assert (isolated / "private" / "notes.txt").read_text() == "KEY of private/notes.txt\n"


async def test_catastrophe_is_denied_even_in_bypass(tmp_path: Path) -> None:
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.prompt("run rm -rf /")
        decided = session.of("permission.decided")[0]
        assert decided.verdict == "deny"
        assert decided.judgement.winner == "catastrophe"
        assert session.of("step.started") == []


async def test_a_rule_of_the_user_allows_and_is_named(tmp_path: Path, isolated: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "permissions.toml").write_text('allow = ["Bash(touch *)"]\n')
    async with opened(options(tmp_path, unattended=True)) as session:
        await session.prompt("run touch made")
        decided = session.of("permission.decided")[0]
        assert decided.verdict == "allow"
        assert [(rule.rule, rule.line) for rule in decided.judgement.rules] == [("Bash(touch *)", 1)]
        assert (isolated / "made").exists()


async def test_a_project_cannot_allow_itself_anything(tmp_path: Path, isolated: Path) -> None:
    (isolated / ".claude").mkdir()
    (isolated / ".claude" / "settings.json").write_text('{"permissions": {"allow": ["Bash(touch *)"]}}')
    async with opened(options(tmp_path, unattended=True)) as session:
        await session.prompt("run touch made")
        assert session.of("permission.decided")[0].verdict == "deny"


async def test_a_project_can_forbid(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("x\n")
    (isolated / ".claude").mkdir()
    (isolated / ".claude" / "settings.json").write_text('{"permissions": {"deny": ["Read(./a.txt)"]}}')
    async with opened(options(tmp_path)) as session:
        await session.prompt("read a.txt")
        assert session.of("permission.decided")[0].verdict == "deny"


async def test_plan_mode_changes_nothing(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path, mode="plan")) as session:
        await session.prompt("write b.txt: x")
        assert not (isolated / "b.txt").exists()
        assert session.of("permission.requested") == []


async def test_accept_edits_lets_files_change_and_asks_for_commands(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path, mode="accept-edits", unattended=True)) as session:
        await session.prompt("write b.txt: x")
        assert (isolated / "b.txt").exists()
        await session.prompt("run touch made")
        assert not (isolated / "made").exists()


async def test_a_grant_for_exactly_one_call_covers_that_and_no_other(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run echo a > f; echo b > g"))
        request = await session.event("permission.requested")
        assert request.session_scope == ""
        await session.handle.do(Decide(request=request.request, verdict="allow", scope="session"))
        await session.idle()
        await session.prompt("run echo a > f; echo b > g")
        assert session.of("permission.decided")[-1].by == "grant"
        await session.handle.do(Submit(prompt="run echo a > f; echo c > g"))
        assert (await session.event("permission.requested", 2)).call_hash != request.call_hash


async def test_a_grant_is_a_rule_and_lasts_over_a_restart(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch a"))
        request = await session.event("permission.requested")
        assert request.session_scope == "Bash(touch *)"
        await session.handle.do(Decide(request=request.request, verdict="allow", scope="session"))
        await session.idle()
        name = session.handle.session
    async with opened(options(tmp_path), name) as session:
        await session.prompt("run touch b")
        assert (isolated / "b").exists()
        assert session.of("permission.decided")[0].by == "grant"
        await session.handle.do(Submit(prompt="run touch b; rm b"))
        await session.event("permission.requested")


async def test_what_the_sessions_own_steps_left_can_be_read(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        steps = tmp_path / "data" / "sessions" / session.handle.session / "steps" / "step_x"
        steps.mkdir(parents=True)
        (steps / "output").write_text("all of it\n")
        (steps / "link").symlink_to("/etc/passwd")
        await session.prompt(f"read {steps}/output")
        assert session.of("step.finished")[0].outcome == "ok"
        await session.handle.do(Submit(prompt=f"read {steps}/link"))
        await session.event("permission.requested")


async def test_the_programs_own_settings_are_not_written(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    async with opened(options(tmp_path, mode="bypass")) as session:
        await session.prompt(f"write {tmp_path}/config/permissions.toml: allow = []")
        assert session.of("permission.decided")[0].verdict == "deny"


async def test_a_subagent_has_only_the_tools_of_its_type_and_its_requests_name_it(
    tmp_path: Path, isolated: Path
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "permissions.toml").write_text('ask = ["Read", "Grep", "Glob"]\n')
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="explore where x is"))
        request = await session.event("permission.requested")
        assert request.agent not in ("", "main")
        pools = [event for event in session.of("pool.assembled") if event.agent == request.agent]
        offered = {entry.name for entry in pools[-1].entries if entry.offered}
        main = [event for event in session.of("pool.assembled") if event.agent == "main"]
        assert offered < {entry.name for entry in main[-1].entries if entry.offered}
        assert not offered & {"write", "edit", "task"}


async def test_what_the_user_denies_a_subagent_is_denied(tmp_path: Path, isolated: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "permissions.toml").write_text('deny = ["Read", "Grep", "Glob"]\n')
    async with opened(options(tmp_path)) as session:
        await session.prompt("explore where x is")
        decided = [event for event in session.of("permission.decided") if event.agent != "main"]
        assert decided
        assert {event.verdict for event in decided} == {"deny"}


@pytest.mark.parametrize("mode", ["ask", "bypass", "sandboxed"])
async def test_an_exploring_agent_runs_only_what_reads_and_the_decision_names_its_type(
    tmp_path: Path, isolated: Path, mode: str
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "permissions.toml").write_text('allow = ["Bash(touch *)"]\n')
    async with opened(options(tmp_path, mode=mode)) as session:
        await session.prompt("explore run ls")
        await session.prompt("explore run touch a")
        allowed, denied = (event for event in session.of("permission.decided") if event.agent != "main")
        assert allowed.verdict == "allow"
        assert (denied.verdict, denied.by) == ("deny", "policy")
        assert not (isolated / "a").exists()
        judgement = denied.judgement
        assert judgement.agent_types == ["general", "explore"]
        assert judgement.mode == mode
        (said,) = [rule for rule in judgement.rules if rule.source == "agent"]
        line = Path(said.file).read_text("utf-8").splitlines()[said.line - 1]
        assert line == said.rule == "read_only = true"
        assert judgement.winner == f"{said.rule} ({said.file}:{said.line})"
        assert not session.of("permission.requested")


async def test_what_the_type_cannot_decide_goes_up_to_the_user(tmp_path: Path, isolated: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes").write_text("hello\n")
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt=f"explore read {tmp_path}/other/notes"))
        request = await session.event("permission.requested")
        assert request.agent.startswith("explore")
        assert request.judgement.agent_types == ["general", "explore"]
        await session.handle.do(Decide(request=request.request, verdict="allow"))
        await session.idle()
        decided = [event for event in session.of("permission.decided") if event.agent == request.agent]
        assert [(event.verdict, event.by) for event in decided] == [("allow", "person")]


def several(tmp_path: Path, *calls: str) -> Path:
    """Write a scenario that makes these calls in one turn, each `tool = …` and `input = …`."""
    file = tmp_path / "several.toml"
    turns = "".join(f"[[turn.call]]\n{call}\n" for call in calls)
    file.write_text(f'[[turn]]\n{turns}\n[[turn]]\ntext = "Done."\n')
    return file


def bash(command: str) -> str:
    return f'tool = "bash"\ninput = {{ command = "{command}" }}'


WRITE = 'tool = "write"\ninput = { path = "a.txt", content = "x" }'


def waiting(session: Watcher) -> list[str]:
    return [pending.title for pending in session.handle.state.permissions.pending]


async def test_another_mode_lets_go_what_it_allows_and_the_rest_waits_on(tmp_path: Path, isolated: Path) -> None:
    scenario = several(tmp_path, WRITE, bash("touch b"))
    async with opened(options(tmp_path, scenario=scenario)) as session:
        await session.handle.do(Submit(prompt="go"))
        await session.event("permission.requested", 2)
        await session.handle.do(Configure(title="nothing to do with it"))
        assert len(waiting(session)) == 2
        with pytest.raises(SessionError, match="command line"):
            await session.handle.do(Configure(mode="bypass"))
        assert len(waiting(session)) == 2
        await session.handle.do(Configure(mode="accept-edits"))
        (decided,) = session.of("permission.decided")
        assert (decided.tool, decided.verdict, decided.by) == ("write", "allow", "mode")
        assert decided.judgement.mode == "accept-edits"
        (left,) = session.handle.state.permissions.pending
        assert left.tool == "bash"
        await session.handle.do(Decide(request=left.request, verdict="allow"))
        await session.idle()
        assert (isolated / "a.txt").read_text() == "x"
        assert (isolated / "b").exists()


async def test_the_mode_plan_denies_what_waits(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path, scenario=several(tmp_path, WRITE, bash("touch b")))) as session:
        await session.handle.do(Submit(prompt="go"))
        await session.event("permission.requested", 2)
        await session.handle.do(Configure(mode="plan"))
        await session.idle()
        assert {(event.verdict, event.by) for event in session.of("permission.decided")} == {("deny", "mode")}
        assert not list(isolated.iterdir())


async def test_a_grant_lets_go_what_it_covers(tmp_path: Path, isolated: Path) -> None:
    scenario = several(tmp_path, bash("touch a"), bash("rm c"), bash("touch b"))
    async with opened(options(tmp_path, scenario=scenario)) as session:
        await session.handle.do(Submit(prompt="go"))
        await session.event("permission.requested", 3)
        first = next(p for p in session.handle.state.permissions.pending if p.input["command"] == "touch a")
        await session.handle.do(Decide(request=first.request, verdict="allow", scope="session"))
        by_command = {p.input["command"] for p in session.handle.state.permissions.pending}
        assert by_command == {"rm c"}
        user, grant = session.of("permission.decided")
        assert (user.by, grant.by, grant.verdict) == ("person", "grant", "allow")
        assert [rule.source for rule in grant.judgement.rules] == ["session"]
        (left,) = session.handle.state.permissions.pending
        await session.handle.do(Decide(request=left.request, verdict="deny"))
        await session.idle()
        assert (isolated / "b").exists(), session.of("step.finished")


async def test_what_is_allowed_once_lets_go_nothing_else(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path, scenario=several(tmp_path, bash("touch a"), bash("touch b")))) as session:
        await session.handle.do(Submit(prompt="go"))
        await session.event("permission.requested", 2)
        await session.handle.do(Decide(request=session.of("permission.requested")[0].request, verdict="allow"))
        assert len(waiting(session)) == 1


async def test_a_start_in_another_mode_decides_what_waited(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="write a.txt: x"))
        await session.event("permission.requested")
        name = session.handle.session
    async with opened(options(tmp_path), name) as session:
        assert len(waiting(session)) == 1
    async with opened(options(tmp_path, mode="accept-edits"), name) as session:
        await session.idle()
        assert (isolated / "a.txt").read_text() == "x\n"


async def test_a_mode_that_is_gone_again_decides_nothing(
    tmp_path: Path, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="write a.txt: x"))
        await session.event("permission.requested")
        judge = PermissionBroker._judge
        changed = asyncio.run_coroutine_threadsafe
        loop = asyncio.get_running_loop()
        modes: list[str] = []

        def slow(broker: PermissionBroker, request: Any, mode: str, *rest: Any) -> Any:
            modes.append(mode)
            if mode == "accept-edits":
                back = SessionConfigured(mode="ask")
                changed(session.handle._core.recorder.record(back), loop).result(20)
            return judge(broker, request, mode, *rest)

        monkeypatch.setattr(PermissionBroker, "_judge", slow)
        await session.handle.do(Configure(mode="accept-edits"))
        assert modes == ["accept-edits", "ask"]
        assert len(waiting(session)) == 1


async def test_two_answers_at_once_are_one_decision(tmp_path: Path, isolated: Path) -> None:
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch a"))
        request = await session.event("permission.requested")
        answers = [
            session.handle.do(Decide(request=request.request, verdict=verdict)) for verdict in ("deny", "allow")
        ]
        results = await asyncio.gather(*answers, return_exceptions=True)
        assert [type(result) for result in results] == [str, NoSuchRequest]
        await session.idle()
        assert len(session.of("permission.decided")) == 1
        assert not (isolated / "a").exists()


async def test_what_was_allowed_for_the_sandbox_does_not_run_without_one(
    tmp_path: Path, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = iter(["available"])

    async def state(self: PermissionBroker) -> str:
        return next(states, "none")

    async with opened(options(tmp_path, mode="sandboxed")) as session:
        broker = session.handle._core.services.broker
        monkeypatch.setattr(broker, "sandbox", lambda: state(broker))
        await session.prompt("run touch made")
        assert session.of("permission.decided")[0].judgement.winner == "sandbox"
        assert session.of("step.finished")[0].outcome == "error"
        assert not (isolated / "made").exists()


async def test_a_rule_holds_for_a_name_however_its_accents_are_composed(tmp_path: Path, isolated: Path) -> None:
    stored, asked = normalize("NFD", "café.txt"), normalize("NFC", "café.txt")
    (isolated / stored).write_text("x\n")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "permissions.toml").write_text(f'deny = ["Read(./{stored})"]\n')
    async with opened(options(tmp_path)) as session:
        await session.prompt(f"read {asked}")
        assert session.of("permission.decided")[0].verdict == "deny"


async def test_a_link_with_accents_leads_no_read_out_of_the_workspace_unasked(tmp_path: Path, isolated: Path) -> None:
    (tmp_path / "outside").write_text("x\n")
    (isolated / normalize("NFD", "é")).symlink_to(tmp_path / "outside")
    async with opened(options(tmp_path, unattended=True)) as session:
        await session.prompt(f"read {normalize('NFC', 'é')}")
        assert session.of("permission.decided")[0].verdict == "deny"
