"""Plays a scenario: finds the turn that a request is for, and checks what the turn expects of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from tui_agent.models.offline.answer import Answer
from tui_agent.models.offline.practice import COMPACTION, practise, whole_answers
from tui_agent.models.offline.request import Request, blocks, text_of
from tui_agent.models.offline.scenario import Scenario, Turn

STOPPED = "The scenario stops here: "
"""How the answer begins when a request is not what the scenario expects."""


@dataclass
class Player:
    """Answers from a scenario, and with the practice grammar where the scenario has no turn.

    The turn is found from the request alone, by counting the answers it holds, so that a session that was
    closed or killed goes on where it was. Only how often a fault struck is remembered.
    """

    scenario: Scenario | None = None
    _struck: dict[str, int] = field(default_factory=dict)

    def answer(self, request: Request) -> Answer:
        """Return the answer to `request`."""
        if self.scenario is None or COMPACTION in text_of(request.messages[-1]["content"])[:2000]:
            return practise(request)
        answers = whole_answers(request)
        if any(text_of(content).startswith(STOPPED) for content in answers):
            return practise(request)
        first = request.first_user_text
        script = next((side for side in self.scenario.sides if side.match in first), self.scenario.main)
        if len(answers) >= len(script.turns):
            return practise(request)
        turn = script.turns[len(answers)]
        mismatch = _mismatch(turn, request)
        if mismatch and _compacted(request):
            return practise(request)
        if mismatch:
            return Answer(text=f"{STOPPED}{turn.place} expects {mismatch}")
        if turn.fault and self._struck.get(turn.place, 0) < turn.fault.times:
            self._struck[turn.place] = self._struck.get(turn.place, 0) + 1
            return replace(turn.answer, fault=turn.fault)
        return turn.answer


def _compacted(request: Request) -> bool:
    """Return whether the conversation was compacted, so that what the scenario expects may be gone from it."""
    first = request.messages[0]["content"]
    begins = blocks(first)[0] if first else {}
    return begins.get("type") == "compaction" or text_of(first).startswith("<compacted>")


def _mismatch(turn: Turn, request: Request) -> str:
    """Return what the turn expects and did not get; empty if all is well."""
    expect = turn.expect
    results = _last_results(request)
    told = "\n".join(text_of(result.get("content") or []) for result in results)
    failed = any(result.get("is_error") for result in results)
    prompts = [text_of(message["content"]) for message in request.messages if message["role"] == "user"]
    if expect.prompt and not any(expect.prompt in prompt for prompt in prompts):
        return f"{expect.prompt!r} in the prompt."
    if expect.error is False and failed:
        return f"a tool result that is no error. It is: {told[:300]}"
    if expect.error is True and not failed:
        return f"a tool result that is an error. It is none: {told[:300]}"
    for wanted in expect.results:
        if wanted not in told:
            return f"{wanted!r} in the last tool results. They say: {told[:300] or 'nothing'}"
    for tool in expect.tools:
        if tool not in request.tool_names:
            return f"the tool {tool!r}. The session offers: {', '.join(sorted(request.tool_names)) or 'none'}."
    if expect.system and expect.system not in text_of(request.body.get("system") or []):
        return f"{expect.system!r} in the system prompt."
    missing = {call.tool for call in turn.answer.calls} - request.tool_names
    if missing:
        return f"to call the tool {min(missing)!r}, which this session does not offer."
    return ""


def _last_results(request: Request) -> list[dict[str, Any]]:
    """Return the tool results that came after the last answer."""
    results: list[dict[str, Any]] = []
    for message in request.messages:
        if message["role"] == "assistant":
            results = []
        results += [block for block in message["content"] if block["type"] == "tool_result"]
    return results
