"""The gauges of the budget, and the command that sets a limit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tui_agent.events import (
    Amounts,
    BudgetClocked,
    RunStarted,
    SessionConfigured,
    SessionCreated,
    TurnFinished,
    TurnProjected,
    TurnStarted,
    Usage,
)
from tui_agent.session.state import SessionState, apply
from tui_agent.ui.budget import BudgetData, Gauge, budget_content, budget_data
from tui_agent.ui.carry_out import CommandError, parse_limit

LIMITS: dict[str, dict[str, float | None]] = {
    "settings": {"run.turns": 50, "session.cost": 5.0, "day.cost": 20.0, "run.time": 600, "run.tokens": 100_000}
}


def state(offline: bool) -> SessionState:
    folded = SessionState()
    usage = Usage(input_tokens=1_000, cache_read_tokens=9_000, output_tokens=2_000)
    for event in (
        SessionCreated(session="s", workspace="/w", model="m", mode="ask", offline=offline),
        SessionConfigured(limits=LIMITS),
        RunStarted(run="r", prompt="go", time=100.0),
        TurnProjected(turn="t", model="m", input_tokens=12_000, max_output_tokens=4_000, max_cost=0.07),
        TurnStarted(turn="t", model="m", number=1),
        TurnFinished(turn="t", model="m", content=[], stop_reason="end_turn", usage=usage, cost=0.42, time=130.0),
        BudgetClocked(seconds=30.0, day="2027-01-15", time=130.0),
        TurnProjected(
            turn="u", model="m", input_tokens=20_000, max_output_tokens=4_000, max_cost=0.09, expected_cost=0.01,
            day="2027-01-15", day_used=Amounts(cost=19.5), time=130.0,
        ),
    ):  # fmt: skip
        folded = apply(folded, event)
    return folded


def text(offline: bool = False, width: int = 60) -> str:
    return budget_content(budget_data(state(offline)), width).plain


def test_every_limit_has_its_gauge_with_used_reserved_and_left() -> None:
    lines = text().splitlines()
    assert any(line.startswith("run turns ") and "1/50 left 49" in line for line in lines)
    assert any(line.startswith("session cost ") and "$0.42+$0.09/$5.00 left $4.49" in line for line in lines)
    assert any(line.startswith("day cost ") and "$19.50+$0.09/$20.00 left $0.41 !" in line for line in lines)
    assert any(line.startswith("run tokens ") and "12.0k+24.0k/100k left 64.0k" in line for line in lines)
    assert any(line.startswith("run time ") and "30s/600s left 570s" in line for line in lines)


def test_the_next_turn_and_the_cache_are_told() -> None:
    assert "next turn about $0.01, at most $0.09 · ≤ 24.0k tokens" in text(width=64)
    assert "cache     90%  of the input, 9.0k" in text()


def test_simulated_dollars_are_called_so() -> None:
    assert "simulated" not in text()
    shown = [line for line in text(offline=True).splitlines() if "$" in line]
    assert shown
    assert all("simulated" in line for line in shown)


@pytest.mark.parametrize("width", [20, 30, 45, 200])
def test_any_width_will_do(width: int) -> None:
    assert "left $4.49" in text(width=width)


@pytest.mark.parametrize("width", [34, 42, 54, 80])
@pytest.mark.parametrize("offline", [False, True])
def test_the_rows_stay_where_they_are_while_figures_grow(width: int, offline: bool) -> None:
    limits = [Gauge(scope, kind, 0, 0, limit) for scope, kind, limit in (
        ("run", "turns", 50), ("session", "cost", 5.0), ("session", "tokens", 200_000), ("day", "cost", 20.0),
    )]  # fmt: skip

    def shown(data: BudgetData) -> list[str]:
        return budget_content(data, width).plain.split("\n")

    before = shown(BudgetData(gauges=tuple(limits), simulated=offline))
    for share in (0.001, 0.003, 0.3, 0.6, 0.999, 1.0):
        gauges = tuple(replace(g, used=g.limit * share, reserved=g.limit * (1 - share) / 3) for g in limits)
        count = int(2_000_000 * share)
        rows = shown(
            BudgetData(
                gauges, count, count, count, count // 2, share, 9 * share, simulated=offline, next_tokens=count,
                next_cost=9 * share, next_expected=share,
            )
        )  # fmt: skip
        assert len(rows) == len(before), rows
        for row, was in zip(rows, before, strict=True):
            assert len(row) <= width, f"{row!r} would wrap"
            assert sum(map(row.count, "▓▒░")) == sum(map(was.count, "▓▒░")), "the bar is as long as before"


def test_a_limit_as_it_is_typed() -> None:
    assert parse_limit("session cost $5") == {"session.cost": 5.0}
    assert parse_limit("run input 10_000") == {"run.input_tokens": 10_000.0}
    assert parse_limit("day tokens off") == {"day.tokens": None}
    for wrong in ("session", "session cost", "session cost lots", "a b c d"):
        with pytest.raises(CommandError, match="/budget session cost 5"):
            parse_limit(wrong)


def test_figures_that_are_estimated_are_marked() -> None:
    assert "≈" not in text()
    guessed = replace(budget_data(state(False)), estimated=True)
    lines = budget_content(guessed, 60).plain.splitlines()
    assert any(line.startswith("session ") and "≈ $0.42" in line for line in lines)
    assert any(line.startswith("tokens ") and "≈ 12.0k" in line for line in lines)
