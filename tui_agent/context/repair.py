"""Taking out of a history what the server refuses, so that one bad block does not end a session.

A request repeats all that was said before. A block that the server does not take, such as an image that it cannot
read, would therefore have every later request refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pydantic import JsonValue

from tui_agent.events import BlockReplaced, JsonObject

_PATH = re.compile(
    r"messages[.\[](?P<message>\d+)\]?"
    r"(?:\.content[.\[](?P<block>\d+)\]?(?:\.(?:tool_result\.)?content[.\[](?P<inner>\d+)\]?)?)?"
)
"""How the API names a block: `messages.4.content.0.tool_result.content.1.image.source.base64: …`."""

_MEDIA = {"image", "document"}
_IMAGE_WORDS = re.compile(r"\b(images?|pictures?|pixels?|media[_ ]type|multimodal|vision|mmproj)\b", re.IGNORECASE)
_DOCUMENT_WORDS = re.compile(r"\b(pdfs?|documents?)\b", re.IGNORECASE)
_BOUND = {"thinking", "redacted_thinking"}

Blocks = list[JsonObject]


def find_fault(messages: Sequence[JsonObject], refusal: str, *, everything: bool = False) -> list[BlockReplaced]:
    """Return what to replace so that a request which the server refused with these words may be taken.

    That is the block which the words name; where they only speak of images or documents, those that came since the
    last answer, or all where there are none; with `everything`, all images and documents. Empty where the words are
    about neither a block nor media.
    """
    named = _PATH.search(refusal)
    kinds = _kinds(refusal)
    if named is None and not kinds:
        return []
    if not everything and named is not None and (found := _named(messages, named)):
        return found
    media = list(_media(messages, _MEDIA if everything else kinds or _MEDIA))
    last = max((i for i, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
    new = [edit for edit in media if edit.message > last]
    return media if everything or not new else new


def replace_blocks(messages: Sequence[JsonObject], edits: Iterable[BlockReplaced]) -> list[JsonObject]:
    """Return the messages with these blocks replaced by their notes. Pure.

    Thinking after the first of them goes: its signature binds to what came before it.
    """
    of_message: dict[int, list[BlockReplaced]] = {}
    for edit in edits:
        of_message.setdefault(edit.message, []).append(edit)
    first = min(of_message, default=len(messages))
    changed = []
    for index, message in enumerate(messages):
        blocks = _blocks(message)
        for edit in of_message.get(index, ()):
            blocks = _replaced(blocks, edit)
        if index >= first and message["role"] == "assistant":
            blocks = [block for block in blocks if block.get("type") not in _BOUND]
            blocks = blocks or [_text("[This answer was left out.]")]
        if index in of_message and message["role"] == "user":  # results come first in a message
            blocks.sort(key=lambda block: block.get("type") != "tool_result")
        content: list[JsonValue] = [*blocks]
        changed.append({**message, "content": content})
    return changed


def _kinds(refusal: str) -> set[str]:
    kinds = {"image"} if _IMAGE_WORDS.search(refusal) else set()
    return kinds | ({"document"} if _DOCUMENT_WORDS.search(refusal) else set())


def _named(messages: Sequence[JsonObject], named: re.Match[str]) -> list[BlockReplaced]:
    index = int(named["message"])
    if index >= len(messages):
        return []
    blocks = _blocks(messages[index])
    if named["block"] is None:
        return [edit for edit in _media(messages, _MEDIA) if edit.message == index]
    at = int(named["block"])
    if at >= len(blocks):
        return []
    block = blocks[at]
    match block.get("type"):
        case "tool_result":
            inside = _inside(block)
            if named["inner"] is not None and int(named["inner"]) < len(inside):
                inner = int(named["inner"])
                return [BlockReplaced(message=index, block=at, inner=inner, note=_note(inside[inner]))]
            media = [edit for edit in _media(messages, _MEDIA) if (edit.message, edit.block) == (index, at)]
            whole = BlockReplaced(message=index, block=at, kind="content", note=_note(block))
            return media or [whole]
        case "tool_use":
            return _call_and_result(messages, index, at)
        case "thinking" | "redacted_thinking":
            return [
                BlockReplaced(message=i, block=j, note="")
                for i, message in enumerate(messages)
                for j, part in enumerate(_blocks(message))
                if part.get("type") in _BOUND
            ]
    return [BlockReplaced(message=index, block=at, note=_note(block))]


def _call_and_result(messages: Sequence[JsonObject], index: int, at: int) -> list[BlockReplaced]:
    """Return the edits that make text of a call and of its result: neither may stand without the other."""
    call = _blocks(messages[index])[at]
    note = f"[A call of the tool {str(call.get('name'))[:100]!r} was left out: the server refused it.]"
    edits = [BlockReplaced(message=index, block=at, note=note)]
    for j, block in enumerate(_blocks(messages[index + 1]) if index + 1 < len(messages) else []):
        if block.get("type") == "tool_result" and block.get("tool_use_id") == call.get("id"):
            text = "\n".join(str(part.get("text", "")) for part in _inside(block))
            edits.append(BlockReplaced(message=index + 1, block=j, note=f"[The result of that call:]\n{text}"))
    return edits


def _media(messages: Sequence[JsonObject], kinds: set[str]) -> Iterable[BlockReplaced]:
    for index, message in enumerate(messages):
        for at, block in enumerate(_blocks(message)):
            if block.get("type") in kinds:
                yield BlockReplaced(message=index, block=at, note=_note(block))
            for inner, part in enumerate(_inside(block)):
                if part.get("type") in kinds:
                    yield BlockReplaced(message=index, block=at, inner=inner, note=_note(part))


def _note(block: JsonObject) -> str:
    what = {"image": "An image", "document": "A document", "text": "A text"}.get(str(block.get("type")), "Content")
    return f"[{what} was left out here: the server refused it.]"


def _replaced(blocks: Blocks, edit: BlockReplaced) -> Blocks:
    if edit.block >= len(blocks):
        return blocks
    block = blocks[edit.block]
    if edit.inner is not None:
        inside = _inside(block)
        if edit.inner < len(inside):
            inside[edit.inner] = _text(edit.note)
        new: JsonObject = {**block, "content": list(inside)}
    elif edit.kind == "content":
        new = {**block, "content": [_text(edit.note)]}
    elif not edit.note:
        return blocks  # thinking, which is taken out of all that follows
    else:
        new = _text(edit.note)
    return [*blocks[: edit.block], new, *blocks[edit.block + 1 :]]


def _blocks(message: JsonObject) -> Blocks:
    return _objects(message.get("content"))


def _inside(block: JsonObject) -> Blocks:
    return _objects(block.get("content")) if block.get("type") == "tool_result" else []


def _objects(value: object) -> Blocks:
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}
