"""One `/tmp` for commands and file tools; the repository around the workspace; whole outputs for commands too."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.tools.support import Bench, text
from tui_agent.permissions.guard.model import Places
from tui_agent.permissions.paths import look_at
from tui_agent.runtime import Runtime
from tui_agent.sandbox import Sandbox, SandboxState, probe_sandbox

STATE = probe_sandbox()
boxed = pytest.mark.skipif(STATE.kind != "bubblewrap", reason="needs bubblewrap")


def make(root: Path, workspace: Path | None = None, **more: object) -> Bench:
    (root / "home").mkdir(exist_ok=True)
    bench = Bench(root)
    if workspace is not None:
        bench.workspace = workspace
    bench.sandbox = Sandbox(
        Runtime(environment={"HOME": str(root / "home"), "PATH": "/usr/bin:/bin"}, home=root / "home"),
        workspace=bench.workspace, data=root / "data", config=root / "config", scratch=root / "scratch",
        **more,
    )  # fmt: skip
    return bench


@boxed
async def test_what_a_tool_writes_in_tmp_a_command_runs(tmp_path: Path) -> None:
    bench = make(tmp_path)
    assert not (await bench.do("write", path="/tmp/repro.py", content="print(6 * 7)\n")).error
    assert text(await bench.do("bash", command="python3 /tmp/repro.py")) == "42"
    assert not Path("/tmp/repro.py").exists()


@boxed
async def test_what_a_command_writes_in_tmp_the_tools_find(tmp_path: Path) -> None:
    bench = make(tmp_path)
    await bench.do("bash", command="mkdir /tmp/d; echo needle > /tmp/d/out.txt")
    assert "needle" in text(await bench.do("read", path="/tmp/d/out.txt"))
    assert text(await bench.do("glob", pattern="**/*.txt", path="/tmp")).startswith("/tmp/d/out.txt")
    assert "/tmp/d/out.txt" in text(await bench.do("grep", pattern="need", path="/tmp"))
    edited = await bench.do("edit", path="/tmp/d/out.txt", edits=[{"old": "needle", "new": "thread"}])
    assert text(edited).startswith("/tmp/d/out.txt")
    assert text(await bench.do("bash", command="cat /tmp/d/out.txt")) == "thread"
    assert str(tmp_path) not in text(await bench.do("read", path="/tmp/d"))


@boxed
async def test_tmp_lasts_from_one_command_to_the_next_and_is_the_user_s_alone(tmp_path: Path) -> None:
    bench = make(tmp_path)
    await bench.do("bash", command="echo 1 > /tmp/kept")
    assert text(await bench.do("bash", command="cat /tmp/kept")) == "1"
    assert (tmp_path / "scratch" / "tmp").stat().st_mode & 0o777 == 0o700


@boxed
async def test_a_link_in_tmp_leads_nowhere_outside(tmp_path: Path) -> None:
    bench = make(tmp_path)
    (tmp_path / "outside").mkdir()
    first = tmp_path.parts[2]
    await bench.do("bash", command=f"ln -s {tmp_path}/outside /tmp/l; rm -rf /tmp/{first}; ln -s / /tmp/{first}; :")
    assert text(await bench.do("bash", command="pwd")) == str(bench.workspace)
    assert bench.sandbox is not None
    temporary = bench.sandbox.temporary()
    places = Places(str(tmp_path / "home"), str(bench.workspace), (str(tmp_path / "scratch"),),
                    (str(tmp_path / "scratch" / "tmp"),), temporary)  # fmt: skip
    assert not look_at("/tmp/l/x", purpose="write", cwd=str(bench.workspace), places=places).inside
    inside = look_at("/tmp/new", purpose="write", cwd=str(bench.workspace), places=places)
    assert (inside.inside, inside.level) == (True, "pass")
    escaping = look_at("/tmp/../scratch/x", purpose="read", cwd=str(bench.workspace), places=places)
    assert not escaping.inside


@boxed
async def test_a_file_of_the_machine_s_own_tmp_is_read_where_the_session_has_none(tmp_path: Path) -> None:
    bench = make(tmp_path)
    temporary = bench.sandbox.temporary() if bench.sandbox else None
    assert temporary is not None
    mine = Path("/tmp") / f"tui-agent-test-{tmp_path.name}"
    mine.write_text("host")
    try:
        assert temporary.locate(str(mine), reading=True) == str(mine)
        assert temporary.locate(str(mine), reading=False) != str(mine)
        await bench.do("write", path=str(mine), content="own")
        assert "own" in text(await bench.do("read", path=str(mine)))
        assert mine.read_text() == "host"
    finally:
        mine.unlink()


@boxed
async def test_a_write_in_tmp_that_a_crash_cut_off_is_looked_for_there(tmp_path: Path) -> None:
    bench = make(tmp_path)
    call = bench.call("write", path="/tmp/a", content="x\n")
    plan = await bench.plan(call)
    assert (await bench.probe(call, plan.intent)).state == "not_started"
    await bench.run(call, plan.intent)
    assert (await bench.probe(call, plan.intent)).state == "finished"


async def test_without_bubblewrap_tmp_is_the_machine_s_and_the_session_s_folder_is_told(tmp_path: Path) -> None:
    bench = make(tmp_path, probe=lambda: SandboxState("none", "none"))
    out = text(await bench.do("bash", command="echo $TMPDIR; mktemp"))
    assert out.splitlines()[0] == str(tmp_path / "scratch" / "tmp")
    assert out.splitlines()[1].startswith(str(tmp_path / "scratch" / "tmp"))
    assert bench.sandbox is not None
    assert bench.sandbox.temporary() is None


@boxed
async def test_a_long_output_can_be_read_by_commands_under_the_path_that_is_told(tmp_path: Path) -> None:
    bench = make(tmp_path)
    cut = text(await bench.do("bash", command="seq 1 20000"))
    path = re.search(r"in (\S+); read it", cut)
    assert path, cut
    assert text(await bench.do("bash", command=f"sed -n 10000p {path[1]}")) == "10000"
    assert "10000" in text(await bench.do("read", path=path[1], offset=10000, limit=1))
    changed = await bench.do("bash", command=f"echo x >> {path[1]}")
    assert changed.error


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(
        [*COMMIT.split(), "-c", "protocol.file.allow=always", *arguments],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip


COMMIT = "git -c user.name=T -c user.email=t@example.org"


@boxed
@pytest.mark.parametrize("kind", ["plain", "worktree", "submodule", "in the home"])
async def test_a_package_folder_of_a_repository_can_commit(tmp_path: Path, kind: str) -> None:
    (tmp_path / "home").mkdir(exist_ok=True)
    mono = (tmp_path / "home" if kind == "in the home" else tmp_path) / "mono"
    (mono / "packages" / "dj").mkdir(parents=True)
    (mono / "packages" / "other").mkdir()
    (mono / "packages" / "other" / "b").write_text("b")
    (mono / "packages" / "dj" / "a").write_text("a")
    git(mono, "init", "-q")
    git(mono, "add", ".")
    git(mono, "commit", "-qm", "first")
    root = mono
    if kind == "worktree":
        git(mono, "worktree", "add", "-q", str(tmp_path / "tree"))
        root = tmp_path / "tree"
    if kind == "submodule":
        outer = tmp_path / "outer"
        outer.mkdir()
        git(outer, "init", "-q")
        git(outer, "submodule", "add", "-q", str(mono), "sub")
        root = outer / "sub"
    bench = make(tmp_path, root / "packages" / "dj")
    command = f"echo more >> a && git add a && {COMMIT} commit -qm second && git status -s"
    done = await bench.do("bash", command=command)
    assert (text(done), done.error) == ("(no output)", False)
    assert (await bench.do("bash", command="echo x > ../other/b")).error
    assert (await bench.do("bash", command="git config core.fsmonitor ./x")).error
    git_dir = text(await bench.do("bash", command="git rev-parse --git-common-dir"))
    assert (await bench.do("bash", command=f"echo x > {git_dir}/hooks/pre-commit")).error
    assert (await bench.do("bash", command=f"mv {git_dir} {git_dir}2")).error


@boxed
async def test_a_git_file_that_nobody_answers_for_opens_no_folder(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    package = tmp_path / "mono" / "pkg"
    package.mkdir(parents=True)
    (tmp_path / "mono" / ".git").write_text(f"gitdir: {other}/.git\n")
    bench = make(tmp_path, package)
    assert (await bench.do("bash", command=f"touch {other}/.git/x")).error
