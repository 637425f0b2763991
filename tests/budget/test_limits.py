"""What fits under the limits, what stops, and what is said about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_agent.budget.limits import (
    KINDS,
    MIN_OUTPUT,
    SCOPES,
    Account,
    Demand,
    amount,
    effective,
    fit,
    stop_text,
    warning_text,
)
from tui_agent.events import Amounts, BudgetStopped, BudgetWarned

DEMAND = Demand("m", turns=1, input_tokens=1_000, output_tokens=4_000, input_price=2.5e-6, output_price=1e-5)

amounts = st.builds(
    Amounts,
    turns=st.integers(0, 50),
    input_tokens=st.integers(0, 10**6),
    output_tokens=st.integers(0, 10**6),
    cost=st.floats(0, 50),
    seconds=st.floats(0, 1e5),
)
demands = st.builds(
    Demand,
    model=st.just("m"),
    turns=st.integers(0, 1),
    input_tokens=st.integers(0, 10**6),
    output_tokens=st.integers(1, 128_000),
    input_price=st.floats(0, 1e-4) | st.none(),
    output_price=st.floats(0, 1e-4),
    fixed_cost=st.floats(0, 1),
)
keys = st.tuples(st.sampled_from(SCOPES), st.sampled_from(KINDS)).map(".".join)


@given(
    st.dictionaries(keys, st.floats(0.001, 2e6)),
    st.fixed_dictionaries({scope: st.builds(Account, amounts, amounts) for scope in SCOPES}),
    demands,
)
def test_what_is_granted_fits_and_what_is_refused_would_not(
    limits: dict[str, float], accounts: dict[str, Account], demand: Demand
) -> None:
    verdict = fit(limits, accounts, demand)  # type: ignore[arg-type]

    def over(output: int) -> list[str]:
        worst = demand.worst(output)
        return [
            key
            for key, maximum in limits.items()
            if amount(accounts[key.split(".")[0]].used, key.split(".")[1])
            + amount(accounts[key.split(".")[0]].reserved, key.split(".")[1])
            + amount(worst, key.split(".")[1])
            > maximum + 1e-6
        ]

    if isinstance(verdict, BudgetStopped):
        unknown = verdict.reason == "unknown_price"
        assert unknown or verdict.limit == "time" or over(demand.least_output) or over(demand.least_output + 1)
        assert verdict.hint
    else:
        assert demand.least_output <= verdict <= demand.output_tokens
        assert over(verdict) == []


@pytest.mark.parametrize(
    ("key", "maximum", "granted"),
    [
        ("run.turns", 1, 4_000),
        ("run.turns", 0.5, None),
        ("run.input_tokens", 1_000, 4_000),
        ("run.input_tokens", 999, None),
        ("run.output_tokens", 5_000, 4_000),
        ("run.output_tokens", 300, 300),
        ("run.output_tokens", MIN_OUTPUT - 1, None),
        ("run.tokens", 1_500, 500),
        ("run.tokens", 1_000 + MIN_OUTPUT - 1, None),
        ("run.cost", 0.0075, 500),
        ("run.cost", 0.0025 + 0.0025, None),
        ("run.time", 1, 4_000),
        ("session.tokens", 1, 4_000),  # no account of that scope: it does not count here
    ],
)
def test_a_request_is_clamped_or_refused(key: str, maximum: float, granted: int | None) -> None:
    verdict = fit({key: maximum}, {"run": Account()}, DEMAND)
    assert (verdict if granted is not None else getattr(verdict, "limit", None)) == (
        granted if granted is not None else key.split(".")[1]
    )


def test_what_is_used_and_what_is_reserved_both_count() -> None:
    half = Amounts(input_tokens=400)
    assert fit({"run.input_tokens": 1_800}, {"run": Account(half, half)}, DEMAND) == 4_000
    stop = fit({"run.input_tokens": 1_799}, {"run": Account(half, half)}, DEMAND)
    assert isinstance(stop, BudgetStopped)
    assert (stop.used, stop.reserved, stop.projected, stop.left) == (400, 400, 1_000, 999)
    assert "under way" in stop.hint


def test_a_time_that_is_up_stops() -> None:
    assert isinstance(fit({"run.time": 5}, {"run": Account(Amounts(seconds=5.0))}, DEMAND), BudgetStopped)


def test_an_unknown_price_is_refused_under_a_limit_on_cost_only() -> None:
    unknown = Demand("local-model", 1, 1_000, 4_000, None, None)
    assert fit({"run.tokens": 9_000}, {"run": Account()}, unknown) == 4_000
    stop = fit({"session.cost": 100}, {"session": Account()}, unknown)
    assert isinstance(stop, BudgetStopped)
    assert stop.reason == "unknown_price"
    assert '[models."local-model"]' in stop.hint
    assert "not known" in stop_text(stop)


def test_the_user_goes_before_the_flags_and_these_before_the_settings() -> None:
    layers = {
        "settings": {"run.turns": 50.0, "day.cost": 5.0, "run.cost": 1.0},
        "start": {"run.turns": 9.0},
        "person": {"day.cost": None, "run.cost": 2.0},
    }
    assert effective(layers) == {"run.turns": 9.0, "run.cost": 2.0}


@pytest.mark.parametrize(
    ("limit", "used", "maximum", "words"),
    [
        ("turns", 1, 2, "50% of the run's turn limit is used: 1 of 2 turns"),
        ("input_tokens", 800, 1_000, "80% of the run's input token limit is used: 800 of 1,000 input tokens"),
        ("cost", 2.5, 5, "50% of the run's cost limit is used: $2.50 of $5.00"),
        ("time", 30, 60, "50% of the run's time limit is used: 30 of 60 s"),
    ],
)
def test_a_warning_names_the_unit_once(limit: str, used: float, maximum: float, words: str) -> None:
    assert warning_text(BudgetWarned(scope="run", limit=limit, used=used, maximum=maximum, fraction=0.5)) == words


def test_the_tiniest_price_leaves_room_for_everything() -> None:
    demand = Demand(
        model="m", turns=1, input_tokens=1, output_tokens=8, input_price=0.0, output_price=5e-324, fixed_cost=0.0
    )
    assert fit({"run.cost": 2.0}, {scope: Account(Amounts(), Amounts()) for scope in SCOPES}, demand) == 8
