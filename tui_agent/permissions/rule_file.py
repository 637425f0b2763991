"""Adding rules to the user's own file: atomically, and with all else in it as it was, comments too."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tui_agent.config.toml_file import TomlFileError, read_toml
from tui_agent.permissions.rule_sources import PERMISSIONS_FILE
from tui_agent.permissions.rules import Origin, RuleError, RuleVerdict, parse_rule


class RuleFileError(Exception):
    """Nothing was saved; the message says why and what to do."""


def add_rules(config: Path, texts: Iterable[str], verdict: RuleVerdict, home: str) -> Path:
    """Add those of the rules that the user's file does not hold yet, all or none; return the file.

    The file is replaced as a whole only when it parses and says just what it said and the rules. Raises
    `RuleFileError`.
    """
    path = config / PERMISSIONS_FILE
    added = list(texts)
    try:
        for text in added:
            parse_rule(text, verdict, Origin("user", str(path), base=str(config)), home)
        file = read_toml(path)
    except (RuleError, TomlFileError) as error:
        raise RuleFileError(f"the rule is not saved: {error}") from error
    before = after = file.text if file else ""
    values = file.values if file else {}
    for text in added:
        present = values.get(verdict, [])
        if isinstance(present, list) and any(entry == text for entry in present):
            continue
        wanted = {**values, verdict: [*(present if isinstance(present, list) else []), text]}
        found = next((new for new in _candidates(after, text, verdict) if _says(new, wanted, text)), None)
        if found is None:
            raise RuleFileError(
                f"{path} is written in a way that nothing can be added to; add the rule there: {text}"
            )
        after, values = found, tomllib.loads(found)
    if after == before:
        return path
    try:
        _replace(path, after)
    except OSError as error:
        raise RuleFileError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _candidates(before: str, text: str, verdict: str) -> Iterator[str]:
    quoted = json.dumps(text, ensure_ascii=False)
    for key in re.finditer(rf'^[ \t]*["\']?{verdict}["\']?[ \t]*=[ \t]*\[', before, re.MULTILINE):
        for bracket in re.finditer(r"\]", before[key.end() :]):
            at = key.end() + bracket.start()
            inside = before[key.end() : at]
            last = inside.rstrip()
            rest = inside[len(last) :]
            indent = "\n    " if "\n" in inside else "" if not last else " "
            for separator in ("", ","):
                yield (
                    before[: key.end()]
                    + last
                    + separator
                    + indent
                    + quoted
                    + ("," if "\n" in inside else "")
                    + rest
                    + before[at:]
                )
            # a comment ends the list: the rule goes on a line of its own
            for separator in ("", ","):
                yield before[: key.end()] + last + "\n    " + separator + quoted + ",\n" + before[at:]
    comments = re.match(r"(?:[ \t]*#[^\n]*\n|[ \t]*\n)*", before)
    at = comments.end() if comments else 0
    yield f"{before[:at]}{verdict} = [{quoted}]\n{before[at:]}"
    ending = "" if not before or before.endswith("\n") else "\n"
    yield f"{before}{ending}\n[[{verdict}]]\nrule = {quoted}\n"


def _says(candidate: str, wanted: dict[str, Any], text: str) -> bool:
    try:
        found = tomllib.loads(candidate)
    except (ValueError, RecursionError):
        return False
    as_tables = {
        key: [*entries[:-1], {"rule": text}] if entries and entries[-1] == text else entries
        for key, entries in wanted.items()
        if isinstance(entries, list)
    }
    return found in (wanted, {**wanted, **as_tables})


def _replace(path: Path, text: str) -> None:
    target = Path(os.path.realpath(path))  # a link to the file stays one
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if target.exists():
        temporary.chmod(target.stat().st_mode & 0o777)
    temporary.replace(target)
