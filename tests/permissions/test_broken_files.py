"""Rule files that are broken: told with file and line, and what they forbid holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tui_agent.permissions.policy import Policy, PolicyDecision, Request
from tui_agent.permissions.rule_sources import load_rules, project_hash, trust
from tui_agent.permissions.rules import RuleSet


class Files:
    """A configuration, a project and a home in a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.config, self.workspace, self.home = root / "config", root / "work", root / "home"
        self.managed = root / "etc" / "permissions.toml"
        for folder in (self.config, self.workspace / ".tui-agent", self.workspace / ".claude",
                       self.home / ".claude", self.managed.parent):  # fmt: skip
            folder.mkdir(parents=True)

    def places(self) -> dict[str, Path]:
        return {
            "user": self.config / "permissions.toml",
            "managed": self.managed,
            "project": self.workspace / ".tui-agent" / "permissions.toml",
            "claude": self.home / ".claude" / "settings.json",
            "claude project": self.workspace / ".claude" / "settings.json",
        }

    def rules(self) -> RuleSet:
        return load_rules(self.config, self.workspace, self.home, managed=self.managed).rules

    def decide(self, command: str, mode: str = "bypass") -> PolicyDecision:
        policy = Policy(self.rules(), str(self.home))
        return policy.decide(Request("bash", {"command": command}, str(self.workspace), mode=mode))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path.resolve())


BROKEN_TOML = [
    'deny = ["Bash(touch *)"\n',
    'deny = ["Bash(touch *)]\n',
    "deny = [Bash(touch *)]\n",
    'deny = ["Bash(touch *)",\nallow = ["Bash(ls)"]\n',
    'allow = ["Bash(ls)"\ndeny = ["Bash(touch *)"]\n',
    "[[deny]]\nrule = 'Bash(touch *)'\nmatch = 'ls\n",
    'deny = "Bash(touch *)"\n',
    'denied = ["Bash(touch *)"]\n',
    'deny = ["Bash(touch *"]\n',
    'deny = ["Bsh(touch *)"]\n',
    'deny = ["bash(touch *)"]\n',
    'deny = [{ rule = "Bash(touch *)", match = ["ls"] }]\n',
    '# a comment\ndeny = ["Bash(touch *)", 7]\n',
]
BROKEN_JSON = [
    '{"permissions": {"deny": ["Bash(touch *)"',
    '{"permissions": {"allow": ["Bash(ls)"], "deny": ["Bash(touch *)",]}}',
    '{"permissions": {"deny": ["Bash(touch *"]}}',
    '{"permissions": {"deny": "Bash(touch *)"}}',
    '{"permissions": {"deny": ["Bsh(touch *)"]}}',
]


@pytest.mark.parametrize("text", BROKEN_TOML)
@pytest.mark.parametrize("place", ["user", "managed", "project"])
def test_what_a_broken_toml_file_denies_is_denied_in_every_mode(files: Files, place: str, text: str) -> None:
    path = files.places()[place]
    path.write_text(text)
    assert files.decide("touch x").verdict == "deny"
    assert any(problem.startswith(str(path)) for problem in files.rules().problems)


@pytest.mark.parametrize("text", BROKEN_JSON)
@pytest.mark.parametrize("place", ["claude", "claude project"])
def test_what_a_broken_json_file_denies_is_denied_in_every_mode(files: Files, place: str, text: str) -> None:
    path = files.places()[place]
    path.write_text(text)
    assert files.decide("touch x").verdict == "deny"
    assert any(problem.startswith(str(path)) for problem in files.rules().problems)


@pytest.mark.parametrize("place", ["user", "managed", "project", "claude", "claude project"])
@pytest.mark.parametrize("broken", ["\0\0\0", "{[}", "permissions = 7", ""])
def test_what_a_file_last_forbade_holds_while_it_is_broken(files: Files, place: str, broken: str) -> None:
    path = files.places()[place]
    lists = {"deny": ["Bash(touch *)"], "ask": ["Bash(ls *)"], "allow": ["Bash(make)"]}
    path.write_text(
        json.dumps({"permissions": lists})
        if path.suffix == ".json"
        else "".join(f"{name} = {json.dumps(rules)}\n" for name, rules in lists.items())
    )
    trust(files.config, files.workspace, project_hash(files.workspace))
    assert files.decide("touch x").verdict == "deny"
    assert files.decide("make", "ask").verdict == "allow"
    path.write_text(broken)
    if broken == "" and path.suffix != ".json":  # an empty file is in order, and forbids nothing
        assert files.decide("touch x").verdict == "allow"
        return
    assert files.decide("touch x").verdict == "deny"
    assert files.decide("ls -l", "ask").verdict == "ask"
    assert files.decide("make", "ask").verdict == "ask"
    path.write_text("{}" if path.suffix == ".json" else "")
    assert files.decide("touch x").verdict == "allow"
    assert not files.rules().problems


def test_a_file_in_order_leaves_no_problem(files: Files) -> None:
    files.places()["user"].write_text('allow = ["Bash(ls)", "mcp__x__*"]\ndeny = ["Read(./a)", "NotebookEdit"]\n')
    assert files.rules().problems == ()


@pytest.mark.parametrize(
    ("rule", "named"),
    [("Bsh(git push *)", "Bash"), ("Foo(x)", "known are"), ("bash(ls)", "Bash"), ("Reed(./a)", "Read")],
)
@pytest.mark.parametrize("verdict", ["allow", "ask", "deny"])
def test_a_rule_for_a_tool_that_does_not_exist_is_named_with_its_line(
    files: Files, verdict: str, rule: str, named: str
) -> None:
    path = files.places()["user"]
    path.write_text(f'# mine\n\n{verdict} = ["{rule}"]\n')
    (problem,) = files.rules().problems
    assert problem.startswith(f"{path}:3:")
    assert named in problem


def test_a_denying_rule_that_nobody_can_read_asks_in_bypass_too(files: Files) -> None:
    files.places()["user"].write_text('deny = ["Bash(touch x; ls)"]\n')
    assert files.decide("touch x").verdict == "ask"


def test_a_broken_allow_rule_takes_nothing_from_the_others(files: Files) -> None:
    files.places()["user"].write_text('allow = ["Bash(make)", "Bash(a; b)"]\n')
    assert files.decide("make", "ask").verdict == "allow"
    assert len(files.rules().problems) == 1


def test_a_managed_file_that_others_can_change_only_forbids(files: Files) -> None:
    files.managed.write_text('allow = ["Bash(make)"]\ndeny = ["Bash(touch *)"]\n')
    files.managed.chmod(0o666)
    assert files.decide("touch x").verdict == "deny"
    assert files.decide("make", "ask").verdict == "ask"
    assert any("root" in problem for problem in files.rules().problems)
