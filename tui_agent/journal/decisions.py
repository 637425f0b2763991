"""The decisions of all sessions and the grants that live: what an audit asks.

Part of `index.db`. A session's part is brought up to date from its file, from the event on up to which that was
done before: after a commit, or when somebody asks and the file is not as it was then. So a file whose session ended
in a crash, was copied here or is older than this table needs no care of its own, and one that stands as it was is
not opened.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_agent.journal.errors import JournalError
from tui_agent.journal.transaction import transaction
from tui_agent.text import storable, stored

if TYPE_CHECKING:
    from tui_agent.events import EffectClass, Event, JsonObject, Judgement, PermissionDecided

TABLES = """
CREATE TABLE decision (
  session TEXT NOT NULL, seq INTEGER NOT NULL, time REAL NOT NULL, tool TEXT NOT NULL, agent TEXT NOT NULL,
  verdict TEXT NOT NULL, workspace TEXT NOT NULL, effect TEXT NOT NULL, input TEXT NOT NULL, granted TEXT NOT NULL,
  event TEXT NOT NULL, PRIMARY KEY (session, seq)
) STRICT;
CREATE INDEX decision_time ON decision (session, time);
CREATE TABLE live_grant (
  session TEXT NOT NULL, pattern TEXT NOT NULL, step TEXT NOT NULL, granted REAL NOT NULL,
  PRIMARY KEY (session, pattern)
) STRICT;
CREATE TABLE trail (
  session TEXT PRIMARY KEY, seq INTEGER NOT NULL, signature TEXT NOT NULL, workspace TEXT NOT NULL,
  open_steps TEXT NOT NULL
) STRICT;
"""
"""`decision.event` is the event's JSON, `input` the call's, `granted` a JSON list. `trail` says up to which event a
session was read, how its file was then, and what steps were open."""

TYPES = (
    "session.created",
    "step.planned",
    "step.edited",
    "step.finished",
    "permission.decided",
    "permission.revoked",
)
"""The events that are read."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One decision. `granted` are the grants that held when it was made; `time` is in seconds since the epoch.

    `judgement` is None for decisions of versions that did not keep it.
    """

    session: str
    seq: int
    time: float
    workspace: str
    agent: str
    step: str
    tool: str
    input: JsonObject
    effect: EffectClass
    decision: PermissionDecided
    granted: tuple[str, ...] = ()

    @property
    def judgement(self) -> Judgement | None:
        """What the policy said of the call."""
        return self.decision.judgement

    @property
    def asked(self) -> bool:
        """Whether the policy wanted a user to decide."""
        return self.judgement.verdict == "ask" if self.judgement else bool(self.decision.request)

    def as_json(self) -> dict[str, Any]:
        """Return the entry as the JSON object that an export holds."""
        decided = self.decision
        return {
            "session": self.session,
            "seq": self.seq,
            "time": self.time,
            "workspace": self.workspace,
            "agent": self.agent,
            "step": self.step,
            "tool": self.tool,
            "input": self.input,
            "effect": self.effect,
            "verdict": decided.verdict,
            "asked": self.asked,
            "by": decided.by,
            "scope": decided.scope,
            "grant": decided.grant,
            "comment": decided.comment,
            "seconds": decided.seconds,
            "call_hash": decided.call_hash,
            "judgement": self.judgement.model_dump() if self.judgement else None,
        }


@dataclass(slots=True)
class Decisions:
    """What was asked for: decisions by time, the grants that live, and what could not be read.

    `grants` are by session and pattern: the step for which each was granted, and when.
    """

    entries: list[AuditEntry] = field(default_factory=list)
    grants: dict[str, dict[str, tuple[str, float]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Part:
    """What one session has here, up to the event `seq`."""

    session: str
    seq: int = 0
    signature: str = ""
    workspace: str = ""
    open_steps: dict[str, tuple[JsonObject, EffectClass]] = field(default_factory=dict)
    grants: dict[str, tuple[str, float]] = field(default_factory=dict)
    entries: list[AuditEntry] = field(default_factory=list)
    problem: str = ""

    def take(self, event: Event) -> None:
        """Fold one event."""
        from tui_agent.events import (
            PermissionDecided,
            PermissionRevoked,
            SessionCreated,
            StepEdited,
            StepFinished,
            StepPlanned,
        )

        self.seq = event.seq or self.seq
        match event:
            case SessionCreated():
                self.workspace = event.workspace
            case StepPlanned():
                self.open_steps[event.step] = (event.input, event.effect)
            case StepEdited() if event.step in self.open_steps:
                self.open_steps[event.step] = (event.input, self.open_steps[event.step][1])
            case StepFinished():
                self.open_steps.pop(event.step, None)
            case PermissionDecided():
                self._decided(event)
            case PermissionRevoked():
                self.grants.pop(event.grant, None)

    def _decided(self, event: PermissionDecided) -> None:
        # a fork holds the decisions of the session it was copied from, which has them too
        if event.step in self.open_steps and event.session in ("", self.session):
            call_input, effect = self.open_steps[event.step]
            self.entries.append(
                AuditEntry(
                    session=self.session,
                    seq=event.seq or 0,
                    time=event.time,
                    workspace=self.workspace,
                    agent=event.agent,
                    step=event.step,
                    tool=event.tool,
                    input=call_input,
                    effect=effect,
                    decision=event,
                    granted=tuple(self.grants),
                )
            )
        if event.verdict == "allow" and event.scope == "session" and event.grant:
            self.grants[event.grant] = (event.step, event.time)


def catch_up(connection: sqlite3.Connection, path: Path) -> Part:
    """Bring the part of the session in a file up to date, and return it; doing it again changes nothing.

    Its `entries` are those that could not be kept, since the index is read-only.
    """
    from tui_agent.journal.export import read_events

    signature = _signature(path)
    part = _stored(connection, path.parent.name)
    if part.signature == signature:
        return part
    # Read first, outside of a transaction: other windows write to the index meanwhile.
    try:
        for event in read_events(path, TYPES, after=part.seq):
            part.take(event)
        part.signature = signature
    except (JournalError, sqlite3.DatabaseError, ValueError) as error:
        part.signature, part.problem = "", f"{path}: {error}"
    try:
        _store(connection, part)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
            raise
    else:
        part.entries = []
    return part


def read(
    connection: sqlite3.Connection,
    sessions: Path,
    *,
    session: str = "",
    since: float | None = None,
    until: float | None = None,
) -> Decisions:
    """Return the decisions of a time (`until` excluded) and the grants, of sessions with `session` in their id."""
    found = Decisions()
    for path in sorted(sessions.glob("*/session.db")):
        name = path.parent.name
        if session not in name:
            continue
        part = catch_up(connection, path)
        if part.problem:
            found.problems.append(part.problem)
        if part.grants:
            found.grants[name] = part.grants
        rows = connection.execute(
            "SELECT session, seq, workspace, effect, input, granted, event FROM decision WHERE session = ?1"
            " AND (?2 IS NULL OR time >= ?2) AND (?3 IS NULL OR time < ?3)",
            (name, since, until),
        )
        found.entries += map(_entry, rows)
        found.entries += [entry for entry in part.entries if _within(entry.time, since, until)]
    found.entries.sort(key=lambda entry: (entry.time, entry.session, entry.seq))
    return found


def seal(connection: sqlite3.Connection, path: Path) -> None:
    """Note how a session's file is now: it was brought up to date, and then closed by its writer."""
    connection.execute(
        "UPDATE trail SET signature = ? WHERE session = ? AND signature != ''", (_signature(path), path.parent.name)
    )


def remove(connection: sqlite3.Connection, session: str) -> None:
    """Forget the decisions of a session."""
    for table in ("decision", "live_grant", "trail"):
        connection.execute(f"DELETE FROM {table} WHERE session = ?", (session,))


def _within(time: float, since: float | None, until: float | None) -> bool:
    return (since is None or time >= since) and (until is None or time < until)


def _signature(path: Path) -> str:
    """Return how a session's file is, without opening it: another text once something was written to it."""
    log = path.with_name(path.name + "-wal")
    try:
        parts = [path.stat(), *([log.stat()] if log.exists() and log.stat().st_size else [])]
    except OSError:  # it went meanwhile
        return ""
    return " ".join(f"{part.st_ino} {part.st_size} {part.st_mtime_ns}" for part in parts)


def _stored(connection: sqlite3.Connection, session: str) -> Part:
    row = connection.execute(
        "SELECT seq, signature, workspace, open_steps FROM trail WHERE session = ?", (session,)
    ).fetchone()
    if row is None:
        return Part(session)
    seq, signature, workspace, steps = row
    workspace = stored(workspace)
    grants = connection.execute(
        "SELECT pattern, step, granted FROM live_grant WHERE session = ? ORDER BY granted", (session,)
    )
    return Part(
        session,
        seq,
        signature,
        workspace,
        {step: (call_input, effect) for step, (call_input, effect) in json.loads(steps).items()},
        {pattern: (step, granted) for pattern, step, granted in grants},
    )


def _store(connection: sqlite3.Connection, part: Part) -> None:
    """Keep a session's part. Over a newer one of another window it is older, but whole: the next look goes on."""
    with transaction(connection):
        connection.executemany(
            "INSERT OR REPLACE INTO decision VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (_row(entry) for entry in part.entries),
        )
        connection.execute("DELETE FROM live_grant WHERE session = ?", (part.session,))
        connection.executemany(
            "INSERT INTO live_grant VALUES (?, ?, ?, ?)",
            [(part.session, pattern, step, granted) for pattern, (step, granted) in part.grants.items()],
        )
        connection.execute(
            "INSERT OR REPLACE INTO trail VALUES (?, ?, ?, ?, ?)",
            (part.session, part.seq, part.signature, storable(part.workspace), json.dumps(part.open_steps)),
        )


def _row(entry: AuditEntry) -> tuple[object, ...]:
    return (
        entry.session,
        entry.seq,
        entry.time,
        entry.tool,
        entry.agent,
        entry.decision.verdict,
        storable(entry.workspace),
        entry.effect,
        json.dumps(entry.input),
        json.dumps(entry.granted),
        entry.decision.model_dump_json(exclude={"seq", "hash"}),
    )


def _entry(row: tuple[Any, ...]) -> AuditEntry:
    from tui_agent.events import PermissionDecided

    session, seq, workspace, effect, call_input, granted, event = row
    decision = PermissionDecided.model_validate(json.loads(event)).model_copy(update={"seq": seq})
    return AuditEntry(
        session=session,
        seq=seq,
        time=decision.time,
        workspace=stored(workspace),
        agent=decision.agent,
        step=decision.step,
        tool=decision.tool,
        input=json.loads(call_input),
        effect=effect,
        decision=decision,
        granted=tuple(json.loads(granted)),
    )
