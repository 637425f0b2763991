"""The request body of one turn, and the guard that no request rewrites what an earlier one said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from tui_agent.context.history import BYTES_PER_TOKEN, History, encode
from tui_agent.events import JsonObject


class PrefixRewritten(Exception):
    """A request would change what an earlier request of the same history said; the message names where."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request body as bytes. `prefix` is all that the next request must repeat, `digest` its SHA-256.

    `until` is the last event that it knows. `betas` are the beta headers it needs; `count_body` is what a count of
    its tokens is asked with.
    """

    body: bytes
    prefix: bytes
    digest: str
    message_count: int
    until: int = 0
    betas: tuple[str, ...] = ()
    count_head: bytes = b""

    @property
    def count_body(self) -> bytes:
        """The body that asks for the number of its tokens."""
        return b"".join((self.count_head[:-1], b",", self.prefix, b"]}]}"))

    @property
    def estimated_tokens(self) -> int:
        """The input's size in tokens, estimated."""
        return len(self.body) // BYTES_PER_TOKEN


def build_request(
    history: History,
    *,
    model: str,
    max_tokens: int,
    fields: JsonObject,
    counted: JsonObject | None = None,
    betas: Sequence[str] = (),
) -> Request:
    """Return the body of the next request. `fields` are further top-level fields, such as `thinking`.

    `counted` are those of them that a count of its tokens takes as well; `betas` are the beta headers it needs.
    """
    head: JsonObject = {"model": model, "max_tokens": max_tokens, "stream": True, **fields}
    prefix, digest = history.prefix()
    body = b"".join((encode(head)[:-1], b",", prefix, b"]}]}"))
    count_head = encode({"model": model, **(counted or {})})
    return Request(body, prefix, digest, history.message_count, history.seq, tuple(betas), count_head)


def guard_prefix(history: History, request: Request) -> None:
    """Check a request against the one sent before it, and remember it as what the next must repeat.

    Raises `PrefixRewritten`, naming the first part that differs. A compaction begins anew.
    """
    if history.sent_prefix and not request.prefix.startswith(history.sent_prefix):
        raise PrefixRewritten(_difference(history.sent_prefix, request.prefix))
    history.sent_prefix = request.prefix


def _difference(before: bytes, after: bytes) -> str:
    old, new = _parts(before), _parts(after)
    # Nothing may be added before what was there either: the prefix is a sequence, not a set.
    for here, there in zip_longest(old.items(), new.items(), fillvalue=("nothing", "")):
        if here != there:
            changed = here[0] if there[0] in old or there[0] == "nothing" else there[0]
            return f"{changed} is not what an earlier request sent; compact or fork the session to go on"
    return "the request is not what an earlier request sent; compact or fork the session to go on"


def _parts(prefix: bytes) -> dict[str, str]:
    document = json.loads(b"{" + prefix + b"]}]}")
    parts = {}
    for name in ("system", "tools"):
        for index, block in enumerate(document.get(name, [])):
            parts[f"{name}[{index}]"] = json.dumps(block, sort_keys=True)
    for index, message in enumerate(document["messages"]):
        for position, block in enumerate(message["content"]):
            name = f"messages[{index}].content[{position}] ({message['role']})"
            parts[name] = json.dumps(block, sort_keys=True)
    return parts
