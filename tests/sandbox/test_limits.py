"""What one command may take, and locks that it cannot let go of."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.sandbox.test_boxed import ENVIRONMENT, FOUND, ignore, make
from tui_agent import sandbox
from tui_agent.runtime import Runtime
from tui_agent.sandbox import CommandRecord, Limits

KINDS = ["plain", "boxed"] if FOUND.kind == "bubblewrap" else ["plain"]


async def run(tmp_path: Path, command: str, limits: Limits, kind: str) -> CommandRecord:
    argv, box, environment = sandbox.shell_argv(command), None, ENVIRONMENT
    if kind == "boxed":
        made = await make(tmp_path).enclose(argv, ENVIRONMENT, tmp_path / "s", "sandbox")
        argv, box, environment = made.argv, made.box, made.environment
    await sandbox.start(
        tmp_path / "s",
        argv,
        cwd=Path.cwd(),
        environment=environment,
        timeout=60,
        runtime=Runtime(),
        limits=limits,
        box=box,
    )
    return await sandbox.wait(tmp_path / "s", ignore, Runtime())


MANY = "for i in $(seq 60); do sleep 50 & done; wait"
MEMORY = "python3 -c 'import time; held = b\"x\" * 300_000_000; time.sleep(50)'"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("command", "limits", "said"),
    [
        (MANY, Limits(processes=20), "processes and threads, at most 20"),
        (MEMORY, Limits(memory=100 * 1024**2), "of memory, at most 100.0 MB"),
    ],
)
async def test_a_command_that_takes_too_much_is_ended(
    tmp_path: Path, command: str, limits: Limits, said: str, kind: str
) -> None:
    record = await run(tmp_path, command, limits, kind)
    assert said in record.over_limit
    assert record.exit_code != 0
    assert (record.seconds or 0) < 45


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_has_a_largest_size(tmp_path: Path, kind: str) -> None:
    command = "head -c 5000000 /dev/zero > /var/tmp/tui-agent-large; code=$?; wc -c < /var/tmp/tui-agent-large; "
    record = await run(tmp_path, command + "rm /var/tmp/tui-agent-large; exit $code", Limits(file=1_000_000), kind)
    assert record.exit_code != 0
    assert "1000000" in record.output.read_text()


@pytest.mark.parametrize("kind", KINDS)
async def test_letting_go_of_its_lock_does_not_make_a_command_look_dead(tmp_path: Path, kind: str) -> None:
    command = "flock -u 100; exec 100>&-; echo free; sleep 1"
    waiting = asyncio.ensure_future(run(tmp_path, command, Limits(), kind))
    states = set()
    while not waiting.done():
        if (tmp_path / "s" / "start").exists():
            states.add(sandbox.inspect(tmp_path / "s").state)
        await asyncio.sleep(0.02)
    assert (await waiting).state == "finished"
    assert states <= {"running", "finished"}


@pytest.mark.skipif(FOUND.kind != "bubblewrap", reason=FOUND.detail)
def test_the_program_s_own_code_in_the_workspace_is_not_changed(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    package = Path(sandbox.__file__).parents[1]
    (workspace / "deep").mkdir(parents=True)
    subprocess.run(["cp", "-r", str(package), str(workspace / "deep" / "tui_agent")], check=True)
    script = textwrap.dedent(f"""
        import asyncio, sys
        from pathlib import Path
        from tui_agent import sandbox
        from tui_agent.runtime import Runtime
        from tui_agent.sandbox import Sandbox
        assert {str(workspace)!r} in sandbox.__file__
        base = Path({str(tmp_path)!r})
        async def main():
            box = Sandbox(Runtime(), base / "workspace", base / "data", base / "config", base / "data" / "scratch")
            command = ("echo changed >> deep/tui_agent/sandbox/runner.py; mv deep/tui_agent deep/x; mv deep other; "
                       "touch made")
            environment = {{"PATH": "/usr/bin:/bin"}}
            made = await box.enclose(sandbox.shell_argv(command), environment, base / "s", "sandbox")
            await sandbox.start(base / "s", made.argv, cwd=base / "workspace", environment=made.environment,
                                timeout=20, runtime=Runtime(), box=made.box)
            async def ignore(data, skipped): pass
            await sandbox.wait(base / "s", ignore, Runtime())
        asyncio.run(main())
    """)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(workspace / "deep"), "PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    runner = workspace / "deep" / "tui_agent" / "sandbox" / "runner.py"
    assert runner.read_bytes() == (package / "sandbox" / "runner.py").read_bytes()
    assert (workspace / "made").exists()
