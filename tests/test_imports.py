"""What may be imported where: checked in interpreters that have imported nothing yet."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import MAX_WAIT_SECONDS

ROOT = Path(__file__).parent.parent
SCREEN = {"textual", "rich"}
HEAVY = SCREEN | {
    "anthropic",
    "pydantic",
    "jsonschema",
    "aiosqlite",
    "pygments",
    "markdown_it",
    "mcp",
    "httpx2",
}


def imported_by(code: str, *names: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has after `code`, of `names` if given."""
    program = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=MAX_WAIT_SECONDS
    )
    assert done.returncode == 0, done.stderr
    found = set(done.stdout.splitlines()[-1].split())
    return found & set(names) if names else found


def modules_below_the_screen() -> list[str]:
    found = []
    for file in sorted((ROOT / "tui_agent").rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        importable = all(part.isidentifier() for part in parts) and parts[-1] not in {"__main__", "runner"}
        if importable and parts[1:2] != ("ui",):
            found.append(".".join(parts))
    return found


def test_nothing_below_the_screen_imports_it() -> None:
    modules = modules_below_the_screen()
    assert {"tui_agent.cli", "tui_agent.headless.run", "tui_agent.session.handle"} <= set(modules)
    assert imported_by("\n".join(f"import {name}" for name in modules), *SCREEN) == set()


@pytest.mark.parametrize(
    "code",
    ["import tui_agent.cli", "import tui_agent.session", "import tui_agent.prompt_group, tui_agent.opening"],
)
def test_the_door_imports_nothing_heavy(code: str) -> None:
    assert imported_by(code, *HEAVY) == set()


COMMANDS = ["", "run", "demo", "sessions", "registry", "verify", "completion", "export"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command: str) -> None:
    arguments = [*command.split(), "--help"]
    code = f"import sys\nsys.argv = ['tui-agent', *{arguments!r}]\nfrom tui_agent.cli import main\n"
    code += "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
    assert imported_by(code, *HEAVY) == set()


def test_the_registries_list_without_importing_implementations() -> None:
    code = (
        "import sys\n"
        "from tui_agent.registry import load_commands, load_tools\n"
        "tools = load_tools()\n"
        "assert tools and load_commands()\n"
        "homes = {tool.implementation.partition(':')[0] for tool in tools.values()}\n"
        "assert homes and not homes & set(sys.modules), homes & set(sys.modules)\n"
    )
    assert imported_by(code, *SCREEN, "anthropic", "jsonschema") == set()


def test_the_import_contracts_hold() -> None:
    program = shutil.which("lint-imports", path=str(Path(sys.executable).parent)) or "lint-imports"
    done = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=MAX_WAIT_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
