"""Seeded faults put to the trial: the harness must notice each of them, and nothing without them."""

from __future__ import annotations

from pathlib import Path

from tests.crash import kills, power, power_session
from tests.crash.faults import FAULTS


def caught(name: str, folder: Path, seed: int) -> str:
    """Try the fault `name`; return the first violation that the harness saw, empty if it saw none."""
    problems = try_fault(name, folder, seed)
    return problems[0] if problems else ""


def try_fault(name: str, folder: Path, seed: int) -> list[str]:
    """Put the app with the fault `name` to the fault's own trial; return the violations."""
    trial = FAULTS[name].trial
    match trial:
        case "journal":
            return power.run_journal(folder, images=600, seed=seed, fault=name, enough=1).problems
        case "session":
            return power_session.run_session(folder, images=200, seed=seed, fault=name, enough=1).problems
        case "recovery":
            return power_session.run_recovery(folder, images=2000, seed=seed, fault=name, enough=1).problems
        case "windows":
            return kills.two_windows(folder, fault=name).problems
        case "stream":
            return kills.kill_while_streaming(folder, fault=name).problems
    point, hit = trial
    verdict, reached = kills.kill_at(folder, point, hit, recovering=False, fault=name, layout=False)
    return verdict.problems if reached else []
