"""The rules of the Messages API, enforced: what the real server refuses is refused here, in its words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tui_agent.models.catalog import Catalog
from tui_agent.models.offline.errors import ApiError, invalid
from tui_agent.models.offline.request import blocks
from tui_agent.models.offline.strict import check_fields

_KNOWN_FIELDS_TEXT = (
    "model messages max_tokens system tools tool_choice stream thinking output_config metadata "
    "stop_sequences temperature top_k top_p cache_control container diagnostics inference_geo "
    "service_tier speed context_management mcp_servers compaction fallbacks thread"
)
KNOWN_FIELDS = frozenset(_KNOWN_FIELDS_TEXT.split())
_COUNT_FIELDS_TEXT = "model messages system tools tool_choice thinking output_config cache_control speed"
COUNT_FIELDS = frozenset(_COUNT_FIELDS_TEXT.split())

_USER_BLOCKS_TEXT = "text image document tool_result search_result container_upload"
USER_BLOCKS = frozenset(_USER_BLOCKS_TEXT.split())
_ASSISTANT_BLOCKS_TEXT = (
    "text thinking redacted_thinking tool_use server_tool_use web_search_tool_result "
    "web_fetch_tool_result code_execution_tool_result compaction"
)
ASSISTANT_BLOCKS = frozenset(_ASSISTANT_BLOCKS_TEXT.split())
_RESULT_BLOCKS_TEXT = "text image document search_result tool_reference"
RESULT_BLOCKS = frozenset(_RESULT_BLOCKS_TEXT.split())

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")


COMPACTION_BETA = "compact-2026-09-04"
FALLBACK_BETA = "server-side-fallback-2026-07-01"

MAX_OUTPUT = 128_000
"""Output tokens of a model that the catalog does not know, at most."""

BETA_BLOCKS = {"compaction": COMPACTION_BETA, "fallback": FALLBACK_BETA}
"""Content blocks that a request may hold only with a beta header."""


def beta_headers(headers: Mapping[str, str]) -> frozenset[str]:
    """Return the betas that a request names."""
    return frozenset(name.strip() for name in headers.get("anthropic-beta", "").split(",") if name.strip())


def check_blocks(body: Any, betas: frozenset[str]) -> None:
    """Raise `ApiError` for a block that needs a beta header and has none, or a compaction block out of its place."""
    messages = body.get("messages") if isinstance(body, dict) else None
    compactions = 0
    for number, message in enumerate(messages if isinstance(messages, list) else []):
        content = message.get("content") if isinstance(message, dict) else None
        for index, block in enumerate(content if isinstance(content, list) else []):
            kind = block.get("type") if isinstance(block, dict) else None
            if kind not in BETA_BLOCKS:
                continue
            where = f"messages.{number}.content.{index}"
            if BETA_BLOCKS[kind] not in betas:
                raise invalid(
                    f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags"
                )
            if kind == "compaction":
                compactions += 1
                if compactions > 1:
                    raise invalid(
                        f"{where}: `messages` holds more than one `compaction` block", "compaction_block_ambiguous"
                    )
                if number or index or message.get("role") == "system":
                    raise invalid(
                        f"{where}: a `compaction` block must come first in `messages`", "compaction_block_misplaced"
                    )


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise `ApiError` unless the request has credentials and names the API's version."""
    if not headers.get("x-api-key") and not headers.get("authorization", "").startswith("Bearer "):
        raise ApiError(401, "authentication_error", "x-api-key header is required")
    if not headers.get("anthropic-version"):
        raise invalid("anthropic-version: header is required")


def check_body(body: Any, catalog: Catalog, *, counting: bool = False) -> None:
    """Raise `ApiError` for the first rule that the body breaks, naming the place as the API does."""
    if not isinstance(body, dict):
        raise invalid("Input should be a valid dictionary")
    unknown = sorted(body.keys() - (COUNT_FIELDS if counting else KNOWN_FIELDS))
    if unknown:
        raise invalid(f"{unknown[0]}: Extra inputs are not permitted")
    for name in ("model", "messages") if counting else ("model", "messages", "max_tokens"):
        if name not in body:
            raise invalid(f"{name}: Field required")
    if not isinstance(body["model"], str) or not knows(catalog, body["model"]):
        raise ApiError(404, "not_found_error", f"model: {body['model']}")
    if not counting:
        _check_max_tokens(body, catalog)
    _check_system(body.get("system"))
    _check_tools(body)
    _check_messages(body)
    _check_marks(body)
    check_fields(body)


def knows(catalog: Catalog, model: str) -> bool:
    """Whether there is a model of that name: any of the vendor's, so that every client finds its own."""
    return catalog.find(model).id in catalog.models or model.startswith("claude-")


def _check_max_tokens(body: dict[str, Any], catalog: Catalog) -> None:
    wanted = body["max_tokens"]
    model = catalog.find(body["model"])
    most = model.max_output if model.known else MAX_OUTPUT
    if not isinstance(wanted, int) or isinstance(wanted, bool):
        raise invalid("max_tokens: Input should be a valid integer")
    if wanted < 1:
        raise invalid("max_tokens: Input should be greater than or equal to 1")
    if wanted > most:
        raise invalid(
            f"max_tokens: {wanted} > {most}, which is the maximum allowed number of output tokens for {body['model']}"
        )
    if not isinstance(body.get("stream", False), bool):
        raise invalid("stream: Input should be a valid boolean")
    thinking = body.get("thinking")
    if thinking is None:
        return
    if not isinstance(thinking, dict) or thinking.get("type") not in {
        "enabled",
        "disabled",
        "adaptive",
        "between_tools",
    }:
        raise invalid("thinking: Input tag should be one of 'enabled', 'disabled', 'adaptive'")
    if thinking["type"] == "enabled":
        budget = thinking.get("budget_tokens")
        if not isinstance(budget, int) or budget < 1024:
            raise invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if budget >= wanted:
            raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`")


def _check_system(system: Any) -> None:
    if system is None or isinstance(system, str):
        return
    if not isinstance(system, list):
        raise invalid("system: Input should be a valid list")
    for number, block in enumerate(system):
        _check_text(block, f"system.{number}", "system")


def _check_text(block: Any, where: str, subject: str) -> None:
    if not isinstance(block, dict) or block.get("type") != "text":
        raise invalid(f"{where}.type: Input should be 'text'")
    if not isinstance(block.get("text"), str):
        raise invalid(f"{where}.text: Field required")
    if not block["text"]:
        raise invalid(f"{subject}: text content blocks must be non-empty")
    if not block["text"].strip():
        raise invalid(f"{subject}: text content blocks must contain non-whitespace text")


def _check_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools")
    if tools is None:
        if body.get("tool_choice"):
            raise invalid("tool_choice: tool_choice may only be specified while providing tools.")
        return
    if not isinstance(tools, list):
        raise invalid("tools: Input should be a valid list")
    names: set[str] = set()
    for number, tool in enumerate(tools):
        where = f"tools.{number}"
        if not isinstance(tool, dict):
            raise invalid(f"{where}: Input should be a valid dictionary")
        name = tool.get("name")
        if not isinstance(name, str):
            raise invalid(f"{where}.name: Field required")
        if not _TOOL_NAME.fullmatch(name):
            raise invalid(f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if name in names:
            raise invalid("tools: Tool names must be unique.")
        names.add(name)
        if tool.get("type") in {None, "custom"}:
            schema = tool.get("input_schema")
            if not isinstance(schema, dict):
                raise invalid(f"{where}.custom.input_schema: Field required")
            if schema.get("type") != "object":
                raise invalid(f"{where}.custom.input_schema.type: Input should be 'object'")


def _check_marks(body: dict[str, Any]) -> None:
    found = [body] if body.get("cache_control") else []
    found += [tool for tool in body.get("tools") or [] if tool.get("cache_control")]
    for content in (body.get("system") or [], *(message["content"] for message in body["messages"])):
        found += [block for block in blocks(content) if block.get("cache_control")]
    if len(found) > 4:
        raise invalid(f"A maximum of 4 blocks with cache_control may be provided. Found {len(found)}.")
    for block in found:
        mark = block["cache_control"]
        if not isinstance(mark, dict) or mark.get("type") != "ephemeral":
            raise invalid("cache_control.type: Input should be 'ephemeral'")
        if mark.get("ttl", "5m") not in {"5m", "1h"}:
            raise invalid("cache_control.ttl: Input should be '5m' or '1h'")


def _check_messages(body: dict[str, Any]) -> None:
    messages = body["messages"]
    if not isinstance(messages, list):
        raise invalid("messages: Input should be a valid list")
    if not messages:
        raise invalid("messages: at least one message is required")
    names = {tool["name"] for tool in body.get("tools") or []}
    used: set[str] = set()
    open_calls: list[str] = []
    for number, message in enumerate(messages):
        where = f"messages.{number}"
        role = _check_message(message, where)
        content = blocks(message["content"])
        compacted = bool(content) and content[0].get("type") == "compaction"
        if number == 0 and role != "user" and not compacted:
            raise invalid('messages: first message must use the "user" role')
        if role == "assistant":
            _no_open_calls(open_calls, where)
            open_calls = _check_calls(content, where, names, used)
        else:
            _check_results(content, where, open_calls)
            open_calls = []
    _no_open_calls(open_calls, f"messages.{len(messages)}")


def _check_message(message: Any, where: str) -> str:
    if not isinstance(message, dict):
        raise invalid(f"{where}: Input should be a valid dictionary")
    extra = sorted(message.keys() - {"role", "content"})
    if extra:
        raise invalid(f"{where}.{extra[0]}: Extra inputs are not permitted")
    role = message.get("role")
    if role not in {"user", "assistant", "system"}:
        raise invalid(f"{where}.role: Input should be 'user', 'assistant' or 'system'")
    content = message.get("content")
    if not isinstance(content, str | list):
        raise invalid(f"{where}.content: Field required")
    if not content:
        raise invalid(f"{where}: all messages must have non-empty content")
    allowed = {"user": USER_BLOCKS, "assistant": ASSISTANT_BLOCKS, "system": {"text"}}[role]
    for index, block in enumerate(blocks(content)):
        _check_block(block, f"{where}.content.{index}", allowed)
    return str(role)


def _check_block(block: Any, where: str, allowed: Iterable[str]) -> None:
    if not isinstance(block, dict) or "type" not in block:
        raise invalid(f"{where}.type: Field required")
    kind = block["type"]
    if kind not in allowed:
        tags = ", ".join(f"'{tag}'" for tag in sorted(allowed))
        raise invalid(
            f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}"
        )
    match kind:
        case "text":
            _check_text(block, where, "messages")
        case "thinking":
            for name in ("thinking", "signature"):
                if not isinstance(block.get(name), str):
                    raise invalid(f"{where}.thinking.{name}: Field required")
        case "tool_use":
            if not isinstance(block.get("id"), str) or not _TOOL_ID.fullmatch(block["id"]):
                raise invalid(f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
            if not isinstance(block.get("name"), str):
                raise invalid(f"{where}.tool_use.name: Field required")
            if not isinstance(block.get("input"), dict):
                raise invalid(f"{where}.tool_use.input: Input should be a valid dictionary")
        case "tool_result":
            _check_result(block, where)
        case "image" | "document":
            if not isinstance(block.get("source"), dict):
                raise invalid(f"{where}.{kind}.source: Field required")


def _check_result(block: dict[str, Any], where: str) -> None:
    if not isinstance(block.get("tool_use_id"), str):
        raise invalid(f"{where}.tool_result.tool_use_id: Field required")
    content = block.get("content")
    if block.get("is_error") and not content:
        raise invalid(f"{where}.tool_result: content cannot be empty if `is_error` is true")
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise invalid(f"{where}.tool_result.content: Input should be a valid list")
    for index, part in enumerate(content):
        _check_block(part, f"{where}.tool_result.content.{index}", RESULT_BLOCKS)


def _check_calls(content: list[dict[str, Any]], where: str, names: set[str], used: set[str]) -> list[str]:
    calls = [block for block in content if block["type"] == "tool_use"]
    for block in calls:
        if block["id"] in used:
            raise invalid(f"{where}: `tool_use` ids must be unique")
        if block["name"] not in names:
            raise invalid(
                f"{where}: the `tool_use` block {block['id']} names the tool "
                f"'{block['name']}', which `tools` does not hold"
            )
        used.add(block["id"])
    return [block["id"] for block in calls]


def _no_open_calls(open_calls: list[str], where: str) -> None:
    if open_calls:
        raise invalid(
            f"{where}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(open_calls)}. Each `tool_use` block must have a corresponding `tool_result` block in "
            "the next message."
        )


def _check_results(content: list[dict[str, Any]], where: str, open_calls: list[str]) -> None:
    waiting = list(open_calls)
    others = False
    for index, block in enumerate(content):
        if block["type"] != "tool_result":
            others = True
            continue
        called = block["tool_use_id"]
        if called in waiting:
            waiting.remove(called)
        elif called in open_calls:
            raise invalid(
                f"{where}.content.{index}: each tool_use must have a single result. Found multiple "
                f"`tool_result` blocks with id: {called}"
            )
        else:
            raise invalid(
                f"{where}.content.{index}: unexpected `tool_use_id` found in `tool_result` blocks: {called}. "
                "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        if others:
            raise invalid(f"{where}: `tool_result` blocks must come before all other content")
    _no_open_calls(waiting, where)
