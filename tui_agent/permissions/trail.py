"""The audit trail: every decision of every session with its reasons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tui_agent.journal import SessionIndex
from tui_agent.journal.decisions import AuditEntry
from tui_agent.permissions.state import Grant


@dataclass(frozen=True, slots=True)
class Query:
    """Which entries are wanted; what is empty or None does not count. Times are seconds since the epoch.

    `verdict` `ask` finds what a user was to decide, whatever they decided. `rule` is a part of a rule, a grant or
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


def read_trail(index: SessionIndex, query: Query | None = None) -> Trail:
    """Return the decisions of all sessions (blocking). A session that cannot be read is a problem.

    Raises `JournalError` when the index itself cannot be used.
    """
    query = query or Query()
    found = index.decided(query.session, query.since, query.until)
    grants = {
        session: tuple(Grant(pattern, step, granted) for pattern, (step, granted) in held.items())
        for session, held in found.grants.items()
    }
    return Trail([entry for entry in found.entries if query.matches(entry)], grants, found.problems)


__all__ = ["AuditEntry", "Query", "Trail", "read_trail"]
