"""Apps in processes of their own leave their requests where the test's end checks them against the SDK's types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tui_agent.session.backend import KEEP_VARIABLE


def test_an_app_of_its_own_leaves_each_request_in_a_file() -> None:
    command = [sys.executable, "-m", "tui_agent", "run", "--offline", "-p", "say 5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kept = [json.loads(file.read_text()) for file in Path(os.environ[KEEP_VARIABLE]).glob("*.json")]
    assert [request["path"] for request in kept] == ["/v1/messages"]
    assert kept[0]["body"]["messages"][-1]["role"] == "user"
