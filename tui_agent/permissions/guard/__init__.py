"""The bash guard: 23 modules that look at every command line before it runs.

A module is a file with one public function, `check`, and a row in `MODULES`. Every module sees every line;
the highest verdict wins (`deny` over `ask` over all else). A line is allowed only where each of its simple
commands is allowed by `read_only` or `user_rules`, each wrapper adds nothing or is allowed by a rule, and no
module asks. The guard reads the disk (links, repository settings) and runs nothing but `bash -n`.

The modules are imported when the first line is judged: a session is on screen before any of them is needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tui_agent.permissions.guard.model import GuardVerdict, ModuleVerdict, Places, Surroundings

if TYPE_CHECKING:
    from tui_agent.permissions.guard.judging import MODULES, judge_line
    from tui_agent.permissions.guard.repo_config import RUNNER_ENVIRONMENT

__all__ = ["MODULES", "RUNNER_ENVIRONMENT", "GuardVerdict", "ModuleVerdict", "Places", "Surroundings", "judge_line"]

_HOMES = {"MODULES": "judging", "RUNNER_ENVIRONMENT": "repo_config", "judge_line": "judging"}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
