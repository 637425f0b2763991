"""What a server can do: what it said of its models, and which fields it refused.

Nothing is known beforehand of a server that speaks the Messages API: fields that go beyond its oldest part are sent
where there is reason to, a refusal that names one is remembered for the model, and the request goes out again
without it. What was found out is kept in a file for a few days, by address.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from tui_agent.config.settings import EFFORTS

Feature = Literal[
    "cache",
    "cache_1h",
    "compaction",
    "compaction_block",
    "count_tokens",
    "diagnostics",
    "effort",
    "fallbacks",
    "strict_tools",
    "thinking",
    "thinking_display",
    "web_fetch",
    "web_search",
]
"""What a server may or may not know, beyond the oldest part of the API."""

FIELD_OF: dict[Feature, str] = {
    "cache": "cache_control",
    "cache_1h": "cache_control.ttl",
    "compaction": "compaction",
    "compaction_block": "compaction blocks",
    "count_tokens": "/v1/messages/count_tokens",
    "diagnostics": "diagnostics",
    "effort": "output_config.effort",
    "fallbacks": "fallbacks",
    "strict_tools": "tools.strict",
    "thinking": "thinking",
    "thinking_display": "thinking.display",
    "web_fetch": "the web_fetch tool",
    "web_search": "the web_search tool",
}
"""What each feature is called on the wire."""

API_FEATURES: frozenset[Feature] = frozenset({"diagnostics", "fallbacks", "strict_tools", "web_search", "web_fetch"})
"""What only a server is asked for that is the API itself, or describes its models as the API does."""

KEPT_SECONDS = 5 * 86_400.0
"""How long what was found out is believed: servers are updated."""

MOST_KEPT = 200
"""Addresses that the file holds at most."""

FILE_VERSION = 1


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a server says of one of its models. None and empty where it says nothing.

    Sizes in tokens. `features` are those that the server says the model has, `efforts` its levels; `described` says
    that the answer was in the API's own form, so that what is not named is not there. `retires_at` is in seconds
    since the epoch.
    """

    model: str
    asked: float
    described: bool = False
    context_window: int | None = None
    max_output: int | None = None
    features: tuple[str, ...] = ()
    efforts: tuple[str, ...] = ()
    lifecycle: str = ""
    retires_at: float | None = None
    fallbacks: tuple[str, ...] = ()


class Capabilities:
    """What one server can do, as far as it was found out.

    `address` is its base URL, empty for the API's own. With `file`, what was found out is read from there and written
    to it; `now` gives seconds since the epoch. Reading and writing never fail: a file that cannot be used is as good
    as none. All methods are for the event loop but `load` and `save`, which do the file's work.
    """

    def __init__(self, address: str, *, now: Callable[[], float], file: Path | None = None) -> None:
        self.address = without_credentials(address)
        self.is_api = not address or _host(address) == "api.anthropic.com"
        self._now = now
        self._file = file
        self._refused: dict[str, dict[str, float]] = {}
        self._facts: dict[str, ModelFacts] = {}
        self._news: list[str] = []
        self._changed = False

    def offers(self, feature: Feature, model: str = "") -> bool:
        """Whether a request for `model` may use a feature: it was not refused, and there is reason to try it."""
        if self.refused(feature, model):
            return False
        facts = self._facts.get(model)
        if facts is not None and facts.described and feature in _DESCRIBED:
            return feature in facts.features
        if feature == "compaction":
            return False  # it is asked for where the server says so, and nowhere else
        return feature not in API_FEATURES or self.is_api or (facts is not None and facts.described)

    def refused(self, feature: Feature, model: str = "") -> bool:
        """Whether the server refused a feature for `model`."""
        return feature in self._refused.get(model, {})

    def takes_effort(self, effort: str, model: str) -> bool:
        """Whether `model` takes that level of effort, as far as the server says."""
        facts = self._facts.get(model)
        known = facts is not None and facts.described and facts.efforts
        return self.offers("effort", model) and (not known or effort in self._facts[model].efforts)

    def refuse(self, features: Iterable[Feature], model: str, reason: str) -> None:
        """Remember that the server refused `features`; `reason` is what it said."""
        new = [feature for feature in features if not self.refused(feature, model)]
        if not new:
            return
        for feature in new:
            self._refused.setdefault(model, {})[feature] = self._now()
        self._changed = True
        names = ", ".join(FIELD_OF[feature] for feature in new)
        about = f" for {model}" if model else ""
        said = " ".join(reason.split())[:300].rstrip(".")
        self._news.append(f"The server does not take {names}{about} ({said}). It is asked without.")

    def facts(self, model: str) -> ModelFacts | None:
        """Return what the server said of `model`; None where it was not asked, or not lately."""
        return self._facts.get(model)

    def learn(self, facts: ModelFacts) -> None:
        """Remember what the server says of a model."""
        self._facts[facts.model] = facts
        self._changed = True

    def take_news(self) -> list[str]:
        """Return what was found out and nobody was told of yet, in sentences."""
        news, self._news = self._news, []
        return news

    # The file

    def load(self) -> None:
        """Take over what earlier starts found out and is not too old."""
        server = _read(self._file).get(self.address)
        if not isinstance(server, dict):
            return
        since = self._now() - KEPT_SECONDS
        for model, features in _items(server.get("refused")):
            for feature, when in _items(features):
                then = _time(when)
                if feature in get_args(Feature) and then is not None and since <= then <= self._now():
                    self._refused.setdefault(model, {}).setdefault(feature, then)
        for model, stored in _items(server.get("models")):
            facts = _stored_facts(model, stored)
            if facts is not None and since <= facts.asked <= self._now():
                self._facts.setdefault(model, facts)

    def save(self) -> None:
        """Write what was found out, beside what other processes wrote; does nothing when there is nothing new."""
        if self._file is None or not self._changed:
            return
        self._changed = False
        servers = {address: server for address, server in _items(_read(self._file)) if address != self.address}
        recent = sorted(servers, key=lambda address: _age(servers[address]), reverse=True)[: MOST_KEPT - 1]
        servers = {address: servers[address] for address in recent}
        models = {model: asdict(facts) for model, facts in self._facts.items()}
        servers[self.address] = {"seen": self._now(), "refused": self._refused, "models": models}
        text = json.dumps({"version": FILE_VERSION, "servers": servers}, indent=1)
        temporary = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self._file)
        except OSError:
            temporary.unlink(missing_ok=True)  # it will be found out again


_DESCRIBED: frozenset[Feature] = frozenset({"compaction", "effort", "strict_tools", "thinking", "web_search"})
"""What the API's description of a model names."""


def without_credentials(address: str) -> str:
    """Return an address without the name and password that it may hold; one that is no URL as it is."""
    try:
        parts = urlsplit(address)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    except ValueError:
        return address


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


# What a server says of its models: the API's own form, and those of others.


def described_facts(model: str, body: Mapping[str, Any], now: float) -> ModelFacts:
    """Return the facts of one entry of a server's list of models, in whatever form it is.

    Besides the API's own names: `max_model_len` (vLLM, SGLang), `meta.n_ctx` and `meta.n_ctx_train` (llama.cpp),
    `context_length` and `top_provider` (OpenRouter), `max_context_length` and `loaded_context_length` (LM Studio),
    `model_info.max_input_tokens` (LiteLLM).
    """
    capabilities = body.get("capabilities")
    has = capabilities if isinstance(capabilities, Mapping) else {}
    features = [name for name, path in _CAPABILITY_OF.items() if _supported(has, *path)]
    if "web_search" in features:
        features.append("web_fetch")
    effort = has.get("effort")
    efforts = [level for level in EFFORTS if isinstance(effort, Mapping) and _supported(effort, level)]
    fallbacks = body.get("allowed_fallback_models")
    return ModelFacts(
        model=model,
        asked=now,
        described=bool(has),
        context_window=_first_size(body, _WINDOW_PATHS),
        max_output=_first_size(body, _OUTPUT_PATHS),
        features=tuple(features),
        efforts=tuple(efforts),
        lifecycle=str(body.get("lifecycle") or ""),
        retires_at=_epoch(body.get("retires_at")),
        fallbacks=tuple(str(name) for name in fallbacks) if isinstance(fallbacks, list) else (),
    )


_CAPABILITY_OF: dict[Feature, tuple[str, ...]] = {
    "compaction": ("compaction", "summarize"),
    "effort": ("effort",),
    "strict_tools": ("structured_outputs",),
    "thinking": ("thinking", "types", "adaptive"),
    "web_search": ("server_tools", "web_search"),
}

_WINDOW_PATHS = (
    ("max_input_tokens",),
    ("n_ctx",),
    ("meta", "n_ctx"),
    ("loaded_context_length",),
    ("max_model_len",),
    ("context_length",),
    ("context_window",),
    ("max_context_length",),
    ("model_info", "max_input_tokens"),
    ("meta", "n_ctx_train"),
)
"""Where the size of the window stands; what the server was started with goes before what the model could do."""

_OUTPUT_PATHS = (
    ("max_tokens",),
    ("max_output_tokens",),
    ("top_provider", "max_completion_tokens"),
    ("model_info", "max_output_tokens"),
)


def _supported(table: Mapping[str, Any], *path: str) -> bool:
    value: Any = table
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return isinstance(value, Mapping) and value.get("supported") is True


def _first_size(body: Mapping[str, Any], paths: Iterable[tuple[str, ...]]) -> int | None:
    for path in paths:
        value: Any = body
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, int) and not isinstance(value, bool) and 256 <= value <= 1_000_000_000:
            return value
    return None


def _epoch(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        when = datetime.fromisoformat(value)
        return when.timestamp() if when.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


RETIREMENT_SECONDS = 90 * 86_400.0
"""How long before its end a model's retirement is told."""


def retirement(facts: ModelFacts, now: float) -> str:
    """Return in a sentence when a model will be gone, empty while that is far off or not planned."""
    if facts.lifecycle == "retired":
        return f"{facts.model} is retired: requests to it fail. Choose another with /model."
    if facts.retires_at is None or facts.retires_at - now > RETIREMENT_SECONDS:
        return ""
    day = datetime.fromtimestamp(facts.retires_at, UTC).date().isoformat()
    when = "was to retire" if facts.retires_at < now else "retires"
    return f"{facts.model} {when} on {day}. Choose another with /model before its requests fail."


# What a refusal names


_NAMES: dict[Feature, re.Pattern[str]] = {
    "thinking_display": re.compile(r"\bdisplay\b"),
    "effort": re.compile(r"\beffort\b|output_config"),
    "diagnostics": re.compile(r"\bdiagnostics\b|previous_message_id"),
    "cache_1h": re.compile(r"\bttl\b|extended-cache"),
    "cache": re.compile(r"cache_control"),
    "strict_tools": re.compile(r"\bstrict\b|schema is too complex|too many optional|grammar|schema.{0,40}compil"),
    "web_search": re.compile(r"web_?search"),
    "web_fetch": re.compile(r"web_?fetch"),
    "fallbacks": re.compile(r"fallback"),
    "compaction_block": re.compile(r"compaction|compact-20"),
    "thinking": re.compile(r"\bthinking\b|\badaptive\b"),
}
"""The words that name a feature, the narrower feature first."""

_ABOUT_CONTENT = re.compile(r"^\W*(messages|system)\b")


def named_feature(message: str, present: Iterable[Feature]) -> Feature | None:
    """Return which of the features that a request has a refusal is about; None where it is about none.

    A refusal of the messages' content is about no field, whatever words it quotes; only a compaction block is both.
    """
    text = message.lower()
    about_content = bool(_ABOUT_CONTENT.match(text))
    known = set(present)
    for feature, pattern in _NAMES.items():
        if feature in known and pattern.search(text) and (feature == "compaction_block" or not about_content):
            return feature
    return None


# Reading the file


def _read(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(data, dict) or data.get("version") != FILE_VERSION:
        return {}
    servers = data.get("servers")
    return servers if isinstance(servers, dict) else {}


def _items(value: object) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _age(server: object) -> float:
    return _time(server.get("seen")) or 0.0 if isinstance(server, dict) else 0.0


def _time(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _stored_facts(model: str, stored: object) -> ModelFacts | None:
    if not isinstance(stored, dict):
        return None
    asked = _time(stored.get("asked"))
    if asked is None:
        return None
    sizes = {key: stored.get(key) for key in ("context_window", "max_output")}
    if not all(size is None or (isinstance(size, int) and size > 0) for size in sizes.values()):
        return None
    lists = {key: stored.get(key) for key in ("features", "efforts", "fallbacks")}
    if not all(isinstance(found, list) and all(isinstance(one, str) for one in found) for found in lists.values()):
        return None
    return ModelFacts(
        model=model,
        asked=asked,
        described=stored.get("described") is True,
        context_window=sizes["context_window"],
        max_output=sizes["max_output"],
        lifecycle=str(stored.get("lifecycle") or ""),
        retires_at=_time(stored.get("retires_at")),
        **{key: tuple(found) for key, found in lists.items() if found is not None},
    )
