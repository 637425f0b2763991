"""Message threads: the server holds a conversation, and a request brings only what is new in it."""

from __future__ import annotations

from typing import Any

from tui_agent.models.offline.errors import ApiError, invalid

THREADS_BETA = "message-threads-2026-08-12"

MAX_HELD = 100
"""Conversations that are held at most; the oldest is forgotten, as the API forgets one after five minutes."""

_OF_THE_THREAD = ("system", "tools")
"""Fields that a thread is created with and that no later request of it may name."""


class Threads:
    """The conversations that this server holds, by the id of their last answer."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, Any]] = {}

    def whole(self, body: Any, betas: frozenset[str]) -> Any:
        """Return the body of a request with the conversation that it continues; raises `ApiError`.

        The `thread` of the whole body is always `create`: that is what it would have been without the thread.
        """
        thread = body.get("thread") if isinstance(body, dict) else None
        if thread is None:
            return body
        if THREADS_BETA not in betas:
            raise invalid("thread: Extra inputs are not permitted")
        kind = thread.get("type") if isinstance(thread, dict) else None
        if kind == "create":
            return body
        if kind != "continue":
            raise invalid("thread: Input tag should be one of 'create', 'continue'")
        previous = thread.get("previous_message_id")
        if not isinstance(previous, str):
            raise invalid("thread.continue.previous_message_id: Field required")
        held = self._held.get(previous)
        if held is None:
            raise ApiError(404, "not_found_error", f"No thread continues from {previous}.", code="thread_not_found")
        named = [field for field in _OF_THE_THREAD if field in body]
        if named:
            raise invalid(f"{named[0]}: cannot be set on a request that continues a thread")
        messages = body.get("messages")
        if not isinstance(messages, list):
            raise invalid("messages: Input should be a valid list")
        return {**body, **held, "messages": [*held["messages"], *messages], "thread": {"type": "create"}}

    def keep(self, body: dict[str, Any], message_id: str, content: list[dict[str, Any]]) -> None:
        """Hold the conversation of an answered request that asks for it, under the answer's id."""
        if body.get("thread") is None or not content:
            return
        answer = {"role": "assistant", "content": content}
        fields = {field: body[field] for field in _OF_THE_THREAD if field in body}
        self._held[message_id] = {**fields, "messages": [*body["messages"], answer]}
        while len(self._held) > MAX_HELD:
            del self._held[next(iter(self._held))]
