"""The judgement of a command line: what all modules say of it, together."""

from __future__ import annotations

from collections.abc import Callable

from tui_agent.permissions.guard import (
    catastrophe,
    control_chars,
    env_prefix,
    eval_builtins,
    exfiltration,
    heredoc,
    high_impact,
    input_bounds,
    literal_argv,
    parse,
    parser_differential,
    path_scope,
    read_only,
    redirection,
    repo_config,
    secret_paths,
    self_protection,
    shadowing,
    substitution,
    unicode_confusables,
    user_rules,
    visual_padding,
    wrapper_unwrap,
)
from tui_agent.permissions.guard.model import (
    RANK,
    Check,
    Finding,
    GuardVerdict,
    Line,
    ModuleVerdict,
    Surroundings,
)
from tui_agent.permissions.guard.places import forget
from tui_agent.permissions.guard.shell import parse_line
from tui_agent.permissions.guard.usage import NotHarmless, usage_of

MODULES: tuple[tuple[str, Check], ...] = (
    ("input_bounds", input_bounds.check),
    ("control_chars", control_chars.check),
    ("unicode_confusables", unicode_confusables.check),
    ("visual_padding", visual_padding.check),
    ("parse", parse.check),
    ("parser_differential", parser_differential.check),
    ("literal_argv", literal_argv.check),
    ("substitution", substitution.check),
    ("heredoc", heredoc.check),
    ("redirection", redirection.check),
    ("env_prefix", env_prefix.check),
    ("wrapper_unwrap", wrapper_unwrap.check),
    ("shadowing", shadowing.check),
    ("eval_builtins", eval_builtins.check),
    ("catastrophe", catastrophe.check),
    ("high_impact", high_impact.check),
    ("self_protection", self_protection.check),
    ("secret_paths", secret_paths.check),
    ("path_scope", path_scope.check),
    ("repo_config", repo_config.check),
    ("read_only", read_only.check),
    ("user_rules", user_rules.check),
    ("exfiltration", exfiltration.check),
)
"""All modules, in the order in which they are shown; the order changes no verdict."""

_DENYING = frozenset(
    ["input_bounds", "redirection", "catastrophe", "self_protection", "secret_paths", "user_rules", "exfiltration"]
)
"""Modules that deny. A line over the bounds asks in any case, so that the others have nothing to add to it.

One of them that fails denies: what it would have said is not known.
"""

MOST_HIDDEN = 100
"""Files and folders that are kept out of what one line sees; more ask."""

PATIENCE = 5.0
"""Seconds after which a line that is still being looked at asks."""


def judge_line(
    text: str,
    surroundings: Surroundings,
    *,
    modules: tuple[tuple[str, Check], ...] = MODULES,
    monotonic: Callable[[], float] | None = None,
) -> GuardVerdict:
    """Return the verdict on a command line.

    A check that fails denies where it could have denied, and asks otherwise. Raises only what a fault of this
    function itself raises: the caller must deny then. `monotonic` is a clock in seconds; with it, a line that takes
    longer than `PATIENCE` asks.
    """
    began = monotonic() if monotonic else 0.0
    if len(text) >= input_bounds.MAX_ARGUMENT:  # nothing to look at: it cannot run
        finding = _run("input_bounds", input_bounds.check, Line(text), surroundings)
        verdict = ModuleVerdict("input_bounds", finding.level, finding.reason)
        return GuardVerdict("deny", finding.reason, (verdict,), False, True)
    try:
        line = parse_line(text, surroundings.cwd, surroundings.places.home)
    except Exception as error:  # none of the checks can see what is in it
        reason = f"the line cannot be read: {failure(error)}"
        return GuardVerdict("deny", reason, (ModuleVerdict("parse", "deny", reason),), False, True)
    why_not = _usages(line)
    if "too_much" in line.features:
        reason = f"it has {line.features['too_much']}: more than can be looked over; put it into a file"
        return GuardVerdict("deny", reason, (ModuleVerdict("input_bounds", "deny", reason),), False, True)
    forget()
    line.hasty = len(text) > input_bounds.MAX_BYTES
    chosen = [row for row in modules if not line.hasty or row[0] in _DENYING]
    found = [(name, _run(name, check, line, surroundings)) for name, check in chosen]
    verdicts = [ModuleVerdict(name, finding.level, finding.reason) for name, finding in found]
    if monotonic and monotonic() - began > PATIENCE:
        verdicts.append(ModuleVerdict("input_bounds", "ask", "it takes too long to look at"))
    harmless = next((finding.allowed for name, finding in found if name == "read_only"), frozenset[int]())
    allowed = frozenset[int]().union(*(finding.allowed for _, finding in found))
    worst = max(verdicts, key=lambda verdict: RANK[verdict.verdict], default=ModuleVerdict("", "pass"))
    read_only_line = _all_allowed(line, harmless | allowed_wrappers(found))
    firm = next((finding for _, finding in found if finding.level == "ask" and finding.firm), None)
    hidden = dict(pair for _, finding in found for pair in finding.hidden)
    if len(hidden) > MOST_HIDDEN and worst.verdict != "deny":
        reason = f"it reads {len(hidden):,} files too that are protected"
        verdicts.append(ModuleVerdict("secret_paths", "ask", reason))
        return GuardVerdict("ask", reason, tuple(verdicts), read_only_line, True, line=line)
    rules = tuple(rule for _, finding in found for rule in finding.rules)
    if worst.verdict == "deny":
        return GuardVerdict("deny", worst.reason, tuple(verdicts), read_only_line, True, line=line)
    if worst.verdict == "ask":
        reason = firm.reason if firm else worst.reason
        return GuardVerdict(
            "ask", reason, tuple(verdicts), read_only_line, firm is not None, tuple(hidden.items()), rules, line
        )
    if _all_allowed(line, allowed):
        reason = "it only reads, inside the workspace" if read_only_line else "rules allow it"
        return GuardVerdict(
            "allow", reason, tuple(verdicts), read_only_line, hidden=tuple(hidden.items()), rules=rules, line=line
        )
    missing = next((c for c in line.commands if c.index not in allowed), None)
    reason = why_not.get(missing.index, "") if missing else "there is no command in it"
    shown = f"{missing.shown()}: " if missing else ""
    reason = shown + (reason or "no rule allows it")
    return GuardVerdict("ask", reason, tuple(verdicts), False, hidden=tuple(hidden.items()), rules=rules, line=line)


def allowed_wrappers(found: list[tuple[str, Finding]]) -> frozenset[int]:
    """Return the wrappers that add nothing of their own."""
    return next((finding.allowed for name, finding in found if name == "wrapper_unwrap"), frozenset())


def _all_allowed(line: Line, allowed: frozenset[int]) -> bool:
    return bool(line.commands) and all(command.index in allowed for command in line.commands)


def _usages(line: Line) -> dict[int, str]:
    """Work out how the harmless commands use their words; return why the others are not harmless."""
    why: dict[int, str] = {}
    for command in line.commands:
        if command.wrapper:
            continue
        try:
            line.usages[command.index] = usage_of(command)
        except NotHarmless as error:
            why[command.index] = str(error)
        except Exception as error:  # then it is not known to be harmless
            why[command.index] = failure(error)
    return why


def failure(error: Exception) -> str:
    """Return how a check failed, as a reason for its verdict."""
    return f"the check failed: {type(error).__name__}: {error}"[:200]


def _run(name: str, check: Check, line: Line, surroundings: Surroundings) -> Finding:
    """Return what a module finds. One that fails denies if it is among those that deny, else it asks."""
    try:
        return check(line, surroundings)
    except Exception as error:
        return Finding("deny" if name in _DENYING else "ask", failure(error), firm=True)
