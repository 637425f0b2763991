"""What agent types forbid: their rules, their chain, and that they can only narrow."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_agent.agents import narrowing_for
from tui_agent.agents.agent_type import load_agent_types, read_agent_type
from tui_agent.context.conversation import ActiveRun, ConversationState
from tui_agent.events import EffectClass
from tui_agent.permissions import (
    MODES,
    Narrowing,
    PermissionBroker,
    PermissionsState,
    RuleSet,
    SandboxState,
    together,
)
from tui_agent.permissions.broker import EXACT, judge
from tui_agent.permissions.policy import PolicyDecision, Request
from tui_agent.permissions.rule_sources import listed_rules
from tui_agent.permissions.rules import RuleError
from tui_agent.runtime import Runtime
from tui_agent.workflow.state import Step, WorkflowState

HOME = Path("/home/dev")
WORKSPACE = "/work/project-that-is-not"
RANK = {"allow": 0, "ask": 1, "deny": 2}
HEAD = 'description = "runs Bash"\ntools = "all"\nmax_turns = 3\nprompt = "allow = Bash(git *)"\n'


def narrowing(folder: Path, text: str, name: str = "mine") -> Narrowing:
    file = folder / f"{name}.toml"
    file.write_text(HEAD + text)
    return read_agent_type(file, HOME).narrowing


def decide(
    tool: str,
    given: dict[str, Any],
    *,
    by: Narrowing,
    mode: str = "ask",
    lists: Sequence[Sequence[str]] = ((), (), ()),
    granted: Sequence[str] = (),
    effect: EffectClass = "irreversible",
) -> PolicyDecision:
    call = Request(tool, given, WORKSPACE, mode=mode, effect=effect, sandbox="available")
    rules = listed_rules(*lists, source="user", home=str(HOME), base=WORKSPACE)
    return judge(call, "hash", rules, granted, home=str(HOME), protected=(), narrowing=by)


def test_the_rules_of_a_type_count_with_file_and_line(tmp_path: Path) -> None:
    by = narrowing(tmp_path, 'deny = ["Bash(git push *)"]\nask = [\n  "Bash",\n]\n')
    denied = decide("bash", {"command": "git push origin"}, by=by, lists=(["Bash"], (), ()))
    assert denied.verdict == "deny"
    assert denied.winner == f"Bash(git push *) ({tmp_path}/mine.toml:5)"
    assert [(rule.source, rule.line) for rule in denied.rules if rule.verdict == "deny"] == [("agent", 5)]
    assert decide("bash", {"command": "ls"}, by=Narrowing()).verdict == "allow"
    asked = decide("bash", {"command": "ls"}, by=by)
    assert (asked.verdict, asked.winner) == ("ask", f"Bash ({tmp_path}/mine.toml:7)")
    assert asked.agent_types == ("mine",)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('ask = ["Bash"]\nallow = ["Bash"]\n', 6, "cannot allow"),
        ('deny = [\n  "Bash(git; x)",\n]\n', 6, "one command"),
        ('deny = "Bash"\n', 5, "each a list"),
        ('ask = [{rule = "Bash(git *)", match = ["ls"]}]\n', 5, "does not match its example"),
    ],
)
def test_a_type_that_cannot_be_used_is_refused_with_file_and_line(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    with pytest.raises(RuleError, match=says) as raised:
        narrowing(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path}/mine.toml:{line}: ")


def test_what_holds_above_holds_below() -> None:
    def run(agent: str, agent_type: str, step: str = "") -> ActiveRun:
        return ActiveRun(f"run {agent}", agent, agent_type, "", 0.0, parent_step=step)

    def step(name: str, agent: str) -> Step:
        return Step(name, 1, "", agent, "", "", "task", {}, "pure", "")

    conversation = ConversationState(
        runs=(run("main", "general"), run("a", "explore", "one"), run("b", "general", "two"))
    )
    workflow = WorkflowState({"one": step("one", "main"), "two": step("two", "a")})
    found = {agent: narrowing_for(agent, conversation, workflow, HOME) for agent in ("main", "a", "b")}
    assert {agent: by.types for agent, by in found.items()} == {
        "main": ("general",),
        "a": ("general", "explore"),
        "b": ("general", "explore", "general"),
    }
    touch = {"command": "touch x"}
    verdicts = {agent: decide("bash", touch, by=by, mode="bypass").verdict for agent, by in found.items()}
    assert verdicts == {"main": "allow", "a": "deny", "b": "deny"}


def test_the_built_in_types_that_only_read() -> None:
    assert {name for name, kind in load_agent_types(HOME).items() if kind.narrowing.read_only} == {"explore", "plan"}


RULES = ["Bash", "Bash(git *)", "Bash(ls *)", "Bash(rm -rf *)", "Read", "Read(./src/**)", "Edit(*.py)", "Edit"]
RULES += ["Task", "mcp__box", "WebFetch(domain:example.org)", "Skill(x)"]
SOME = st.lists(st.sampled_from(RULES), max_size=3)
CALLS: list[tuple[str, dict[str, Any], EffectClass]] = [
    *(
        ("bash", {"command": line}, "supervised")
        for line in ("ls", "git push", "rm -rf build", "touch a", "rm -rf /")
    ),
    ("bash", {"command": "npm ci", "access": "network"}, "supervised"),
    *((tool, {"path": path}, "pure") for tool in ("read", "edit") for path in ("src/a.py", "/etc/passwd", ".env")),
    ("task", {"agent": "explore"}, "pure"),
    ("mcp__box__open", {}, "pure"),
    ("webfetch", {"url": "https://example.org"}, "irreversible"),
    ("skill", {"skill": "x"}, "irreversible"),
]
LISTS = st.tuples(SOME, SOME, SOME)
TYPE = st.tuples(SOME, SOME, st.booleans())


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(CALLS),
    st.sampled_from(sorted(MODES)),
    LISTS,
    st.lists(TYPE, min_size=1, max_size=3),
    st.lists(st.sampled_from([*RULES, EXACT + "hash"]), max_size=2),
)
def test_no_type_allows_more_than_the_one_above_it(
    call: tuple[str, dict[str, Any], EffectClass],
    mode: str,
    lists: tuple[list[str], list[str], list[str]],
    types: list[tuple[list[str], list[str], bool]],
    granted: list[str],
) -> None:
    tool, given, effect = call
    with TemporaryDirectory() as folder:
        chain = [
            narrowing(
                Path(folder), f"deny = {deny!r}\nask = {ask!r}\nread_only = {str(only).lower()}\n", f"type{number}"
            )
            for number, (deny, ask, only) in enumerate(types)
        ]
    above = "allow"
    for depth in range(len(chain) + 1):
        by = together(chain[:depth])
        found = decide(tool, given, by=by, mode=mode, lists=lists, granted=granted, effect=effect)
        assert RANK[found.verdict] >= (RANK[above] if depth else 0), (shlex.quote(str(given)), depth, found)
        above = found.verdict


async def test_a_search_leaves_out_what_the_type_forbids_to_read(tmp_path: Path) -> None:
    by = narrowing(tmp_path, 'deny = ["Read(./private/**)"]\n')

    async def none() -> SandboxState:
        return "none"

    broker = PermissionBroker(
        Runtime(home=HOME),
        PermissionsState,
        tmp_path,
        RuleSet,
        none,
        lambda agent: by if agent == "one" else Narrowing(),
    )
    paths = [str(tmp_path / "private" / "a"), str(tmp_path / "b")]
    found = {
        agent: broker.left_out("grep", paths, str(tmp_path), agent=agent, mode="ask") for agent in ("one", "two")
    }
    assert found == {"one": {paths[0]}, "two": set()}
