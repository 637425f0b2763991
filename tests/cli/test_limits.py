"""Limits by flag, and what a run without a screen says when one stops it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tui_agent.cli import cli
from tui_agent.runtime import Runtime


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["run", "--offline", *arguments], prog_name="tui-agent", obj=Runtime())


def result(*arguments: str) -> dict[str, Any]:
    done = run("--output", "json", *arguments)
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["exit_code"] == done.exit_code
    return found


@pytest.mark.parametrize(
    ("flag", "value", "limit"),
    [("--max-tokens", "500", "tokens"), ("--max-cost", "0.001", "cost"), ("--max-turns", "1", "turns")],
)
def test_a_stop_is_structured_and_has_an_exit_code_of_its_own(flag: str, value: str, limit: str) -> None:
    found = result(flag, value, "-p", "read a then read b")
    assert (found["outcome"], found["exit_code"]) == ("stopped", 3)
    stop = found["stop"]
    assert (stop["limit"], stop["scope"], stop["reason"], stop["maximum"]) == (limit, "run", "limit", float(value))
    assert stop["used"] + stop["projected"] > stop["maximum"]
    assert flag in stop["hint"]


def test_the_time_stops_a_run() -> None:
    found = result("--max-time", "0.5", "-p", "say 2000 at 50")
    assert (found["outcome"], found["stop"]["limit"]) == ("stopped", "time")
    assert 0.4 < found["seconds"] < 10


def test_a_run_that_completes_has_no_stop_and_says_that_its_cost_is_simulated() -> None:
    found = result("--max-cost", "5", "-p", "say 5")
    assert (found["outcome"], found["stop"]) == ("completed", None)
    assert found["cost"] > 0
    assert found["cost_simulated"] is True


def test_text_says_why_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir(exist_ok=True)
    (tmp_path / "config" / "settings.toml").write_text("[limits.day]\ntokens = 900\n")
    done = run("-p", "say 5")
    assert done.exit_code == 3
    assert "Stopped: the day's token limit of 900 tokens leaves no room" in done.stderr
    assert "/budget day tokens AMOUNT" in done.stderr


@pytest.mark.parametrize(
    "wrong", [("--max-cost", "-1"), ("--max-cost", "nan"), ("--max-time", "inf"), ("--max-tokens", "0")]
)
def test_what_is_no_limit_is_refused(wrong: tuple[str, str]) -> None:
    assert run(*wrong, "-p", "say 5").exit_code == 2


@pytest.mark.parametrize("lifted", [("--max-cost", "0"), ("--max-turns", "0")])
def test_0_lifts_the_default_limits(lifted: tuple[str, str]) -> None:
    assert run(*lifted, "-p", "say 5").exit_code == 0
