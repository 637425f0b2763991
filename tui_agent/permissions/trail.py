"""The audit trail: every decision of every session with its reasons, read back from the session files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tui_agent.events import (
    EffectClass,
    JsonObject,
    Judgement,
    PermissionDecided,
    PermissionRequested,
    PermissionRevoked,
    SessionCreated,
    StepEdited,
    StepFinished,
    StepPlanned,
)
from tui_agent.journal import JournalError
from tui_agent.journal.export import read_events
from tui_agent.permissions.state import Grant, PermissionsState, apply

_TYPES = (
    "session.created",
    "step.planned",
    "step.edited",
    "step.finished",
    "permission.requested",
    "permission.decided",
    "permission.revoked",
)


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
        """Whether the policy wanted a person to decide."""
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


@dataclass(frozen=True, slots=True)
class Query:
    """Which entries are wanted; what is empty or None does not count. Times are seconds since the epoch.

    `verdict` `ask` finds what a person was to decide, whatever they decided. `rule` is a part of a rule, a grant or
    the name of what decided; `session` a part of the id.
    """

    tool: str = ""
    verdict: Literal["", "allow", "ask", "deny"] = ""
    rule: str = ""
    agent: str = ""
    session: str = ""
    since: float | None = None
    until: float | None = None

    def matches(self, entry: AuditEntry) -> bool:
        """Say whether the entry is wanted."""
        decided, judgement = entry.decision, entry.judgement
        named = [decided.grant]
        if judgement:
            named += [judgement.winner, *(rule.rule for rule in judgement.rules)]
        return (
            (not self.tool or entry.tool == self.tool)
            and (not self.verdict or (entry.asked if self.verdict == "ask" else decided.verdict == self.verdict))
            and (not self.rule or any(self.rule in name for name in named))
            and (not self.agent or entry.agent == self.agent)
            and self.session in entry.session
            and (self.since is None or entry.time >= self.since)
            and (self.until is None or entry.time < self.until)
        )


@dataclass(slots=True)
class Trail:
    """Decisions by time, the grants that live in each session, and what could not be read."""

    entries: list[AuditEntry] = field(default_factory=list)
    grants: dict[str, tuple[Grant, ...]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_trail(sessions: Path, query: Query | None = None) -> Trail:
    """Read the decisions of all sessions below a folder (blocking). A file that cannot be read is a problem."""
    trail = Trail()
    query = query or Query()
    for path in sorted(sessions.glob("*/session.db")):
        if query.session not in path.parent.name:
            continue
        state = PermissionsState()
        try:
            for entry, state in _read(path):  # noqa: B007  # the last state is what lives
                if entry is not None and query.matches(entry):
                    trail.entries.append(entry)
        except (JournalError, sqlite3.DatabaseError, ValueError) as error:
            trail.problems.append(f"{path}: {error}")
        if state.grants:
            trail.grants[path.parent.name] = state.grants
    trail.entries.sort(key=lambda entry: (entry.time, entry.session, entry.seq))
    return trail


def _read(path: Path) -> Iterator[tuple[AuditEntry | None, PermissionsState]]:
    state, workspace = PermissionsState(), ""
    open_steps: dict[str, tuple[JsonObject, EffectClass]] = {}
    for event in read_events(path, _TYPES):
        entry = None
        match event:
            case SessionCreated():
                workspace = event.workspace
            case StepPlanned():
                open_steps[event.step] = (event.input, event.effect)
            case StepEdited() if event.step in open_steps:
                open_steps[event.step] = (event.input, open_steps[event.step][1])
            # a fork holds the decisions of the session it was copied from, which has them too
            case PermissionDecided() if event.step in open_steps and event.session in ("", path.parent.name):
                call_input, effect = open_steps[event.step]
                entry = AuditEntry(
                    session=path.parent.name,
                    seq=event.seq or 0,
                    time=event.time,
                    workspace=workspace,
                    agent=event.agent,
                    step=event.step,
                    tool=event.tool,
                    input=call_input,
                    effect=effect,
                    decision=event,
                    granted=tuple(grant.pattern for grant in state.grants),
                )
            case StepFinished():
                open_steps.pop(event.step, None)
        if isinstance(event, PermissionRequested | PermissionDecided | PermissionRevoked | StepEdited | StepFinished):
            state = apply(state, event)
        yield entry, state
