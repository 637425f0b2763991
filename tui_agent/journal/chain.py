"""The hash chain: each event's hash covers the event, its place, and all events before it.

Tamper-evident and reconstructible: a changed, removed, moved or inserted row breaks the chain from there
on. Whoever can rewrite the whole file can rewrite the chain, unless its head was kept elsewhere.
"""

from __future__ import annotations

import json
from hashlib import sha256

EVENT_DOMAIN = b"tui-agent journal event v1\0"
START_DOMAIN = b"tui-agent journal start v1\0"
GAP_DOMAIN = b"tui-agent journal gap v1\0"

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def start_hash(session: str) -> bytes:
    """Return what stands before the first event of a session."""
    return sha256(START_DOMAIN + session.encode()).digest()


def body_hash(body: str) -> bytes:
    """Return the hash that stays in the chain when a body is pruned."""
    return sha256(body.encode()).digest()


Columns = tuple[int, str, float, int, str, str, str | None, int | None, int | None]
"""What the chain covers besides the body: seq, type, time, boot, run, agent, subject, item, entry."""


def event_hash(previous: bytes, body: bytes, columns: Columns) -> bytes:
    """Return the hash of one event from the hash before it, its body's hash and its other columns."""
    return sha256(EVENT_DOMAIN + previous + body + _encode(columns).encode()).digest()


def gap_hash(previous: bytes, first: int, last: int) -> bytes:
    """Return what stands before the event after a gap: events `first` to `last` were lost to damage."""
    return sha256(GAP_DOMAIN + previous + f"{first}-{last}".encode()).digest()
