"""Models and prices, and the waits between attempts."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_agent.events import Usage, UsagePart
from tui_agent.models import MAX_ATTEMPTS, CatalogError, backoff, load_catalog

MILLION = 1_000_000


def test_names_and_aliases() -> None:
    catalog = load_catalog()
    assert catalog.find("sonnet").id == catalog.default == "claude-sonnet-5-5"
    assert catalog.find("Opus").id == "claude-opus-5-5"
    assert catalog.find("claude-haiku-5-5-20261001").id == "claude-haiku-5-5"
    unknown = catalog.find("qwen3:8b")
    assert (unknown.id, unknown.price) == ("qwen3:8b", None)
    assert catalog.date
    assert catalog.source


@pytest.mark.parametrize(
    ("model", "usage", "dollars"),
    [
        ("sonnet", Usage(input_tokens=MILLION), 2.0),
        ("sonnet", Usage(output_tokens=MILLION), 10.0),
        ("opus", Usage(input_tokens=MILLION, output_tokens=MILLION), 24.0),
        ("claude-fable-5-2", Usage(cache_read_tokens=MILLION), 0.2),
        ("claude-fable-5-1", Usage(cache_read_tokens=MILLION), 0.25),
        ("opus", Usage(cache_read_tokens=MILLION), 0.2),
        ("sonnet", Usage(cache_read_tokens=MILLION), 0.1),
        ("haiku", Usage(cache_read_tokens=100_000), 0.001),
        ("haiku", Usage(cache_read_tokens=MILLION), 0.05),
        ("haiku", Usage(cache_write_tokens=MILLION), 0.625),
        ("haiku", Usage(cache_write_1h_tokens=100_000), 0.02),
        ("opus", Usage(cache_write_tokens=MILLION), 5.0),
        ("opus", Usage(cache_write_1h_tokens=MILLION), 8.0),
        ("sonnet", Usage(input_tokens=MILLION, inference_geo="us"), 2.2),
        ("sonnet", Usage(input_tokens=MILLION, inference_geo="global", speed="standard"), 2.0),
        ("sonnet", Usage(web_searches=3), 0.03),
        ("sonnet", Usage(cache_write_tokens=MILLION), 2.5),
        ("sonnet", Usage(cache_write_1h_tokens=MILLION), 4.0),
        ("haiku", Usage(input_tokens=100_000, output_tokens=1000), 0.0105),
        ("haiku", Usage(input_tokens=100_001), 0.0500005),
        ("haiku", Usage(cache_read_tokens=200_000, output_tokens=1000), 0.0125),
        ("offline", Usage(input_tokens=MILLION), 0.0),
    ],
)
def test_cost(model: str, usage: Usage, dollars: float) -> None:
    assert load_catalog().cost(usage, model) == pytest.approx(dollars)


def test_rounds_of_one_answer_are_priced_one_by_one() -> None:
    def round_of(model: str, tokens: int, kind: str = "message") -> UsagePart:
        return UsagePart(kind=kind, model=model, input_tokens=tokens)

    catalog = load_catalog()
    opus = round_of("claude-opus-5-5", MILLION)
    sonnet = round_of("claude-sonnet-5-5-20261001", MILLION, "fallback_message")
    assert catalog.cost(Usage(input_tokens=2 * MILLION, parts=[opus, sonnet]), "opus") == pytest.approx(6.0)
    # Two rounds of 60,000 tokens each are no prompt of more than 100,000.
    half = round_of("", 60_000)
    twice = Usage(input_tokens=120_000, web_searches=1, parts=[half, half])
    assert catalog.cost(twice, "haiku") == pytest.approx(0.012 + 0.01)
    assert catalog.cost(Usage(parts=[round_of("whatever-model", 1)]), "opus") == pytest.approx(4e-6)
    assert catalog.cost(Usage(parts=[round_of("whatever-model", 1, "fallback_message")]), "opus") is None


def test_a_price_of_ones_own_for_the_cache() -> None:
    own = {"input": 1, "output": 2, "cache_read": 0, "above": 10, "input_above": 3, "output_above": 4}
    catalog = load_catalog({"models": {"m": own}})
    assert catalog.cost(Usage(cache_read_tokens=10), "m") == 0.0
    assert catalog.cost(Usage(cache_read_tokens=MILLION), "m") == pytest.approx(0.3)


def test_unknown_price_is_unknown_cost_until_it_is_configured() -> None:
    assert load_catalog().cost(Usage(input_tokens=1), "local") is None
    catalog = load_catalog({"models": {"local": {"input": 1, "output": 2}}, "default": "local"})
    assert catalog.cost(Usage(input_tokens=MILLION), "local") == 1.0
    assert catalog.default == "local"


def test_an_override_keeps_what_it_does_not_name() -> None:
    model = load_catalog({"models": {"claude-opus-5-5": {"output": 1.0}}}).find("opus")
    assert model.price is not None
    assert (model.price.input, model.price.output, model.name) == (4.0, 1.0, "Opus 5.5")


@pytest.mark.parametrize(
    ("overrides", "where"),
    [
        ({"colour": 1}, "models.colour"),
        ({"models": 3}, "models"),
        ({"models": {"m": 3}}, "models.m"),
        ({"models": {"m": {"colour": 1}}}, "models.m.colour"),
        ({"models": {"m": {"input": 1}}}, "models.m.output"),
        ({"models": {"m": {"input": -1, "output": 1}}}, "models.m.input"),
        ({"models": {"m": {"cache_read": 1}}}, "models.m.input"),
        ({"models": {"m": {"input": 1, "output": 1, "cache_read": -1}}}, "models.m.cache_read"),
        ({"models": {"m": {"input": 1, "output": 1, "above": 5}}}, "models.m.input_above"),
        ({"models": {"m": {"input": "1", "output": 1}}}, "models.m.input"),
        ({"models": {"m": {"context_window": 0}}}, "models.m.context_window"),
        ({"models": {"m": {"max_output": True}}}, "models.m.max_output"),
        ({"models": {"m": {"aliases": [1]}}}, "models.m.aliases"),
        ({"default": 1}, "models.default"),
    ],
)
def test_wrong_overrides_are_named(overrides: dict[str, Any], where: str) -> None:
    with pytest.raises(CatalogError, match=rf"^{where}: "):
        load_catalog(overrides)


@given(st.integers(1, MAX_ATTEMPTS - 1), st.integers())
def test_backoff_grows_with_full_jitter_up_to_its_cap(attempt: int, seed: int) -> None:
    wait = backoff(attempt, None, Random(seed))
    assert wait is not None
    assert 0 <= wait <= min(30.0, 2.0 ** (attempt - 1))


@given(st.integers(1, MAX_ATTEMPTS - 1), st.floats(0, 300), st.integers())
def test_backoff_never_comes_before_retry_after(attempt: int, retry_after: float, seed: int) -> None:
    wait = backoff(attempt, retry_after, Random(seed))
    assert wait is not None
    assert retry_after <= wait <= retry_after + 1


def test_backoff_gives_up() -> None:
    assert backoff(MAX_ATTEMPTS, None, Random(1)) is None
    assert backoff(1, 3600, Random(1)) is None


def test_the_first_projection_reckons_with_the_dearest_place_and_later_ones_with_what_was_reported() -> None:
    catalog = load_catalog()
    assert catalog.unknown_factor == pytest.approx(1.1)
    plain = catalog.worst_price("opus", 1_000)
    dear = catalog.worst_price("opus", 1_000, factor=catalog.unknown_factor)
    assert plain is not None
    assert dear is not None
    assert (dear.input, dear.output) == pytest.approx((plain.input * 1.1, plain.output * 1.1))
    assert catalog.factor("us", "fast") == pytest.approx(6.6)
    assert catalog.factor("global", "standard") == 1.0
