"""What the offline model knows of its own answers: thinking signatures, and the prefix each answer was for."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from tui_agent.models.offline.errors import invalid
from tui_agent.models.offline.request import Request
from tui_agent.models.offline.tokens import canonical

_KEY = b"tui-agent offline model"
"""No secret: the same in every process, so that a resumed session's thinking still verifies."""


COMPACTED = "compaction"
"""What stands for the prefix in the signature of a compaction block: it replaces one, and follows none."""


def signature(prefix: str, thinking: str) -> str:
    """Return the signature of a thinking block that follows the prompt with hash `prefix`."""
    digest = hmac.new(_KEY, f"{prefix}\n{thinking}".encode(), hashlib.sha256)
    return "offline-" + digest.hexdigest()


class Memory:
    """Remembers by hash which answer was given to which prompt."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], set[str]] = {}
        self._paused: set[str] = set()
        self._sent: dict[str, tuple[str, str, str, str]] = {}

    def remember(self, request: Request, message_id: str, content: list[dict[str, Any]], stop_reason: str) -> None:
        """Note that `content` is the answer to `request`."""
        answer = _digest([canonical(block) for block in content])
        key = (_digest(request.spelled[0]), answer)
        self._given.setdefault(key, set()).add(request.prefix[-1].hash)
        self._sent[message_id] = _fingerprint(request)
        if stop_reason == "pause_turn":
            self._paused.add(answer)

    def diagnose(self, request: Request) -> dict[str, Any] | None:
        """Return the `diagnostics` of the response: why the cache of the request named there cannot be used."""
        asked = request.body.get("diagnostics")
        previous = asked.get("previous_message_id") if isinstance(asked, dict) else None
        if previous is None:
            return None
        if previous not in self._sent:
            return {"cache_miss_reason": {"type": "previous_message_not_found"}}
        *heads, end = self._sent[previous]
        now = _fingerprint(request)
        names = ("model_changed", "tools_changed", "system_changed")
        reason = next((name for name, old, new in zip(names, heads, now, strict=False) if old != new), "")
        if not reason and end not in {block.hash for block in request.prefix}:
            reason = "messages_changed"
        if not reason:
            return None
        return {"cache_miss_reason": {"type": reason, "cache_missed_input_tokens": request.tokens}}

    def check(self, request: Request) -> None:
        """Raise `ApiError` when a thinking block, or the prefix of an answer given here, was changed.

        A conversation is known by its first user message: a new one is a new prefix and may be anything.
        """
        last = request.messages[-1]
        compacting = request.body.get("compaction") is not None
        if last["role"] == "assistant" and not compacting and _digest(request.spelled[-1]) not in self._paused:
            raise invalid(
                "This model does not support assistant message prefill. The conversation must end with a "
                "user message."
            )
        _check_compaction(request)
        first = _digest(request.spelled[0])
        # An answer that was cut off may stand before the same answer given whole: one of them must fit.
        unfit: dict[str, int] = {}
        fit: set[str] = set()
        for number, message in enumerate(request.messages):
            if message["role"] != "assistant":
                continue
            content = message["content"]
            thoughts = [(at, block) for at, block in enumerate(content) if block["type"] == "thinking"]
            answer = _digest(request.spelled[number])
            given = self._given.get((first, answer))
            if not thoughts and given is None:
                continue
            before = request.before(number)
            for index, block in thoughts:
                if not hmac.compare_digest(
                    block["signature"].encode(), signature(before, block["thinking"]).encode()
                ):
                    raise invalid(
                        f"messages.{number}.content.{index}: Invalid `signature` in `thinking` block: the "
                        "block, or the system prompt, tools or messages before it, were changed"
                    )
            if given is not None and before in given:
                fit.add(answer)
            elif given is not None:
                unfit.setdefault(answer, number)
        for answer, number in unfit.items():
            if answer not in fit:
                raise invalid(
                    f"messages.{number}: the system prompt, tools or messages before this answer are not "
                    "those it was given to. Earlier content must not be rewritten: append, or begin a new "
                    "conversation with a new first message"
                )


def _check_compaction(request: Request) -> None:
    """Raise `ApiError` for a compaction block that is not as it was given."""
    for number, message in enumerate(request.messages):
        for index, block in enumerate(message["content"]):
            if block["type"] != "compaction":
                continue
            where = f"messages.{number}.content.{index}"
            signed = signature(COMPACTED, block.get("content") or "")
            if not hmac.compare_digest(str(block.get("signature", "")).encode(), signed.encode()):
                raise invalid(f"{where}: Invalid `signature` in `compaction` block", "compaction_signature_invalid")


def _digest(spelled: list[str]) -> str:
    return hashlib.sha256("\n".join(spelled).encode()).hexdigest()


def _fingerprint(request: Request) -> tuple[str, str, str, str]:
    system = _digest([canonical(request.body.get("system"))])
    return request.model, _digest([canonical(request.tools)]), system, request.prefix[-1].hash
