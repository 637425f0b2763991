"""Keys, credentials and environments.

Class of attack: reading what lets somebody else act as the user, into a conversation that leaves the machine,
by its name or in a search through the folder that it is in.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Literal

from tui_agent.permissions.guard.model import PASS, Command, Finding, Line, Surroundings, Word
from tui_agent.permissions.guard.places import TooManyMatches, guessed_paths, leads_to, path_words, revision_path
from tui_agent.permissions.guard.reach import reached
from tui_agent.permissions.sensitive import could_name_secret, secret_level

_TEXT_ONLY = frozenset(["echo", "printf", "basename", "dirname", "cd", "true", "false", ":", "test", "[", "[["])
_METADATA = frozenset(["ls", "stat", "test", "[", "du", "file", "realpath", "readlink"])


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Deny private keys and credentials, ask about what else looks secret and about searches that reach any."""
    asked = PASS
    hidden: dict[str, Literal["ask", "deny"]] = {}
    for command in line.commands:
        words = path_words(line, command) if not command.wrapper else guessed_paths(command)
        if command.index not in line.usages and command.name in _TEXT_ONLY:
            words = []
        usage = line.usages.get(command.index)
        if usage is not None and usage.names and (len(line.commands) > 1):
            words = [*words, *(replace(name, glob=True, quoted=True) for name in usage.names)]
        words = words + [r.target for r in command.redirections if r.operator in ("<", "<>")]
        for word in words:
            level, reason = _level(command, word)
            if level == "deny" and command.name not in _METADATA:
                return Finding("deny", reason)
            if level and not asked.reason:
                asked = Finding("ask", reason, firm=level == "deny")
        for found in reached(line, command, surroundings) if not line.hasty else ():
            secrets = [secret for secret in found.protected if secret.rule is None and found.search.known]
            if surroundings.hides and found.search.maskable:
                hidden |= {secret.mask: secret.level for secret in secrets}
            elif secrets and not asked.reason:
                shown = os.path.relpath(secrets[0].path, surroundings.places.workspace)
                reason = f"{command.shown()} reads {shown} too, which looks like a file with secrets"
                asked = Finding("ask", reason, firm=any(secret.level == "deny" for secret in secrets))
    return replace(asked, hidden=tuple(hidden.items()))


def _level(command: Command, word: Word) -> tuple[str, str]:
    text = word.text
    worst, reason = "", ""
    inner = revision_path(text) if command.name == "git" else None
    for candidate in (text, inner):
        if not candidate:
            continue
        if word.glob and could_name_secret(candidate, searched=word.quoted):
            worst, reason = worst or "ask", f"{word.raw} could name a secret file"
        try:
            for place in leads_to(
                candidate, command.cwds | {"/"} if not command.cwds else command.cwds, glob=word.glob
            ):
                level = secret_level(place) if place else secret_level("/" + candidate)
                if level == "deny" or (level and not worst):
                    worst, reason = level, f"{word.raw} names a secret: {place or candidate}"
        except TooManyMatches:
            worst, reason = worst or "ask", f"{word.raw} matches too many files to look at"
    return worst, reason
