"""The policy: what is to be done with one call, and every reason for it.

A pure core: it reads the disk, asks nobody, runs nothing. A decision names the verdicts of all guard modules,
all rules that matched with their file and line, and which of these decided.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from tui_agent.events import EffectClass, TrustTier
from tui_agent.permissions.guard.model import GuardVerdict, Line, ModuleVerdict, Places, Surroundings
from tui_agent.permissions.paths import PathFinding, look_at
from tui_agent.permissions.rules import STRENGTH, Rule, RuleSet
from tui_agent.permissions.sensitive import secret_level
from tui_agent.sandbox import Protection
from tui_agent.sandbox.tree import DEPENDENCIES

if TYPE_CHECKING:
    from tui_agent.sandbox import TemporaryFolder

MODES = {
    "ask": "reading inside the workspace is allowed, everything else asks",
    "accept-edits": "like ask, and files inside the workspace may be changed",
    "plan": "nothing is changed; it ends in a plan that you approve",
    "sandboxed": "like ask, and commands run inside the OS sandbox, without network",
    "bypass": "nothing asks; only ever from the command line's --mode bypass",
}
"""The modes and what they mean."""

PLAN_APPROVAL = "exit_plan"
"""The tool that hands in a plan. In plan mode it asks, whatever the rules allow: a plan is approved by the user."""

SandboxState = Literal["available", "reduced", "none"]
Decided = Literal["allow", "ask", "deny"]

_READING = frozenset(["read", "glob", "grep"])
_WRITING = frozenset(["write", "edit"])
_RANK = {"allow": 0, "ask": 1, "deny": 2}
_KEPT_IN_SANDBOX = frozenset(["secret_paths", "user_rules", "high_impact"])


@dataclass(frozen=True, slots=True)
class Request:
    """One call that waits for a decision. Paths are absolute; `folders` were granted besides the workspace."""

    tool: str
    input: Mapping[str, Any]
    workspace: str
    cwd: str = ""
    mode: str = "ask"
    tier: TrustTier = "built-in"
    effect: EffectClass = "irreversible"
    agent: str = ""
    folders: tuple[str, ...] = ()
    sandbox: SandboxState = "none"
    temporary: TemporaryFolder | None = None


@dataclass(frozen=True, slots=True)
class MatchedRule:
    """A rule that matched, with where it stands."""

    rule: str
    verdict: Decided
    source: str
    file: str
    line: int | None


@dataclass(frozen=True, slots=True)
class PolicyDecision:
    """What is to be done, and why. `winner` names the rule, the module or the mode that decided.

    `agent_types` are the types of the agent and of those above it, the outermost first. `sandboxed` says that it
    holds only for a run inside the OS sandbox; `environment` must be set for the run.
    """

    verdict: Decided
    reason: str
    winner: str
    modules: tuple[ModuleVerdict, ...] = ()
    rules: tuple[MatchedRule, ...] = ()
    mode: str = "ask"
    tier: TrustTier = "built-in"
    agent: str = ""
    agent_types: tuple[str, ...] = ()
    read_only: bool = False
    sandboxed: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True)
class Policy:
    """Decides calls under a set of rules. `protected` are the app's own folders, which no tool may write."""

    rules: RuleSet
    home: str
    protected: tuple[str, ...] = ()
    monotonic: Callable[[], float] | None = None

    def decide(self, request: Request) -> PolicyDecision:
        """Return the decision. Never raises: a check that fails where it could have denied, denies."""
        try:
            return self._decide(request)
        except Exception as error:
            return failed_decision(request, error)

    def left_out(self, tool: str, paths: Sequence[str], folder: str, *, workspace: str, mode: str) -> set[str]:
        """Return those of `paths`, files in `folder`, that a search by `tool` leaves out. All paths are real.

        They are the ones that would not be read without a question, and matter more than the folder itself.
        """
        workspace = os.path.realpath(workspace)
        levels: tuple[Literal["deny", "ask"], ...] = ("deny",) if mode == "bypass" else ("deny", "ask")
        rules = [
            (_RANK[level], rule.path_matcher(workspace=workspace, home=self.home))
            for level in levels
            for rule in self.rules.of(level, tool)
            if rule.specifier is not None
        ]

        def rank(path: str) -> int:
            own = _RANK.get(secret_level(path), 0)
            if own < 2 and mode == "bypass":
                own = 0
            return max([own, *(level for level, matches in rules if level > own and matches(path))])

        allowed = rank(folder)
        return {path for path in paths if rank(path) > allowed}

    def protection(self, workspace: str) -> Protection:
        """Return what the sandbox has to keep from commands: secrets, and files that rules about reading name."""
        workspace = os.path.realpath(workspace)
        levels: tuple[Literal["deny", "ask"], ...] = ("deny", "ask")
        rules = [
            (level, rule) for level in levels for rule in self.rules.of(level, "read") if rule.specifier is not None
        ]
        matchers = [(level, rule.path_matcher(workspace=workspace, home=self.home)) for level, rule in rules]

        def find(paths: Sequence[str]) -> dict[str, Literal["deny", "ask"]]:
            found: dict[str, Literal["deny", "ask"]] = {}
            for path in paths:
                level = secret_level(path)
                if level != "deny":
                    level = next((named for named, matches in matchers if matches(path)), level)
                if level:
                    found[path] = level
            return found

        key = (workspace, self.home, tuple((level, rule.text, rule.origin.base) for level, rule in rules))
        named = any(f"{name}" in (rule.specifier or "") for _, rule in rules for name in DEPENDENCIES)
        return Protection(key, find, everything=named)

    def _decide(self, request: Request) -> PolicyDecision:
        places = Places(self.home, request.workspace, self.protected, request.folders, request.temporary)
        cwd = request.cwd or request.workspace
        tool = request.tool.lower()
        if request.mode not in MODES:
            return _decision(request, "ask", f"the mode {request.mode!r} is not known", "mode")
        if tool == "bash":
            return self._bash(request, places, cwd)
        if tool in _READING | _WRITING:
            return self._file(request, places, cwd, tool)
        return self._other(request, tool)

    def _bash(self, request: Request, places: Places, cwd: str) -> PolicyDecision:
        # Imported with the first command: the conversation is on screen before any guard module is needed.
        from tui_agent.permissions.guard import RUNNER_ENVIRONMENT, judge_line

        command = request.input.get("command")
        if not isinstance(command, str):
            return _decision(request, "ask", "the call has no command", "input")
        hides = request.sandbox == "available" and request.input.get("access", "sandbox") == "sandbox"
        surroundings = Surroundings(cwd, places, self.rules, hides)
        guard = judge_line(command, surroundings, monotonic=self.monotonic)
        verdict, reason, winner = _bash_verdict(request, guard)
        if guard.hidden and verdict != "allow":
            # a user who allows it allows it whole, and so must hear of these files
            guard = judge_line(command, replace(surroundings, hides=False), monotonic=self.monotonic)
            verdict, reason, winner = _bash_verdict(request, guard)
        hidden = tuple(path for path, level in guard.hidden if level == "deny" or request.mode != "bypass")
        if hidden:
            winner = "sandbox"
        read_only = guard.verdict == "allow" and guard.read_only
        decision = PolicyDecision(
            verdict, reason, winner, guard.modules, (), request.mode, request.tier, request.agent,
            read_only=read_only, sandboxed=winner == "sandbox",
            environment=RUNNER_ENVIRONMENT if read_only else {}, hidden=hidden,
        )  # fmt: skip
        try:
            return self._explained(decision, guard, surroundings, request)
        except Exception as error:  # the decision stands without its explanation
            return replace(
                decision, reason=f"{reason} (its explanation failed: {type(error).__name__}: {error})"[:300]
            )

    def _explained(
        self, decision: PolicyDecision, guard: GuardVerdict, surroundings: Surroundings, request: Request
    ) -> PolicyDecision:
        """Return the decision with the rules that matched and what is hidden; its verdict stays as it is."""
        matched = _matched([*(self._bash_rules(guard.line, surroundings) if guard.line else ()), *guard.rules])
        reason, winner = decision.reason, decision.winner
        if decision.hidden:
            reason += f"; what is protected in there is kept out: {_some(decision.hidden, request.workspace)}"
        if winner in ("user_rules", "rules") and matched:
            strongest = max(matched, key=lambda m: (_RANK[m.verdict], STRENGTH[m.source]))
            where = f"{strongest.file}:{strongest.line}" if strongest.line else strongest.file
            winner = f"{strongest.rule} ({where})"
        return replace(decision, reason=reason, winner=winner, rules=matched)

    def _bash_rules(self, line: Line, surroundings: Surroundings) -> list[Rule]:
        from tui_agent.permissions.guard.user_rules import allowing_rule, forbidding_rule

        found: list[Rule] = []
        for command in line.commands:
            for rule in (*self.rules.bash("deny"), *self.rules.bash("ask")):
                if command.words and rule.matches_words(command.argv, loosely=True):
                    found.append(rule)
            allowing, _ = allowing_rule(line, command, surroundings)
            denying = forbidding_rule(command, surroundings, "deny")
            asking = forbidding_rule(command, surroundings, "ask")
            found += [rule for rule in (denying, asking, allowing) if rule]
        return found

    def _file(self, request: Request, places: Places, cwd: str, tool: str) -> PolicyDecision:
        purpose: Literal["read", "write"] = "write" if tool in _WRITING else "read"
        findings = [look_at(path, purpose=purpose, cwd=cwd, places=places) for path in _paths(request, tool)]
        if not findings:
            return _decision(request, "ask", "the call names no path", "input")
        workspace = os.path.realpath(request.workspace)
        matched: list[Rule] = []
        by_rule: dict[str, list[Rule]] = {"allow": [], "ask": [], "deny": []}
        allowed_all = True
        for finding in findings:
            joined = posixpath.normpath(posixpath.join(cwd, finding.shown)) if finding.shown else finding.real
            hit = False
            for verdict in ("deny", "ask", "allow"):
                for rule in self.rules.of(verdict, tool):
                    places_named = {finding.real} if verdict == "allow" else {finding.real, joined}
                    if any(rule.matches_path(p, workspace=workspace, home=self.home) for p in places_named):
                        by_rule[verdict].append(rule)
                        hit = hit or verdict == "allow"
            allowed_all = allowed_all and hit
        matched = [*by_rule["deny"], *by_rule["ask"], *by_rule["allow"]]
        rules = _matched(matched)
        modules = tuple(ModuleVerdict("path", f.level, f.reason) for f in findings)
        verdict, reason, winner = _file_verdict(request, purpose, findings, by_rule, allowed_all)
        return PolicyDecision(
            verdict, reason, winner, modules, rules, request.mode, request.tier, request.agent,
            read_only=purpose == "read" and verdict == "allow",
        )  # fmt: skip

    def _other(self, request: Request, tool: str) -> PolicyDecision:
        name = _name(request, tool)
        by_rule = {
            verdict: [rule for rule in self.rules.of(verdict, request.tool) if rule.matches_name(name)]
            for verdict in ("deny", "ask", "allow")
        }
        rules = _matched([*by_rule["deny"], *by_rule["ask"], *by_rule["allow"]])
        built_in = request.tier == "built-in"
        harmless = built_in and request.effect == "pure"
        if by_rule["deny"]:
            outcome = ("deny", f"the rule {by_rule['deny'][0].text} denies it", by_rule["deny"][0].text)
        elif request.mode == "plan" and tool == PLAN_APPROVAL:
            outcome = ("ask", "the user approves the plan", "mode")
        elif request.mode == "plan" and not harmless:
            claim = " (that it only reads is its own claim)" if request.effect == "pure" else ""
            outcome = ("deny", f"the mode is plan, and it may change something{claim}", "mode")
        elif by_rule["ask"] and (request.mode != "bypass" or any(rule.firm for rule in by_rule["ask"])):
            outcome = ("ask", f"the rule {by_rule['ask'][0].text} asks", by_rule["ask"][0].text)
        elif request.mode == "bypass":
            outcome = ("allow", "the mode is bypass", "mode")
        elif by_rule["allow"]:
            outcome = ("allow", f"the rule {by_rule['allow'][0].text} allows it", by_rule["allow"][0].text)
        elif harmless:
            outcome = ("allow", "it changes nothing", "tier")
        else:
            outcome = ("ask", f"no rule allows it ({request.tier})", "mode")
        return _decision(request, outcome[0], outcome[1], outcome[2], rules)


def failed_decision(request: Request, error: Exception) -> PolicyDecision:
    """Return the decision on a call whose check failed: denied, because nobody knows what forbids it."""
    reason = f"the check failed: {type(error).__name__}: {error}"[:200]
    return PolicyDecision("deny", reason, "error", mode=request.mode, tier=request.tier, agent=request.agent)


def _bash_verdict(request: Request, guard: GuardVerdict) -> tuple[Decided, str, str]:
    winner = next((m.name for m in guard.modules if m.verdict == guard.verdict and m.verdict != "allow"), "")
    if guard.verdict == "deny":
        return "deny", guard.reason, winner
    if request.mode == "bypass":
        if guard.firm:
            return "ask", guard.reason, winner
        return "allow", "the mode is bypass", "mode"
    if request.mode == "plan" and not guard.read_only:
        return "deny", f"the mode is plan, and it is not known to change nothing: {guard.reason}", "mode"
    if guard.verdict == "allow":
        return "allow", guard.reason, "read_only" if guard.read_only else "rules"
    if request.mode == "sandboxed" and request.sandbox == "available":
        kept = [m for m in guard.modules if m.verdict == "ask" and m.name in _KEPT_IN_SANDBOX]
        if not kept and not guard.firm:
            return "allow", "it runs inside the sandbox, without network", "sandbox"
        if kept:
            return "ask", kept[0].reason, kept[0].name
    return "ask", guard.reason, winner or "mode"


def _file_verdict(
    request: Request,
    purpose: str,
    findings: list[PathFinding],
    by_rule: Mapping[str, list[Rule]],
    allowed_all: bool,
) -> tuple[Decided, str, str]:
    bypass = request.mode == "bypass"
    for finding in findings:
        if finding.level == "deny" and (finding.firm or not bypass):
            return "deny", f"{finding.shown}: {finding.reason}", "path"
    if by_rule["deny"]:
        return "deny", f"the rule {by_rule['deny'][0].text} denies it", by_rule["deny"][0].text
    if request.mode == "plan" and purpose == "write":
        return "deny", "the mode is plan: nothing is changed", "mode"
    for finding in findings:
        if finding.level == "ask" and (finding.firm or not bypass):
            return "ask", f"{finding.shown}: {finding.reason}", "path"
    if bypass and not any(rule.firm for rule in by_rule["ask"]):
        return "allow", "the mode is bypass", "mode"
    if by_rule["ask"]:
        return "ask", f"the rule {by_rule['ask'][0].text} asks", by_rule["ask"][0].text
    if allowed_all and by_rule["allow"]:
        return "allow", f"the rule {by_rule['allow'][0].text} allows it", by_rule["allow"][0].text
    outside = next((finding for finding in findings if not finding.inside), None)
    if outside:
        return "ask", f"{outside.shown} is outside the workspace", "path"
    if purpose == "read":
        return "allow", "it only reads, inside the workspace", "path"
    if request.mode == "accept-edits":
        return "allow", "the mode is accept-edits, and it is inside the workspace", "mode"
    return "ask", f"Mode “{request.mode}”, and no rule covers it", "mode"


def _some(paths: Sequence[str], workspace: str) -> str:
    shown = [os.path.relpath(path, os.path.realpath(workspace)) for path in paths[:3]]
    return ", ".join(shown) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def _paths(request: Request, tool: str) -> list[str]:
    """Return the paths that a file tool's call names; the workspace itself where it names none."""
    given = request.input.get("path", request.input.get("file_path"))
    base = given if isinstance(given, str) else ""
    if tool not in ("glob", "grep"):
        return [base] if base else []
    found = [base or "."]
    pattern = request.input.get("pattern" if tool == "glob" else "glob")
    if isinstance(pattern, str) and pattern:
        fixed = pattern.split("*")[0].split("?")[0].split("[")[0].split("{")[0]
        if ".." in pattern or pattern.startswith(("/", "~")):
            found.append(pattern if fixed == pattern or ".." in pattern else fixed or "/")
            if pattern.startswith("~"):
                return found
            found[-1] = posixpath.join(base, found[-1]) if not found[-1].startswith("/") else found[-1]
        elif tool == "grep" and fixed == pattern:
            found.append(posixpath.join(base, pattern))
    return found


def _name(request: Request, tool: str) -> str:
    """Return what a rule for this tool compares: a host, a skill's name, an agent type."""
    for key in ("url", "skill", "name", "agent", "subagent_type", "type", "query"):
        value = request.input.get(key)
        if isinstance(value, str):
            if key != "url":
                return value
            try:
                return urlsplit(value).hostname or ""
            except ValueError:
                return ""
    return tool


def _matched(rules: list[Rule]) -> tuple[MatchedRule, ...]:
    found = [MatchedRule(r.text, r.verdict, r.origin.source, r.origin.file, r.origin.line) for r in rules]
    return tuple(dict.fromkeys(found))


def _decision(
    request: Request, verdict: str, reason: str, winner: str, rules: tuple[MatchedRule, ...] = ()
) -> PolicyDecision:
    decided: Decided = "allow" if verdict == "allow" else "deny" if verdict == "deny" else "ask"
    return PolicyDecision(
        decided,
        reason,
        winner,
        (),
        rules,
        request.mode,
        request.tier,
        request.agent,
        read_only=decided == "allow" and request.effect == "pure",
    )
