"""The fields of a request besides its system prompt, tools and messages: which a server is sent, and without which
it is asked again when it refuses one."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from tui_agent.config.settings import Effort, ThinkingDisplay
from tui_agent.events import JsonObject
from tui_agent.models.capabilities import Capabilities, Feature
from tui_agent.models.catalog import Model

COMPACTION_BETA = "compact-2026-09-04"
"""Needed to ask for a compaction, and on every request whose messages hold a compaction block."""

FALLBACK_BETA = "server-side-fallback-2026-07-01"
"""Needed to name fallback models, and on every request whose messages hold a fallback block."""

BETA_OF_BLOCK = {"compaction": COMPACTION_BETA, "fallback": FALLBACK_BETA}
"""Content blocks that a server takes only with a beta header."""

COUNTED = ("thinking", "output_config", "cache_control")
"""Fields that `count_tokens` takes as well."""


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """What a request asks for beyond its content.

    `cache` is how long the server is to keep the prompt, None for not at all. `diagnose` asks why the cache was
    missed, compared to `previous_message_id` where there is one. `compaction` asks for a compaction in place of an
    answer. `fallbacks` are the models to try, in order, when the one that is asked declines; `default` leaves them
    to the server.
    """

    display: ThinkingDisplay = "summarized"
    effort: Effort | None = None
    cache: Literal["5m", "1h"] | None = "5m"
    diagnose: bool = False
    previous_message_id: str | None = None
    compaction: JsonObject | None = None
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """The fields of a request, those of them that a count of its tokens takes, and its beta headers."""

    fields: JsonObject
    counted: JsonObject
    betas: tuple[str, ...]


def make_head(model: Model, options: RequestOptions, can: Capabilities, blocks: Collection[str] = ()) -> Head:
    """Return the head of a request for `model`: what `options` ask for, as far as the server takes it.

    `blocks` are the types of content blocks in its messages that need a beta header.
    """
    fields: JsonObject = {}
    if model.thinking and can.offers("thinking", model.id):
        thinking: JsonObject = {"type": "adaptive"}
        if can.offers("thinking_display", model.id):
            thinking["display"] = options.display
        fields["thinking"] = thinking
    if options.effort is not None and can.takes_effort(options.effort, model.id):
        fields["output_config"] = {"effort": options.effort}
    if options.cache is not None and can.offers("cache", model.id):
        mark: JsonObject = {"type": "ephemeral"}
        if options.cache == "1h" and can.offers("cache_1h", model.id):
            mark["ttl"] = "1h"
        fields["cache_control"] = mark
    if options.diagnose and can.offers("diagnostics", model.id):
        fields["diagnostics"] = {"previous_message_id": options.previous_message_id}
    if options.compaction is not None:
        fields["compaction"] = options.compaction
    elif options.fallbacks and can.offers("fallbacks", model.id):
        default = options.fallbacks == ("default",)
        fields["fallbacks"] = "default" if default else [{"model": name} for name in options.fallbacks]
    counted = {name: fields[name] for name in COUNTED if name in fields}
    return Head(fields, counted, betas_for(fields, blocks))


def betas_for(fields: Collection[str], blocks: Iterable[str]) -> tuple[str, ...]:
    """Return the beta headers of a request with these fields and these types of blocks."""
    needed = {BETA_OF_BLOCK[block] for block in blocks if block in BETA_OF_BLOCK}
    if "compaction" in fields:
        needed.add(COMPACTION_BETA)
    if "fallbacks" in fields:
        needed.add(FALLBACK_BETA)
    return tuple(sorted(needed))


# A request without something


def features_of(body: object) -> set[Feature]:
    """Return the features that a request makes use of; of what is no request none."""
    found: set[Feature] = set()
    if not isinstance(body, dict):
        return found
    thinking, mark, output = body.get("thinking"), body.get("cache_control"), body.get("output_config")
    if thinking:
        found |= {"thinking", "thinking_display"} if "display" in thinking else {"thinking"}
    if mark:
        found |= {"cache", "cache_1h"} if "ttl" in mark else {"cache"}
    if output and "effort" in output:
        found.add("effort")
    plain: tuple[Feature, ...] = ("diagnostics", "fallbacks", "compaction")
    found.update(name for name in plain if body.get(name) is not None)
    tools = [tool for tool in body.get("tools") or [] if isinstance(tool, dict)]
    if any("strict" in tool for tool in tools):
        found.add("strict_tools")
    for feature in _SERVER_TOOLS:
        if any(str(tool.get("type", "")).startswith(feature) for tool in tools) or _served(body, feature):
            found.add(feature)
    if "compaction" in blocks_of(body):
        found.add("compaction_block")
    return found


_SERVER_TOOLS: tuple[Feature, ...] = ("web_search", "web_fetch")


def blocks_of(body: dict[str, Any]) -> set[str]:
    """Return the types of content blocks in the messages that need a beta header."""
    return {
        block["type"]
        for message in body.get("messages") or []
        if isinstance(message, dict) and isinstance(message.get("content"), list)
        for block in message["content"]
        if isinstance(block, dict) and block.get("type") in BETA_OF_BLOCK
    }


def drop(body: dict[str, Any], feature: Feature) -> None:
    """Take a feature out of a request's body."""
    match feature:
        case "thinking_display":
            (body.get("thinking") or {}).pop("display", None)
        case "cache_1h":
            (body.get("cache_control") or {}).pop("ttl", None)
        case "effort":
            (body.get("output_config") or {}).pop("effort", None)
            if not body.get("output_config"):
                body.pop("output_config", None)
        case "strict_tools":
            for tool in body["tools"]:
                tool.pop("strict", None)
        case "web_search" | "web_fetch":
            tools = body.get("tools") or []
            body["tools"] = [tool for tool in tools if not str(tool.get("type", "")).startswith(feature)]
            for message in body["messages"]:
                if isinstance(message.get("content"), list):
                    message["content"] = [_served_as_text(block, feature) for block in message["content"]]
        case "compaction_block":
            body["messages"] = [_as_text(message) for message in body["messages"]]
        case "thinking" | "diagnostics" | "fallbacks":
            body.pop(feature, None)
        case "cache":
            body.pop("cache_control", None)


def _served(body: dict[str, Any], feature: Feature) -> bool:
    """Whether the messages hold calls or results of a tool that the server ran itself."""
    return any(
        _is_served(block, feature)
        for message in body.get("messages") or []
        if isinstance(message, dict) and isinstance(message.get("content"), list)
        for block in message["content"]
    )


def _is_served(block: object, feature: Feature) -> bool:
    if not isinstance(block, dict):
        return False
    kind = block.get("type")
    return kind == f"{feature}_tool_result" or (kind == "server_tool_use" and block.get("name") == feature)


def _served_as_text(block: Any, feature: Feature) -> Any:
    """Return a call or a result of such a tool as text, which any server takes; other blocks as they are."""
    if not _is_served(block, feature):
        return block
    if block["type"] == "server_tool_use":
        return {"type": "text", "text": f"[{feature}: {json.dumps(block.get('input'), ensure_ascii=False)}]"}
    content = block.get("content")
    results = content if isinstance(content, list) else [content]
    found = [f"{one.get('title') or ''} {one.get('url') or ''}".strip() for one in results if isinstance(one, dict)]
    lines = [line for line in found if line] or ["no result that can be read here"]
    return {"type": "text", "text": "\n".join([f"[result of {feature}]", *lines])}


def _as_text(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message with what a compaction block says as the user's text: any server takes that."""
    content = message.get("content")
    if not isinstance(content, list) or not any(block.get("type") == "compaction" for block in content):
        return message
    texts = [str(block.get("content") or "") for block in content if block.get("type") == "compaction"]
    summary = "\n\n".join(text for text in texts if text.strip()) or "(The summary cannot be read.)"
    rest = [block for block in content if block.get("type") != "compaction"]
    return {"role": "user", "content": [{"type": "text", "text": f"<summary>\n{summary}\n</summary>"}, *rest]}


def without(body: bytes, features: Iterable[Feature]) -> tuple[bytes, tuple[str, ...]]:
    """Return a request's body without `features`, and the beta headers that it then needs."""
    document = json.loads(body)
    for feature in features:
        drop(document, feature)
    encoded = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return encoded, betas_for(document, blocks_of(document))
