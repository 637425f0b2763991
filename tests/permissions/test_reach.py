"""Searches that start above a protected file, and links that lead a search outside."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tui_agent.permissions.guard import reach
from tui_agent.permissions.policy import Policy, PolicyDecision, Request, SandboxState
from tui_agent.permissions.rule_sources import listed_rules

PRIVATE = ("Read(./private/**)",)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "w"
    for name in (".env", "src/a.py", "sub/deep/b.txt", "private/notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x = 1\n")
    (root / ".gitignore").write_text(".env\n")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    return root


def decide(
    line: str,
    workspace: Path,
    *,
    deny: tuple[str, ...] = (),
    ask: tuple[str, ...] = (),
    allow: tuple[str, ...] = (),
    sandbox: SandboxState = "none",
    mode: str = "ask",
    access: str = "sandbox",
) -> PolicyDecision:
    rules = listed_rules(allow, ask, deny, source="user", home="/home/dev", base=str(workspace))
    given = {"command": line, "access": access}
    return Policy(rules, "/home/dev").decide(Request("bash", given, str(workspace), mode=mode, sandbox=sandbox))


READS_ENV = (
    "grep -r x .",
    "grep -rn x",
    "grep -d recurse x .",
    "grep -rl x . | xargs wc -l",
    "grep -r --include='.e*' x .",
    "grep -r --include='[.]env' x .",
    "rg --hidden x",
    "rg -uu x",
    "rg -g '.e*' x",
    "find . -type f | xargs cat",
    "find . -type f -exec cat {} +",
    "find . ! -name '*.py' | xargs cat",
    "find . -name '*.py' -o -type f | xargs cat",
    "find . -name '*.py' -exec wc -l {} + -o -exec cat {} +",
    "find . '(' -name '*.py' -o -size 1 ')' -print | xargs cat",
    "ls -A | xargs cat",
    "rg --files --hidden | xargs cat",
    "diff -r . sub",
    "git diff --no-index . sub",
    "cd src && grep -r x ..",
    "timeout 5 grep -r x .",
)
READS_NO_ENV = (
    "grep -rn x src",
    "grep -rn x src sub",
    "grep -rn --include='*.py' x .",
    "grep -rn --exclude='.env' x .",
    "rg x",
    "rg -g '*.py' x",
    "rg --hidden -g '*.{py,txt}' x",
    "git grep x",
    "find . -name '*.py' | xargs wc -l",
    "find . -type f -name '*.py' -exec wc -l {} +",
    "find . -path ./sub -prune -o -name '*.py' -print | xargs cat",
    "find . '(' -name '*.py' -o -name '*.txt' ')' | xargs cat",
    "find . -type f | grep '\\.py$' | xargs cat",
    "find ./src -path './src/*' | xargs cat",
    "find . -type d | xargs ls",
    "find . | head",
    "ls | xargs wc -l",
    "ls -R",
    "git ls-files | xargs wc -l",
    "diff -r src sub",
    "cat *",
)


@pytest.mark.parametrize("line", READS_ENV)
def test_a_search_that_reaches_a_secret_asks_where_nothing_keeps_it_out(line: str, workspace: Path) -> None:
    found = decide(line, workspace)
    assert (found.verdict, ".env" in found.reason) == ("ask", True)
    kept_out = decide(line, workspace, sandbox="available")
    assert (kept_out.verdict, kept_out.hidden) == ("allow", (str(workspace / ".env"),))
    assert (kept_out.sandboxed, ".env" in kept_out.reason) == (True, True)
    (workspace / ".env").unlink()
    assert decide(line, workspace).verdict == "allow"


@pytest.mark.parametrize("line", READS_NO_ENV)
def test_a_search_that_does_not_reach_it_does_not_ask(line: str, workspace: Path) -> None:
    found = decide(line, workspace, sandbox="available")
    assert (decide(line, workspace).verdict, found.verdict, found.hidden) == ("allow", "allow", ())


@pytest.mark.parametrize("line", ["grep -r x .", "rg x", "git grep x", "git ls-files | xargs cat", "diff -r . src"])
def test_a_rule_holds_in_a_search_from_above(line: str, workspace: Path) -> None:
    (workspace / ".env").unlink()
    for deny, ask in ((PRIVATE, ()), ((), PRIVATE)):
        found = decide(line, workspace, deny=deny, ask=ask)
        assert found.verdict == "ask"
        assert "private/notes.txt" in found.reason
        assert "Read(./private/**) (" in found.reason
        assert [rule.rule for rule in found.rules] == list(PRIVATE)
        kept_out = decide(line, workspace, deny=deny, ask=ask, sandbox="available")
        assert (kept_out.verdict, kept_out.hidden) == ("allow", (str(workspace / "private"),))
    assert decide(line.replace(" .", " private"), workspace, deny=PRIVATE).verdict != "allow"
    assert decide("grep -r x private", workspace, deny=PRIVATE, sandbox="available").verdict == "deny"
    assert decide("grep -r --exclude-dir=private x .", workspace, deny=PRIVATE).verdict == "allow"


def test_a_tracked_secret_is_reached_through_git(workspace: Path) -> None:
    subprocess.run(["git", "add", "-f", ".env"], cwd=workspace, check=True)
    for line in ("git grep x", "git ls-files | xargs cat", "git -C . grep x", "git diff --name-only | xargs cat"):
        assert decide(line, workspace).verdict == "ask", line
    for line in ("git grep x -- '*.py'", "git grep x -- src", "git ls-files '*.py' | xargs wc -l"):
        assert decide(line, workspace).verdict == "allow", line
    # what stands in a commit cannot be kept out by hiding the file
    assert decide("git grep --cached x", workspace, sandbox="available").verdict == "ask"
    assert decide("git grep x HEAD", workspace, sandbox="available").verdict == "ask"


def test_an_ignore_file_that_brings_a_hidden_file_back_counts(workspace: Path) -> None:
    assert decide("rg x", workspace).verdict == "allow"
    (workspace / ".ignore").write_text("!.env\n")
    assert decide("rg x", workspace).verdict == "ask"


def test_rules_of_the_user_hold_for_what_copies_folders(workspace: Path) -> None:
    allow = ("Bash(tar *)", "Bash(cp *)")
    for line in ("tar cf x.tar .", "cp -r . sub"):
        assert decide(line, workspace, allow=allow, deny=PRIVATE).verdict == "ask", line
        assert decide(line, workspace, allow=allow).verdict == "allow", line
    assert decide("tar cf x.tar src", workspace, allow=allow, deny=PRIVATE).verdict == "allow"
    assert decide("tar xf x.tar -C .", workspace, allow=allow, deny=PRIVATE).verdict == "allow"


def test_nothing_is_hidden_where_a_user_is_asked_or_the_sandbox_is_left(workspace: Path) -> None:
    asked = decide("grep -r x . > out", workspace, sandbox="available")
    assert (asked.verdict, asked.hidden) == ("ask", ())
    assert any(module.name == "secret_paths" and module.verdict == "ask" for module in asked.modules)
    for access in ("full", "network"):
        assert decide("grep -r x .", workspace, sandbox="available", access=access).verdict == "ask"
    assert decide("grep -r x .", workspace, sandbox="reduced").verdict == "ask"


def test_modes(workspace: Path) -> None:
    assert decide("grep -r x .", workspace, sandbox="available", mode="sandboxed").hidden
    assert decide("python x.py", workspace, sandbox="available", mode="sandboxed").hidden == ()
    assert decide("grep -r x .", workspace, mode="bypass").verdict == "allow"
    assert decide("grep -r x .", workspace, sandbox="available", mode="bypass").hidden == ()
    assert decide("grep -r x .", workspace, deny=PRIVATE, mode="bypass").verdict == "ask"
    kept_out = decide("grep -r x .", workspace, deny=PRIVATE, sandbox="available", mode="bypass")
    assert (kept_out.verdict, kept_out.hidden) == ("allow", (str(workspace / "private"),))


def test_more_files_than_are_looked_at_ask_where_a_rule_could_hold(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / ".env").unlink()
    monkeypatch.setattr(reach, "MOST_ENTRIES", 3)
    assert decide("grep -r x .", workspace).verdict == "allow"
    assert decide("grep -r x .", workspace, deny=("Read(./nowhere/**)",)).verdict == "ask"
    assert decide("grep -r x sub", workspace, deny=("Read(./nowhere/**)",)).verdict == "allow"


def test_many_protected_files_ask(workspace: Path) -> None:
    for number in range(120):
        (workspace / "src" / f"k{number}.key").touch()
    assert decide("grep -r x .", workspace, sandbox="available").verdict == "ask"


def test_keys_in_installed_packages_are_nobodys_secret(workspace: Path) -> None:
    (workspace / ".env").unlink()
    (workspace / "lib/site-packages/certifi").mkdir(parents=True)
    (workspace / "lib/site-packages/certifi/cacert.pem").touch()
    assert decide("grep -r x .", workspace).verdict == "allow"
    assert decide("grep -r x .", workspace, deny=("Read(**/cacert.pem)",)).verdict == "ask"


FOLLOWING = (
    "grep -R x .",
    "grep --dereference-recursive x sub",
    "rg -L x",
    "rg --follow x sub",
    "ls -LR",
    "tree -l",
    "du -L sub",
    "diff -r sub src",
    "fd -L x",
    "find . | xargs cat",
    "find sub -type l -exec cat {} +",
    "find -L . -name x",
    "find . -follow",
    "tar chf x.tar .",
)


@pytest.mark.parametrize("line", FOLLOWING)
def test_a_search_that_follows_a_link_outside_asks(line: str, workspace: Path) -> None:
    (workspace / ".env").unlink()
    outside = workspace.parent / "outside"
    outside.mkdir()
    (outside / "f.txt").write_text("x\n")
    (workspace / "sub" / "link").symlink_to(outside)
    states: tuple[SandboxState, ...] = ("none", "available")
    for sandbox in states:
        assert decide(line, workspace, sandbox=sandbox).verdict == "ask"
    for other in ("grep -r x .", "rg x", "ls -R", "find . -type f | xargs cat", "diff -r --no-dereference sub src"):
        assert decide(other, workspace).verdict == "allow", other


def test_a_link_to_a_secret_inside_is_seen_through(workspace: Path) -> None:
    (workspace / "src" / "config.py").symlink_to("../.env")
    assert decide("grep -r x src", workspace).verdict == "allow"
    assert decide("grep -R x src", workspace).verdict == "ask"
    assert decide("find src -name '*.py' | xargs cat", workspace).verdict == "ask"
    assert decide("grep -R x src", workspace, sandbox="available").hidden == (str(workspace / ".env"),)


def test_own_searches_leave_out_what_would_ask_but_not_in_a_folder_that_was_allowed(workspace: Path) -> None:
    rules = listed_rules((), ("Read(./sub/**)",), PRIVATE, source="user", home="/home/dev", base=str(workspace))
    policy = Policy(rules, "/home/dev")
    paths = [str(workspace / name) for name in (".env", "src/a.py", "sub/deep/b.txt", "private/notes.txt")]

    def left_out(folder: str, mode: str = "ask", tool: str = "grep") -> list[str]:
        found = policy.left_out(tool, paths, str(workspace / folder), workspace=str(workspace), mode=mode)
        return sorted(str(Path(path).relative_to(workspace)) for path in found)

    assert left_out(".") == left_out(".", tool="glob") == [".env", "private/notes.txt", "sub/deep/b.txt"]
    assert left_out("sub") == ["private/notes.txt"]
    assert left_out(".", mode="bypass") == ["private/notes.txt"]
