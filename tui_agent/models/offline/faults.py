"""Faults that the offline model can be told to have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, cast, get_args

FaultKind = Literal[
    "overloaded",  # HTTP 529
    "rate_limit",  # HTTP 429, with retry-after
    "server_error",  # HTTP 500
    "auth",  # HTTP 401
    "permission",  # HTTP 403
    "billing",  # HTTP 402
    "garbage",  # HTTP 200 and a page of HTML
    "disconnect",  # the connection closes before any answer
    "cut",  # the connection closes within the answer
    "malformed",  # an event within the answer is no JSON
    "error_event",  # an `error` event within the answer
    "stall",  # the answer stops, the connection stays
    "slow",  # the answer comes at `speed` tokens a second
    "refusal",  # the answer ends with stop reason `refusal`
    "truncation",  # the answer ends with stop reason `max_tokens`
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. It strikes `times` requests, within an answer after `after_events` events or `after_bytes`.

    `retry_after` is in seconds, `speed` in tokens a second; `error_type` is the API's name for the error of
    an `error_event`.
    """

    kind: FaultKind
    times: int = 1
    after_events: int = 3
    after_bytes: int | None = None
    retry_after: float | None = None
    speed: float = 20.0
    error_type: str = "overloaded_error"

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"no fault is called {self.kind!r}; there are {', '.join(get_args(FaultKind))}")
        if self.times < 1 or self.after_events < 0 or self.speed <= 0:
            raise ValueError("times is at least 1, after_events at least 0, speed more than 0")


def parse_fault(value: Any) -> Fault:
    """Return the fault that a scenario gives: its kind, or a table. Raises `ValueError` that says what is wrong."""
    if isinstance(value, str):
        return Fault(cast("FaultKind", value))  # Fault itself checks the kind
    if not isinstance(value, Mapping):
        raise ValueError("a fault is a kind, or a table with one")  # noqa: TRY004  as below
    known = {item.name for item in fields(Fault)}
    unknown = sorted(value.keys() - known)
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    if "kind" not in value:
        raise ValueError("kind is missing")
    for key, part in value.items():
        wanted: Any = str if key in {"kind", "error_type"} else (int, float)
        if not isinstance(part, wanted) or isinstance(part, bool):
            raise ValueError(  # noqa: TRY004  one type of error for all that can be wrong with a fault
                f"{key}: {'a text' if wanted is str else 'a number'} is wanted, not {part!r}"
            )
    return Fault(**value)
