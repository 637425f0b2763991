"""Rules about the fields around the messages: tools, sampling, effort, cache marks, media. Stricter than the API is.

What only some of the API's models refuse is refused here for all: a request that passes is right everywhere.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from tui_agent.models.offline.errors import ApiError, invalid
from tui_agent.models.offline.request import blocks

KNOWN_BETAS = frozenset({
    "compact-2026-09-04", "server-side-fallback-2026-07-01", "fast-mode-2026-02-01", "context-1m-2025-08-07",
    "interleaved-thinking-2025-05-14", "context-management-2025-06-27", "prompt-caching-2024-07-31",
    "token-counting-2024-11-01", "structured-outputs-2025-11-13", "thinking-token-count-2026-05-13",
    "extended-cache-ttl-2025-04-11", "fine-grained-tool-streaming-2025-05-14", "output-128k-2025-02-19",
    "model-context-window-exceeded-2025-08-26", "claude-code-20250219", "oauth-2025-04-20", "pdfs-2024-09-25",
    "files-api-2025-04-14", "effort-2025-11-24", "advanced-tool-use-2025-11-20", "mcp-client-2025-11-20",
    "task-budgets-2026-03-13", "fallback-credit-2026-07-01", "prompt-caching-scope-2026-01-05",
    "mid-conversation-system-clear-at-2026-08-21", "mid-conversation-tool-changes-2026-07-01",
    "thinking-display-updates-2026-08-18", "message-threads-2026-08-12", "inline-tools-2026-09-15",
})  # fmt: skip
"""Beta headers that are known, as the SDK and the clients in use name them."""

EFFORTS = ("low", "medium", "high", "xhigh", "max")

MAX_SIDE = 8_000
MAX_SIDE_OF_MANY = 2_000
MANY_IMAGES = 20
"""The longest side of an image in pixels; of each where a request has more than so many (documentation: vision)."""

_IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")


def check_betas(betas: Iterable[str]) -> None:
    """Raise `ApiError` for a beta header that there is not."""
    unknown = sorted(set(betas) - KNOWN_BETAS)
    if unknown:
        named = ", ".join(f"`{name}`" for name in unknown)
        raise invalid(f"Unexpected value(s) {named} for the `anthropic-beta` header.")


def check_fields(body: dict[str, Any]) -> None:
    """Raise `ApiError` for the first field around the messages that breaks a rule."""
    _check_choice(body)
    _check_output(body.get("output_config"))
    _check_sampling(body)
    _check_strict(body.get("tools") or [])
    _check_web(body)
    _check_lives(body)
    _check_media(body)
    if body.get("thinking"):
        display = body["thinking"].get("display")
        if display not in {None, "summarized", "omitted"}:
            raise invalid("thinking.display: Input should be 'summarized' or 'omitted'")


def _check_choice(body: dict[str, Any]) -> None:
    choice = body.get("tool_choice")
    if choice is None:
        return
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind not in {"auto", "any", "tool", "none"}:
        raise invalid("tool_choice: Input tag should be one of 'auto', 'any', 'tool', 'none'")
    if kind == "tool" and choice.get("name") not in {tool.get("name") for tool in body.get("tools") or []}:
        raise invalid(f"tool_choice.name: Tool '{choice.get('name')}' not found in provided tools")
    if kind in {"any", "tool"}:
        raise invalid(f"tool_choice: forced tool use ('{kind}') is not supported by this model.")


def _check_output(config: Any) -> None:
    if config is None:
        return
    if not isinstance(config, dict):
        raise invalid("output_config: Input should be a valid dictionary")
    unknown = sorted(config.keys() - {"effort", "format", "task_budget"})
    if unknown:
        raise invalid(f"output_config.{unknown[0]}: Extra inputs are not permitted")
    if config.get("effort") not in {None, *EFFORTS}:
        raise invalid("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
    form = config.get("format")
    if form is not None and not (
        isinstance(form, dict) and form.get("type") == "json_schema" and isinstance(form.get("schema"), dict)
    ):
        raise invalid("output_config.format: Input should be a json_schema with a schema")


def _check_sampling(body: dict[str, Any]) -> None:
    for name in ("temperature", "top_p"):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise invalid(f"{name}: Input should be a valid number")
        if not 0 <= value <= 1:
            raise invalid(f"{name}: range: 0..1")
    sequences = body.get("stop_sequences")
    if sequences is None:
        return
    if not isinstance(sequences, list) or not all(isinstance(one, str) for one in sequences):
        raise invalid("stop_sequences: Input should be a valid list of strings")
    if any(not one.strip() for one in sequences):
        raise invalid("stop_sequences: each stop sequence must contain non-whitespace")


_WEB_TYPES = frozenset({
    "web_search_20250305", "web_search_20260209", "web_search_20260318",
    "web_fetch_20250910", "web_fetch_20260209", "web_fetch_20260309", "web_fetch_20260318",
})  # fmt: skip
_WEB_FIELDS = frozenset({
    "type", "name", "allowed_callers", "allowed_domains", "blocked_domains", "cache_control", "citations",
    "defer_loading", "max_content_tokens", "max_uses", "response_inclusion", "strict", "url_sources", "use_cache",
    "user_location",
})  # fmt: skip
"""The versions of the web tools, and their fields (the SDK's types)."""

_FETCH_ONLY = {"citations", "max_content_tokens", "url_sources", "use_cache"}


def _check_web(body: dict[str, Any]) -> None:
    """Raise `ApiError` for a web tool that is not as the API has it, or a call of one that has no result."""
    for number, tool in enumerate(body.get("tools") or []):
        kind = str(tool.get("type") or "")
        if not kind.startswith("web_"):
            continue
        where = f"tools.{number}"
        if kind not in _WEB_TYPES:
            raise invalid(f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags")
        name = kind.rpartition("_")[0]
        known = _WEB_FIELDS - (_FETCH_ONLY if name == "web_search" else {"user_location"})
        unknown = sorted(tool.keys() - known)
        if unknown:
            raise invalid(f"{where}.{kind}.{unknown[0]}: Extra inputs are not permitted")
        if tool.get("name") != name:
            raise invalid(f"{where}.{kind}.name: Input should be '{name}'")
        for field in ("max_uses", "max_content_tokens"):
            value = tool.get(field, 1)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise invalid(f"{where}.{kind}.{field}: Input should be greater than 0")
        if tool.get("allowed_domains") and tool.get("blocked_domains"):
            raise invalid(f"{where}.{kind}: only one of allowed_domains and blocked_domains may be given")
        for domain in (*(tool.get("allowed_domains") or ()), *(tool.get("blocked_domains") or ())):
            if "://" in domain or domain.startswith("*"):
                raise invalid(f"{where}.{kind}: {domain} is no domain")
    for number, message in enumerate(body["messages"]):
        content = blocks(message["content"])
        called = [block.get("id") for block in content if block["type"] == "server_tool_use"]
        for index, block in enumerate(content):
            kind, answered = block["type"], block.get("tool_use_id")
            if kind in {"web_search_tool_result", "web_fetch_tool_result"} and answered not in called:
                where = f"messages.{number}.content.{index}"
                raise invalid(f"{where}: unexpected `tool_use_id` found in `{kind}` blocks: {answered}")


MAX_STRICT_TOOLS = 20
MAX_OPTIONAL = 24
"""Strict tools of a request, and their optional properties, at most (documentation: structured outputs)."""


def _check_strict(tools: list[dict[str, Any]]) -> None:
    strict_ones = [tool for tool in tools if tool.get("strict") is True]
    if len(strict_ones) > MAX_STRICT_TOOLS:
        raise invalid(f"tools: Too many strict tools ({len(strict_ones)}). The maximum is {MAX_STRICT_TOOLS}.")
    optional = sum(_optional(tool.get("input_schema")) for tool in strict_ones)
    if optional > MAX_OPTIONAL:
        raise invalid(
            f"tools: Schemas contain too many optional parameters ({optional}). The maximum across all strict tools "
            f"is {MAX_OPTIONAL}."
        )
    for number, tool in enumerate(tools):
        strict = tool.get("strict")
        if strict is None:
            continue
        if not isinstance(strict, bool):
            raise invalid(f"tools.{number}.custom.strict: Input should be a valid boolean")
        if strict:
            _check_closed(tool.get("input_schema"), f"tools.{number}.custom.input_schema")


_STRICT_KEYWORDS = frozenset({
    "$defs", "$ref", "additionalProperties", "allOf", "anyOf", "const", "default", "description", "enum", "format",
    "items", "minItems", "properties", "required", "title", "type",
})  # fmt: skip
"""Keywords of JSON Schema that strict tools may use (documentation: structured outputs)."""


def _optional(schema: Any) -> int:
    """Return how many properties of a schema's objects may be left out."""
    if isinstance(schema, list):
        return sum(map(_optional, schema))
    if not isinstance(schema, dict):
        return 0
    properties = schema.get("properties")
    own = len(properties.keys() - set(schema.get("required") or [])) if isinstance(properties, dict) else 0
    return own + sum(map(_optional, schema.values()))


def _check_closed(schema: Any, where: str) -> None:
    """Raise `ApiError` for a schema of a strict tool that says what the server cannot guarantee."""
    if not isinstance(schema, dict):
        raise invalid(f"{where}: Input should be a valid dictionary")
    kind = schema.get("type", "")
    unknown = sorted(schema.keys() - _STRICT_KEYWORDS)
    if unknown:
        raise invalid(f"{where}: For '{kind}' type, property '{unknown[0]}' is not supported")
    if schema.get("minItems", 0) not in {0, 1}:
        raise invalid(f"{where}: For 'array' type, 'minItems' values other than 0 or 1 are not supported")
    if not schema.keys() & {"type", "$ref", "anyOf", "allOf", "const"}:
        raise invalid(f"{where}: Schema must have a 'type', '$ref', 'anyOf' or 'allOf'")
    if kind == "object" and schema.get("additionalProperties") is not False:
        raise invalid(f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false")
    for key in ("properties", "$defs"):
        for name, part in (schema.get(key) or {}).items():
            _check_closed(part, f"{where}.{key}.{name}")
    for key in ("anyOf", "allOf"):
        for index, part in enumerate(schema.get(key) or []):
            _check_closed(part, f"{where}.{key}.{index}")
    if "items" in schema:
        _check_closed(schema["items"], f"{where}.items")


def _check_lives(body: dict[str, Any]) -> None:
    """Raise `ApiError` where a cache mark of one hour comes after one of five minutes."""
    marks = [tool.get("cache_control") for tool in body.get("tools") or []]
    for content in (body.get("system") or [], *(message["content"] for message in body["messages"])):
        marks += [block.get("cache_control") for block in blocks(content)]
    lives = [mark.get("ttl") or "5m" for mark in [*marks, body.get("cache_control")] if mark]
    if "5m" in lives and "1h" in lives[lives.index("5m") :]:
        raise invalid("a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block.")


def _media(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, message in enumerate(body["messages"]):
        for index, block in enumerate(blocks(message["content"])):
            where = f"messages.{number}.content.{index}"
            if block.get("type") in {"image", "document"}:
                yield where, block
            elif block.get("type") == "tool_result" and isinstance(block.get("content"), list):
                for inner, part in enumerate(block["content"]):
                    if part.get("type") in {"image", "document"}:
                        yield f"{where}.content.{inner}", part


def _check_media(body: dict[str, Any]) -> None:
    found = list(_media(body))
    images = sum(block["type"] == "image" for _, block in found)
    limit = MAX_SIDE_OF_MANY if images > MANY_IMAGES else MAX_SIDE
    for where, block in found:
        source = block["source"]
        if source.get("type") != "base64":
            continue
        place = f"{where}.{block['type']}.source.base64"
        try:
            data = base64.b64decode(source.get("data") or "", validate=True)
        except (binascii.Error, ValueError, TypeError) as error:
            raise invalid(f"{place}: invalid base64 data") from error
        if block["type"] == "document":
            if source.get("media_type") != "application/pdf" or not data.startswith(b"%PDF-"):
                raise invalid(f"{place}: The PDF specified was not valid.")
            continue
        if source.get("media_type") not in _IMAGE_TYPES:
            raise invalid(f"{place}.media_type: Input should be one of {', '.join(_IMAGE_TYPES)}")
        if max(_png_size(data)) > limit:
            raise ApiError(
                400,
                "invalid_request_error",
                f"{where}.image.source.base64.data: At least one of the image dimensions exceed max allowed size"
                f"{' for many-image requests' if limit < MAX_SIDE else ''}: {limit} pixels",
                code="image_dimensions_too_large",
            )


def _png_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a PNG; of other formats nothing is known."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or len(data) < 24:
        return 0, 0
    width, height = struct.unpack(">II", data[16:24])
    return int(width), int(height)
