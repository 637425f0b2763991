"""The trail of real sessions: queries, grants and their end, what-if, rules that are saved, trust."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.session.support import opened, options
from tests.waiting import until
from tui_agent import cli as door
from tui_agent.config.paths import Paths
from tui_agent.permissions.trail import Query, Trail
from tui_agent.runtime import Runtime
from tui_agent.session.audit import Audit, RuleChange, revoke_grant
from tui_agent.session.errors import SessionError
from tui_agent.session.sessions import delete_session
from tui_agent.submissions import Decide, EditCall, Fork, Submit


def audit_of(tmp_path: Path) -> Audit:
    return Audit(Paths(tmp_path / "data", tmp_path / "config"), Runtime(home=tmp_path / "home"))


async def some_past(tmp_path: Path) -> str:
    """Make a session with a question that was granted, one that was denied, and a call that did not ask."""
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run touch a"))
        request = await session.event("permission.requested")
        await session.handle.do(Decide(request=request.request, verdict="allow", scope="session"))
        await session.idle()
        await session.handle.do(Submit(prompt="run rm a"))
        request = await session.event("permission.requested", 2)
        await session.handle.do(Decide(request=request.request, verdict="deny", comment="keep it"))
        await session.idle()
        await session.prompt("run ls")
        return session.handle.session


async def test_the_trail_holds_each_decision_with_its_call(tmp_path: Path, isolated: Path) -> None:
    name = await some_past(tmp_path)
    trail = audit_of(tmp_path).trail()
    assert [(e.input["command"], e.decision.verdict, e.asked) for e in trail.entries] == [
        ("touch a", "allow", True),
        ("rm a", "deny", True),
        ("ls", "allow", False),
    ]
    assert [grant.pattern for grant in trail.grants[name]] == ["Bash(touch *)"]
    assert trail.entries[1].granted == ("Bash(touch *)",)


async def test_a_fork_has_the_grants_but_its_decisions_count_once(tmp_path: Path, isolated: Path) -> None:
    name = await some_past(tmp_path)
    async with opened(options(tmp_path), name) as session:
        fork = await session.handle.do(Fork())
    trail = audit_of(tmp_path).trail()
    assert [entry.session for entry in trail.entries] == [name] * 3
    assert set(trail.grants) == {name, fork}


async def test_the_index_has_each_decision_once_it_is_made(tmp_path: Path, isolated: Path) -> None:
    secret = "ghp_" + "a1B2" * 10
    held = tmp_path / "data" / "index.db"

    def rows() -> list[tuple[str, str]]:
        with closing(sqlite3.connect(held)) as connection:
            return list(connection.execute("SELECT json_extract(input, '$.command'), verdict FROM decision"))

    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt="run rm a"))
        request = await session.event("permission.requested")
        await session.handle.do(Decide(request=request.request, verdict="deny", comment=f"the token is {secret}"))
        await session.idle()
        await until(lambda: rows() == [("rm a", "deny")], "the decision in the index")
        trail = await asyncio.to_thread(session.handle.inspect.audit.trail)
        assert [entry.decision.verdict for entry in trail.entries] == ["deny"]
    found = held.read_bytes() + b"".join(path.read_bytes() for path in held.parent.glob("index.db-*"))
    assert b"the token is" in found
    assert secret.encode() not in found


async def test_a_closed_session_is_not_read_again_and_a_deleted_one_leaves_nothing(
    tmp_path: Path, isolated: Path
) -> None:
    name = await some_past(tmp_path)
    file = tmp_path / "data" / "sessions" / name / "session.db"
    status = file.stat()
    file.write_bytes(b"\0" * status.st_size)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    trail = audit_of(tmp_path).trail()
    assert (len(trail.entries), trail.problems) == (3, [])
    await delete_session(tmp_path / "data", name)
    assert audit_of(tmp_path).trail() == Trail()
    with closing(sqlite3.connect(tmp_path / "data" / "index.db")) as connection:
        for table in ("decision", "live_grant", "trail"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


@pytest.mark.parametrize(
    ("query", "commands"),
    [
        (Query(verdict="deny"), ["rm a"]),
        (Query(verdict="ask"), ["touch a", "rm a"]),
        (Query(rule="touch"), ["touch a"]),
        (Query(tool="read"), []),
        (Query(agent="main"), ["touch a", "rm a", "ls"]),
        (Query(until=1.0), []),
        (Query(session="nothing"), []),
    ],
)
async def test_queries(tmp_path: Path, isolated: Path, query: Query, commands: list[str]) -> None:
    await some_past(tmp_path)
    assert [entry.input["command"] for entry in audit_of(tmp_path).trail(query).entries] == commands


async def test_a_revoked_grant_asks_again(tmp_path: Path, isolated: Path) -> None:
    name = await some_past(tmp_path)
    paths = Paths(tmp_path / "data", tmp_path / "config")
    with pytest.raises(SessionError):
        await revoke_grant(paths, name, "Bash(rm *)", Runtime())
    await revoke_grant(paths, name, "Bash(touch *)", Runtime())
    assert audit_of(tmp_path).trail().grants == {}
    async with opened(options(tmp_path), name) as session:
        await session.handle.do(Submit(prompt="run touch b"))
        await session.event("permission.requested")


async def test_what_if_says_what_other_rules_would_have_done(tmp_path: Path, isolated: Path) -> None:
    await some_past(tmp_path)
    found, _ = audit_of(tmp_path).what_if(
        Query(), RuleChange(allow=("Bash(rm a)", "Bash(make)", "Bash(ls)"), deny=("Bash(touch *)",))
    )
    assert [change.entry.input["command"] for change in found.newly_allowed] == ["rm a"]
    assert [change.entry.input["command"] for change in found.newly_blocked] == ["touch a"]
    assert found.prompts_saved == 2
    assert [rule.text for rule in found.never_matched] == ["Bash(make)"]
    assert [rule.text for rule in found.shadowed] == ["Bash(ls)"]


_RULES = st.lists(
    st.sampled_from(["Bash(touch *)", "Bash(rm *)", "Bash(ls *)", "Bash", "Read", "Bash(rm -rf *)", "Nonsense("]),
    max_size=4,
)


async def test_unchanged_rules_make_no_difference(tmp_path: Path, isolated: Path) -> None:
    await some_past(tmp_path)
    audit = audit_of(tmp_path)
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / "permissions.toml"

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(_RULES, _RULES, _RULES)
    def unchanged(allow: list[str], ask: list[str], deny: list[str]) -> None:
        text = f"allow = {json.dumps(allow)}\nask = {json.dumps(ask)}\ndeny = {json.dumps(deny)}\n"
        file.write_text(text)
        copy = tmp_path / "copy.toml"
        copy.write_text(text)
        for change in (RuleChange(), RuleChange(user_file=copy)):
            found, _ = audit.what_if(Query(), change)
            assert found.calls == 3
            assert found.changes == []
            assert found.prompts_saved == 0

    unchanged()


def run(tmp_path: Path, *arguments: str, given: str = "", **more: str) -> Result:
    folders = {"TUI_AGENT_DATA_DIR": str(tmp_path / "data"), "TUI_AGENT_CONFIG_DIR": str(tmp_path / "config")}
    environment = folders | more
    runtime = Runtime(home=tmp_path / "home", environment=environment)
    return CliRunner().invoke(door.cli, arguments, prog_name="tui-agent", obj=runtime, input=given)


def test_check_decides_calls_without_running_them(tmp_path: Path, isolated: Path) -> None:
    result = run(tmp_path, "permissions", "check", "--tool", "bash", "--input", '{"command": "touch made"}')
    assert json.loads(result.output)["verdict"] == "ask"
    lines = (
        '{"tool": "bash", "input": {"command": "ls"}}\nnonsense\n{"tool": "read", "input": {"path": "/etc/shadow"}}\n'
    )
    answers = [json.loads(line) for line in run(tmp_path, "permissions", "check", given=lines).output.splitlines()]
    assert [answer.get("verdict", "error") for answer in answers] == ["allow", "error", "ask"] or [
        answer.get("verdict", "error") for answer in answers
    ] == ["allow", "error", "deny"]
    assert not (isolated / "made").exists()
    assert run(tmp_path, "permissions", "check", "--tool", "bash").exit_code == 2


def test_check_uses_the_rules_that_hold(tmp_path: Path, isolated: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "permissions.toml").write_text('allow = ["Bash(touch *)"]\n')
    result = run(tmp_path, "permissions", "check", "--tool", "bash", "--input", '{"command": "touch made"}')
    assert json.loads(result.output)["verdict"] == "allow"


async def test_the_command_line_lists_grants_and_asks_what_if(tmp_path: Path, isolated: Path) -> None:
    name = await some_past(tmp_path)

    def later() -> None:
        shown = run(tmp_path, "audit", "--json", "--verdict", "deny", "--since", "1d").output.splitlines()
        assert json.loads(shown[0])["comment"] == "keep it"
        assert "rm a" in run(tmp_path, "audit").output
        assert "Bash(touch *)" in run(tmp_path, "audit", "grants").output
        answer = json.loads(run(tmp_path, "audit", "what-if", "--json", "--allow", "Bash(rm a)").output)
        assert answer["prompts_saved"] == 1
        none = json.loads(run(tmp_path, "audit", "--tool", "read", "what-if", "--json").output)
        assert none["calls"] == 0
        assert run(tmp_path, "audit", "--tool", "read", "grants").exit_code == 2
        elsewhere = ("--data-dir", str(tmp_path / "elsewhere"))
        assert run(tmp_path, *elsewhere, "audit", "grants").output == ""
        assert run(tmp_path, "audit", "revoke", name, "Bash(touch *)").exit_code == 0
        assert run(tmp_path, "audit", "grants").output == ""
        assert run(tmp_path, "audit", "--since", "soon").exit_code == 2

    await asyncio.to_thread(later)


async def test_no_secret_leaves_with_the_audit(tmp_path: Path, isolated: Path) -> None:
    secret = "hunter2hunter2"  # which the session's environment did not know
    async with opened(options(tmp_path)) as session:
        await session.handle.do(Submit(prompt=f"run touch {secret}"))
        request = await session.event("permission.requested")
        await session.handle.do(
            EditCall(request=request.request, input={**request.input, "command": f"touch x {secret}"})
        )
        request = await session.event("permission.requested", 2)
        await session.handle.do(Decide(request=request.request, verdict="deny"))
        await session.idle()

    def later() -> None:
        for arguments in (["audit"], ["audit", "--json"], ["audit", "what-if", "--allow", "Bash(touch *)"]):
            assert secret in run(tmp_path, *arguments).output
            shown = run(tmp_path, *arguments, MY_TOKEN=secret).output
            assert "touch" in shown
            assert secret not in shown

    await asyncio.to_thread(later)


def test_an_index_of_a_newer_version_is_said(tmp_path: Path, isolated: Path) -> None:
    (tmp_path / "data").mkdir()
    with closing(sqlite3.connect(tmp_path / "data" / "index.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    for arguments in (["audit"], ["audit", "grants"], ["audit", "what-if"]):
        result = run(tmp_path, *arguments)
        assert result.exit_code == 1
        assert "newer version" in result.output


def test_trust_is_bound_to_the_files_as_they_are(tmp_path: Path, isolated: Path) -> None:
    assert run(tmp_path, "trust", "--yes").exit_code == 1
    (isolated / ".claude").mkdir()
    file = isolated / ".claude" / "settings.json"
    file.write_text('{"permissions": {"allow": ["Bash(touch *)"]}}')
    check = ("permissions", "check", "--tool", "bash", "--input", '{"command": "touch made"}')
    assert json.loads(run(tmp_path, *check).output)["verdict"] == "ask"
    shown = run(tmp_path, "trust", given="y\n")
    assert "Bash(touch *)" in shown.output
    assert json.loads(run(tmp_path, *check).output)["verdict"] == "allow"
    file.write_text('{"permissions": {"allow": ["Bash(touch *)", "Bash(rm *)"]}}')
    assert json.loads(run(tmp_path, *check).output)["verdict"] == "ask"
