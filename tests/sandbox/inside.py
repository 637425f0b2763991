"""Runs commands in a sandbox, as the user who starts it: `python -m tests.sandbox.inside BASE KIND`.

Takes a JSON object of commands by name on stdin and prints one of [exit code or signal, output] by name. There
are things outside for the commands to reach for: a secret in the home folder, a file, listening sockets.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tui_agent import sandbox
from tui_agent.runtime import Runtime
from tui_agent.sandbox import Protection, Sandbox, probe_sandbox

GIT = ["git", "-c", "user.name=n", "-c", "user.email=e", "-c", "init.templateDir="]


def prepare(base: Path) -> None:
    """Make a workspace with a repository, and things outside of it."""
    home, workspace, outside = base / "home", base / "workspace", base / "outside"
    for folder in (home / ".ssh", workspace / ".git" / "hooks", outside):
        folder.mkdir(parents=True)
    (home / ".ssh" / "id").write_text("SECRET")
    (outside / "victim").write_text("untouched")
    subprocess.run([*GIT, "init", "-q"], cwd=workspace, check=True)
    subprocess.run([*GIT, "commit", "-q", "--allow-empty", "-m", "first"], cwd=workspace, check=True)
    (workspace / ".git" / "hooks" / "post-commit").write_text("#!/bin/sh\n")
    # Nested, and behind a link.
    nested = workspace / "nested"
    subprocess.run([*GIT, "init", "-q", str(nested)], check=True)
    subprocess.run([*GIT, "commit", "-q", "--allow-empty", "-m", "first"], cwd=nested, check=True)
    subprocess.run([*GIT, "init", "-q", str(workspace / "linked")], check=True)
    (workspace / "linked" / ".git").rename(workspace / "store")
    (workspace / "linked" / ".git").symlink_to("../store")
    (workspace / "cfg").mkdir()
    (workspace / "cfg" / "settings.toml").write_text("")
    (workspace / ".cursor").symlink_to("cfg")
    (workspace / "sub" / ".vscode").mkdir(parents=True)
    (workspace / "sub" / ".vscode" / "tasks.json").write_text("{}")
    (workspace / "data.txt").write_text("data\n")
    (workspace / ".env").write_text("PASSWORD=HIDDEN_VALUE\n")
    (workspace / "private").mkdir()
    (workspace / "private" / "notes").write_text("HIDDEN_VALUE\n")
    os.link(workspace / ".env", workspace / "harmless.txt")
    (workspace / "also.txt").symlink_to(".env")
    os.link(home / ".ssh" / "id", workspace / "brought.txt")
    os.mkfifo(workspace / "fifo")


def listeners(base: Path) -> tuple[list[socket.socket], dict[str, str]]:
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0tui-agent-test-{os.getpid()}")
    abstract.listen()
    named = {
        "TCP": str(tcp.getsockname()[1]),
        "ABSTRACT": f"tui-agent-test-{os.getpid()}",
        "OUTSIDE_PID": str(os.getpid()),
        "BASE": str(base),
        "PYTHON": os.path.realpath(sys.executable),
    }
    named_socket = socket.socket(socket.AF_UNIX)
    named_socket.bind(str(base / "workspace" / "s.sock"))
    outside = socket.socket(socket.AF_UNIX)
    outside.bind(str(base / "outside" / "s.sock"))
    for one in (named_socket, outside):
        one.listen()
    return [tcp, udp, abstract, named_socket, outside], named


def protection(base: Path) -> Protection:
    """Return what rules about `private` and `.env` files say."""

    def levels(paths: Sequence[str]) -> dict[str, Literal["ask", "deny"]]:
        found: dict[str, Literal["ask", "deny"]] = {}
        for path in paths:
            if path.endswith("/.env"):
                found[path] = "ask"
            if path == str(base / "workspace" / "private"):
                found[path] = "deny"
        return found

    return Protection("rules", levels)


async def main(base: Path, kind: str) -> None:
    prepare(base)
    held, named = listeners(base)
    environment = sandbox.command_environment({"PATH": "/usr/local/bin:/usr/bin:/bin"}) | named
    runtime = Runtime(environment=environment, home=base / "home")
    programs = {} if kind == "bubblewrap" else {"programs": ()}
    box = Sandbox(
        runtime,
        base / "workspace",
        base / "data",
        base / "config",
        base / "data" / "scratch",
        probe=lambda: probe_sandbox(**programs),
    )
    state = await box.state()
    assert state.kind == kind, state
    results = {}
    for name, command in json.load(sys.stdin).items():
        spool = base / "data" / "steps" / name
        access = "network" if name.startswith("network") else "sandbox"
        reads = name.startswith("reads_")
        argv = sandbox.shell_argv(command)
        made = await box.enclose(
            argv, environment, spool, access, read_only=reads, protection=protection(base), unasked=True
        )
        await sandbox.start(
            spool,
            made.argv,
            cwd=base / "workspace",
            environment=made.environment,
            timeout=20,
            runtime=runtime,
            box=made.box,
        )
        record = await sandbox.wait(spool, ignore, runtime)
        code = record.exit_code if record.signal is None else -record.signal
        changed = await box.after(spool)
        results[name] = [code, record.output.read_text(errors="replace"), changed]
    for one in held:
        one.close()
    json.dump(results, sys.stdout)


async def ignore(data: bytes, skipped: int) -> None:
    pass


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
