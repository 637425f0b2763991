"""The audit of a data folder: the trail of all sessions, what-if, rules and grants, folder trust."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tui_agent.agents.agent_type import narrowing_of
from tui_agent.config.paths import Paths
from tui_agent.context.agreement import agree, choose_memory
from tui_agent.context.memory import MemoryFile, load_memory
from tui_agent.events import PermissionRevoked
from tui_agent.journal import Journal, Recorder
from tui_agent.permissions.audit import Redecider, RulesOf, WhatIf
from tui_agent.permissions.rule_file import add_rules
from tui_agent.permissions.rule_sources import LoadedRules, listed_rules, load_rules, trust
from tui_agent.permissions.rules import RuleSet, RuleVerdict
from tui_agent.permissions.trail import AuditEntry, Query, Trail, read_trail
from tui_agent.redaction import Redactor
from tui_agent.runtime import Runtime
from tui_agent.session.errors import SessionError
from tui_agent.session.sessions import closing_index

PREVIEW_DAYS = 30
"""How far back a preview of a rule looks."""


@dataclass(frozen=True, slots=True)
class RuleChange:
    """Other rules than those that hold: some more, `without` some (by their text), another user file."""

    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    user_file: Path | None = None


@dataclass(frozen=True, slots=True)
class RulePreview:
    """What more rules that allow would do, together: to a call that waits, and to the calls of the trail.

    `verdict` and `reason` are for the call that waits; `allowed` are the calls among the last `calls` that would not
    have asked. `problem` says which is no rule, and why.
    """

    verdict: str = ""
    reason: str = ""
    calls: int = 0
    allowed: tuple[AuditEntry, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """Looks at what was decided. All its methods block on the disk: call them off the loop."""

    paths: Paths
    runtime: Runtime

    @property
    def redactor(self) -> Redactor:
        """What takes secrets out of what is shown of the trail: it holds calls as the model made them."""
        return Redactor(self.runtime.environment)

    def rules(self, workspace: str) -> LoadedRules:
        """Return the rules that hold in a folder now."""
        return load_rules(self.paths.config, Path(workspace), self.runtime.home)

    def trail(self, query: Query | None = None) -> Trail:
        """Return the decisions of all sessions, oldest first, and the grants that live. Raises `JournalError`."""
        with closing_index(self.paths.data) as index:
            return read_trail(index, query)

    def what_if(self, query: Query, change: RuleChange, *, uses: bool = True) -> tuple[WhatIf, list[str]]:
        """Decide the trail anew under changed rules; return the outcome and what is wrong with those rules.

        `uses` looks at what each rule was good for, too.
        """
        trail = self.trail(query)
        problems = list(trail.problems)
        seen: set[str] = set()

        def after(workspace: str) -> RuleSet:
            rules = self._changed(workspace, change)
            problems.extend(p for p in rules.problems if p not in seen)
            seen.update(rules.problems)
            return rules

        before: RulesOf = lambda workspace: self.rules(workspace).rules  # noqa: E731  # one line says it all
        redecider = Redecider(
            str(self.runtime.home),
            self.paths.sessions,
            lambda types: narrowing_of(types, self.runtime.home),
            (str(self.paths.config), str(self.paths.data)),
        )
        return redecider.what_if(trail.entries, before, after, uses=uses), problems

    def _changed(self, workspace: str, change: RuleChange) -> RuleSet:
        found = load_rules(self.paths.config, Path(workspace), self.runtime.home, user_file=change.user_file).rules
        kept = tuple(rule for rule in found.rules if rule.text not in change.without)
        more = listed_rules(
            change.allow, change.ask, change.deny, source="user", home=str(self.runtime.home), base=workspace
        )
        return RuleSet(kept, found.problems, found.degraded).plus(more)

    def allowing(self, rules: Sequence[str], workspace: str) -> RuleSet:
        """Return rules that allow, as they would stand in the user's file; problems where one is none."""
        return listed_rules(rules, [], [], source="user", home=str(self.runtime.home), base=workspace)

    def newly_allowed(self, *rules: str) -> tuple[int, tuple[AuditEntry, ...]]:
        """Return how many calls of the last `PREVIEW_DAYS` there are, and which of them the rules would allow anew.

        These are without secrets, to be shown.
        """
        since = self.runtime.now() - PREVIEW_DAYS * 86_400
        found, _ = self.what_if(Query(since=since), RuleChange(allow=rules), uses=False)
        secrets = self.redactor
        allowed = (change.entry for change in found.newly_allowed)
        return found.calls, tuple(replace(entry, input=secrets.value(entry.input)) for entry in allowed)

    def add_rules(self, texts: Sequence[str], verdict: RuleVerdict) -> Path:
        """Add rules to the user's file, all or none, and return that. Raises `RuleFileError`."""
        return add_rules(self.paths.config, texts, verdict, str(self.runtime.home))

    def held_memory(self, workspace: str) -> tuple[MemoryFile, ...]:
        """Return the memory files of a folder that wait for the user's agreement. Blocking."""
        memory = load_memory(self.paths.config, Path(workspace), self.runtime.home)
        return choose_memory(memory, "ask", self.paths.config).held

    def agree_to_memory(self, workspace: str, shown: Iterable[MemoryFile]) -> None:
        """Let the memory files of a folder that the user was `shown` go to the model. Blocking. Raises `OSError`."""
        memory = load_memory(self.paths.config, Path(workspace), self.runtime.home)
        agree(memory, {file.sha256 for file in shown}, self.paths.config)

    def trust(self, workspace: str, shown: str) -> LoadedRules:
        """Let the files of a project allow what they want to, and return the rules that hold then.

        `shown` is the hash of the files as the user saw them. Raises `SessionError` when the project has no such
        files or they have changed since, `OSError`.
        """
        found = self.rules(workspace)
        if not found.project_hash:
            raise SessionError(f"{workspace} has no rules of its own; there is nothing to trust")
        if found.project_hash != shown:
            raise SessionError("the project's files have changed since they were shown; look at them again")
        trust(self.paths.config, Path(workspace), found.project_hash)
        return self.rules(workspace)


async def revoke_grant(paths: Paths, session: str, grant: str, runtime: Runtime) -> None:
    """Take a grant back in a session that no window holds. Raises the journal's errors and `SessionError`."""
    held = (await asyncio.to_thread(Audit(paths, runtime).trail, Query(session=session))).grants
    if all(known.pattern != grant for known in held.get(session, ())):
        raise SessionError(f"{session} has no grant {grant!r}; see: tui-agent audit grants")
    journal = await Journal.open(paths.session_database(session), runtime)
    try:
        await Recorder(journal).record(PermissionRevoked(grant=grant))
    finally:
        await journal.close()
