"""Events to bodies and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tui_agent.journal.errors import InvalidEvent
from tui_agent.journal.head import Envelope

if TYPE_CHECKING:
    from tui_agent.events import Event, EventBase, JsonObject

Upcast = Callable[["JsonObject"], "JsonObject"]

UPCASTS: dict[tuple[str, int], Upcast] = {}
"""By (type, version): turns a body of that version into one of a later version. Applied when read; what
is on disk stays as it was written."""

_NOT_IN_BODY = {"seq", "hash"}


def encode(event: EventBase) -> Envelope:
    """Return what is stored of `event`, which carries its session and time already.

    Raises InvalidEvent when it has no form as UTF-8 JSON.
    """
    from tui_agent.events import MAIN_AGENT, UnknownEvent
    from tui_agent.text import dumps_any

    try:
        if isinstance(event, UnknownEvent):
            kept = {key: value for key, value in event.body.items() if key not in _NOT_IN_BODY}
            body = dumps_any({**kept, "session": event.session, "time": event.time})
        else:
            body = event.model_dump_json(exclude=_NOT_IN_BODY)
        body.encode()
        subject = event.subject
        subject.encode()
    except ValueError as error:  # pydantic's serialization error and UnicodeEncodeError are both
        raise InvalidEvent(f"An event of type {event.type} cannot be stored: {error}") from error
    in_conversation = event.in_conversation and event.agent == MAIN_AGENT
    return Envelope(event.type, event.time, event.run, event.agent, subject, in_conversation, event.in_timeline, body)


def decode(
    type: str,
    body: bytes | None,
    seq: int | None,
    hash: bytes | None,
    upcasts: Mapping[tuple[str, int], Upcast] = UPCASTS,
) -> Event:
    """Read an event back from its UTF-8 JSON.

    A pruned or unreadable body gives an UnknownEvent of the type `<type>.pruned` or `<type>.damaged`: one
    bad body must not keep the rest of a session from being read. `Journal.verify` tells the damaged from the whole.
    """
    from tui_agent.events import parse_event

    digest = hash.hex() if hash else None
    if body is None:
        return parse_event(json.dumps({"type": f"{type}.pruned"}), seq=seq, hash=digest)
    try:
        if upcasts:
            body = _upcast(type, body, upcasts)
        return parse_event(body, seq=seq, hash=digest)
    except ValueError as error:
        return parse_event(json.dumps({"type": f"{type}.damaged", "error": str(error)}), seq=seq, hash=digest)


def _upcast(type: str, body: bytes, upcasts: Mapping[tuple[str, int], Upcast]) -> bytes:
    if not any(name == type for name, _ in upcasts):
        return body
    data = json.loads(body)
    while step := upcasts.get((data["type"], data.get("version", 1))):
        data = step(data)
    return json.dumps(data).encode()
