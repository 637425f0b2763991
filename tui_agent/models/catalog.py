"""Which models there are, what they can take and what they cost: versioned data, `models.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from tui_agent.events import JsonObject, Usage

MILLION = 1_000_000

UNKNOWN_CONTEXT_WINDOW = 200_000
UNKNOWN_MAX_OUTPUT = 32_000
"""Limits in tokens that are assumed of a model that is not in the catalog: every current one has more."""


class CatalogError(Exception):
    """An entry of the catalog, or an override of it, is wrong; the message names model and key."""


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens; above `above` prompt tokens the second pair holds for the whole request."""

    input: float
    output: float
    above: int | None = None
    input_above: float = 0.0
    output_above: float = 0.0


@dataclass(frozen=True, slots=True)
class Model:
    """A model. Sizes in tokens; `price` None means that its cost is not known.

    `thinking` says that it takes adaptive thinking; `images` and `documents` that it takes image and PDF blocks.
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

    @property
    def options(self) -> JsonObject:
        """The top-level request fields that this model takes besides the common ones."""
        return {"thinking": {"type": "adaptive"}} if self.thinking else {}


@dataclass(frozen=True, slots=True)
class CachePrice:
    """Multiples of the input price for tokens read from and written to the prompt cache."""

    read: float = 0.1
    write_5m: float = 1.25
    write_1h: float = 2.0


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
    cache: CachePrice = field(default_factory=CachePrice)
    web_search: float = 0.0

    def find(self, name: str) -> Model:
        """Return the model of that id or alias.

        A name that is not in the catalog (a local server's, a newer one) gives a model of cautious limits
        and unknown price; a dated id such as `claude-sonnet-5-5-20261001` is its undated model.
        """
        wanted = name.strip().lower()
        for model in self.models.values():
            if wanted == model.id or wanted in model.aliases:
                return model
        for model in self.models.values():
            date = wanted.removeprefix(model.id + "-")
            if date != wanted and date.isdigit() and len(date) == 8:
                return model
        return Model(id=name.strip(), name=name.strip())

    def cost(self, usage: Usage, model: str) -> float | None:
        """Return what `usage` cost in dollars; None when the model's price is not known."""
        price = self.find(model).price
        if price is None:
            return None
        high = price.above is not None and usage.prompt_tokens > price.above
        per_input, per_output = (price.input_above, price.output_above) if high else (price.input, price.output)
        weighted = (
            usage.input_tokens
            + usage.cache_read_tokens * self.cache.read
            + usage.cache_write_tokens * self.cache.write_5m
            + usage.cache_write_1h_tokens * self.cache.write_1h
        )
        searches = usage.web_searches * self.web_search
        return (weighted * per_input + usage.output_tokens * per_output) / MILLION + searches

    def worst_price(self, model: str, prompt_tokens: int, *, hour: bool = False) -> TokenPrice | None:
        """Return the dearest that tokens of a request of at most `prompt_tokens` can be; None if unknown.

        No cache hit comes and everything is written to the cache: its long kind where the request asks for it
        (`hour`). Of two tiers the dearer counts, if the prompt can reach the second.
        """
        price = self.find(model).price
        if price is None:
            return None
        per_input, per_output = price.input, price.output
        if price.above is not None and prompt_tokens > price.above:
            per_input, per_output = max(per_input, price.input_above), max(per_output, price.output_above)
        factor = max(1.0, self.cache.write_5m, self.cache.write_1h if hour else 0.0)
        return TokenPrice(per_input * factor / MILLION, per_output / MILLION)


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
        models={model_id: _model(model_id, table) for model_id, table in tables.items()},
        cache=CachePrice(**data["cache"]),
        web_search=data["server_tools"]["web_search"],
    )


_KEYS = {
    "name",
    "aliases",
    "context_window",
    "max_output",
    "input",
    "output",
    "thinking",
    "images",
    "documents",
}
_KEYS_ABOVE = {"above", "input_above", "output_above"}


def _model(model_id: str, table: Mapping[str, Any]) -> Model:
    where = f"models.{model_id}"
    _only(table, _KEYS | _KEYS_ABOVE, where)
    price = None
    if "input" in table or "output" in table:
        price = Price(
            input=_dollars(table, "input", where),
            output=_dollars(table, "output", where),
        )
        if _KEYS_ABOVE & table.keys():
            price = Price(
                price.input,
                price.output,
                _tokens(table, "above", where, 0),
                _dollars(table, "input_above", where),
                _dollars(table, "output_above", where),
            )
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
