"""How large a request's input is, before anybody has counted it: learnt from what the responses report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from tui_agent.events import TurnProjected, Usage

TOKENS_PER_BYTE = 0.25
"""What is assumed of a model that has not answered yet: about right for English and code."""

FIRST_ERROR = 1.0
"""The error that is assumed of an estimate while nothing is measured: the input may be twice as large."""

LEAST_ERROR = 0.05
"""The error that is assumed at least, however good the last estimates were."""

MOST_ERROR = 4.0
"""A larger error says that the ratio is of no use, and would bar every request."""

ERROR_DECAY = 0.9
"""What is left of the largest error with each further response."""

SLACK_TOKENS = 64
"""Tokens that a server may add to any request of its own accord."""

COUNT_ERROR = 0.10
"""How far `count_tokens` may be off from what is billed, by either way; the API calls it an estimate."""

CACHE_SECONDS = 300.0
LONG_CACHE_SECONDS = 3600.0
"""How long the server keeps a prefix in its cache, as the API documents for its short and its long kind."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is known of one model's tokens: how many to a byte, how far the last estimates were off.

    `error` is a share of the estimate; `output_tokens` the mean size of its answers. `inference_geo` and `speed` are
    what its last answer reported: they have prices of their own.
    """

    tokens_per_byte: float = TOKENS_PER_BYTE
    error: float = FIRST_ERROR
    output_tokens: float = 0.0
    inference_geo: str = ""
    speed: str = ""


@dataclass(frozen=True, slots=True)
class Anchor:
    """An agent's last answered request: its size both ways, and what of it the server cached, when.

    Times in seconds since the epoch; `cache_life` is how many seconds the server keeps what it cached.
    """

    model: str
    request_bytes: int
    tokens: int
    cached: int
    time: float
    cache_life: float = CACHE_SECONDS


@dataclass(frozen=True, slots=True)
class Estimate:
    """The input of a request in tokens: likely, at most, and how much of it is likely to come from the cache."""

    expected: int
    upper: int
    cached: int


def estimate_input(
    anchor: Anchor | None, calibration: Calibration | None, model: str, request_bytes: int, now: float
) -> Estimate:
    """Return the estimate for a request of that size: what the last one measured, and the ratio for what is new."""
    known = calibration or Calibration()
    if anchor is not None and anchor.model == model and request_bytes >= anchor.request_bytes:
        fresh = (request_bytes - anchor.request_bytes) * known.tokens_per_byte
        expected = anchor.tokens + ceil(fresh)
        cached = anchor.cached if now - anchor.time < anchor.cache_life else 0
    else:
        expected, cached = ceil(request_bytes * known.tokens_per_byte), 0
    return Estimate(expected, ceil(expected * (1 + known.error)) + SLACK_TOKENS, min(cached, expected))


def counted_input(estimate: Estimate, counted: int) -> Estimate:
    """Return the estimate after the server counted: at most is what it may bill when it counted too little."""
    return Estimate(counted, ceil(counted / (1 - COUNT_ERROR)), min(estimate.cached, counted))


def measured(projected: TurnProjected, usage: Usage) -> bool:
    """Say whether a finished turn's input is the server's figure, and not the projection booked in its place."""
    return not usage.estimated or usage.prompt_tokens != projected.input_tokens


def calibrated(calibration: Calibration | None, projected: TurnProjected, usage: Usage) -> Calibration:
    """Return what is known of a model after a response that reported `usage`."""
    tokens = usage.prompt_tokens
    known = calibration or Calibration()
    if not measured(projected, usage) or not projected.request_bytes or not tokens:
        return known
    ratio = tokens / projected.request_bytes
    error = LEAST_ERROR
    if projected.estimated_tokens:
        error = abs(tokens / projected.estimated_tokens - 1)
    older = known.error * ERROR_DECAY if calibration is not None else 0.0
    mean = (known.output_tokens + usage.output_tokens) / 2 if calibration is not None else float(usage.output_tokens)
    return Calibration(ratio, min(MOST_ERROR, max(LEAST_ERROR, error, older)), mean, usage.inference_geo, usage.speed)


def anchored(projected: TurnProjected, usage: Usage, time: float) -> Anchor:
    """Return the anchor that a response which reported `usage` makes."""
    cached = usage.cache_read_tokens + usage.cache_write_tokens + usage.cache_write_1h_tokens
    life = LONG_CACHE_SECONDS if usage.cache_write_1h_tokens else CACHE_SECONDS
    return Anchor(projected.model, projected.request_bytes, usage.prompt_tokens, cached, time, life)


def without(anchors: Mapping[str, Anchor], agent: str) -> dict[str, Anchor]:
    """Return the anchors without that agent's."""
    return {name: anchor for name, anchor in anchors.items() if name != agent}
