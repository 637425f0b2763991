"""The offline model's token counts: about four bytes a token, always the same for the same text."""

from __future__ import annotations

import json
from typing import Any

BYTES_PER_TOKEN = 4
IMAGE_TOKENS = 1_500
"""What an image or document counts, whatever its size: about what the API bills for a full-size image."""


_ENCODE = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def text_tokens(text: str) -> int:
    """Return the tokens of `text`, at least 1."""
    return max(1, -(-len(text.encode()) // BYTES_PER_TOKEN))


def canonical(value: Any) -> str:
    """Return `value` as JSON that is equal for equal values, cache marks left out."""
    text = _ENCODE(value)
    return _ENCODE(_without_marks(value)) if '"cache_control"' in text else text


def _without_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_marks(part) for key, part in value.items() if key != "cache_control"}
    if isinstance(value, list):
        return [_without_marks(part) for part in value]
    return value


def block_tokens(block: dict[str, Any], spelled: str = "") -> int:
    """Return the tokens of one content block, tool or system block; `spelled` is its canonical JSON, if known."""
    match block.get("type"):
        case "text":
            return text_tokens(block["text"])
        case "image" | "document":
            return IMAGE_TOKENS
        case "tool_result" if isinstance(block.get("content"), list):
            return 8 + sum(block_tokens(part) for part in block["content"])
    return text_tokens(spelled or canonical(block))
