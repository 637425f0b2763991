"""Rules: syntax, matching, examples, sources, trust."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.permissions.support import HOME, judge
from tui_agent.permissions.rule_sources import is_trusted, listed_rules, load_rules, project_hash, trust
from tui_agent.permissions.rules import Origin, RuleError, parse_rule

ORIGIN = Origin("user", "rules", 1)


@pytest.mark.parametrize(
    ("rule", "line", "wanted"),
    [
        ("Bash(npm test *)", "npm test -- --watch=false", "allow"),
        ("Bash(npm test:*)", "npm test x", "allow"),
        ("Bash(npm test:*)", "npm test", "allow"),
        ("Bash(npm test)", "npm test x", "ask"),
        ("Bash(npm test)", "npm  test", "allow"),
        ("Bash(npm test)", "npm 'test'", "allow"),
        ("Bash(git *)", "gitx log", "ask"),
        ("Bash(git *)", "git push -u origin main", "allow"),
        ("Bash(git push * main)", "git push origin main", "allow"),
        ("Bash(git push * main)", "git push origin dev", "ask"),
        ("Bash(npm run test*)", "npm run test-unit", "allow"),
        ("Bash(npm test)", "timeout 60 npm test", "allow"),
        ("Bash(timeout 60 npm test)", "timeout 60 npm test", "allow"),
        ("Bash(timeout *)", "timeout 60 npm test", "ask"),
        ("Bash(sudo *)", "sudo systemctl restart nginx", "ask"),
        ("Bash(sudo systemctl restart nginx)", "sudo systemctl restart nginx", "allow"),
        ("Bash(python -c *)", "python -c 'print(1)'", "allow"),
        ("Bash(python *)", "python -c 'print(1)'", "ask"),
        ("Bash(python *)", "python manage.py migrate", "allow"),
        ("Bash(./scripts/test.sh *)", "./scripts/test.sh --all", "allow"),
        ("Bash(test.sh *)", "./test.sh", "ask"),
        ("Bash(make)", "/usr/bin/make", "allow"),
        ("Bash(make)", "/tmp/make", "ask"),
        ("Bash(npm *)", "cd sub && npm test 2>&1 | tail -20", "allow"),
        ("Bash(git commit *)", "git commit -m 'fix: a; b && c | d'", "allow"),
        ("Bash(ls /var/log/*)", "ls /var/log/syslog", "allow"),
        ("Bash(ls /var/log/*)", "ls /var/log/../../etc", "ask"),
        ("Bash", "npm ci", "allow"),
        ("bash(npm *)", "npm ci", "allow"),
        ("Bash(cp *)", "cp a .git/hooks/pre-commit", "ask"),
    ],
)
def test_an_allow_rule(rule: str, line: str, wanted: str) -> None:
    assert judge(line, allow=[rule]).verdict == wanted


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("Bash(git push *)", "git push"),
        ("Bash(git push *)", "git push origin x"),
        ("Bash(git push *)", "/usr/bin/git push"),
        ("Bash(git push *)", "git -C sub push"),
        ("Bash(git push *)", "git --no-pager push"),
        ("Bash(git push *)", "git -c a=b push"),
        ("Bash(git push *)", "sudo git push"),
        ("Bash(git push *)", "ls; git push"),
        ("Bash(git push *)", "echo $(git push)"),
        ("Bash(git push *)", "bash -c 'git push'"),
        ("Bash(git push *)", "xargs git push"),
        ("Bash(git push *)", "g''it push"),
        ("Bash(git push --force *)", "git push origin main --force"),
        ("Bash(rm -rf *)", "rm -fr x"),
        ("Bash(rm -rf *)", "rm -r -f x"),
        ("Bash(rm -rf *)", "rm --recursive --force x"),
        ("Bash(rm -rf *)", "rm -rfv x"),
        ("Bash(rm *)", "\\rm x"),
        ("Bash(rm *)", "find . -exec rm {} +"),
        ("Bash(rm *)", "find . -name x | xargs rm"),
        ("Bash(rm *)", "trap 'rm x' EXIT"),
        ("Bash(curl *)", "true && env A=1 timeout 5 curl x"),
        ("Bash(curl *)", "if true; then curl x; fi"),
        ("Read(./secrets/**)", "cat secrets/a"),
        ("Read(./secrets/**)", "grep x ./secrets/a/b"),
        ("Read(./secrets/**)", "cat < secrets/a"),
        ("Read(./secrets/**)", "cat SECRETS/a"),
        ("Edit(./docs/**)", "echo x > docs/a"),
        ("Edit(./docs/**)", "tee docs/a"),
        ("Bash(npm publish:*)", "npm publish --tag x"),
    ],
)
def test_a_deny_rule_holds(rule: str, line: str) -> None:
    assert judge(line, allow=["Bash(*)"], deny=[rule]).verdict == "deny"
    assert judge(line, allow=["Bash(*)"], ask=[rule]).verdict in ("ask", "deny")


def test_a_word_that_is_not_known_never_slips_past_a_deny_rule() -> None:
    verdict = judge("git $x", allow=["Bash(*)"], deny=["Bash(git push *)"])
    assert verdict.verdict == "ask"
    assert verdict.firm


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bash(",
        "Bash()",
        "Bash(ls; rm x)",
        "Bash(ls && rm)",
        "Bash(ls > x)",
        "Bash($x)",
        "Bash($(id))",
        "Bash(`id`)",
        "Bash(g* push)",
        "Bash(X=1 ls)",
        "Bash(ls\nrm)",
        "Bash('ls)",
        "(ls)",
        "git log",
        "B*(ls)",
        "mcp__a__b(x)",
        "WebFetch(example.org)",
        "Bash(ls | wc)",
    ],
)
def test_a_rule_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(RuleError):
        parse_rule(text, "allow", ORIGIN, HOME)
    rules = listed_rules([text], [], [], source="user", home=HOME, base="/w")
    assert rules.problems
    assert rules.problems[0].startswith("<allow>:1: ")
    assert not rules.bash("allow")


def test_what_a_refused_deny_rule_might_have_denied_asks() -> None:
    assert judge("npm test", allow=["Bash(*)"], deny=["Bash(npm; test)"]).verdict == "ask"


def test_path_rules_start_where_they_say() -> None:
    def matches(text: str, path: str, verdict: str = "allow") -> bool:
        rule = parse_rule(text, verdict, Origin("user", "f", 1, "/base"), HOME)  # type: ignore[arg-type]
        return rule.matches_path(path, workspace="/w", home=HOME)

    assert matches("Read(./src/**)", "/w/src/a/b")
    assert not matches("Read(./src/**)", "/w/srcx/a")
    assert matches("Edit(/docs/**)", "/base/docs/a")
    assert not matches("Edit(/docs/**)", "/docs/a")
    assert matches("Edit(/docs/**)", "/docs/a", "deny")
    assert matches("Read(//etc/hosts)", "/etc/hosts")
    assert matches("Read(~/notes/*.md)", f"{HOME}/notes/a.md")
    assert matches("Read(*.py)", "/w/a/b/c.py")
    assert not matches("Read(*.py)", "/elsewhere/c.py")
    assert matches("Read(src)", "/w/src/a")
    assert matches("Read(.ENV)", "/w/.env", "deny")
    assert matches("Read(a/*/c)", "/w/a/b/c")
    assert not matches("Read(a/*/c)", "/w/a/b/d/c")


def test_examples_are_checked_and_a_rule_that_fails_them_asks(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "permissions.toml").write_text(
        'allow = [\n  "Bash(make *)",\n'
        '  { rule = "Bash(npm *)", match = ["npm test"], not_match = ["npmx"] },\n'
        '  { rule = "Bash(go *)", match = ["cargo build"] },\n'
        '  { rule = "Bash(cargo *)", not_match = "cargo publish" },\n'
        '  "Bash(ls | wc)",\n]\ndeny = ["Read(./private/**)"]\n'
    )
    loaded = load_rules(config, tmp_path / "w", tmp_path / "home", managed=tmp_path / "none")
    assert [problem.split(":")[1] for problem in loaded.rules.problems] == ["4", "5", "6"]
    assert [rule.text for rule in loaded.rules.bash("allow")] == ["Bash(make *)", "Bash(npm *)"]
    assert {rule.text for rule in loaded.rules.bash("ask")} == {"Bash(go *)", "Bash(cargo *)"}
    assert [rule.origin.line for rule in loaded.rules.bash("allow")] == [2, 3]


def test_a_project_only_tightens_until_it_is_trusted(tmp_path: Path) -> None:
    config, workspace = tmp_path / "config", tmp_path / "w"
    (workspace / ".claude").mkdir(parents=True)
    settings = workspace / ".claude" / "settings.json"
    settings.write_text(
        json.dumps({"permissions": {"allow": ["Bash(make *)"], "deny": ["Bash(rm *)"]}, "model": "x"})
    )

    def verdicts() -> list[str]:
        loaded = load_rules(config, workspace, tmp_path / "home", managed=tmp_path / "none")
        return [rule.verdict for rule in loaded.rules.rules]

    assert verdicts() == ["deny"]
    trust(config, workspace, project_hash(workspace))
    assert is_trusted(config, workspace, project_hash(workspace))
    assert verdicts() == ["allow", "deny"]
    settings.write_text(json.dumps({"permissions": {"allow": ["Bash(*)"], "deny": ["Bash(rm *)"]}}))
    assert verdicts() == ["deny"]


@pytest.mark.parametrize("name", [".tui-agent/permissions.toml", ".claude/settings.json"])
def test_a_file_that_cannot_be_read_leaves_no_rule_that_allows(tmp_path: Path, name: str) -> None:
    config, workspace = tmp_path / "config", tmp_path / "w"
    config.mkdir()
    (config / "permissions.toml").write_text('allow = ["Bash(make *)"]\ndeny = ["Bash(rm *)"]\n')
    (workspace / name).parent.mkdir(parents=True)
    (workspace / name).write_text("{ not = valid")
    loaded = load_rules(config, workspace, tmp_path / "home", managed=tmp_path / "none")
    assert loaded.rules.problems
    assert not loaded.rules.bash("allow")
    assert loaded.rules.bash("deny")
