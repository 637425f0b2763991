"""What-if: decides the past anew under other rules, and says what would have been different.

Both sides are decided now, with the files and folders as they are: so the only difference is that of the rules,
and the same rules give none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui_agent.permissions.broker import judge
from tui_agent.permissions.narrowing import Narrowing
from tui_agent.permissions.policy import Decided, PolicyDecision, Request
from tui_agent.permissions.rule_sources import flag_rules
from tui_agent.permissions.rules import Rule, RuleSet, RuleVerdict
from tui_agent.permissions.trail import AuditEntry

RulesOf = Callable[[str], RuleSet]
"""Returns the rules that hold in a workspace."""


@dataclass(frozen=True, slots=True)
class Change:
    """A call that the other rules decide in another way."""

    entry: AuditEntry
    before: Decided
    after: Decided
    reason: str


@dataclass(frozen=True, slots=True)
class RuleUse:
    """How a rule of the changed set fared: how many calls it matched, and whether it made a difference to any."""

    rule: Rule
    matched: int
    decisive: bool


@dataclass(slots=True)
class WhatIf:
    """The outcome. `calls` were decided on each side; `rules` are those of the changed set."""

    calls: int = 0
    changes: list[Change] = field(default_factory=list)
    rules: list[RuleUse] = field(default_factory=list)

    @property
    def newly_allowed(self) -> list[Change]:
        """Calls that would run without a question and did not before."""
        return [change for change in self.changes if change.after == "allow"]

    @property
    def newly_blocked(self) -> list[Change]:
        """Calls that would be denied and were not before."""
        return [change for change in self.changes if change.after == "deny"]

    @property
    def prompts_saved(self) -> int:
        """How many questions fewer there would be; negative for more."""
        asked = Counter(change.before == "ask" for change in self.changes)[True]
        return asked - sum(change.after == "ask" for change in self.changes)

    @property
    def never_matched(self) -> list[Rule]:
        """Rules that no call matched."""
        return [use.rule for use in self.rules if not use.matched]

    @property
    def shadowed(self) -> list[Rule]:
        """Rules that matched, but without which each call would be decided in the same way."""
        return [use.rule for use in self.rules if use.matched and not use.decisive]

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as one JSON object."""
        return {
            "calls": self.calls,
            "prompts_saved": self.prompts_saved,
            "changes": [
                {**change.entry.as_json(), "before": change.before, "after": change.after, "reason": change.reason}
                for change in self.changes
            ],
            "never_matched": [_rule_json(rule) for rule in self.never_matched],
            "shadowed": [_rule_json(rule) for rule in self.shadowed],
        }


@dataclass(frozen=True)
class Redecider:
    """Decides calls of the trail anew.

    `sessions` is the folder of the sessions, `protected` are the program's own. `narrowing` returns what agent types
    forbid, by their names.
    """

    home: str
    sessions: Path
    narrowing: Callable[[Sequence[str]], Narrowing]
    protected: tuple[str, ...] = ()

    def decide(self, entry: AuditEntry, rules: RuleSet) -> PolicyDecision:
        """Return what would be decided on a call now, with the grants and the command line's rules that held then."""
        judgement = entry.judgement
        given: dict[RuleVerdict, list[str]] = {}
        for match in judgement.rules if judgement else ():
            if match.source == "flag":
                given.setdefault(match.verdict, []).append(match.rule)
        call = Request(
            tool=entry.tool,
            input=entry.input,
            workspace=entry.workspace,
            mode=(judgement.mode if judgement else "") or "ask",
            tier=judgement.tier if judgement else "built-in",
            effect=entry.effect,
            agent=entry.agent,
            folders=tuple(str(self.sessions / entry.session / name) for name in ("steps", "outputs", "scratch/tmp")),
            sandbox="available" if judgement and judgement.winner == "sandbox" else "none",
        )
        return judge(
            call,
            entry.decision.call_hash,
            rules.plus(flag_rules(given, home=self.home, base=entry.workspace)),
            entry.granted,
            home=self.home,
            protected=self.protected,
            narrowing=self.narrowing(judgement.agent_types if judgement else ()),
        )

    def what_if(self, entries: Iterable[AuditEntry], before: RulesOf, after: RulesOf, *, uses: bool = True) -> WhatIf:
        """Decide all entries under both sets of rules (blocking; a millisecond or so a call).

        `uses` looks at what each rule was good for, too.
        """
        found = WhatIf()
        matched: dict[Rule, list[tuple[AuditEntry, Decided]]] = {}
        sets: dict[str, tuple[RuleSet, RuleSet]] = {}
        for entry in entries:
            if entry.workspace not in sets:
                sets[entry.workspace] = (before(entry.workspace), after(entry.workspace))
                for rule in sets[entry.workspace][1].rules:
                    matched.setdefault(rule, [])
            old, new = (self.decide(entry, rules) for rules in sets[entry.workspace])
            found.calls += 1
            if old.verdict != new.verdict:
                found.changes.append(Change(entry, old.verdict, new.verdict, new.reason))
            for rule in sets[entry.workspace][1].rules:
                if any(_is(rule, hit) for hit in new.rules):
                    matched[rule].append((entry, new.verdict))
        for rule, hits in matched.items() if uses else ():
            decisive = any(
                self.decide(entry, _without(sets[entry.workspace][1], rule)).verdict != verdict
                for entry, verdict in hits
            )
            found.rules.append(RuleUse(rule, len(hits), decisive))
        return found


def _is(rule: Rule, hit: Any) -> bool:
    origin = rule.origin
    named = (rule.text, rule.verdict, origin.source, origin.file, origin.line)
    return named == (hit.rule, hit.verdict, hit.source, hit.file, hit.line)


def _without(rules: RuleSet, rule: Rule) -> RuleSet:
    return RuleSet(tuple(other for other in rules.rules if other != rule), rules.problems, rules.degraded)


def _rule_json(rule: Rule) -> dict[str, Any]:
    return {
        "rule": rule.text,
        "verdict": rule.verdict,
        "source": rule.origin.source,
        "file": rule.origin.file,
        "line": rule.origin.line,
    }
