"""Reading rules from where they stand: an administrator, the person, this session, the project.

A project's files come from whoever wrote the project. Until the person has trusted the folder they may only
tighten: their `allow` rules do not count. Trust is bound to a hash of those very files; when they change, it is
gone. `.claude/settings.json` is read under the same limits. A file that cannot be read at all might forbid
anything: then no rule allows.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_agent.config.toml_file import MAX_BYTES, TomlFileError, read_toml
from tui_agent.permissions.rules import Origin, Rule, RuleBuilder, RuleSet, RuleVerdict, Source

MANAGED = Path("/etc/tui-agent/permissions.toml")
"""The administrator's file; it counts only if root owns it and nobody else can write it."""

PERMISSIONS_FILE = "permissions.toml"
TRUST_FILE = "trusted.json"

_PROJECT_FILES = (".tui-agent/permissions.toml", ".claude/settings.json", ".claude/settings.local.json")
_VERDICTS: tuple[RuleVerdict, ...] = ("allow", "ask", "deny")


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """The rules that hold in a workspace. `project_hash` names the project's files as they are, "" without any."""

    rules: RuleSet
    project_hash: str = ""
    trusted: bool = False
    # rules of the project that would allow something once the folder is trusted
    held_back_rules: tuple[Rule, ...] = ()

    @property
    def held_back(self) -> int:
        """How many rules of the project wait for trust."""
        return len(self.held_back_rules)


def load_rules(
    config: Path, workspace: Path, home: Path, *, managed: Path = MANAGED, user_file: Path | None = None
) -> LoadedRules:
    """Read all files that hold for `workspace`. Raises nothing: what is wrong is among the problems.

    `user_file` is read in place of the person's own file.
    """
    found = RuleSet()
    if _by_root(managed):
        found = found.plus(_toml_rules(managed, "managed", str(managed.parent), str(home)))
    found = found.plus(_toml_rules(user_file or config / PERMISSIONS_FILE, "user", str(config), str(home)))
    found = found.plus(_json_rules(home / ".claude" / "settings.json", "user", str(home / ".claude"), str(home)))
    digest = project_hash(workspace)
    trusted = bool(digest) and is_trusted(config, workspace, digest)
    project = RuleSet()
    for name in _PROJECT_FILES:
        read = _toml_rules if name.endswith(".toml") else _json_rules
        project = project.plus(read(workspace / name, "project", str(workspace), str(home)))
    kept = tuple(rule for rule in project.rules if trusted or rule.verdict != "allow")
    rules = found.plus(RuleSet(kept, project.problems, project.degraded))
    held = tuple(rule for rule in project.rules if not trusted and rule.verdict == "allow")
    return LoadedRules(rules, digest, trusted, held)


def listed_rules(
    allow: Iterable[object], ask: Iterable[object], deny: Iterable[object], *, source: Source, home: str, base: str
) -> RuleSet:
    """Return rules given as lists, such as a session's grants or those of a dry run."""
    builder = RuleBuilder(home)
    for verdict, rules in zip(_VERDICTS, (allow, ask, deny), strict=True):
        for number, rule in enumerate(rules, 1):
            builder.add(rule, verdict, Origin(source, f"<{verdict}>", number, base))
    return builder.build()


def project_hash(workspace: Path) -> str:
    """Return the SHA-256 over the project's rule files, empty if it has none."""
    digest, some = hashlib.sha256(), False
    for name in _PROJECT_FILES:
        try:
            data = (workspace / name).read_bytes()
        except OSError:
            continue
        some = True
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest() if some else ""


def is_trusted(config: Path, workspace: Path, digest: str) -> bool:
    """Say whether the person trusted this folder with exactly these files."""
    return _trust(config).get(os.path.realpath(workspace)) == digest


def trust(config: Path, workspace: Path, digest: str) -> None:
    """Remember that the person trusts this folder with these files. Raises `OSError`."""
    entries = _trust(config) | {os.path.realpath(workspace): digest}
    config.mkdir(parents=True, exist_ok=True)
    temporary = config / f".{TRUST_FILE}.tmp"
    temporary.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n", "utf-8")
    temporary.replace(config / TRUST_FILE)


def _trust(config: Path) -> dict[str, str]:
    try:
        entries = json.loads((config / TRUST_FILE).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(entries, dict):
        return {}
    return {key: value for key, value in entries.items() if isinstance(value, str)}


def _by_root(path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_uid == 0 and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _toml_rules(path: Path, source: Source, base: str, home: str) -> RuleSet:
    try:
        file = read_toml(path)
    except TomlFileError as error:
        return RuleSet(problems=(str(error),), degraded=True)
    if file is None:
        return RuleSet()
    return read_rules(file.values, file.text, path=str(path), source=source, base=base, home=home)


def _json_rules(path: Path, source: Source, base: str, home: str) -> RuleSet:
    try:
        if path.stat().st_size > MAX_BYTES:
            return RuleSet(problems=(f"{path}: too large",), degraded=True)
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return RuleSet()
    except (OSError, ValueError) as error:
        return RuleSet(problems=(f"{path}: cannot be read: {error}",), degraded=True)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        return RuleSet(problems=(f"{path}{f':{line}' if line else ''}: not valid JSON: {error}",), degraded=True)
    if not isinstance(values, dict):
        return RuleSet(problems=(f"{path}: not an object",), degraded=True)
    permissions = values.get("permissions", {})
    if not isinstance(permissions, dict):
        return RuleSet(problems=(f"{path}: permissions is not an object",), degraded=True)
    # that file has settings of another program besides, which are none of ours
    chosen: dict[str, Any] = {verdict: permissions[verdict] for verdict in _VERDICTS if verdict in permissions}
    return read_rules(chosen, text, path=str(path), source=source, base=base, home=home)


def read_rules(values: Mapping[str, Any], text: str, *, path: str, source: Source, base: str, home: str) -> RuleSet:
    """Return the rules that a file's lists hold; what is wrong is among the problems, with its line in `text`."""
    builder = RuleBuilder(home)
    degraded = False
    lines = _Lines(text)
    for verdict, entries in values.items():
        if verdict not in _VERDICTS or not isinstance(entries, list):
            wanted = "allow, ask and deny, each a list of rules"
            builder.problems.append(
                f"{path}:{lines.find(verdict)}: {verdict!r} is not known here: there are {wanted}"
            )
            degraded = True
            continue
        for entry in entries:
            rule: object = entry
            examples: list[str] = []
            counter: list[str] = []
            if isinstance(entry, dict):
                rule = entry.get("rule")
                examples, counter = _texts(entry.get("match")), _texts(entry.get("not_match"))
            origin = Origin(source, path, lines.find(str(rule)), base)
            builder.add(rule, verdict, origin, examples=examples, counter_examples=counter)
    return builder.build(degraded=degraded)


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(item) for item in value] if isinstance(value, list) else []


class _Lines:
    """Finds the lines of a file that hold a text, one after the other for texts that occur twice."""

    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()
        self.taken: dict[str, int] = {}

    def find(self, wanted: str) -> int:
        """Return the next line that holds `wanted`, in quotes if there is one, counted from 1.

        1 if it is written with escapes.
        """
        escaped = json.dumps(wanted)
        for forms in ((escaped, f"'{wanted}'"), (wanted, escaped[1:-1])):
            for number in range(self.taken.get(wanted, 0), len(self.lines)):
                if any(form in self.lines[number] for form in forms):
                    self.taken[wanted] = number + 1
                    return number + 1
        return self.taken.get(wanted, 1)
