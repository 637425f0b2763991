"""The hard limits: what they are called, which of them hold, and what fits under them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import floor, inf
from typing import get_args

from tui_agent.events import Amounts, BudgetStopped, BudgetWarned, Scope

SCOPES: tuple[Scope, ...] = get_args(Scope)

KINDS = ("turns", "input_tokens", "output_tokens", "tokens", "cost", "time")
"""What can be bounded: counts, dollars (`cost`) and wall-clock seconds (`time`)."""

DEFAULTS = "default"
"""The layer of the limits that hold where the user set none."""

LAYERS = (DEFAULTS, "settings", "start", "person")
"""Who sets limits, the weakest first: nobody, the settings, the flags of this start, the user in the session."""

MIN_OUTPUT = 256
"""Output tokens below which an answer is of no use: the run stops before the request instead."""

TOLERANCE = 1e-9
"""Dollars or seconds that sums of floats may be off by."""

Layers = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True, slots=True)
class Account:
    """What is used up of one scope, and what is reserved for requests under way."""

    used: Amounts = field(default_factory=Amounts)
    reserved: Amounts = field(default_factory=Amounts)


@dataclass(frozen=True, slots=True)
class Demand:
    """What the next request takes at most.

    `output_tokens` is what it would like to have room for. Prices are in dollars per token, the dearest that
    can come: None when they are not known. `fixed_cost` is for what is priced by request.
    """

    model: str
    turns: int
    input_tokens: int
    output_tokens: int
    input_price: float | None
    output_price: float | None
    fixed_cost: float = 0.0

    @property
    def least_output(self) -> int:
        """The output tokens without which the request is not worth sending."""
        return min(MIN_OUTPUT, self.output_tokens)

    def cost(self, output_tokens: int) -> float | None:
        """Return the dollars of the request with an answer of that size; None when they are not known."""
        if self.input_price is None or self.output_price is None:
            return None
        return self.input_tokens * self.input_price + output_tokens * self.output_price + self.fixed_cost

    def worst(self, output_tokens: int) -> Amounts:
        """Return all that the request takes with an answer of that size."""
        return Amounts(
            turns=self.turns,
            input_tokens=self.input_tokens,
            output_tokens=output_tokens,
            cost=self.cost(output_tokens) or 0.0,
        )


def effective(layers: Layers) -> dict[str, float]:
    """Return the limits that hold, by `scope.kind`, in a fixed order."""
    merged: dict[str, float | None] = {}
    for layer in LAYERS:
        merged.update(layers.get(layer, {}))
    found = {}
    for scope in SCOPES:
        for kind in KINDS:
            value = merged.get(f"{scope}.{kind}")
            if value is not None:
                found[f"{scope}.{kind}"] = value
    return found


def chosen(layers: Layers) -> set[str]:
    """Return the limits that the user set or lifted, by `scope.kind`."""
    return {key for name in LAYERS if name != DEFAULTS for key in layers.get(name, {})}


def amount(amounts: Amounts, kind: str) -> float:
    """Return the figure of `amounts` that a limit of that kind bounds."""
    return float(getattr(amounts, {"time": "seconds"}.get(kind, kind)))


def fit(limits: Mapping[str, float], accounts: Mapping[Scope, Account], demand: Demand) -> int | BudgetStopped:
    """Return the output tokens that the request may have, or the stop where its least does not fit.

    `limits` of scopes that have no account are left out. Of several limits that are in the way, the first counts.
    """
    most = demand.output_tokens
    for key, maximum in limits.items():
        scope, kind = split(key)
        account = accounts.get(scope)
        if account is None:
            continue
        left = maximum - amount(account.used, kind) - amount(account.reserved, kind)
        if kind == "cost" and demand.cost(0) is None:
            return _stop(key, maximum, account, demand)
        room = _room(kind, left, demand)
        if room < demand.least_output:
            return _stop(key, maximum, account, demand)
        most = min(most, room)
    return most


def tightest(limits: Mapping[str, float], accounts: Mapping[Scope, Account], demand: Demand) -> str:
    """Return the limit that leaves the answer of the request the least room, empty when each leaves all of it."""
    rooms = {}
    for key, maximum in limits.items():
        scope, kind = split(key)
        account = accounts.get(scope)
        if account is not None:
            left = maximum - amount(account.used, kind) - amount(account.reserved, kind)
            rooms[key] = _room(kind, left, demand)
    key = min(rooms, key=lambda known: rooms[known], default="")
    return key if key and rooms[key] < demand.output_tokens else ""


def answer_cut(key: str, maximum: float, account: Account, output_tokens: int) -> BudgetStopped:
    """Return the stop for an answer that was cut because the limit `key` left it only `output_tokens`."""
    scope, kind = split(key)
    used, reserved = amount(account.used, kind), amount(account.reserved, kind)
    return BudgetStopped(
        limit=kind,
        scope=scope,
        used=used,
        reserved=reserved,
        projected=output_tokens,
        maximum=maximum,
        left=max(0.0, maximum - used - reserved),
        hint=_hint(scope, kind),
        reason="answer_cut",
    )


def split(key: str) -> tuple[Scope, str]:
    """Return scope and kind of a limit's key."""
    scope, _, kind = key.partition(".")
    return next((known for known in SCOPES if known == scope), "run"), kind


def _room(kind: str, left: float, demand: Demand) -> int:
    """Return the output tokens that one limit leaves room for; below 0 when not even the rest fits."""
    everything = demand.output_tokens
    match kind:
        case "turns":
            return everything if demand.turns <= left else -1
        case "time":
            return everything if left > TOLERANCE else -1
        case "input_tokens":
            return everything if demand.input_tokens <= left else -1
        case "output_tokens":
            return floor(left)
        case "tokens":
            return floor(left - demand.input_tokens)
    spare = left + TOLERANCE - (demand.cost(0) or 0.0)
    if spare < 0:
        return -1
    price = demand.output_price or 0.0
    room = spare / price if price else inf  # infinite for the tiniest prices, too
    return everything if room >= everything else floor(room)


def _stop(key: str, maximum: float, account: Account, demand: Demand) -> BudgetStopped:
    scope, kind = split(key)
    needed = amount(demand.worst(demand.least_output), kind)
    used, reserved = amount(account.used, kind), amount(account.reserved, kind)
    unknown = kind == "cost" and demand.cost(0) is None
    if unknown:
        hint = (
            f"The price of {demand.model!r} is not known, so a limit on cost cannot be kept. Give its price in a "
            f'file that the setting `prices` names: [models."{demand.model}"] with input and output in dollars '
            f"per million tokens. Or lift the limit: /budget {scope} cost off."
        )
    else:
        hint = _hint(scope, kind)
        if used + needed <= maximum:
            hint = "Other requests under way, or cut off by a crash, hold the rest. Wait for them, or: " + hint
    return BudgetStopped(
        limit=kind,
        scope=scope,
        used=used,
        reserved=reserved,
        projected=needed,
        maximum=maximum,
        left=max(0.0, maximum - used - reserved),
        hint=hint,
        reason="unknown_price" if unknown else "limit",
    )


_FLAGS = {"turns": "--max-turns", "tokens": "--max-tokens", "cost": "--max-cost", "time": "--max-time"}


def _hint(scope: Scope, kind: str) -> str:
    flag = f" (at the start: {_FLAGS[kind]})" if scope == "run" and kind in _FLAGS else ""
    if scope == "run":
        return f"Write a prompt to begin another run, or raise the limit first: /budget run {kind} AMOUNT{flag}."
    later = " Tomorrow (UTC) it is free again." if scope == "day" else ""
    return f"Raise it with /budget {scope} {kind} AMOUNT, then write a prompt to go on.{later}"


def agent_stop(agent_turns: int, agent_maximum: int) -> BudgetStopped | None:
    """Return the stop of an agent that has taken all the turns its type may have in one run, or None."""
    if agent_turns < agent_maximum:
        return None
    return BudgetStopped(
        limit="agent turns",
        used=agent_turns,
        projected=1,
        maximum=agent_maximum,
        hint="This type of agent takes no more turns in one run unless you set a limit of your own: /max-turns N, or "
        "--max-turns at the start. Write a prompt to go on.",
    )


def quantity(kind: str, value: float) -> str:
    """Return an amount in words, with its unit."""
    match kind:
        case "cost":
            return f"${value:,.2f}" if value >= 1 or not value else f"${value:.4f}"
        case "time":
            return f"{value:,.0f} s"
        case "turns" | "agent turns":
            return f"{value:,.0f} turn" if value == 1 else f"{value:,.0f} turns"
    return f"{value:,.0f} {kind.replace('_', ' ')}"


def limit_name(kind: str) -> str:
    """Return what a limit is called before the word limit: `turn`, `input token`, `cost`."""
    return kind.replace("_", " ").removesuffix("s")


def stop_reason(stop: BudgetStopped) -> str:
    """Return why a run stopped, in a line: which limit, what is used, what the turn would have needed."""
    name = limit_name(stop.limit)
    if stop.reason == "unknown_price":
        return f"the {stop.scope}'s limit on cost cannot be kept: the model's price is not known"
    limit = f"the {stop.scope}'s {name} limit of {quantity(stop.limit, stop.maximum)}"
    if stop.reason == "answer_cut":
        return f"{limit} left the answer room for only {stop.projected:,.0f} tokens, so it was cut"
    if stop.limit in {"turns", "agent turns", "time"}:
        return f"{limit} is reached"
    held = f" and {quantity(stop.limit, stop.reserved)} reserved" if stop.reserved else ""
    needed = quantity(stop.limit, stop.projected)
    return f"{limit} leaves no room: {quantity(stop.limit, stop.used)} used{held}, the next turn needs {needed}"


def stop_text(stop: BudgetStopped) -> str:
    """Return a stop in a sentence or two: why, and what the user can do."""
    return f"Stopped: {stop_reason(stop)}. {stop.hint}"


def warning_text(warning: BudgetWarned) -> str:
    """Return a warning in a line."""
    share = warning.used / warning.maximum if warning.maximum else 1.0
    used, maximum = quantity(warning.limit, warning.used), quantity(warning.limit, warning.maximum)
    if warning.limit != "cost":
        used = used.partition(" ")[0]  # the unit stands behind the limit
    return f"{share:.0%} of the {warning.scope}'s {limit_name(warning.limit)} limit is used: {used} of {maximum}"


def limits_text(layer: Mapping[str, float | None]) -> str:
    """Return a layer of limits in a line."""
    words = [
        f"{key.replace('.', ' ')} {'off' if value is None else quantity(split(key)[1], value)}"
        for key, value in layer.items()
    ]
    return ", ".join(words) or "none"
