"""What every event has: a type, a schema version, and where and when it happened."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, JsonValue

from tui_agent.text import dumps_any

JsonObject = dict[str, JsonValue]

MAIN_AGENT = "main"
"""The agent id of the session's own agent; subagents get ids of their own."""


class Part(BaseModel):
    """A value inside an event. Immutable; fields of a newer version are ignored when read."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class EventBase(Part):
    """One fact about a session.

    The journal stamps `session`, `time` (seconds since the epoch, UTC) and, once the event is on disk,
    `seq` and `hash`. `run` and `agent` say in whose work it happened.

    `durable` events are committed before anything that depends on them happens; the others (deltas)
    are only ever shown, and stand on disk as chunks until the durable event that holds their whole text.
    `in_conversation` and `in_timeline` say in which of the two long panes the event is part of an item.
    """

    durable: ClassVar[bool] = True
    in_conversation: ClassVar[bool] = False
    in_timeline: ClassVar[bool] = False

    type: str
    version: int = 1
    session: str = ""
    run: str = ""
    agent: str = MAIN_AGENT
    time: float = 0.0
    seq: int | None = None
    hash: str | None = None

    def model_dump_json(self, **kwargs: Any) -> str:
        """Return the event as JSON.

        A name that is not UTF-8 holds lone surrogates, in Python's way (PEP 383): then all is ASCII, and they are
        escaped, so that the name comes back as it was.
        """
        try:
            return super().model_dump_json(**kwargs)
        except ValueError:  # pydantic's serialization error is one
            return dumps_any(self.model_dump(mode="json", **kwargs))

    @property
    def subject(self) -> str:
        """The id of what the event is about; events of one subject make one item of a pane.

        Empty when the event stands for itself.
        """
        return ""


class UnknownEvent(EventBase):
    """An event of a type this version does not know: kept as it is, shown as its type and body."""

    in_timeline: ClassVar[bool] = True

    body: JsonObject

    def model_dump_json(self, **kwargs: Any) -> str:
        """Return the event as it was written, so that reading and writing it again loses nothing."""
        return dumps_any(self.body)
