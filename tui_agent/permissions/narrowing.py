"""What the type of an agent forbids, beside the rules that hold for all: a parent's policy for its subagents.

It can only narrow. It holds for an agent of the type and for every agent below it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tui_agent.config.toml_file import TomlFile
from tui_agent.permissions.policy import MatchedRule, PolicyDecision
from tui_agent.permissions.rule_sources import read_rules
from tui_agent.permissions.rules import RuleError, RuleSet

READ_ONLY = "read_only = true"
"""How the file of a type says that its agents change nothing."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What one or several agent types forbid.

    `types` are their names, the outermost agent's first. `rules` deny and ask. `read_only` names the lines that
    deny all that is not known to change nothing.
    """

    types: tuple[str, ...] = ()
    rules: RuleSet = RuleSet()
    read_only: tuple[MatchedRule, ...] = ()

    def on(self, found: PolicyDecision, mode: str) -> PolicyDecision:
        """Return a decision that was made under this, in a session of that mode, with what it owes to it."""
        if self.read_only and found.winner == "mode" and found.verdict == "deny" and mode != "plan":
            said = self.read_only[-1]
            found = replace(
                found,
                reason=f"{Path(said.file).stem} agents only read, and this is not known to change nothing",
                winner=f"{said.rule} ({said.file}:{said.line})",
                rules=(*found.rules, said),
            )
        return replace(found, mode=mode, agent_types=self.types)


def together(parts: Iterable[Narrowing]) -> Narrowing:
    """Return what several narrowings forbid, the outermost agent's first."""
    found = Narrowing()
    for part in parts:
        found = Narrowing(
            (*found.types, *part.types), found.rules.plus(part.rules), (*found.read_only, *part.read_only)
        )
    return found


def read_narrowing(file: TomlFile, home: Path) -> Narrowing:
    """Return what an agent type's file forbids: its `deny` and `ask` lists, and `read_only`.

    Raises `RuleError`, with file and line, for a rule that cannot be used and for an `allow` list.
    """
    if "allow" in file.values:
        raise RuleError(str(file.problem("allow", "an agent type cannot allow anything; it has deny and ask")))
    given = {key: value for key, value in file.values.items() if key in {"deny", "ask"}}
    rules = read_rules(given, file.text, path=str(file.path), source="agent", base="", home=str(home))
    if rules.problems:
        raise RuleError("; ".join(rules.problems))
    said: tuple[MatchedRule, ...] = ()
    if file.values.get("read_only", False):
        said = (MatchedRule(READ_ONLY, "deny", "agent", str(file.path), file.line_of("read_only")),)
    return Narrowing((file.path.stem,), rules, said)
