"""Which sandbox this machine has, found out by running something in it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tui_agent.private import make_missing
from tui_agent.sandbox.bubblewrap import LOCK, PROGRAMS, SECCOMP, STATUS, bubblewrap_argv
from tui_agent.sandbox.landlock import landlock_argv
from tui_agent.sandbox.macos import PROGRAM as SANDBOX_EXEC
from tui_agent.sandbox.macos import macos_argv
from tui_agent.sandbox.profile import Profile
from tui_agent.sandbox.seccomp import UnsupportedMachine, seccomp_program

Kind = Literal["bubblewrap", "landlock", "sandbox-exec", "none"]

_PATIENCE = 5.0
"""Seconds for a trial run, which takes hundredths of one."""


@dataclass(frozen=True, slots=True)
class SandboxState:
    """The kind of sandbox and what to know of it, in one line for the user.

    `reduced` says that commands can be held less well than in bubblewrap: paths in the workspace cannot be
    protected, processes can leave the process session. `program` is what is run; `nested` see `bubblewrap`.
    """

    kind: Kind
    detail: str
    reduced: bool = False
    program: Path | None = None
    nested: bool = False


def probe_sandbox(programs: tuple[Path, ...] = PROGRAMS, platform: str = sys.platform) -> SandboxState:
    """Try the kinds in turn with a real command and return the first that holds it.

    Blocks for some hundredths of a second: not for the event loop.
    """
    if platform == "darwin":
        return _probe_macos()
    if not platform.startswith("linux"):
        return SandboxState("none", f"there is no sandbox for {platform}: commands run unconfined")
    reasons = []
    for program in programs:
        if not program.is_file():
            continue
        for nested in (False, True):
            reason = _try(lambda profile, program=program, nested=nested: _bubblewrap(program, profile, nested))  # type: ignore[misc]  # loop values are bound by the defaults
            if not reason:
                return SandboxState("bubblewrap", f"commands run in bubblewrap ({program})", False, program, nested)
        reasons.append(f"{program}: {reason}")
    why = "; ".join(reasons) or "bubblewrap (bwrap) is not installed"
    reason = _try(landlock_argv)
    if not reason:
        return SandboxState("landlock", f"reduced: commands run under Landlock and seccomp, because {why}", True)
    return SandboxState("none", f"commands run unconfined, because {why}; Landlock: {reason}")


def _probe_macos() -> SandboxState:
    if not SANDBOX_EXEC.is_file():
        return SandboxState("none", f"{SANDBOX_EXEC} is missing: commands run unconfined")
    reason = _try(lambda profile: macos_argv(profile, ["/usr/bin/true"], network=False))
    if reason:
        return SandboxState("none", f"commands run unconfined, because sandbox-exec: {reason}")
    return SandboxState("sandbox-exec", "commands run under sandbox-exec", False, SANDBOX_EXEC)


def _bubblewrap(program: Path, profile: Profile, nested: bool) -> list[str]:
    return bubblewrap_argv(program, profile, ["/bin/sh", "-c", "! echo x > /leak"], nested=nested)


def _try(make: Callable[[Profile], list[str]]) -> str:
    """Run the argument list that `make` returns; return why it failed, empty if it did not."""
    with tempfile.TemporaryDirectory(prefix="tui-agent-probe-") as name:
        folder = Path(name).resolve()
        profile = Profile(folder / "home", folder / "scratch", (folder / "workspace",), (), ())
        prepare_scratch(profile.scratch)
        for path in (profile.home / ".cache", profile.workspace):
            path.mkdir(parents=True)
        try:
            (folder / "seccomp").write_bytes(seccomp_program(internet=True))
            with (
                (folder / "lock").open("wb") as lock,
                (folder / "seccomp").open("rb") as program,
                (folder / "inside").open("wb") as inside,
            ):
                numbers = ((lock, LOCK), (inside, STATUS), (program, SECCOMP))
                redirect = " ".join(f"{number}<&{file.fileno()}" for file, number in numbers)
                done = subprocess.run(
                    ["/bin/bash", "-c", f'exec "$@" {redirect}', "bash", *make(profile)],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=_PATIENCE,
                    pass_fds=[file.fileno() for file, _ in numbers],
                    check=False,
                )
        except (OSError, subprocess.TimeoutExpired, UnsupportedMachine) as error:
            return str(error)
    if done.returncode == 0:
        return ""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else f"exit code {done.returncode}"


def prepare_scratch(scratch: Path) -> None:
    """Make the folders that the sandboxes of a session need: temporary files, caches, and what masks show."""
    for name in ("tmp", "cache", "empty", "home"):
        make_missing(scratch / name)
    (scratch / "empty-file").touch(mode=0o600)
