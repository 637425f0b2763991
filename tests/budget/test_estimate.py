"""The local estimate learns from what the responses report."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui_agent.budget.estimate import (
    Anchor,
    Calibration,
    anchored,
    calibrated,
    counted_input,
    estimate_input,
)
from tui_agent.events import TurnProjected, Usage


def projection(request_bytes: int, estimated: int) -> TurnProjected:
    return TurnProjected(
        turn="t",
        model="m",
        input_tokens=0,
        max_output_tokens=0,
        estimated_tokens=estimated,
        request_bytes=request_bytes,
    )


@given(st.integers(1, 10**6))
def test_a_count_that_is_a_tenth_too_low_stays_below_the_upper_bound(true: int) -> None:
    estimate = estimate_input(None, None, "m", 4 * true, 0.0)
    lowest = -(-true * 9 // 10)
    assert counted_input(estimate, lowest).upper >= true


def test_only_what_is_new_is_estimated() -> None:
    anchor = Anchor("m", request_bytes=40_000, tokens=12_345, cached=12_000, time=100.0)
    estimate = estimate_input(anchor, Calibration(0.3, 0.1), "m", 41_000, 200.0)
    assert estimate.expected == 12_345 + 300
    assert estimate.upper >= estimate.expected * 1.1
    assert estimate.cached == 12_000
    assert estimate_input(anchor, None, "m", 41_000, 500.0).cached == 0  # its time in the cache is over
    assert estimate_input(anchor, Calibration(0.3), "other", 40_000, 100.0).expected == 12_000  # another model


def test_the_error_that_was_measured_is_added() -> None:
    usage = Usage(input_tokens=3_000)
    learnt = calibrated(None, projection(8_000, 2_000), usage)
    assert learnt.error == 0.5
    assert learnt.tokens_per_byte == 3_000 / 8_000
    good = calibrated(learnt, projection(8_000, 3_000), usage)
    assert 0.4 < good.error < 0.5  # a good estimate does not make the bad one unsaid at once
    assert calibrated(learnt, projection(8_000, 3_000), Usage(estimated=True)) == learnt


def test_what_the_server_cached_is_remembered() -> None:
    usage = Usage(input_tokens=5, cache_read_tokens=100, cache_write_tokens=20)
    assert anchored(projection(500, 0), usage, 7.0) == Anchor("m", 500, 125, 120, 7.0)


def test_what_the_long_cache_holds_is_expected_from_it_for_an_hour() -> None:
    projected = TurnProjected(turn="t", model="m", input_tokens=1, max_output_tokens=1, request_bytes=4_000)
    for usage, life in ((Usage(cache_write_1h_tokens=1_000), 3_600), (Usage(cache_write_tokens=1_000), 300)):
        anchor = anchored(projected, usage, 100.0)
        within = estimate_input(anchor, None, "m", 4_100, 100.0 + life - 1)
        after = estimate_input(anchor, None, "m", 4_100, 100.0 + life + 1)
        assert (within.cached, after.cached) == (1_000, 0)
