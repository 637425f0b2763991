"""The tool calls of an answer, made fit to be run and sent back whatever the server sent."""

from __future__ import annotations

from collections.abc import Callable, Collection

from tui_agent.context.history import encode
from tui_agent.context.stops import AnswerStop
from tui_agent.events import JsonObject
from tui_agent.models import INVALID_JSON


def with_distinct_calls(
    content: list[JsonObject], known: Collection[str], new_id: Callable[[], str]
) -> tuple[list[JsonObject], list[str]]:
    """Return the blocks with an id of its own for each tool call, and what was changed, in words.

    A result is sent back under its call's id, so two calls cannot share one. A call that repeats an earlier one of
    the same answer whole, its id too, is the server's echo and left out: it must not run twice. Any other call whose
    id is missing, taken in the answer or `known` from earlier ones gets a new id. The Claude API never sends such
    answers; some local servers do.
    """
    blocks: list[JsonObject] = []
    problems: list[str] = []
    seen: dict[str, bytes] = {}
    for block in content:
        if block.get("type") != "tool_use":
            blocks.append(block)
            continue
        name, call = str(block.get("name") or ""), block.get("id")
        whole = encode([name, block.get("input")])
        if isinstance(call, str) and seen.get(call) == whole:
            problems.append(f"The server sent the call of {name} with the id {call!r} twice. It is run once.")
            continue
        if not isinstance(call, str) or not call or call in seen or call in known:
            given = new_id()
            if isinstance(call, str) and call in seen:
                problems.append(f"The server gave two calls the id {call!r}. The one of {name} is now {given!r}.")
            call = given
        seen[call] = whole
        blocks.append({**block, "id": call, "name": name})
    return blocks, problems


def call_problem(position: int, content: list[JsonObject], stop: AnswerStop) -> str:
    """Return why the call at `position` of an answer must not be run, as the model is told; empty when it may be."""
    if stop.reason == "refusal":
        return "This call was not run, because the answer it is part of was declined."
    if not stop.cut or position != len(content) - 1:
        return ""
    value = content[position].get("input")
    # A complete JSON object is never the beginning of a longer one; an empty one may be a call cut before its input.
    if isinstance(value, dict) and value and INVALID_JSON not in value:
        return ""
    if stop.reason == "max_tokens":
        tokens = f" of {stop.max_tokens:,} tokens" if stop.max_tokens else ""
        what = f"Your answer reached its output limit{tokens} in the middle of this call"
    else:
        what = "The context window was full in the middle of this call"
    return (
        f"{what}, so the call was not run and nothing was changed. The same call would be cut again: make it "
        "shorter. Write a long file in parts, the first with write and the others with edit, and say less before it."
    )
