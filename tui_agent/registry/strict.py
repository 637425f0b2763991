"""Tool definitions whose input the server is held to: within the part of JSON Schema that it can guarantee.

The limits are those of the public documentation (structured outputs: JSON Schema limitations, complexity limits) and
of the SDK's `transform_schema`: objects are closed, ranges and lengths are not taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from tui_agent.events import JsonObject

MAX_STRICT_TOOLS = 20
"""Strict tools of one request, at most."""

MAX_OPTIONAL = 24
"""Optional properties of all strict tools of a request together, at most."""

_KEPT = frozenset({
    "$defs", "$ref", "additionalProperties", "allOf", "anyOf", "const", "default", "description", "enum", "items",
    "properties", "required", "title", "type",
})  # fmt: skip

_TOLD = frozenset({"exclusiveMaximum", "exclusiveMinimum", "maxItems", "maxLength", "maximum", "minItems", "minimum"})
"""Limits that cannot be guaranteed; the description names them in their place, as the SDK does it."""

_FORMATS = frozenset({"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"})

_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def strict_tools(tools: Iterable[JsonObject]) -> list[JsonObject]:
    """Return the definitions with `strict` where the schema qualifies, up to what one request may have.

    The schema of such a tool loses what the server cannot guarantee: the agent checks each call against the whole
    schema all the same. A tool whose input streams early is left as it is: that input is not checked by the server.
    """
    made: list[JsonObject] = []
    strict, optional = 0, 0
    for tool in tools:
        schema = None if tool.get("eager_input_streaming") else strict_schema(tool.get("input_schema"))
        more = count_optional(schema)
        if schema is None or strict == MAX_STRICT_TOOLS or optional + more > MAX_OPTIONAL:
            made.append(tool)
            continue
        strict, optional = strict + 1, optional + more
        made.append({**tool, "input_schema": schema, "strict": True})
    return made


def strict_schema(schema: Any) -> JsonObject | None:
    """Return a schema within what strict tools may have; None for one with an object that is not closed, or a form
    that cannot be expressed."""
    try:
        return cast("JsonObject", _strict(schema))
    except _InexpressibleError:
        return None


def count_optional(schema: Any) -> int:
    """Return how many properties of all objects in a schema may be left out."""
    if isinstance(schema, list):
        return sum(map(count_optional, schema))
    if not isinstance(schema, dict):
        return 0
    properties = schema.get("properties")
    own = len(properties.keys() - set(schema.get("required") or [])) if isinstance(properties, dict) else 0
    return own + sum(map(count_optional, schema.values()))


class _InexpressibleError(Exception):
    """The part of a schema that a strict tool cannot have."""


def _strict(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, dict):
        raise _InexpressibleError(schema)
    made: dict[str, Any] = {}
    told: list[str] = []
    for key, value in schema.items():
        if key in {"properties", "$defs"}:
            made[key] = {name: _strict(part) for name, part in value.items()}
        elif key in {"anyOf", "allOf"}:
            made[key] = [_strict(part) for part in value]
        elif key == "items":
            made[key] = _strict(value)
        elif key in _KEPT or (key == "minItems" and value in {0, 1}) or (key == "format" and value in _FORMATS):
            made[key] = value
        elif key in _TOLD:
            if key in {"minimum", "exclusiveMinimum"} and value in {0, 1}:
                continue  # nobody would give less
            told.append(f"{key}: {value}")
        elif key not in {"minLength", "format", "pattern", "$schema", "examples"}:
            raise _InexpressibleError(key)  # what it means would be lost
    if made.get("type") == "object" and made.get("additionalProperties") is not False:
        raise _InexpressibleError(schema)
    if "enum" in made and "type" not in made:
        kinds = {_JSON_TYPES.get(type(value)) for value in made["enum"]}
        if len(kinds) != 1 or None in kinds:
            raise _InexpressibleError(schema)
        made["type"] = kinds.pop()
    if told:
        limits = "{" + ", ".join(told) + "}"
        made["description"] = f"{made['description']} {limits}" if made.get("description") else limits
    return made
