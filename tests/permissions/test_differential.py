"""Against real bash: what the guard calls read-only changes no file and starts no program but those it names."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.permissions.support import lines
from tui_agent.permissions.guard import RUNNER_ENVIRONMENT, Places, Surroundings, judge_line
from tui_agent.permissions.guard.shell import parse_line
from tui_agent.permissions.rules import RuleSet

NEEDED = [name for name in ("bwrap", "strace", "git") if shutil.which(name) is None]
# what these start by themselves: their own parts, and scripts what they are written for
HELPERS = {
    "git": {"git"},
    "zcat": {"gzip", "zcat"},
    "zgrep": {"grep", "gzip", "sed"},
    "man": {"nroff", "groff", "less", "cat", "col", "locale", "grotty", "troff", "tbl", "preconv", "apropos"},
    "egrep": {"grep"},
    "dpkg": {"dpkg-query"},
    "apt": {"dpkg"},
    "apt-cache": {"dpkg"},
    "yq": {"jq"},
}
WORDS = [
    "a.txt",
    "b.txt",
    "src",
    "src/m.py",
    ".",
    "*.txt",
    "src/*",
    "-n",
    "-l",
    "-la",
    "-r",
    "-c",
    "-o",
    "-i",
    "-e",
    "-f",
    "-x",
    "-v",
    "-E",
    "-w",
    "-s",
    "-u",
    "-t",
    "--output=z",
    "-oz",
    "z",
    "1",
    "-1",
    "5p",
    "s/a/b/",
    "s/a/b/w z",
    "w z",
    "'{print}'",
    "'{print > \"z\"}'",
    "'BEGIN{system(\"touch z\")}'",
    "-delete",
    "-exec",
    "touch",
    "{}",
    "\\;",
    "+",
    "-name",
    "'*.txt'",
    "-print",
    "-fprint",
    "--pre",
    "--help",
    "--",
    "-C",
    "HEAD",
    "--stat",
    "-p",
    "'a b'",
    '"a"',
    "$'a'",
    "-k1",
    "--compress-program=touch",
    "-S",
    "1K",
    "-d",
    "-T",
    ".git",
    "-z",
    "-0",
    "-I",
    "-L",
    "--files",
    "-maxdepth",
]
NAMES = [
    "ls",
    "cat",
    "head",
    "tail",
    "wc",
    "grep",
    "find",
    "sort",
    "uniq",
    "cut",
    "tr",
    "diff",
    "cmp",
    "sed",
    "awk",
    "git log",
    "git status",
    "git diff",
    "git show",
    "git branch",
    "git tag",
    "git config",
    "git stash",
    "git remote",
    "git ls-files",
    "git reflog",
    "git grep",
    "stat",
    "du",
    "echo",
    "printf",
    "test",
    "[",
    "base64",
    "od",
    "tac",
    "nl",
    "paste",
    "join",
    "comm",
    "fold",
    "seq",
    "date",
    "basename",
    "realpath",
    "readlink",
    "sha256sum",
    "column",
    "xargs",
    "timeout 5",
    "nice",
    "env",
    "bash -c",
    "tee",
    "touch",
    "rm",
    "tar",
    "tree",
    "file",
    "rg",
    "jq",
    "xxd",
    "ps",
    "id",
    "hostname",
    "true",
    "cd src",
    "time",
    "command",
]
JOINTS = [
    " ",
    " ",
    " ",
    " ",
    " | ",
    " | ",
    "; ",
    " && ",
    " || ",
    " > ",
    " 2>/dev/null ",
    " 2>&1 | ",
    "\n",
    " & ",
    " < ",
    " $(",
    " `",
    ") ",
]


def workspace(root: Path) -> None:
    (root / "src").mkdir(parents=True)
    (root / "a.txt").write_text("b\na\n5\n")
    (root / "b.txt").write_text("a\nb\n")
    (root / "src" / "m.py").write_text("import os\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(root)}
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *arguments], cwd=root, check=True, env=environment)


def state(root: Path) -> dict[str, str]:
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found


def fuzzed(chance: random.Random) -> str:
    text = chance.choice(NAMES)
    for _ in range(chance.randint(0, 4)):
        joint = chance.choice(JOINTS)
        word = (
            chance.choice(NAMES) if joint.strip() and joint.strip() not in ("<", ">", ")") else chance.choice(WORDS)
        )
        text += joint + word
    return text


def try_lines(tried: list[str], tmp_path: Path) -> list[str]:
    """Run each line in the sandbox with its system calls recorded, return what it did that it must not."""
    root, outside = tmp_path / "w", tmp_path / "log"
    outside.mkdir()
    before, faults = state(root), []
    for line in tried:
        command = [
            "bwrap",
            "--unshare-all",
            "--cap-drop",
            "ALL",
            "--die-with-parent",
            "--new-session",
            "--ro-bind",
            "/",
            "/",
            "--dev",
            "/dev",
            "--proc",
            "/proc",
            "--bind",
            str(root),
            str(root),
            "--chdir",
            str(root),
            "--clearenv",
            "--setenv",
            "PATH",
            os.environ["PATH"],
            "--setenv",
            "HOME",
            str(root),
        ]
        for name, value in RUNNER_ENVIRONMENT.items():
            command += ["--setenv", name, value]
        log = outside / "execs"
        command = [
            "strace",
            "-f",
            "-qq",
            "-e",
            "trace=execve",
            "-o",
            str(log),
            *command,
            "--",
            "bash",
            "--noprofile",
            "--norc",
            "-c",
            line,
        ]
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
        except subprocess.TimeoutExpired:
            continue
        after = state(root)
        if after != before:
            faults.append(f"{line!r} changed {sorted(set(after.items()) ^ set(before.items()))[:4]}")
            shutil.rmtree(root)
            workspace(root)
            before = state(root)
        started = re.findall(r'execve\("([^"]+)".*= 0$', log.read_text(errors="replace"), re.MULTILINE)
        named = {command.name for command in parse_line(line, str(root), str(root)).commands}
        expected = (
            named | {"bwrap", "bash", "sh", "dash"} | {helper for name in named for helper in HELPERS.get(name, ())}
        )
        faults += [
            f"{line!r} started {program}" for program in started if not _is_one_of(Path(program).name, expected)
        ]
    return faults


def _is_one_of(program: str, expected: set[str]) -> bool:
    return (
        program in expected
        or bool({"awk": {"mawk", "gawk"}, "python": {"python3"}}.get(program, set()) & expected)
        or (program in ("mawk", "gawk", "original-awk") and "awk" in expected)
        or (program.startswith("python") and bool({"python", "python3"} & expected))
    )


def allowed(line: str, root: Path) -> bool:
    return judge_line(line, Surroundings(str(root), Places(str(root), str(root)), RuleSet())).verdict == "allow"


@pytest.mark.skipif(bool(NEEDED), reason=f"needs {', '.join(NEEDED)}")
@pytest.mark.parametrize(
    "seed", [pytest.param(1, id="short"), *[pytest.param(n, marks=pytest.mark.long) for n in range(2, 12)]]
)
@pytest.mark.timeout(600)
def test_fuzzed_lines_that_are_read_only_change_nothing(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    wanted = 60 if seed == 1 else 400
    tried: list[str] = []
    workspace(tmp_path / "w")  # before anything is judged: globs and links are looked up on the disk
    for _ in range(wanted * 100):
        line = fuzzed(chance)
        if line not in tried and not re.search(r"\b(tail -f|tail -F)", line) and allowed(line, tmp_path / "w"):
            tried.append(line)
        if len(tried) == wanted:
            break
    assert len(tried) == wanted
    assert not try_lines(tried, tmp_path)


@pytest.mark.skipif(bool(NEEDED), reason=f"needs {', '.join(NEEDED)}")
@pytest.mark.long
@pytest.mark.timeout(600)
def test_ordinary_lines_change_nothing(tmp_path: Path) -> None:
    workspace(tmp_path / "w")
    reaching = "docker podman kubectl helm gh brew conda cargo go npm npx pnpm yarn rustup gofmt top systemctl"
    # rustc and terraform keep notes of their own in the home, which is the workspace here
    reaching += " journalctl pip pip3 uv rustc terraform"
    tools = re.compile(rf"\b({'|'.join(reaching.split())})\b|tail -f|-f ")
    assert not try_lines([line for line, _ in lines("ordinary.txt") if not tools.search(line)], tmp_path)
