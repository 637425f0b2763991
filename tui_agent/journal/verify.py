"""Checking a session file from its first event to its last, without keeping it in memory."""

from __future__ import annotations

import sqlite3
from hashlib import sha256

from tui_agent.journal.chain import event_hash, gap_hash, start_hash
from tui_agent.journal.records import Gap, Verification

_EVENTS = """
SELECT seq, type, time, boot, run, agent, subject, item, entry, body_hash, hash, CAST(body AS BLOB) FROM event
ORDER BY seq
"""
# Bodies as bytes: a damaged one need not be UTF-8.


def verify_connection(connection: sqlite3.Connection, acknowledged: int = 0) -> Verification:
    """Check seqs, bodies, hashes and boots; the first thing wrong ends it. Event `acknowledged` must be there.

    Removing the newest events is found only when they were committed before a boot that was closed; after a
    crash nobody wrote down where the chain ended. Raises sqlite3.DatabaseError when the file's structure
    is broken.
    """
    connection.execute("BEGIN")  # one view of the file while the session goes on
    try:
        return _verify(connection, acknowledged)
    finally:
        connection.execute("ROLLBACK")


def _verify(connection: sqlite3.Connection, acknowledged: int) -> Verification:
    session = connection.execute("SELECT value FROM meta WHERE key = 'session'").fetchone()[0]
    gaps = dict(connection.execute("SELECT first, last FROM gap"))
    boots = {
        number: (last_seq, head)
        for number, last_seq, head in connection.execute("SELECT number, last_seq, head FROM boot")
    }
    ends = {last_seq: (number, head) for number, (last_seq, head) in boots.items() if last_seq}
    previous, expected, boot, events = start_hash(session), 1, 0, 0
    used: list[Gap] = []

    def bad(seq: int, reason: str) -> Verification:
        return Verification(False, events, previous.hex(), seq, reason, tuple(used))

    for *columns, body_hash, hash, body in connection.execute(_EVENTS):
        seq, event_boot = columns[0], columns[3]
        if expected in gaps and seq != expected:
            last = gaps.pop(expected)
            used.append(Gap(expected, last))
            previous = gap_hash(previous, expected, last)
            expected = last + 1
        if seq != expected:
            return bad(expected, f"event {expected} is missing: after {expected - 1} comes {seq}")
        if body is not None and sha256(body).digest() != body_hash:
            return bad(seq, "its body is not the one that was written")
        if event_hash(previous, body_hash, tuple(columns)) != hash:
            return bad(seq, "its hash does not follow from it and the event before it")
        if event_boot < boot or event_boot not in boots:
            return bad(seq, f"it names boot {event_boot}, which does not fit the boots of this file")
        previous, boot = hash, event_boot
        if seq in ends and ends[seq][1] != hash:
            return bad(seq, f"boot {ends[seq][0]} was closed with another chain")
        events += 1
        expected += 1
    if gaps:
        return bad(min(gaps), "a gap is declared where no event is missing")
    latest = max(ends, default=0)
    if latest >= expected:
        return bad(expected, f"the events up to {latest} were there when boot {ends[latest][0]} was closed")
    if acknowledged >= expected:
        return bad(expected, f"the events up to {acknowledged} were committed, but are gone")
    return Verification(True, events, previous.hex(), gaps=tuple(used))
