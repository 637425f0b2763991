"""Web search and web fetch that the model's server runs itself: what is offered, and what they did, for the user.

No call of these passes through this program, so nothing can be asked about one: they are off unless the user turned
them on in the settings, and a rule that denies one keeps it off.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tui_agent.config.settings import Settings
from tui_agent.events import JsonObject, Notice, PoolEntry
from tui_agent.models import Capabilities, Feature
from tui_agent.permissions import RuleSet

SEARCH: Final = "web_search"
FETCH: Final = "web_fetch"

TYPES: dict[Feature, str] = {SEARCH: "web_search_20260318", FETCH: "web_fetch_20260318"}
"""The versions that are asked for, as the SDK's types have them."""

MAX_CONTENT_TOKENS = 20_000
"""Tokens of one fetched page at most: bounds what a fetch can cost."""

MAX_SHOWN = 10
"""Results of one search that are listed for the user."""


@dataclass(frozen=True, slots=True)
class ServerTools:
    """What the user allows of them: which tools, uses of each for one request, which domains."""

    names: tuple[Feature, ...] = ()
    max_uses: int = 5
    allowed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()

    @staticmethod
    def of(settings: Settings) -> ServerTools:
        """Return what the settings allow; nothing where allowed and blocked domains are both set."""
        wanted: tuple[tuple[Feature, bool], ...] = ((SEARCH, settings.web_search), (FETCH, settings.web_fetch))
        both = bool(settings.web_allowed_domains and settings.web_blocked_domains)
        return ServerTools(
            tuple(name for name, on in wanted if on and not both),
            settings.web_max_uses,
            tuple(map(_domain, settings.web_allowed_domains)),
            tuple(map(_domain, settings.web_blocked_domains)),
        )


def offered_server_tools(
    wanted: ServerTools, can: Capabilities, model: str, rules: RuleSet
) -> tuple[list[JsonObject], list[PoolEntry]]:
    """Return the tool definitions to send for `model`, and an entry of the pool for each tool that was turned on."""
    tools: list[JsonObject] = []
    entries: list[PoolEntry] = []
    for name in wanted.names:
        denied = [rule.text for rule in rules.rules if rule.verdict != "allow" and rule.covers_tool(name)]
        if rules.degraded:
            reason = "a file of rules cannot be read: what it forbids is not known"
        elif denied:
            reason = f"the rule {denied[0]} forbids it or asks, and the server runs it without asking"
        elif not can.offers(name, model):
            reason = f"the server does not offer it for {model}"
        else:
            tools.append(_definition(name, wanted))
            entries.append(PoolEntry(name=name, offered=True, reason="run by the model's server"))
            continue
        entries.append(PoolEntry(name=name, offered=False, reason=reason))
    return tools, entries


def _definition(name: Feature, wanted: ServerTools) -> JsonObject:
    # `direct`: without that the tool may be called from code that the server runs in a container of its own.
    tool: JsonObject = {
        "type": TYPES[name],
        "name": name,
        "max_uses": wanted.max_uses,
        "allowed_callers": ["direct"],
    }
    if name == FETCH:
        tool["max_content_tokens"] = MAX_CONTENT_TOKENS
    if wanted.allowed:
        tool["allowed_domains"] = list(wanted.allowed)
    elif wanted.blocked:
        tool["blocked_domains"] = list(wanted.blocked)
    return tool


def _domain(pattern: str) -> str:
    """Return a domain as the API takes it: what is below it is always meant as well."""
    return pattern.removeprefix("*.").lower()


def web_notices(content: Iterable[JsonObject]) -> list[Notice]:
    """Return a notice for each search and each fetch of an answer: what was asked for, and what came."""
    blocks = list(content)
    results = {str(block.get("tool_use_id")): block for block in blocks if "tool_use_id" in block}
    return [
        Notice(level="info", code="web", message=_said(block, results.get(str(block.get("id")))))
        for block in blocks
        if block.get("type") == "server_tool_use"
    ]


def _said(call: JsonObject, result: JsonObject | None) -> str:
    given = call.get("input")
    given = given if isinstance(given, dict) else {}
    match call.get("name"):
        case "web_search":
            what = f"Web search by the model's server: {str(given.get('query') or '')[:500]!r}"
        case "web_fetch":
            what = f"Web page fetched by the model's server: {str(given.get('url') or '')[:500]}"
        case name:
            what = f"The model's server ran its tool {str(name)[:100]}"
    return f"{what}{_outcome(result)}"


def _outcome(result: JsonObject | None) -> str:
    if result is None:
        return ", no result yet"
    content = result.get("content")
    if isinstance(content, dict):
        code = content.get("error_code")
        return f", failed: {str(code)[:100]}" if code else ""
    found = [one for one in content if isinstance(one, dict)] if isinstance(content, list) else []
    lines = [f"\n  {str(one.get('title') or '')[:200]} {str(one.get('url') or '')[:500]}" for one in found]
    more = f"\n  and {len(lines) - MAX_SHOWN} more" if len(lines) > MAX_SHOWN else ""
    count = f"{len(lines)} result" if len(lines) == 1 else f"{len(lines)} results"
    return f", {count}" + "".join(lines[:MAX_SHOWN]) + more
