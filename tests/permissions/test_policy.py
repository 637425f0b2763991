"""The policy: modes, tiers, file access."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tui_agent.permissions import paths
from tui_agent.permissions.policy import Policy, PolicyDecision, Request
from tui_agent.permissions.rule_sources import listed_rules


class Room:
    """A workspace with a home beside it."""

    def __init__(self, root: Path) -> None:
        self.workspace, self.home = root / "w", root / "h"
        self.workspace.mkdir()
        self.home.mkdir()

    def decide(self, tool: str, call: dict[str, Any] | str, **more: Any) -> PolicyDecision:
        rules = {verdict: more.pop(verdict, []) for verdict in ("allow", "ask", "deny")}
        listed = listed_rules(
            rules["allow"], rules["ask"], rules["deny"], source="user", home=str(self.home), base=str(self.workspace)
        )
        policy = Policy(listed, str(self.home), (str(self.home / "config"),))
        given = {"command" if tool == "bash" else "path": call} if isinstance(call, str) else call
        return policy.decide(Request(tool, given, str(self.workspace), **more))


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path / "room") if not (tmp_path / "room").mkdir() else Room(tmp_path)


@pytest.mark.parametrize(
    ("mode", "sandbox", "reading", "writing", "wiping"),
    [
        ("ask", "none", "allow", "ask", "deny"),
        ("accept-edits", "none", "allow", "ask", "deny"),
        ("plan", "none", "allow", "deny", "deny"),
        ("sandboxed", "available", "allow", "allow", "deny"),
        ("sandboxed", "reduced", "allow", "ask", "deny"),
        ("sandboxed", "none", "allow", "ask", "deny"),
        ("bypass", "none", "allow", "allow", "deny"),
    ],
)
def test_modes_for_commands(  # noqa: PLR0917 - pytest names them
    room: Room, mode: str, sandbox: Any, reading: str, writing: str, wiping: str
) -> None:
    for command, wanted in (("ls -la", reading), ("touch x", writing), ("rm -rf /", wiping)):
        assert room.decide("bash", command, mode=mode, sandbox=sandbox).verdict == wanted
    assert room.decide("bash", "touch x", mode=mode, sandbox=sandbox, deny=["Bash(touch *)"]).verdict == "deny"


@pytest.mark.parametrize(
    ("mode", "read", "write", "write_outside"),
    [
        ("ask", "allow", "ask", "ask"),
        ("accept-edits", "allow", "allow", "ask"),
        ("plan", "allow", "deny", "deny"),
        ("bypass", "allow", "allow", "allow"),
    ],
)
def test_modes_for_files(room: Room, mode: str, read: str, write: str, write_outside: str) -> None:
    assert room.decide("read", "a.py", mode=mode).verdict == read
    assert room.decide("write", "a.py", mode=mode).verdict == write
    assert room.decide("edit", str(room.home / "x"), mode=mode).verdict == write_outside


def test_a_mode_that_is_not_known_asks(room: Room) -> None:
    assert room.decide("bash", "ls", mode="yolo").verdict == "ask"


def test_read_only_lines_bring_the_environment_that_makes_them_so(room: Room) -> None:
    assert room.decide("bash", "git status").environment["GIT_CONFIG_KEY_0"] == "core.fsmonitor"
    assert not room.decide("bash", "make", allow=["Bash(make)"]).environment


@pytest.mark.parametrize("mode", ["ask", "accept-edits", "bypass"])
def test_the_apps_own_files_and_keys_are_never_touched(room: Room, mode: str) -> None:
    for path in (
        ".tui-agent/permissions.toml",
        ".TUI-AGENT/x",
        ".claude/settings.json",
        str(room.home / "config" / "settings.toml"),
        "~/config/x",
    ):
        assert room.decide("write", path, mode=mode, allow=["Edit"]).verdict == "deny", path
    for path in ("~/.ssh/id_rsa", "~/.aws/credentials", "/proc/self/environ", "/etc/shadow"):
        assert room.decide("read", path, mode=mode, allow=["Read"]).verdict == "deny", path


@pytest.mark.parametrize(
    "path", [".env", "a/.env.local", "server.pem", ".ENV", "../x", "/etc/passwd", "~/x", "a/../../x", "", "a\0b"]
)
def test_reads_that_ask(room: Room, path: str) -> None:
    assert room.decide("read", path).verdict == "ask"


@pytest.mark.parametrize(
    "path", ["a.py", "src/b", ".env.example", "./x/../y", ".github/workflows/ci.yml", "secret_sauce.md", "id_rsa.pub"]
)
def test_reads_that_do_not(room: Room, path: str) -> None:
    assert room.decide("read", path).verdict == "allow"


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (".git/config", "deny"),
        (".git/hooks/pre-commit", "deny"),
        (".GIT/hooks/x", "deny"),
        (".git/index", "ask"),
        (".envrc", "ask"),
        (".vscode/settings.json", "ask"),
        (".git/../.git/hooks/x", "deny"),
        ("sub/.git/config", "deny"),
        ("src/git/x.py", "allow"),
    ],
)
def test_files_that_steer_programs(room: Room, path: str, wanted: str) -> None:
    assert room.decide("write", path, mode="accept-edits").verdict == wanted


@pytest.mark.parametrize("kernel", [True, False])
def test_links_out_are_outside(room: Room, monkeypatch: pytest.MonkeyPatch, kernel: bool) -> None:
    if not kernel:
        monkeypatch.setattr(paths, "_openat2", lambda: None)
    (room.workspace / "in").mkdir()
    (room.workspace / "in" / "f").touch()
    (room.workspace / "out").symlink_to(room.home)
    (room.workspace / "root").symlink_to("/proc/self/root")
    (room.workspace / "dangling").symlink_to(room.home / "new")
    (room.workspace / "within").symlink_to(room.workspace / "in")
    (room.workspace / "loop").symlink_to("loop")
    for path in (
        "out/x",
        "out",
        "root/etc/passwd",
        "dangling",
        "in/../../h/x",
        "/proc/self/root" + str(room.workspace) + "/../h/x",
        "loop",
    ):
        assert room.decide("read", path).verdict == "ask", path
        assert room.decide("write", path, mode="accept-edits").verdict == "ask", path
    for path in ("in/f", "within/f", "in/../in/f", "new/deep/file", str(room.workspace / "in" / "f")):
        assert room.decide("read", path).verdict == "allow", path


def test_a_file_with_two_names_asks(room: Room) -> None:
    (room.home / "x").touch()
    os.link(room.home / "x", room.workspace / "x")
    assert room.decide("write", "x", mode="accept-edits").verdict == "ask"
    assert room.decide("read", "x").verdict == "ask"
    assert room.decide("bash", "cat x").verdict == "ask"
    assert room.decide("bash", "head *").verdict == "ask"
    package = room.workspace / ".venv"
    package.mkdir()
    os.link(room.home / "x", package / "x.py")
    assert room.decide("read", ".venv/x.py").verdict == "allow"
    assert room.decide("bash", "cat .venv/x.py").verdict == "allow"
    assert room.decide("write", ".venv/x.py", mode="accept-edits").verdict == "ask"


def test_what_is_no_plain_file_asks(room: Room) -> None:
    os.mkfifo(room.workspace / "pipe")
    assert room.decide("read", "pipe").verdict == "ask"
    assert room.decide("write", "pipe", mode="accept-edits").verdict == "ask"


def test_folders_can_be_granted(room: Room) -> None:
    assert room.decide("read", str(room.home / "x")).verdict == "ask"
    assert room.decide("read", str(room.home / "x"), folders=(str(room.home),)).verdict == "allow"
    assert room.decide("bash", f"cat {room.home}/x", folders=(str(room.home),)).verdict == "allow"


def test_rules_about_files(room: Room) -> None:
    assert room.decide("write", "docs/a.md", allow=["Edit(/docs/**)"]).verdict == "allow"
    assert room.decide("write", "docs/../a.md", allow=["Edit(/docs/**)"]).verdict == "ask"
    assert room.decide("read", "private/a", deny=["Read(./private/**)"]).verdict == "deny"
    assert room.decide("grep", {"pattern": "x", "path": "private"}, deny=["Read(./private/**)"]).verdict == "deny"
    decision = room.decide("read", "private/a", deny=["Read(./private/**)"], allow=["Read"])
    assert [(rule.rule, rule.file, rule.line) for rule in decision.rules] == [
        ("Read(./private/**)", "<deny>", 1),
        ("Read", "<allow>", 1),
    ]
    assert decision.winner == "Read(./private/**)"


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        ({"pattern": "**/*.py"}, "allow"),
        ({"pattern": "../**"}, "ask"),
        ({"pattern": "/etc/*"}, "ask"),
        ({"pattern": "~/*"}, "ask"),
        ({"pattern": "*.py", "path": "src"}, "allow"),
        ({"pattern": "*", "path": ".."}, "ask"),
    ],
)
def test_glob(room: Room, call: dict[str, str], wanted: str) -> None:
    assert room.decide("glob", call).verdict == wanted


def test_tiers(room: Room) -> None:
    assert room.decide("todo", {}, effect="pure").verdict == "allow"
    assert room.decide("mcp__s__look", {}, tier="plugin", effect="pure").verdict == "ask"
    assert room.decide("mcp__s__look", {}, tier="plugin", effect="pure", mode="plan").verdict == "deny"
    assert room.decide("mcp__s__look", {}, tier="plugin", allow=["mcp__s"]).verdict == "allow"
    assert room.decide("mcp__sx__look", {}, tier="plugin", allow=["mcp__s"]).verdict == "ask"
    assert room.decide("skill", {"name": "a"}, tier="skill", allow=["Skill(a)"]).verdict == "allow"
    assert room.decide("skill", {"name": "b"}, tier="skill", allow=["Skill(a)"]).verdict == "ask"


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://example.org/x", "allow"),
        ("https://EXAMPLE.org./", "allow"),
        ("https://example.org.evil/", "ask"),
        ("https://x.example.org/", "ask"),
        ("https://example.org@evil.net/", "ask"),
        ("https://evil.net/?example.org", "ask"),
        ("nonsense", "ask"),
        ("http://[", "ask"),
    ],
)
def test_web(room: Room, url: str, wanted: str) -> None:
    assert room.decide("webfetch", {"url": url}, allow=["WebFetch(domain:example.org)"]).verdict == wanted
