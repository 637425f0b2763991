"""CPU of a turn late in a session against one early in it: `python -m tests.benchmarks.turns [TURNS]`.

One real session in this process; the model is the offline one in a process of its own, so that only the agent's
work is counted. Each figure is the mean CPU of 20 turns. The API takes the whole history with every request: what
the client alone takes to send a request of that size is measured in the same run and printed beside it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tui_agent.models import Delta, ModelClient, ModelRequest
from tui_agent.runtime import Runtime
from tui_agent.session import OpenOptions, open_session
from tui_agent.submissions import Configure, Submit

TURNS = 2_000
EARLY = 20
WINDOW = 20
AIM = 1.2
MODEL = "claude-sonnet-5-5"


async def measure(turns: int, base_url: str, folder: Path) -> tuple[list[float], list[int]]:
    """Return the CPU seconds of each turn, and the bytes of its request."""
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
    handle = await open_session(options)
    idle = asyncio.Event()
    handle.subscribe(lambda update: idle.set() if update.state.conversation.active_run is None else None)
    await handle.start()
    await handle.do(Configure(limits={"run.turns": None, "session.cost": 1_000.0, "session.turns": 10_000}))
    spent, sizes = [], []
    for number in range(turns):
        began = time.process_time()
        idle.clear()
        await handle.do(Submit(prompt=f"say 5 {number}"))
        await idle.wait()
        spent.append(time.process_time() - began)
        projection = handle.state.budget.projection
        sizes.append(projection.request_bytes if projection is not None else 0)
    await handle.close()
    return spent, sizes


async def floor(base_url: str, sizes: list[int]) -> list[float]:
    """Return the CPU seconds of a request of each size by the client alone, answer and all."""
    client = ModelClient(base_url=base_url, api_key="offline", runtime=Runtime())
    spent = []

    async def ignore(deltas: list[Delta]) -> None:
        """Nobody looks at it."""

    for size in sizes:
        began = 0.0
        for number in range(WINDOW + 1):
            if number == 1:  # the first one connects
                began = time.process_time()
            content = f"say 5\n{number} " + "x " * (size // 2)
            body = {"model": MODEL, "max_tokens": 4_000, "stream": True}
            body["messages"] = [{"role": "user", "content": content}]
            await client.stream(ModelRequest(MODEL, json.dumps(body).encode()), ignore)
        spent.append((time.process_time() - began) / WINDOW)
    await client.close()
    return spent


def main(turns: int = TURNS) -> None:
    """Print the figures."""
    server = subprocess.Popen([sys.executable, "-m", "tui_agent.models.offline"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    base_url = server.stdout.readline().strip()
    try:
        with tempfile.TemporaryDirectory() as folder:
            spent, sizes = asyncio.run(measure(turns, base_url, Path(folder)))
        bare = asyncio.run(floor(base_url, [sizes[EARLY - 1], sizes[-1]]))
    finally:
        server.terminate()
        server.wait()
    early, late = _around(spent, EARLY), _around(spent, turns)
    for turn, cpu, size, alone in ((EARLY, early, sizes[EARLY - 1], bare[0]), (turns, late, sizes[-1], bare[1])):
        rest = (cpu - alone) * 1000
        print(
            f"CPU of turn {turn:>5}: {cpu * 1000:6.2f} ms; sending its {size:>9,} bytes alone "
            f"{alone * 1000:6.2f} ms, the rest {rest:6.2f} ms"
        )
    own = (late - bare[1]) / (early - bare[0])
    print(f"ratio {late / early:.2f} (aim: at most {AIM}); without the sending {own:.2f}")


def _around(spent: list[float], turn: int) -> float:
    start = min(max(0, turn - WINDOW // 2), len(spent) - WINDOW)
    return sum(spent[start : start + WINDOW]) / WINDOW


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else TURNS)
