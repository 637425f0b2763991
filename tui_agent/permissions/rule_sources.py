"""Reading rules from where they stand: an administrator, the user, this session, the project.

A project's files come from whoever wrote the project. Until the user has trusted the folder they may only
tighten: their `allow` rules do not count. Trust is bound to a hash of those very files; when they change, it is
gone. `.claude/settings.json` is read under the same limits.

A broken file goes on to forbid: what can be read of it, and what it said when it was last in order, which is kept
in `LAST_VALID_FILE`. It allows nothing until it is mended; and a file that cannot be parsed might forbid anything,
so then no rule of any file allows.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_agent.config.toml_file import MAX_BYTES, TomlFileError, parse_toml
from tui_agent.config.untrusted import UntrustedFile, UntrustedFileError, read_untrusted
from tui_agent.permissions.rules import Origin, Rule, RuleBuilder, RuleError, RuleSet, RuleVerdict, Source, parse_rule

MANAGED = Path("/etc/tui-agent/permissions.toml")
"""The administrator's file; it counts only if root owns it and nobody else can write it."""

PERMISSIONS_FILE = "permissions.toml"
TRUST_FILE = "trusted.json"
LAST_VALID_FILE = "last-valid-rules.json"
"""What each rule file forbade when it was last in order, by the file's real path; in the configuration folder."""

_PROJECT_FILES = (".tui-agent/permissions.toml", ".claude/settings.json", ".claude/settings.local.json")
_VERDICTS: tuple[RuleVerdict, ...] = ("allow", "ask", "deny")


@dataclass(frozen=True, slots=True)
class NamedFolder:
    """A folder that a `settings.json` adds to the workspace, as written, and where that stands."""

    text: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """The rules that hold in a workspace. `project_hash` names the project's files as they are, "" without any.

    `folders` are those that the files add to the workspace.
    """

    rules: RuleSet
    project_hash: str = ""
    trusted: bool = False
    # rules of the project that would allow something once the folder is trusted
    held_back_rules: tuple[Rule, ...] = ()
    folders: tuple[NamedFolder, ...] = ()
    # folders that the project would add once it is trusted
    held_back_folders: tuple[NamedFolder, ...] = ()

    @property
    def held_back(self) -> int:
        """How many rules and folders of the project wait for trust."""
        return len(self.held_back_rules) + len(self.held_back_folders)

    @property
    def held_back_lines(self) -> list[str]:
        """What waits for trust, a line for each rule or folder with where it stands."""
        rules = [f"{rule.text}  ({rule.origin.file}:{rule.origin.line})" for rule in self.held_back_rules]
        return rules + [f"the folder {f.text}  ({f.file}:{f.line})" for f in self.held_back_folders]


def load_rules(
    config: Path, workspace: Path, home: Path, *, managed: Path = MANAGED, user_file: Path | None = None
) -> LoadedRules:
    """Read all files that hold for `workspace`. Raises nothing: what is wrong is among the problems.

    `user_file` is read in place of the user's own file.
    """
    found = RuleSet()
    last_valid = _read_last_valid(config)
    if user_file is not None:
        # It stands for the user's own file, and so for what that one last forbade.
        own = last_valid.get(os.path.realpath(config / PERMISSIONS_FILE), [])
        last_valid = {**last_valid, os.path.realpath(user_file): own}
    reader = _Reader(str(home), last_valid)
    if managed.exists():
        rules = reader.toml(managed, _read(managed), "managed", str(managed.parent))
        if not _by_root(managed):
            kept = tuple(rule for rule in rules.rules if rule.verdict != "allow")
            problem = f"{managed}: it allows nothing, as others than root can change it"
            rules = RuleSet(kept, (problem, *rules.problems), rules.degraded)
        found = found.plus(rules)
    own_file = user_file or config / PERMISSIONS_FILE
    found = found.plus(reader.toml(own_file, _read(own_file), "user", str(config)))
    claude = home / ".claude" / "settings.json"
    found = found.plus(reader.json(claude, _read(claude), "user", str(claude.parent)))
    own_folders, reader.folders = reader.folders, []
    brought = _read_project(workspace)
    digest = _hash_of(brought)
    trusted = bool(digest) and is_trusted(config, workspace, digest)
    project = RuleSet()
    for name, content in brought.items():
        read = reader.toml if name.endswith(".toml") else reader.json
        project = project.plus(read(workspace / name, content, "project", str(workspace)))
    if user_file is None and (problem := reader.keep_last_valid(config)):
        found = found.plus(RuleSet(problems=(problem,)))
    kept = tuple(rule for rule in project.rules if trusted or rule.verdict != "allow")
    rules = found.plus(RuleSet(kept, project.problems, project.degraded))
    held = tuple(rule for rule in project.rules if not trusted and rule.verdict == "allow")
    # a file that cannot be parsed might forbid anything: then none adds a folder
    added = () if rules.degraded else (*own_folders, *(reader.folders if trusted else ()))
    held_folders = () if trusted else tuple(reader.folders)
    return LoadedRules(rules, digest, trusted, held, added, held_folders)


def listed_rules(
    allow: Iterable[object], ask: Iterable[object], deny: Iterable[object], *, source: Source, home: str, base: str
) -> RuleSet:
    """Return rules given as lists, such as a session's grants or those of a dry run."""
    builder = RuleBuilder(home)
    for verdict, rules in zip(_VERDICTS, (allow, ask, deny), strict=True):
        for number, rule in enumerate(rules, 1):
            builder.add(rule, verdict, Origin(source, f"<{verdict}>", number, base))
    return builder.build()


def flag_rules(given: Mapping[RuleVerdict, Iterable[str]], *, home: str, base: str) -> RuleSet:
    """Return the rules that the command line gives for one start, by verdict; `/x` in them starts from `base`.

    Raises `RuleError` for a rule that cannot be used or is about a tool that does not exist.
    """
    builder = RuleBuilder(home)
    for verdict, rules in given.items():
        for rule in rules:
            builder.add(rule, verdict, Origin("flag", f"--{verdict}", None, base))
    if builder.problems:
        raise RuleError(builder.problems[0])
    return builder.build()


def project_hash(workspace: Path) -> str:
    """Return the SHA-256 over the project's rule files, empty if it has none."""
    return _hash_of(_read_project(workspace))


_Content = UntrustedFile | UntrustedFileError | None
"""A rule file as it was read, why it is not read, or None where there is none."""


def _read(path: Path, beneath: Path | None = None) -> _Content:
    """Read a rule file; `beneath` is the project that brings it and that it must really be in."""
    try:
        return read_untrusted(path, beneath=beneath, limit=MAX_BYTES)
    except FileNotFoundError:
        return None
    except UntrustedFileError as error:
        return error


def _read_project(workspace: Path) -> dict[str, _Content]:
    """Read each rule file of a project once, so that its hash and its rules are of the same bytes."""
    return {name: _read(workspace / name, workspace) for name in _PROJECT_FILES}


def _hash_of(files: Mapping[str, _Content]) -> str:
    digest = hashlib.sha256()
    for name, content in files.items():
        if isinstance(content, UntrustedFile):
            digest.update(f"{name}\0{len(content.data)}\0".encode() + content.data)
        elif content is not None:
            digest.update(f"{name}\0not read\0".encode())
    return digest.hexdigest() if any(content is not None for content in files.values()) else ""


def is_trusted(config: Path, workspace: Path, digest: str) -> bool:
    """Say whether the user trusted this folder with exactly these files."""
    return _trust(config).get(os.path.realpath(workspace)) == digest


def trust(config: Path, workspace: Path, digest: str) -> None:
    """Remember that the user trusts this folder with these files. Raises `OSError`."""
    _write_json(config / TRUST_FILE, _trust(config) | {os.path.realpath(workspace): digest})


def _write_json(path: Path, entries: Mapping[str, object]) -> None:
    """Replace a file of the configuration folder as a whole. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # two programs may write at once, and neither must take the other's half
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(entries, indent=1, sort_keys=True) + "\n")
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


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


class _Reader:
    """Reads rule files; for one that is broken, adds what it last forbade when it was in order."""

    def __init__(self, home: str, last_valid: Mapping[str, Any]) -> None:
        self.home = home
        self.last_valid = last_valid
        self.valid: dict[str, list[list[str]]] = {}
        self.folders: list[NamedFolder] = []

    def toml(self, path: Path, content: _Content, source: Source, base: str) -> RuleSet:
        """Return the rules of a TOML file."""
        if content is None:
            return RuleSet()
        if isinstance(content, UntrustedFileError):
            return self._broken(path, b"", source, base, str(content))
        try:
            file = parse_toml(path, content.data)
        except TomlFileError as error:
            return self._broken(path, content.data, source, base, str(error))
        return self._whole(file.values, file.text, path, source, base)

    def json(self, path: Path, content: _Content, source: Source, base: str) -> RuleSet:
        """Return the rules of a `settings.json`."""
        if content is None:
            return RuleSet()
        if isinstance(content, UntrustedFileError):
            return self._broken(path, b"", source, base, str(content))
        data = content.data
        try:
            text = data.decode("utf-8")
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            line = getattr(error, "lineno", None)
            problem = f"{path}{f':{line}' if line else ''}: not valid JSON: {error}"
            return self._broken(path, data, source, base, problem)
        if not isinstance(values, dict):
            return self._broken(path, data, source, base, f"{path}: not an object")
        permissions = values.get("permissions", {})
        if not isinstance(permissions, dict):
            return self._broken(path, data, source, base, f"{path}: permissions is not an object")
        # that file has settings of another program besides, which are none of ours
        chosen: dict[str, Any] = {verdict: permissions[verdict] for verdict in _VERDICTS if verdict in permissions}
        found = self._whole(chosen, text, path, source, base)
        named = permissions.get("additionalDirectories", [])
        if not isinstance(named, list) or not all(isinstance(folder, str) for folder in named):
            problem = f"{path}: permissions.additionalDirectories is not a list of folders"
            return found.plus(RuleSet(problems=(problem,)))
        lines = _Lines(text)
        if os.path.realpath(path) in self.valid:
            self.folders += [NamedFolder(folder, str(path), lines.find(json.dumps(folder))) for folder in named]
        return found

    def _whole(self, values: Mapping[str, Any], text: str, path: Path, source: Source, base: str) -> RuleSet:
        builder, degraded = _build(values, text, path=str(path), source=source, base=base, home=self.home)
        if not degraded and not builder.broken:
            forbidding = [rule for rule in builder.rules if rule.verdict != "allow" and rule.tool != "refused"]
            self.valid[os.path.realpath(path)] = [[rule.verdict, rule.text] for rule in forbidding]
            return builder.build()
        return self._with_last_valid(builder, path, source, base, degraded=degraded)

    def _broken(self, path: Path, data: bytes, source: Source, base: str, problem: str) -> RuleSet:
        builder = RuleBuilder(self.home)
        for verdict, rule, line in _salvaged(data.decode("utf-8", "replace")):
            with contextlib.suppress(RuleError):
                parsed = parse_rule(rule, verdict, Origin(source, str(path), line, base), self.home)
                builder.rules.append(parsed)
        builder.problems.append(problem)
        return self._with_last_valid(builder, path, source, base, degraded=True)

    def _with_last_valid(
        self, builder: RuleBuilder, path: Path, source: Source, base: str, *, degraded: bool
    ) -> RuleSet:
        """Return what a broken file still forbids: what was read of it, and what it said when it was in order."""
        builder.rules = [rule for rule in builder.rules if rule.verdict != "allow"]
        known = {(rule.verdict, rule.text) for rule in builder.rules}
        for entry in self.last_valid.get(os.path.realpath(path), []):
            with contextlib.suppress(RuleError, ValueError, TypeError):
                verdict, text = entry
                if verdict in ("ask", "deny") and (verdict, text) not in known:
                    builder.rules.append(parse_rule(text, verdict, Origin(source, str(path), None, base), self.home))
        forbidding = len({(rule.verdict, rule.text) for rule in builder.rules if rule.tool != "refused"})
        still = (
            f"{forbidding} of its deny and ask rules still hold"
            if forbidding
            else "no deny or ask rule of it is known"
        )
        builder.problems.append(f"{path}: until it is mended it allows nothing; {still}")
        return builder.build(degraded=degraded)

    def keep_last_valid(self, config: Path) -> str:
        """Write down what the files that are in order forbid, where that has changed; return why it failed."""
        entries = {path: rules for path, rules in self.valid.items() if rules or path in self.last_valid}
        if all(self.last_valid.get(path) == rules for path, rules in entries.items()):
            return ""
        try:
            _write_json(config / LAST_VALID_FILE, {**_read_last_valid(config), **entries})
        except OSError as error:
            return f"{config / LAST_VALID_FILE}: cannot be written: {error.strerror or error}"
        return ""


def _read_last_valid(config: Path) -> dict[str, Any]:
    try:
        entries = json.loads((config / LAST_VALID_FILE).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(entries, dict):
        return {}
    return {path: rules for path, rules in entries.items() if isinstance(rules, list)}


_PIECES = re.compile(
    r"""(?P<comment>(?:^|(?<=[\s,\]\[]))\#[^\n]*)
    | ^[ \t]*\[\[?[ \t]*(?P<table>[\w."-]+)[ \t]*\]\]?
    | (?P<key>[A-Za-z_][\w-]*|"[^"\n]*"|'[^'\n]*')[ \t]*(?:=(?!=)|:(?![*\w]))
    | "(?P<double>(?:[^"\\\n]|\\.)*)(?:"|(?=\n)|$)
    | '(?P<single>[^'\n]*)(?:'|(?=\n)|$)
    | (?P<bare>[A-Z]\w*\([^)\n"']*\))""",
    re.VERBOSE | re.MULTILINE,
)


def _salvaged(text: str) -> Iterator[tuple[RuleVerdict, str, int]]:
    """Yield what looks like a rule that forbids in a file that does not parse, TOML or JSON, with its line."""
    verdict: RuleVerdict | None = None
    example = False
    for piece in _PIECES.finditer(text):
        name = (piece["table"] or piece["key"] or "").strip("\"'").rsplit(".", 1)[-1].lower()
        if piece["table"] or (piece["key"] and name not in ("rule", "match", "not_match")):
            verdict = next((known for known in _VERDICTS if known == name), None)
        if piece["key"]:
            example = name in ("match", "not_match")
        found = piece["double"] or piece["single"] or piece["bare"]
        if not found or example or verdict not in ("ask", "deny"):
            continue
        line = text.count("\n", 0, piece.start()) + 1
        cut = found[: found.rfind(")") + 1] or found  # without its closing quote it goes on to the line's end
        yield verdict, cut.replace('\\"', '"').replace("\\\\", "\\"), line


def read_rules(values: Mapping[str, Any], text: str, *, path: str, source: Source, base: str, home: str) -> RuleSet:
    """Return the rules that a file's lists hold; what is wrong is among the problems, with its line in `text`."""
    builder, degraded = _build(values, text, path=path, source=source, base=base, home=home)
    return builder.build(degraded=degraded)


def _build(
    values: Mapping[str, Any], text: str, *, path: str, source: Source, base: str, home: str
) -> tuple[RuleBuilder, bool]:
    """Return the rules of a file's lists, and whether something in it is no list of rules."""
    builder = RuleBuilder(home)
    degraded = False
    lines = _Lines(text)
    for key, entries in values.items():
        verdict = next((known for known in _VERDICTS if known == key), None)
        if verdict is None or not isinstance(entries, list):
            wanted = "allow, ask and deny, each a list of rules"
            builder.problems.append(f"{path}:{lines.find(key)}: {key!r} is not known here: there are {wanted}")
            degraded = True
            meant = difflib.get_close_matches(key.lower(), _VERDICTS, 1, 0.6)
            verdict = next((known for known in _VERDICTS if known in meant), None)
            if verdict not in ("ask", "deny") or not isinstance(entries, list | str):
                continue
            entries = [entries] if isinstance(entries, str) else entries  # noqa: PLW2901 - it forbids what it means
        for entry in entries:
            rule: object = entry
            examples: list[str] = []
            counter: list[str] = []
            if isinstance(entry, dict):
                rule = entry.get("rule")
                examples, counter = _texts(entry.get("match")), _texts(entry.get("not_match"))
            origin = Origin(source, path, lines.find(str(rule)), base)
            builder.add(rule, verdict, origin, examples=examples, counter_examples=counter)
    return builder, degraded


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
