"""Checks a request's body against the SDK's own parameter types: a new SDK shows what changed."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

import typing_extensions
from typing_extensions import is_typeddict


def check_request(path: str, body: dict[str, Any], betas: frozenset[str]) -> None:
    """Raise `ValueError` for the first part of a body that the SDK's types do not allow, naming its place."""
    problem = _problem(body, _params(path.endswith("count_tokens"), bool(betas), body.get("stream") is True), "")
    if problem:
        raise ValueError(problem)


@functools.cache
def _params(counting: bool, beta: bool, stream: bool) -> Any:
    from anthropic.types import message_count_tokens_params, message_create_params
    from anthropic.types.beta import message_count_tokens_params as beta_count
    from anthropic.types.beta import message_create_params as beta_create

    if counting:
        return (beta_count if beta else message_count_tokens_params).MessageCountTokensParams
    create = beta_create if beta else message_create_params
    return create.MessageCreateParamsStreaming if stream else create.MessageCreateParamsNonStreaming


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing_extensions.get_type_hints(kind, include_extras=True)


def _problem(value: Any, kind: Any, where: str) -> str:
    """Return what is wrong with `value` for a type, with its place; empty if nothing is."""
    origin = get_origin(kind)
    if origin in {typing_extensions.Required, typing_extensions.NotRequired, typing_extensions.Annotated}:
        return _problem(value, get_args(kind)[0], where)
    if origin is Union or origin is types.UnionType:
        return _of_union(value, get_args(kind), where)
    if kind in {Any, object}:
        return ""
    if origin is Literal:
        return "" if value in get_args(kind) else f"{where}: {value!r:.80} is none of {get_args(kind)}"
    if is_typeddict(kind):
        return _of_table(value, kind, where)
    if kind is type(None):
        return "" if value is None else f"{where}: null is wanted"
    if kind in {str, int, float, bool}:
        fits = isinstance(value, (int, float) if kind is float else kind)
        fits = fits and (kind is bool or not isinstance(value, bool))
        return "" if fits else f"{where}: {kind.__name__} is wanted, not {value!r:.80}"
    name = getattr(origin or kind, "__name__", str(kind))
    if name in {"list", "Iterable", "Sequence", "SequenceNotStr", "List"}:
        if not isinstance(value, list):
            return f"{where}: a list is wanted"
        found = (_problem(part, (get_args(kind) or (Any,))[0], f"{where}.{i}") for i, part in enumerate(value))
        return next(filter(None, found), "")
    if name in {"dict", "Dict", "Mapping"}:
        return "" if isinstance(value, dict) else f"{where}: an object is wanted"
    return f"{where}: {value!r:.80} is no {name}"


def _of_union(value: Any, kinds: Iterable[Any], where: str) -> str:
    problems = []
    tagged = []
    for kind in kinds:
        problem = _problem(value, kind, where)
        if not problem:
            return ""
        problems.append(problem)
        tag = _hints(kind).get("type") if is_typeddict(kind) and isinstance(value, dict) else None
        if tag is not None and not _problem(value.get("type"), tag, where):
            tagged.append(problem)
    deepest = sorted(problems, key=lambda problem: -problem.partition(":")[0].partition(" ")[0].count("."))
    return (tagged or deepest or [f"{where}: nothing fits"])[0]


def _of_table(value: Any, kind: Any, where: str) -> str:
    if not isinstance(value, Mapping):
        return f"{where}: an object is wanted"
    hints = _hints(kind)
    # With annotations that are texts, `__required_keys__` does not see what is `Required`.
    needed = {name for name, hint in hints.items() if get_origin(hint) is typing_extensions.Required}
    missing = sorted(needed - value.keys())
    if missing:
        return f"{where}.{missing[0]} is missing"
    open_ = bool(getattr(kind, "__pydantic_config__", None))
    for name, part in value.items():
        place = f"{where}.{name}".lstrip(".")
        if name not in hints:
            if not open_:
                return f"{place} is unknown"
            continue
        problem = _problem(part, hints[name], place)
        if problem:
            return problem
    return ""
