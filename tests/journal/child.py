"""A process that opens a session, tells how far it is on stdout, and then waits to be killed.

Usage: python -m tests.journal.child PATH [FAILPOINT]: without a failpoint it appends three turns and a delta and
waits; with one it kills itself when that point is reached, having printed each seq that was acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.journal.conftest import created, turn
from tui_agent.events import TurnDelta
from tui_agent.journal import Journal
from tui_agent.runtime import Runtime


async def main(path: Path, fatal: str) -> None:
    hits = 0

    def failpoint(name: str) -> None:
        nonlocal hits
        hits += name == fatal
        if name == fatal and (hits == 3 or not name.startswith(("journal.be", "journal.af"))):
            os.kill(os.getpid(), signal.SIGKILL)

    runtime = Runtime(failpoint=failpoint)
    journal = await (Journal.open(path, runtime) if path.exists() else Journal.create(path, "session_1", runtime))
    await journal.append(created())
    print("seq", journal.last_seq, flush=True)
    for number in range(3):
        await journal.append(*turn(number))
        print("seq", journal.last_seq, flush=True)
    await journal.append_chunks(TurnDelta(turn="turn_9", block=0, kind="text", text="partial"))
    print("ready", flush=True)
    if fatal:
        await journal.close()
    else:
        await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
