"""The real app, started so that it dies at a chosen failpoint, or with a fault built in.

``python -m tests.crash.app '{"kill": ["journal.before_commit", 3]}' --offline …``: what follows the JSON
are the app's own arguments. Keys of the JSON, all optional: `kill` (a failpoint and which of its hits kills),
`hits` (a file that gets the name of each failpoint hit, one a line), `fault` (a name of `faults.FAULTS`), `runner`
(a point of `faults.RUNNER_POINTS` at which the first command's runner dies, and whether the app dies with it).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tui_agent.runtime import Runtime


@dataclass
class Failpoints:
    """Counts the hits of each failpoint, writes them down, and kills this process at the chosen one."""

    kill: tuple[str, int] | None = None
    hits: Path | None = None
    _counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1
            if self.hits is not None:
                with self.hits.open("a") as file:
                    file.write(f"{name}\n")
            if self.kill == (name, self._counts[name]):
                os.kill(os.getpid(), signal.SIGKILL)


def runtime(setting: dict[str, object]) -> Runtime:
    """Return a runtime with the failpoint of `setting`, and install its fault."""
    fault = setting.get("fault")
    if fault:
        from tests.crash.faults import FAULTS

        FAULTS[str(fault)].install()
    runner = setting.get("runner")
    if isinstance(runner, list):
        from tests.crash.faults import mortal_runner

        mortal_runner(str(runner[0]), app_too=bool(runner[1]), mark=Path(str(runner[2])))
    kill = setting.get("kill")
    hits = setting.get("hits")
    return Runtime(
        failpoint=Failpoints(
            kill=(str(kill[0]), int(kill[1])) if isinstance(kill, list) else None,
            hits=Path(str(hits)) if hits else None,
        )
    )


def main() -> None:
    """Start the app as its own command does."""
    made = runtime(json.loads(sys.argv.pop(1)))
    from tui_agent import cli

    cli.main(runtime=made)


if __name__ == "__main__":
    main()
