"""Hypothesis strategies for events: every type, with any field."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from tui_agent.events import EVENT_TYPES, EventBase

# pydantic's JSON is UTF-8: lone surrogates are replaced where text enters the program.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
ids = st.sampled_from(["", "a", "b", "c"])
IDS = {"run", "turn", "step", "request", "question", "prompt_id", "call_id"}


def values(kind: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments for a pydantic model, made from its JSON schema."""
    schema = kind.model_json_schema()
    properties = schema["properties"]
    required = {
        name: _value(name, field, schema) for name, field in properties.items() if name in schema.get("required", [])
    }
    optional = {
        name: _value(name, field, schema)
        for name, field in properties.items()
        if name not in required and name not in {"type", "seq", "hash", "version"}
    }
    return st.fixed_dictionaries(required, optional=optional)


def _value(name: str, field: dict[str, Any], root: dict[str, Any]) -> st.SearchStrategy[Any]:
    if name in IDS:
        return ids
    if "$ref" in field:
        key = field["$ref"].rsplit("/", 1)[1]
        if key == "JsonValue":
            return json_values
        inner = root["$defs"][key]
        names = inner["properties"]
        return st.fixed_dictionaries({n: _value(n, f, root) for n, f in names.items()})
    if "anyOf" in field:
        return st.one_of([_value(name, option, root) for option in field["anyOf"]])
    if "enum" in field:
        return st.sampled_from(field["enum"])
    if "const" in field:
        return st.just(field["const"])
    match field.get("type"):
        case "string":
            return texts
        case "integer":
            return st.integers(0, 1_000_000)
        case "number":
            return st.floats(0, 1e9, allow_nan=False)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array":
            return st.lists(_value("", field.get("items", {}), root), max_size=2)
        case "object":
            inner = field.get("additionalProperties")
            kept = _value("", inner, root) if isinstance(inner, dict) else json_values
            return st.dictionaries(texts, kept, max_size=2)
    return json_values


def events_of(kind: type[EventBase]) -> st.SearchStrategy[EventBase]:
    """Events of one type."""
    return values(kind).map(kind.model_validate)


events = st.sampled_from(sorted(EVENT_TYPES)).flatmap(lambda name: events_of(EVENT_TYPES[name]))
"""Events of any type."""
