"""What the sandbox costs: run `python -m tests.benchmarks.sandbox`.

Each kind runs `bash -c true`, against plain `bash -c true` in the same run; medians. Around it stand the making
of the rules for a command, the look at repositories before and after it, and the search for secrets in events.
"""

from __future__ import annotations

import asyncio
import functools
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.figures import Figure
from tui_agent import sandbox
from tui_agent.permissions.sensitive import secret_level
from tui_agent.redaction import Redactor
from tui_agent.runtime import Runtime
from tui_agent.sandbox import Protection, Sandbox, probe_sandbox
from tui_agent.sandbox.repositories import executing_files
from tui_agent.sandbox.runner import INSIDE, LOCK, SECCOMP

TEXT = "def login(user):\n    return user.task-list and disk-usage\n" * 180
"""10 kB of a tool's result."""


PROTECTION = Protection("none", lambda paths: {path: "ask" for path in paths if secret_level(path)})
"""What names of secrets say, without rules."""


def milliseconds(work: Callable[[], object], rounds: int = 40) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def run(argv: list[str], environment: dict[str, str], folder: Path) -> None:
    """Run a command as the runner would, with the descriptors of bubblewrap."""
    numbers = {LOCK: folder / "lock", INSIDE: folder / "inside", SECCOMP: folder / "seccomp"}

    def open_all() -> None:
        for number, path in numbers.items():
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number, inheritable=True)

    subprocess.run(argv, check=True, env=environment, close_fds=False, preexec_fn=open_all)


def main(report: Callable[[str], None] = print) -> list[Figure]:
    """Measure, report a line each, and return the figures."""
    figures = []
    environment = sandbox.command_environment(os.environ)
    plain = sandbox.shell_argv("true")
    with tempfile.TemporaryDirectory(prefix="tui-agent-benchmark-") as name:
        folder = Path(name)
        workspace = folder / "workspace"
        for number in range(2_000):
            (workspace / f"a{number % 40}" / f"b{number}").mkdir(parents=True)
        runtime = Runtime(environment=environment, home=folder / "home")
        runtime.home.mkdir()
        (folder / "seccomp").touch()
        floor = milliseconds(lambda: run(plain, environment, folder))
        figures.append(Figure("plain bash -c", floor, "ms"))
        for found in (probe_sandbox(), probe_sandbox(programs=())):
            box = Sandbox(runtime, workspace, folder / "d", folder / "c", folder / "s", probe=lambda f=found: f)  # type: ignore[misc]  # bound by the default
            made = asyncio.run(box.enclose(plain, environment, folder / "spool", "sandbox"))
            if made.box is None:
                report(f"not here: {found.kind}: {found.detail}")
                continue
            (folder / "seccomp").write_bytes(made.box.seccomp)
            cost = milliseconds(lambda made=made: run(made.argv, made.environment, folder))  # type: ignore[misc]
            figures.append(Figure(f"bash -c in {found.kind}", cost, "ms", floor, "plain bash -c"))
            reads = functools.partial(
                box.enclose, plain, environment, folder / "spool", "sandbox", read_only=True, protection=PROTECTION
            )
            made = asyncio.run(reads())
            (folder / "seccomp").write_bytes(made.box.seccomp if made.box else b"")
            cost = milliseconds(lambda made=made: run(made.argv, made.environment, folder))  # type: ignore[misc]
            figures.append(
                Figure(f"bash -c that only reads in {found.kind}", cost, "ms", floor, "plain bash -c", aim=floor + 15)
            )
            cost = milliseconds(lambda reads=reads: asyncio.run(reads()), 20)  # type: ignore[misc]
            figures.append(Figure(f"making the rules for it in {found.kind}, 2,000 folders", cost, "ms"))
        figures.append(Figure("finding out the kind", milliseconds(probe_sandbox, 5), "ms"))
        look = milliseconds(lambda: executing_files(workspace), 10)
        figures.append(Figure("look at the repositories of 2,000 folders", look, "ms"))
    redactor = Redactor({f"A_{n}_TOKEN": f"value-number-{n}" for n in range(5)})
    figures.append(
        Figure("search for secrets in 10 kB", milliseconds(lambda: redactor.text(TEXT), 200), "ms", aim=0.5)
    )
    for figure in figures:
        report(f"{figure.name}: {figure.value:.2f} ms" + (f" ({figure.ratio:.1f}x)" if figure.ratio else ""))
    return figures


if __name__ == "__main__":
    main()
