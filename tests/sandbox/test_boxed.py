"""Commands in bubblewrap keep what the runner promises, and leave nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandbox.inside import GIT
from tests.waiting import until
from tui_agent import sandbox
from tui_agent.runtime import Runtime
from tui_agent.sandbox import CommandRecord, Sandbox, SandboxError, SandboxState, build_profile, probe_sandbox
from tui_agent.sandbox.runner import first_inside

FOUND = probe_sandbox()
pytestmark = pytest.mark.skipif(FOUND.kind != "bubblewrap", reason=FOUND.detail)

ENVIRONMENT = sandbox.command_environment({"PATH": os.environ["PATH"]})


def make(root: Path, **more: object) -> Sandbox:
    return Sandbox(
        Runtime(), Path.cwd(), root / "data", root / "config", root / "data" / "scratch", **more  # type: ignore[arg-type]  # options of the test
    )  # fmt: skip


async def launch(box: Sandbox, spool: Path, command: str, timeout: float = 30.0) -> None:
    made = await box.enclose(sandbox.shell_argv(command), ENVIRONMENT, spool, "sandbox")
    await sandbox.start(
        spool,
        made.argv,
        cwd=Path.cwd(),
        environment=made.environment,
        timeout=timeout,
        runtime=Runtime(),
        box=made.box,
    )


async def finish(spool: Path) -> tuple[CommandRecord, str]:
    record = await sandbox.wait(spool, ignore, Runtime())
    return record, record.output.read_text()


async def ignore(data: bytes, skipped: int) -> None:
    pass


def running(mark: str) -> bool:
    """Return whether a process has `mark` in its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark in path.read_text(errors="replace"):
                return True
        except OSError:
            continue
    return False


ESCAPING = "setsid sleep 300.{} >/dev/null 2>&1 & trap '' TERM; echo begun; while :; do sleep 0.01; done"


async def test_a_time_out_ends_what_left_the_process_session(tmp_path: Path) -> None:
    await launch(make(tmp_path), tmp_path / "s", ESCAPING.format("0411"), timeout=0.5)
    record, _ = await finish(tmp_path / "s")
    assert record.timed_out
    await until(lambda: not running("300.0411"))  # the kernel ends what was in the namespace a moment later


async def test_a_kill_asks_first(tmp_path: Path) -> None:
    spool = tmp_path / "s"
    await launch(make(tmp_path), spool, "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done")
    await until((spool / "output").read_bytes)
    assert sandbox.kill(spool)
    record, seen = await finish(spool)
    assert seen.endswith("bye\n")
    assert (record.cancelled, record.exit_code) == (True, 7)


async def test_a_kill_ends_what_does_not_listen(tmp_path: Path) -> None:
    spool = tmp_path / "s"
    await launch(make(tmp_path), spool, ESCAPING.format("0412"))
    await until((spool / "output").read_bytes)
    assert sandbox.kill(spool)
    record, _ = await finish(spool)
    assert record.cancelled
    await until(lambda: not running("300.0412"))  # the kernel ends what was in the namespace a moment later


async def test_what_a_command_leaves_running_is_ended_with_it(tmp_path: Path) -> None:
    spool = tmp_path / "s"
    await launch(make(tmp_path), spool, "setsid sleep 300.0413 & echo begun")
    record, _ = await finish(spool)
    assert (record.exit_code, record.cancelled) == (0, False)
    assert record.left == ("sleep 300.0413",)
    await until(lambda: not running("300.0413"))
    await until(lambda: not Path(".tui-agent").exists())  # its mask, for as long as something lives inside


async def test_without_its_runner_it_can_be_ended_all_the_same(tmp_path: Path) -> None:
    spool = tmp_path / "s"
    await launch(make(tmp_path), spool, "echo begun; sleep 300.0414")
    await until((spool / "output").read_bytes)
    os.kill(json.loads((spool / "start").read_text())["runner"], signal.SIGKILL)
    await until(lambda: not controlled(spool))
    assert sandbox.inspect(spool).state == "running"
    assert sandbox.kill(spool)
    record, _ = await finish(spool)
    assert record.state == "died"
    await until(lambda: not running("300.0414"))  # the kernel ends what was in the namespace a moment later


def controlled(spool: Path) -> bool:
    try:
        os.close(os.open(spool / "control", os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


async def test_bubblewrap_killed_is_the_command_killed(tmp_path: Path) -> None:
    spool = tmp_path / "s"
    await launch(make(tmp_path), spool, "echo begun; sleep 300.0415")
    await until((spool / "output").read_bytes)
    os.kill(json.loads((spool / "start").read_text())["pid"], signal.SIGKILL)
    record, _ = await finish(spool)
    assert record.signal == signal.SIGKILL
    await until(lambda: not running("300.0415"))  # the kernel ends what was in the namespace a moment later


async def test_the_program_killed_the_command_goes_on_and_is_adopted(tmp_path: Path) -> None:
    spool = tmp_path / "s"
    program = f"""
import asyncio, os, signal
from pathlib import Path
from tests.sandbox.test_boxed import launch, make
asyncio.run(launch(make(Path({str(tmp_path)!r})), Path({str(spool)!r}),
    "echo x >> ledger; echo one; while [ ! -e go ]; do sleep 0.01; done; echo two"))
os.kill(os.getpid(), signal.SIGKILL)
"""
    # The module is found through the path: the working folder is the command's.
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", program], check=False, env=environment)
    assert done.returncode == -signal.SIGKILL
    assert sandbox.inspect(spool).state == "running"
    Path("go").touch()
    record, seen = await finish(spool)
    assert (record.exit_code, seen) == (0, "one\ntwo\n")
    await launch(make(tmp_path), spool, "echo y >> ledger")
    assert Path("ledger").read_text() == "x\n"


async def test_masks_stay_while_another_command_needs_them(tmp_path: Path) -> None:
    box = make(tmp_path)
    await launch(
        box, tmp_path / "long", "while [ ! -e go ]; do sleep 0.01; done; echo > .mcp.json; echo > .tui-agent/x"
    )
    await launch(box, tmp_path / "short", "true")
    await finish(tmp_path / "short")
    assert Path(".tui-agent").is_dir()
    Path("go").touch()
    _, seen = await finish(tmp_path / "long")
    assert seen.count("directory") + seen.count("Read-only") == 2
    await until(lambda: not Path(".tui-agent").exists() and not Path(".mcp.json").exists())


async def test_what_the_user_puts_in_place_of_a_mask_stays(tmp_path: Path) -> None:
    await launch(make(tmp_path), tmp_path / "s", "while [ ! -e go ]; do sleep 0.01; done")
    await until(Path(".tui-agent").is_dir)
    Path(".tui-agent/settings.toml").write_text("max_turns = 3")
    Path("go").touch()
    await finish(tmp_path / "s")
    await until(lambda: not Path(".mcp.json").exists())
    assert Path(".tui-agent/settings.toml").read_text() == "max_turns = 3"


async def test_a_mask_is_in_no_commit(tmp_path: Path) -> None:
    subprocess.run([*GIT, "init", "-q"], check=True)
    await launch(make(tmp_path), tmp_path / "s", "echo x > x; git add -A; git status --porcelain")
    _, seen = await finish(tmp_path / "s")
    assert seen == "A  x\n"


async def test_a_repository_made_to_run_something_is_told(tmp_path: Path) -> None:
    box = make(tmp_path)
    subprocess.run([*GIT, "init", "-q", "old"], check=True)
    evil = "git init -q nested; git -C nested config core.fsmonitor ./x; mkdir -p old/.git/hooks; "
    evil += "echo x > old/.git/hooks/post-checkout"
    await launch(box, tmp_path / "s", evil)
    await finish(tmp_path / "s")
    told = await box.after(tmp_path / "s")
    assert {str(Path(path).relative_to(Path.cwd())) for path in told} == {"nested/.git/config"}
    assert not Path("old/.git/hooks").exists()  # a nested repository that was there is protected like the outer one
    await launch(box, tmp_path / "t", "git init -q harmless; git -C harmless config user.name me")
    await finish(tmp_path / "t")
    assert await box.after(tmp_path / "t") == []


async def test_a_worktree_s_repository_is_writable_and_a_claimed_one_is_not(tmp_path: Path) -> None:
    main = tmp_path / "main"
    subprocess.run([*GIT, "init", "-q", str(main)], check=True)
    subprocess.run([*GIT, "commit", "-q", "--allow-empty", "-m", "one"], cwd=main, check=True)
    Path.cwd().rmdir()
    subprocess.run([*GIT, "worktree", "add", "-q", str(tmp_path / "workspace")], cwd=main, check=True)
    profile = build_profile(tmp_path / "workspace", tmp_path / "home", {}, tmp_path / "scratch")
    assert main / ".git" in profile.writable
    assert main / ".git" / "config" in profile.fixed
    (tmp_path / "workspace" / ".git").write_text(f"gitdir: {tmp_path / 'home'}")
    profile = build_profile(tmp_path / "workspace", tmp_path / "home", {}, tmp_path / "scratch")
    assert profile.writable == (tmp_path / "workspace",)


async def test_environments_in_the_cache_can_be_read_and_a_link_in_their_place_leads_nowhere(
    tmp_path: Path,
) -> None:
    cache = tmp_path / "home" / ".cache"
    shown = (".cache/pypoetry/virtualenvs/v/bin/tool", ".cache/pre-commit/repo/hook", ".local/share/virtualenvs/v/x")
    hidden = (".cache/pypoetry/cache/repositories/answer", ".cache/other/x", ".npmrc")
    for name in (*shown, *hidden):
        (tmp_path / "home" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "home" / name).write_text("there")
    (tmp_path / "outside").mkdir()
    scratch = tmp_path / "data" / "scratch"
    box = Sandbox(Runtime(home=tmp_path / "home"), Path.cwd(), tmp_path / "data", tmp_path / "config", scratch)
    box.prepare()
    (scratch / "cache" / "pypoetry").symlink_to(tmp_path / "outside")
    await launch(
        box,
        tmp_path / "s",
        f"cd {tmp_path}/home; cat {' '.join(shown)}; cat {' '.join(hidden)} 2>/dev/null;"
        " for f in .cache/pre-commit/x .cache/pypoetry/virtualenvs/v/x;"
        " do touch $f 2>/dev/null && echo written; done;"
        " touch .cache/own && echo kept",
    )
    record, output = await finish(tmp_path / "s")
    assert output == "there" * 3 + "kept\n", record
    assert not (cache / "own").exists()
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("folder", ["/", "/etc", "/home"])
def test_a_workspace_that_holds_everything_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(SandboxError):
        build_profile(Path(folder), tmp_path / "home", {}, tmp_path / "scratch")


async def test_a_workspace_that_holds_the_home_has_no_sandbox_and_says_so(tmp_path: Path) -> None:
    box = Sandbox(Runtime(home=tmp_path / "home"), tmp_path, tmp_path / "d", tmp_path / "c", tmp_path / "s")
    state = await box.state()
    assert state.kind == "none"
    assert "home folder" in state.detail


async def test_turned_off_or_missing_commands_run_as_they_are(tmp_path: Path) -> None:
    for box in (make(tmp_path, enabled=False), make(tmp_path, probe=lambda: SandboxState("none", "no"))):
        made = await box.enclose(["/bin/true"], {"A": "b"}, tmp_path / "s", "sandbox")
        assert (made.argv, made.environment, made.box) == (
            ["/bin/true"], {"A": "b", "TMPDIR": str(box.scratch / "tmp")}, None)  # fmt: skip
    made = await make(tmp_path).enclose(["/bin/true"], {}, tmp_path / "s", "full")
    assert made.box is None


def test_process_one_of_another_namespace_is_nobody_s(tmp_path: Path) -> None:
    (tmp_path / "inside").write_text(json.dumps({"child-pid": os.getpid(), "pid-namespace": 1}))
    assert first_inside(str(tmp_path)) is None
    (tmp_path / "inside").write_text("{")
    assert first_inside(str(tmp_path)) is None


async def test_an_allowed_domain_is_reached_through_the_proxy_and_no_other(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = b"hello " + head.split(b"\r\n")[0]
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    from tui_agent.sandbox import proxy

    box = make(tmp_path, domains=["127.0.0.1", "*.example.org"])
    allowed = proxy._PORTS
    proxy._PORTS = allowed | {port}  # type: ignore[misc]  # the test's server is not on port 80
    try:
        Path("ask.py").write_text(
            "import os, urllib.request\n"
            "os.environ.pop('no_proxy'); os.environ.pop('NO_PROXY')\n"
            f"print(urllib.request.urlopen('http://127.0.0.1:{port}/a?b').read())\n"
            "try:\n    urllib.request.urlopen('http://example.net/')\n"
            "except Exception as error:\n    print(error.code, error.read())\n"
        )
        await launch(box, tmp_path / "s", f"{sys.executable} ask.py")
        record, seen = await finish(tmp_path / "s")
    finally:
        proxy._PORTS = allowed  # type: ignore[misc]
        server.close()
        await box.close()
    assert "b'hello GET /a?b HTTP/1.1'" in seen
    assert "403" in seen
    assert "not among the domains" in seen
    assert record.exit_code == 0


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("pypi.org", True),
        ("PyPI.org.", True),
        ("evil-pypi.org", False),
        ("pypi.org.evil.net", False),
        ("a.example.org", True),
        ("example.org", False),
        ("aexample.org", False),
        ("127.0.0.1", False),
    ],
)
def test_domains(tmp_path: Path, host: str, allowed: bool) -> None:
    from tui_agent.sandbox.proxy import DomainProxy

    assert DomainProxy(["pypi.org", "*.example.org"], tmp_path).allows(host) == allowed


async def test_what_is_hidden_looks_empty_and_stays_as_it_is(tmp_path: Path) -> None:
    for name in ("secret", "folder/inner", "shown"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(f"text of {name}\n")
    hidden = [str(Path(name).resolve()) for name in ("secret", "folder", "missing")]
    spool, line = tmp_path / "s", "cat secret shown; ls folder; echo x > secret; touch folder/new; ls"
    made = await make(tmp_path).enclose(sandbox.shell_argv(line), ENVIRONMENT, spool, "sandbox", hidden)
    await sandbox.start(
        spool, made.argv, cwd=Path.cwd(), environment=made.environment, timeout=30, runtime=Runtime(), box=made.box
    )
    _, seen = await finish(spool)
    assert "text of shown" in seen
    assert "text of secret" not in seen
    assert "inner" not in seen
    assert [Path(name).read_text() for name in ("secret", "folder/inner")] == [
        "text of secret\n",
        "text of folder/inner\n",
    ]
    assert not Path("missing").exists()
    assert not Path("folder/new").exists()


async def test_where_nothing_can_be_hidden_nothing_runs(tmp_path: Path) -> None:
    for box in (
        make(tmp_path, enabled=False),
        make(tmp_path, probe=lambda: SandboxState("landlock", "", reduced=True)),
    ):
        with pytest.raises(SandboxError, match="no sandbox that keeps"):
            await box.enclose(["true"], ENVIRONMENT, tmp_path / "s", "sandbox", ["/x"])
    with pytest.raises(SandboxError, match="no sandbox that keeps"):
        await make(tmp_path).enclose(["true"], ENVIRONMENT, tmp_path / "s", "full", ["/x"])
