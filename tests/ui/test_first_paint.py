"""What stands between the start and the first paint."""

from __future__ import annotations

import subprocess
import sys

PROBE = """
import asyncio, sys
from tui_agent.ui.app import TuiAgentApp

async def never():
    await asyncio.Event().wait()

async def painted(self):
    heavy = [name for name in sys.modules if name.split(".")[0] in
             {"pydantic", "anthropic", "markdown_it", "pygments", "jsonschema", "aiosqlite", "sqlite3", "httpx"}
             or name.startswith(("tui_agent.events", "tui_agent.journal", "tui_agent.models"))]
    self.exit(message=f"HEAVY {sorted(heavy)}")  # Textual writes it to stderr

TuiAgentApp._painted = painted
app = TuiAgentApp(never)
app.run(headless=True)
"""


def test_the_first_paint_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stderr, done.stderr
