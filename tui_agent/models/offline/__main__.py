"""`python -m tui_agent.models.offline`: serve the offline model and print its URL."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tui_agent.models.offline import OfflineServer, ScenarioError


def main() -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tui_agent.models.offline", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--scenario", type=Path, help="scenario file to play")
    parser.add_argument("--speed", type=float, help="tokens a second; default: all at once")
    parser.add_argument("--delta-tokens", type=int, default=4, help="tokens in a delta without a speed")
    options = parser.parse_args()
    try:
        server = OfflineServer(
            options.scenario, port=options.port, speed=options.speed, delta_tokens=options.delta_tokens
        )
        url = server.start()
    except (ScenarioError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()
    try:
        server.wait()
    except KeyboardInterrupt:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
