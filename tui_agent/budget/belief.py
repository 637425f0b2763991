"""Which usage figures of a server are booked, and what is booked in place of those that cannot be true."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from math import ceil

from tui_agent.events import JsonObject, TurnProjected, Usage

BYTES_PER_TOKEN = 24
"""Bytes of text for one token, at most. English and code have 3 to 5; only long runs of one sign have more."""

LIKELY_BYTES_PER_TOKEN = 4
"""Bytes of an answer that are booked as one token where the server does not say."""

ADDED_TOKENS = 20_000
"""Tokens that a server may add to a prompt: a template, the descriptions of its own tools."""

MOST_SEARCHES = 100
"""Web searches of one answer, at most."""

TOOL_ROUNDS = 20
"""Rounds that one answer takes at most where the server's own tools ran and it does not list the rounds."""

_OPAQUE = re.compile(rb'"[A-Za-z0-9+/=_-]{200,}"')
"""Media, signatures and encrypted blocks: their bytes say nothing of their tokens."""


def text_bytes(data: bytes) -> int:
    """Return the bytes of `data`, which is JSON, without what is encoded."""
    return len(data) - sum(map(len, _OPAQUE.findall(data)))


def least_input(body: bytes) -> int:
    """Return the tokens below which no count of a request with this body can be true."""
    return ceil(text_bytes(body) / BYTES_PER_TOKEN)


def answer_bytes(content: Sequence[JsonObject]) -> int:
    """Return the bytes of an answer's blocks without what is encoded."""
    return sum(text_bytes(json.dumps(block, ensure_ascii=False).encode()) for block in content)


def believed(
    usage: Usage, projected: TurnProjected, body: bytes, received: int, *, window: int, max_output: int
) -> tuple[Usage, str]:
    """Return the usage to book for a request, and what was wrong with the server's figures, empty if nothing was.

    What is missing, or less or more than the bytes sent (`body`) and received (`received`, bytes) and the model's
    `window` and `max_output` (tokens) allow, is replaced: the input by the projection, the output by an estimate of
    what came, never more than was asked for. Such a usage is marked as estimated. Pure.
    """
    rounds = len(usage.parts) or (TOOL_ROUNDS if usage.web_searches or usage.web_fetches else 1)
    most_input = rounds * max(window, len(body) + ADDED_TOKENS)
    most_output = rounds * max(max_output, projected.max_output_tokens, received)
    least_output = received // BYTES_PER_TOKEN
    faults = []
    output = usage.output_tokens
    if not least_output <= output <= most_output:
        faults.append(f"{output:,} output tokens for an answer of {received:,} bytes")
        likely = min(projected.max_output_tokens, ceil(received / LIKELY_BYTES_PER_TOKEN))
        output = max(output, likely) if output < least_output else projected.max_output_tokens
    prompt = usage.prompt_tokens
    if usage.web_searches > MOST_SEARCHES:
        faults.append(f"{usage.web_searches:,} web searches for one answer")
    searches = min(usage.web_searches, MOST_SEARCHES)
    if not least_input(body) <= prompt <= most_input:
        faults.insert(0, f"{prompt:,} input tokens for a request of {len(body):,} bytes")
        found = Usage(input_tokens=projected.input_tokens, output_tokens=output, web_searches=searches)
        return found.model_copy(update={"estimated": True, "simulated": usage.simulated}), "; ".join(faults)
    if not faults:
        return usage, ""
    changes = {"output_tokens": output, "web_searches": searches, "estimated": True, "parts": []}
    return usage.model_copy(update=changes), "; ".join(faults)
