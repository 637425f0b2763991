"""A message history whose journal lost events to damage, made valid for the API again.

The API refuses a request in which a tool call has no result, a result has no call, or the first message is not the
user's; and a thinking block whose earlier messages are not those it was written after.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from tui_agent.events import JsonObject

SALVAGED = "journal.salvaged"
"""Code of the notice that follows the events saved from a damaged file."""

LOST_PART = (
    "[The file of this session was damaged: parts of the conversation may be missing, here or further down. "
    "Look at the files again before you rely on what was said of them.]"
)
LOST_RESULT = (
    "[What became of this call is not known: that part of the session's file was damaged. Look before you repeat it.]"
)
LOST_ANSWER = "[This answer was lost when the session's file was damaged.]"

_THINKING = {"thinking", "redacted_thinking"}


def lost_result(call: str) -> JsonObject:
    """Return the result of a call whose outcome is not known."""
    return {"type": "tool_result", "tool_use_id": call, "content": [_text(LOST_RESULT)], "is_error": True}


def mended(messages: list[JsonObject]) -> list[JsonObject]:
    """Return the messages as the API takes them: as many, or one more at the front where the first was an answer.

    The first message says that something may be missing. Calls of the last message are left open.
    """
    result: list[JsonObject] = []
    calls: list[str] = []
    for message in messages:
        content = _blocks(message)
        if message["role"] == "assistant":
            if not result:
                result.append({"role": "user", "content": [_text(LOST_PART)]})
            kept = [block for block in content if block.get("type") not in _THINKING]
            calls = [str(block["id"]) for block in kept if block.get("type") == "tool_use"]
            result.append({"role": "assistant", "content": list(kept or [_text(LOST_ANSWER)])})
            continue
        blocks = _answered(content, calls)
        if not result:  # a block with the server's own summary must stay the first
            at = next((i for i, block in enumerate(blocks) if block.get("type") != "compaction"), len(blocks))
            blocks.insert(at, _text(LOST_PART))
        result.append({"role": "user", "content": list(blocks or [_text(LOST_RESULT)])})
        calls = []
    return result


def _answered(content: Collection[JsonObject], calls: Collection[str]) -> list[JsonObject]:
    """Return the blocks of a user's message with one result for each of `calls` first, and no other results."""
    found = {str(block["tool_use_id"]): block for block in content if block.get("type") == "tool_result"}
    rest = [block for block in content if block.get("type") != "tool_result"]
    return [found.get(call) or lost_result(call) for call in calls] + rest


def _blocks(message: JsonObject) -> list[JsonObject]:
    return cast("list[JsonObject]", message["content"])


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}
