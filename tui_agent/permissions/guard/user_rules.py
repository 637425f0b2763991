"""The user's rules, compared with the words of each simple command.

Class of attack: a rule that was meant for one command and is read as covering another: by an operator, a
wrapper, a flag that runs a program, or a name that only begins the same.
"""

from __future__ import annotations

import fnmatch
import os
import re
from typing import Literal

from tui_agent.permissions.guard.coverage import carries_out_input, uncovered
from tui_agent.permissions.guard.model import PASS, Command, Finding, Level, Line, Surroundings
from tui_agent.permissions.guard.places import TooManyMatches, guessed_paths, leads_to, real_path
from tui_agent.permissions.guard.reach import reached
from tui_agent.permissions.guard.usage import SYSTEM_FOLDERS
from tui_agent.permissions.rules import Rule

_IN_PLACE = re.compile(r"-\w*i|--i")
_FORBIDDING: tuple[Literal["deny", "ask"], ...] = ("deny", "ask")


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Deny and ask where a rule says so; allow what a rule covers wholly."""
    asked = PASS
    for command in line.commands:
        rule = forbidding_rule(command, surroundings, "deny")
        if rule:
            return Finding("deny", f"the rule {rule.text} denies {command.shown()}")
        rule = forbidding_rule(command, surroundings, "ask")
        if rule and (not asked.reason or (rule.firm and not asked.firm)):
            asked = Finding("ask", f"the rule {rule.text} asks about {command.shown()}", firm=rule.firm)
    covering = PASS if line.hasty else _covered_files(line, surroundings)
    if asked.reason or covering.level == "ask":
        return asked if asked.reason else covering
    allowed, uncovered = set[int](), ""
    for command in line.commands:
        try:
            rule, problem = allowing_rule(line, command, surroundings)
        except Exception as error:  # no rule is known to cover it; what forbids was found before
            rule, problem = None, f"the check failed: {type(error).__name__}: {error}"[:200]
        if rule:
            allowed.add(command.index)
        elif problem and command.index not in line.usages:
            uncovered = uncovered or problem
    if _could_be_denied(line, surroundings):
        return Finding(
            "ask", "a word that is not known could make it a denied command", frozenset(allowed), firm=True
        )
    level: Level = "ask" if uncovered else "allow" if allowed else "pass"
    return Finding(level, uncovered, frozenset(allowed), hidden=covering.hidden, rules=covering.rules)


def _covered_files(line: Line, surroundings: Surroundings) -> Finding:
    """Ask about searches through a folder that holds what a rule about files forbids; or say what is to be hidden.

    Where the folder holds more than is looked at, any such rule asks.
    """
    rules = [
        rule for level in _FORBIDDING for rule in surroundings.rules.of(level, "read") if rule.specifier is not None
    ]
    if not rules:
        return PASS
    hidden: dict[str, Literal["ask", "deny"]] = {}
    used: dict[Rule, None] = {}
    for command in line.commands:
        for found in reached(line, command, surroundings):
            files = [file for file in found.protected if file.rule is not None]
            if not found.complete and found.search.content:
                return Finding(
                    "ask", f"{command.shown()} reads too many files to look for those of {_named(rules[0])}"
                )
            if files and surroundings.hides and found.search.maskable:
                hidden |= {file.mask: file.level for file in files}
                used |= {file.rule: None for file in files if file.rule}
            elif files and (rule := files[0].rule):
                shown = os.path.relpath(files[0].path, surroundings.places.workspace)
                verb = "denies" if rule.verdict == "deny" else "asks about"
                reason = f"{command.shown()} reads {shown} too, which the rule {_named(rule)} {verb}"
                return Finding("ask", reason, firm=any(file.level == "deny" for file in files), rules=(rule,))
    return Finding(hidden=tuple(hidden.items()), rules=tuple(used))


def _named(rule: Rule) -> str:
    return f"{rule.text} ({rule.origin.file}:{rule.origin.line})" if rule.origin.line else rule.text


def forbidding_rule(command: Command, surroundings: Surroundings, verdict: Literal["ask", "deny"]) -> Rule | None:
    """Return a rule with this verdict about the command or one of its paths, or None."""
    for rule in surroundings.rules.bash(verdict):
        if command.words and rule.matches_words(command.argv, loosely=True):
            return rule
    return _forbidden_path(command, surroundings, verdict)


def _forbidden_path(command: Command, surroundings: Surroundings, verdict: Literal["ask", "deny"]) -> Rule | None:
    """Return a rule about files that forbids one of the command's paths."""
    chosen = surroundings.rules.of(verdict, "read")
    writes = surroundings.rules.of(verdict, "edit")
    if not chosen and not writes:
        return None
    texts = [(w.text, w.glob, chosen) for w in guessed_paths(command)]
    if (
        command.name in ("tee", "cp", "mv", "rm", "touch", "ln", "install", "truncate", "dd", "chmod", "chown")
        or "-i" in command.argv
        or (command.name in ("sed", "perl", "ruby") and any(_IN_PLACE.match(text) for text in command.argv[1:]))
    ):
        texts += [(w.text, w.glob, writes) for w in guessed_paths(command)]
    for redirection in command.redirections:
        if redirection.operator not in ("<<", "<<<") and redirection.target.text:
            texts.append((redirection.target.text, False, chosen if redirection.operator == "<" else writes))
    workspace, home = real_path(surroundings.places.workspace), surroundings.places.home
    matchers = {
        id(rule): rule.path_matcher(workspace=workspace, home=home)
        for rule in (*chosen, *writes)
        if rule.specifier is not None
    }
    for text, glob, rules in dict.fromkeys(texts):
        places = _leads_to(text, glob, command, surroundings)
        for rule in rules:
            matches = matchers.get(id(rule))
            if matches and (places is None or any(matches(place) for place in places)):
                return rule
    return None


def _leads_to(text: str, glob: bool, command: Command, surroundings: Surroundings) -> list[str] | None:
    """Return where a word leads, None if that is more than can be looked at."""
    try:
        return [p for p in leads_to(text, command.cwds or frozenset([surroundings.cwd]), glob=glob) if p is not None]
    except TooManyMatches:
        return None


def allowing_rule(line: Line, command: Command, surroundings: Surroundings) -> tuple[Rule | None, str]:
    """Return the rule that allows a command wholly, or None and what is in the way if one almost does."""
    if not command.words or not command.words[0].constant:
        return None, ""
    name = command.words[0].text
    argv = list(command.argv)
    if name.startswith(SYSTEM_FOLDERS) and ".." not in name:
        argv[0] = command.name
    problem = ""
    for rule in surroundings.rules.bash("allow"):
        if not (rule.matches_words(argv) or rule.matches_words(command.argv)):
            continue
        if rule.tokens is None and "/" in argv[0]:
            problem = f"{argv[0]} is a program of unknown origin"
            continue
        left = uncovered_by(rule, command)
        if left:
            problem = f"the rule {rule.text} does not cover {left}"
            continue
        if line.upstream(command) and carries_out_input(command):
            problem = f"{command.name} would carry out what it is given"
            continue
        if command.appended:
            problem = f"nobody knows which words {command.name} will be given"
            continue
        return rule, ""
    outer = _covering_parent(line, command, surroundings)
    return (outer, "") if outer else (None, problem)


def uncovered_by(rule: Rule, command: Command) -> str:
    """Return the word of a call that the rule matches but does not cover, empty if there is none."""
    tokens = rule.tokens or ()
    if rule.tokens is not None and all(token.raw != "*" for token in tokens):
        # the words are named; a pattern such as `test*` is not all of a word
        patterns = [token.text for token in tokens if token.glob]
        if not patterns:
            return ""
    named = {token.text for token in tokens if token.raw != "*" and not token.glob}
    patterns = [token.text for token in tokens if token.raw != "*" and token.glob]
    named |= {
        text for text in command.argv[1:]
        if ".." not in text.split("/") and any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)
    }  # fmt: skip
    if named and "/" not in command.argv[0]:
        named.add(command.argv[0])
    return uncovered(command, named)


def _covering_parent(line: Line, command: Command, surroundings: Surroundings) -> Rule | None:
    """Return a rule for a wrapper that names the inner command itself, such as `timeout 60 npm test`."""
    if command.parent < 0:
        return None
    parent = line.commands[command.parent]
    if not parent.wrapper or parent.parent >= 0:
        return None
    for rule in surroundings.rules.bash("allow"):
        if rule.tokens is None or not rule.matches_words(parent.argv):
            continue
        exact = rule.literal_count() == len(rule.tokens)
        if (exact or (0 <= command.parent_offset < rule.literal_count())) and not uncovered_by(rule, command):
            return rule
    return None


def _could_be_denied(line: Line, surroundings: Surroundings) -> bool:
    """Say whether an unknown word stands where a rule that denies could match."""
    denying = [rule for rule in surroundings.rules.bash("deny") if rule.tokens]
    if not denying:
        return False
    for command in line.commands:
        if not command.words or all(word.constant for word in command.words):
            continue
        if not command.words[0].constant:
            return True
        if any(rule.first_token == command.name for rule in denying):
            return True
    return False
