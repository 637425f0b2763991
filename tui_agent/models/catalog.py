"""Which models there are, what they can take and what they cost: versioned data, `models.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any

from tui_agent.events import Tokens, Usage, UsagePart
from tui_agent.models.capabilities import ModelFacts

MILLION = 1_000_000

UNKNOWN_CONTEXT_WINDOW = 200_000
UNKNOWN_MAX_OUTPUT = 32_000
"""Limits in tokens that are assumed of a model that is not in the catalog: every current one has more."""


class CatalogError(Exception):
    """An entry of the catalog, or an override of it, is wrong; the message names model and key."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Dollars per million tokens, by what happens to a token."""

    input: float
    output: float
    cache_read: float
    cache_write_5m: float
    cache_write_1h: float

    def cost(self, usage: Tokens) -> float:
        """Return what the tokens of `usage` cost in dollars."""
        return (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_read_tokens * self.cache_read
            + usage.cache_write_tokens * self.cache_write_5m
            + usage.cache_write_1h_tokens * self.cache_write_1h
        ) / MILLION

    def dearest_input(self, *, hour: bool) -> float:
        """Return the most that an input token can cost; `hour` says that it may go to the one-hour cache."""
        return max(self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h if hour else 0.0)


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs. A request of more than `above` prompt tokens is billed by `rates_above`, all of it."""

    rates: Rates
    above: int | None = None
    rates_above: Rates | None = None

    def tier(self, prompt_tokens: int) -> Rates:
        """Return the rates of a request with a prompt of that size."""
        if self.above is not None and self.rates_above is not None and prompt_tokens > self.above:
            return self.rates_above
        return self.rates

    @property
    def input(self) -> float:
        """Dollars per million input tokens of an ordinary request."""
        return self.rates.input

    @property
    def output(self) -> float:
        """Dollars per million output tokens of an ordinary request."""
        return self.rates.output


@dataclass(frozen=True, slots=True)
class Model:
    """A model. Sizes in tokens; `price` None means that its cost is not known.

    `thinking` says that it takes adaptive thinking; `images` and `documents` that it takes image and PDF blocks;
    `known` that the catalog has it, or the server has told its limits.
    """

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    context_window: int = UNKNOWN_CONTEXT_WINDOW
    max_output: int = UNKNOWN_MAX_OUTPUT
    price: Price | None = None
    thinking: bool = False
    images: bool = True
    documents: bool = True
    known: bool = True


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """The dearest that a token of a request can be, in dollars: of its input, of its output."""

    input: float
    output: float


@dataclass(frozen=True)
class Catalog:
    """The models by id, with the source and date of their prices. `web_search` is dollars for one of the server's."""

    version: int
    source: str
    date: str
    default: str
    models: Mapping[str, Model]
    web_search: float = 0.0
    factors: Mapping[str, float] = field(default_factory=dict)
    _told: dict[str, ModelFacts] = field(default_factory=dict)

    def find(self, name: str) -> Model:
        """Return the model of that id or alias.

        A name that is not in the catalog (a local server's, a newer one) gives a model of cautious limits
        and unknown price; a dated id such as `claude-sonnet-5-5-20261001` is its undated model.
        """
        return self._as_told(self._find(name.strip()))

    def _find(self, name: str) -> Model:
        wanted = name.lower()
        for model in self.models.values():
            if wanted == model.id or wanted in model.aliases:
                return model
        for model in self.models.values():
            date = wanted.removeprefix(model.id + "-")
            if date != wanted and date.isdigit() and len(date) == 8:
                return model
        return Model(id=name, name=name, known=False)

    def learn(self, facts: ModelFacts) -> None:
        """Take over what the server says of a model: the limits of one that is not in the catalog.

        Where the server allows a model of the catalog less than the catalog says, the server is right.
        """
        self._told[facts.model] = facts

    def _as_told(self, model: Model) -> Model:
        facts = self._told.get(model.id)
        if facts is None:
            return model
        window, output = facts.context_window or model.context_window, facts.max_output or model.max_output
        if model.known:
            window, output = min(window, model.context_window), min(output, model.max_output)
        return replace(
            model,
            context_window=window,
            max_output=min(output, window),
            thinking=model.thinking or "thinking" in facts.features,
            known=model.known or facts.context_window is not None,
        )

    def cost(self, usage: Usage, model: str) -> float | None:
        """Return what `usage` cost in dollars; None when a price that it needs is not known.

        Where the usage has parts, each is priced by itself: by its own model, and by the size of its own prompt.
        """
        total = 0.0
        for part in usage.parts or [UsagePart(**usage.model_dump(exclude={"parts", "estimated", "simulated"}))]:
            price = self.find(part.model).price if part.model else None
            if price is None and (not part.model or part.kind == "message"):
                price = self.find(model).price  # a server may name what was asked by a name of its own
            if price is None:
                return None
            total += price.tier(part.prompt_tokens).cost(part) * self.factor(part.inference_geo, part.speed)
        return total + usage.web_searches * self.web_search

    def factor(self, inference_geo: str, speed: str) -> float:
        """Return the factor on all prices of a request that was worked on there, in that way."""
        return self.factors.get(inference_geo.lower(), 1.0) * self.factors.get(speed.lower(), 1.0)

    @property
    def unknown_factor(self) -> float:
        """The factor on prices to expect while no answer has told: a workspace may keep inference in one country.

        Fast mode is left out: only a request can ask for it, and none does.
        """
        return max(1.0, self.factors.get("us", 1.0))

    def worst_price(
        self, model: str, prompt_tokens: int, *, hour: bool = False, factor: float = 1.0
    ) -> TokenPrice | None:
        """Return the dearest that tokens of a request of at most `prompt_tokens` can be; None if unknown.

        No cache hit comes and everything is written to the cache: its long kind where the request asks for it
        (`hour`). Of two tiers the dearer counts, if the prompt can reach the second. All is multiplied by `factor`.
        """
        price = self.find(model).price
        if price is None:
            return None
        tiers = {price.rates, price.tier(prompt_tokens)}
        return TokenPrice(
            max(rates.dearest_input(hour=hour) for rates in tiers) * factor / MILLION,
            max(rates.output for rates in tiers) * factor / MILLION,
        )


def load_catalog(overrides: Mapping[str, Any] | None = None) -> Catalog:
    """Return the catalog of the package with `overrides` laid over it.

    `overrides` has the shape of the file: `{"default": …, "models": {id: {key: value}}}`; keys that are left
    out stay as they are. Raises `CatalogError` for an unknown key or a value of the wrong kind.
    """
    text = resources.files("tui_agent.models").joinpath("models.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    overrides = overrides or {}
    _only(overrides, {"default", "models"}, "models")
    tables: dict[str, dict[str, Any]] = dict(data["models"])
    for model_id, table in _table(overrides.get("models", {}), "models").items():
        tables[model_id] = {**tables.get(model_id, {}), **_table(table, f"models.{model_id}")}
    return Catalog(
        version=data["version"],
        source=data["source"],
        date=data["date"],
        default=_typed(overrides, "default", str, "models", data["default"]),
        models={model_id: _model(model_id, table, data["cache"]) for model_id, table in tables.items()},
        web_search=data["server_tools"]["web_search"],
        factors=data["factors"],
    )


_KEYS = {
    "name",
    "aliases",
    "context_window",
    "max_output",
    "thinking",
    "images",
    "documents",
}
_RATE_KEYS = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
_PRICE_KEYS = {*_RATE_KEYS, "above", *(f"{key}_above" for key in _RATE_KEYS)}
_KEYS_ABOVE = {key for key in _PRICE_KEYS if key.endswith("above")}


def _model(model_id: str, table: Mapping[str, Any], cache: Mapping[str, float]) -> Model:
    where = f"models.{model_id}"
    _only(table, _KEYS | _PRICE_KEYS, where)
    price = None
    if _PRICE_KEYS & table.keys():
        price = Price(_rates(table, where, cache))
        if _KEYS_ABOVE & table.keys():
            price = Price(price.rates, _tokens(table, "above", where, 0), _rates(table, where, cache, "_above"))
    aliases = _typed(table, "aliases", list, where, [])
    if not all(isinstance(alias, str) for alias in aliases):
        raise CatalogError(f"{where}.aliases: a list of strings is wanted")
    return Model(
        id=model_id,
        name=_typed(table, "name", str, where, model_id),
        aliases=tuple(alias.lower() for alias in aliases),
        context_window=_tokens(table, "context_window", where, UNKNOWN_CONTEXT_WINDOW),
        max_output=_tokens(table, "max_output", where, UNKNOWN_MAX_OUTPUT),
        price=price,
        thinking=_typed(table, "thinking", bool, where, False),
        images=_typed(table, "images", bool, where, True),
        documents=_typed(table, "documents", bool, where, True),
    )


def _rates(table: Mapping[str, Any], where: str, cache: Mapping[str, float], suffix: str = "") -> Rates:
    """Return the rates of a tier; what the cache costs follows from the input price where nothing is said."""
    per_input = _dollars(table, "input" + suffix, where)

    def own(key: str, factor: str) -> float:
        return _dollars(table, key + suffix, where) if key + suffix in table else per_input * cache[factor]

    return Rates(
        per_input,
        _dollars(table, "output" + suffix, where),
        own("cache_read", "read"),
        own("cache_write_5m", "write_5m"),
        own("cache_write_1h", "write_1h"),
    )


def _only(table: Mapping[str, Any], keys: set[str], where: str) -> None:
    unknown = sorted(table.keys() - keys)
    if unknown:
        raise CatalogError(f"{where}.{unknown[0]}: unknown key; known are {', '.join(sorted(keys))}")


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise CatalogError(f"{where}: a table is wanted")
    return value


def _typed(table: Mapping[str, Any], key: str, kind: type, where: str, default: Any) -> Any:
    value = table.get(key, default)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise CatalogError(f"{where}.{key}: a {kind.__name__} is wanted, not {value!r}")
    return value


def _tokens(table: Mapping[str, Any], key: str, where: str, default: int) -> int:
    value: int = _typed(table, key, int, where, default)
    if value < 1:
        raise CatalogError(f"{where}.{key}: a positive number of tokens is wanted, not {value}")
    return value


def _dollars(table: Mapping[str, Any], key: str, where: str) -> float:
    if key not in table:
        raise CatalogError(f"{where}.{key}: a price needs it (dollars per million tokens)")
    value = table[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise CatalogError(f"{where}.{key}: dollars per million tokens are wanted, not {value!r}")
    return float(value)
