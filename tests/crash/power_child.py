"""What is traced for the power-loss images of journal and runner.

``python -m tests.crash.power_child ROOT MARKS FAULT`` says on MARKS what was acknowledged, and when.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.crash.faults import FAULTS
from tui_agent.events import (
    Intent,
    SessionCreated,
    StepFinished,
    StepOutput,
    StepPlanned,
    StepStarted,
)
from tui_agent.journal import Journal
from tui_agent.runtime import Runtime
from tui_agent.sandbox import command

STEPS = 4


async def work(root: Path, mark: int) -> None:
    """Run a few commands as steps: plan, intent, effect, outcome."""

    def say(**what: object) -> None:
        os.write(mark, (json.dumps(what) + "\n").encode())

    runtime = Runtime()
    workspace = root / "workspace"
    folder = root / "data" / "sessions" / "s1"
    journal = await Journal.create(folder / "session.db", "s1", runtime)
    say(created=True)
    journal.on_commit(lambda committed: say(seqs=[[c.event.seq, c.event.hash] for c in committed if c.event.durable]))
    await journal.append(SessionCreated(workspace=str(workspace), model="m", mode="ask"))
    for number in range(STEPS):
        step, line = f"step_{number}", f"line-{number}"
        spool = folder / "steps" / step
        text = f"echo {line} >> ledger.txt; sync ledger.txt ."
        await journal.append(
            StepPlanned(step=step, turn="t", call_id=step, tool="bash", input={"command": text}, effect="supervised")
        )
        intent = Intent(effect="supervised", key=step, spool=str(spool))
        await journal.append(StepStarted(step=step, tool="bash", intent=intent))
        argv = command.shell_argv(text)
        await command.start(spool, argv, cwd=workspace, environment=runtime.environment, timeout=10, runtime=runtime)
        await journal.append_chunks(StepOutput(step=step, text="some output\n" * 50))

        async def ignore(data: bytes, skipped: int) -> None: ...

        record = await command.wait(spool, ignore, runtime)
        assert record.exit_code == 0
        await journal.append(
            StepFinished(step=step, tool="bash", outcome="ok", result=[], view="x" * 3000),
            drop_chunks=[step],
        )
    await journal.close()


def main() -> None:
    """Install the fault, if one is named, and work."""
    root, marks, fault = sys.argv[1:]
    if fault:
        FAULTS[fault].install()
    mark = os.open(marks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    asyncio.run(work(Path(root), mark))


if __name__ == "__main__":
    main()
