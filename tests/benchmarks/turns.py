"""CPU of a turn late in a session against one early in it: `python -m tests.benchmarks.turns [TURNS]`.

One real session in this process; the model is the offline one in a process of its own, so that only the agent's
work is counted. Each figure is the mean CPU of 20 turns.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tui_agent.runtime import Runtime
from tui_agent.session import OpenOptions, SessionHandle

TURNS = 2_000
EARLY = 20
WINDOW = 20
AIM = 1.2


async def measure(turns: int, base_url: str, folder: Path) -> list[float]:
    """Return the CPU seconds of each turn."""
    workspace = folder / "workspace"
    workspace.mkdir()
    options = OpenOptions(
        data_dir=folder / "data",
        config_dir=folder / "config",
        workspace=workspace,
        base_url=base_url,
        api_key="offline",
        runtime=Runtime(home=folder, environment={"PATH": os.environ["PATH"]}),
    )
    handle = await SessionHandle.open(options)
    idle = asyncio.Event()
    handle.subscribe(lambda update: idle.set() if update.state.conversation.active_run is None else None)
    await handle.start()
    await handle.configure(limits={"run.turns": None, "session.cost": 1_000.0, "session.turns": 10_000})
    spent = []
    for number in range(turns):
        began = time.process_time()
        idle.clear()
        await handle.submit(f"say 5 {number}")
        await idle.wait()
        spent.append(time.process_time() - began)
    await handle.close()
    return spent


def main(turns: int = TURNS) -> None:
    """Print the figures."""
    server = subprocess.Popen([sys.executable, "-m", "tui_agent.models.offline"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    base_url = next(word for word in server.stdout.readline().split() if word.startswith("http"))
    try:
        with tempfile.TemporaryDirectory() as folder:
            spent = asyncio.run(measure(turns, base_url, Path(folder)))
    finally:
        server.terminate()
        server.wait()
    early, late = _around(spent, EARLY), _around(spent, turns)
    print(f"CPU of turn {EARLY:>5}: {early * 1000:6.2f} ms")
    print(f"CPU of turn {turns:>5}: {late * 1000:6.2f} ms")
    print(f"ratio {late / early:.2f} (aim: at most {AIM})")


def _around(spent: list[float], turn: int) -> float:
    start = min(max(0, turn - WINDOW // 2), len(spent) - WINDOW)
    return sum(spent[start : start + WINDOW]) / WINDOW


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else TURNS)
