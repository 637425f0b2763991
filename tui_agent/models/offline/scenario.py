"""Scenario files: what the offline model answers, written down. SCENARIOS.md describes the format."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui_agent.models.offline.answer import STOP_REASONS, Answer, Call
from tui_agent.models.offline.faults import Fault, parse_fault


class ScenarioError(Exception):
    """A scenario file is wrong; the message begins with its name and line."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a request must hold for its turn to be played; empty values ask for nothing."""

    prompt: str = ""
    results: tuple[str, ...] = ()
    error: bool | None = None
    tools: tuple[str, ...] = ()
    system: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a script; `place` is its file and line."""

    place: str
    answer: Answer
    expect: Expectation
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class Script:
    """The turns of one conversation. A side script is for those whose first message contains `match`."""

    turns: tuple[Turn, ...]
    match: str = ""


@dataclass(frozen=True)
class Scenario:
    """A whole scenario. `prompt` is the prompt it is made for, empty for any."""

    name: str
    title: str
    main: Script
    sides: tuple[Script, ...] = field(default=())
    prompt: str = ""


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file. Raises `ScenarioError`, also when the file cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no UTF-8 text"
        raise ScenarioError(f"{path}: {reason}") from error
    return parse_scenario(text, path.name)


def parse_scenario(text: str, name: str = "scenario.toml") -> Scenario:
    """Return the scenario that `text` holds. Raises `ScenarioError` that begins with `name:line:`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        number = int(line[1]) if line else text.count("\n") + 1
        raise ScenarioError(f"{name}:{number}: {error}") from error
    return _Parser(name, _lines(text)).scenario(data)


_STRING = re.compile(r"\"\"\"|'''")
_HEADER = re.compile(r"\s*\[\[?\s*([\w.\s]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([\w-]+(?:\.[\w-]+)*)\s*=")


def _lines(text: str) -> dict[str, int]:
    """Return the line of every table and key, by paths such as `turn.2.call.0.tool`; tomllib does not tell."""
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    closing = ""
    for number, line in enumerate(text.splitlines(), 1):
        if closing:
            if closing in line:
                closing = ""
            continue
        header = _HEADER.match(line)
        key = _KEY.match(line)
        if header:
            table = ""
            parts = [part.strip() for part in header[1].split(".")]
            for place, part in enumerate(parts):
                table = f"{table}.{part}".lstrip(".")
                is_array = line.lstrip().startswith("[[") and place == len(parts) - 1
                if is_array:
                    counts[table] = counts.get(table, -1) + 1
                if table in counts:
                    table = f"{table}.{counts[table]}"
            found.setdefault(table, number)
        elif key:
            found.setdefault(f"{table}.{key[1]}".lstrip("."), number)
        marks = _STRING.findall(line)
        if len(marks) % 2:
            closing = marks[-1]
    return found


_TOP = {"title", "prompt", "turn", "side"}
_SIDE = {"match", "turn"}
_TURN = {"text", "thinking", "call", "stop", "stop_detail", "speed", "fault", "expect"}
_CALL = {"tool", "input", "raw", "served"}
SERVED = ("web_search", "web_fetch")
"""Tools that the server runs itself; `served` is the content of the result block."""

_EXPECT = {"prompt", "result", "error", "tools", "system"}


class _Parser:
    def __init__(self, name: str, lines: Mapping[str, int]) -> None:
        self._name = name
        self._lines = lines

    def scenario(self, data: Mapping[str, Any]) -> Scenario:
        self._only(data, _TOP, "")
        turns = self._turns(data, "turn")
        if not turns:
            raise self._error("", "a scenario has at least one [[turn]]")
        sides = []
        for number, side in enumerate(self._tables(data, "side", "side")):
            at = f"side.{number}"
            self._only(side, _SIDE, at)
            match = self._text(side, "match", at)
            if not match:
                raise self._error(at, "match is missing: text of the first message of that conversation")
            sides.append(Script(self._turns(side, f"{at}.turn"), match))
        return Scenario(
            name=self._name,
            title=self._text(data, "title", "") or self._name,
            main=Script(turns),
            sides=tuple(sides),
            prompt=self._text(data, "prompt", ""),
        )

    def _turns(self, table: Mapping[str, Any], at: str) -> tuple[Turn, ...]:
        tables = self._tables(table, "turn", at)
        return tuple(self._turn(turn, f"{at}.{number}") for number, turn in enumerate(tables))

    def _turn(self, table: Mapping[str, Any], at: str) -> Turn:
        self._only(table, _TURN, at)
        calls = tuple(
            self._call(call, f"{at}.call.{number}")
            for number, call in enumerate(self._tables(table, "call", f"{at}.call"))
        )
        text = self._text(table, "text", at)
        stop = self._text(table, "stop", at)
        if stop and stop not in STOP_REASONS:
            raise self._error(f"{at}.stop", f"stop is one of {', '.join(STOP_REASONS)}, not {stop!r}")
        fault = None
        if "fault" in table:
            try:
                fault = parse_fault(table["fault"])
            except ValueError as error:
                raise self._error(f"{at}.fault", f"fault: {error}") from error
        if not text.strip() and not calls and stop != "refusal" and fault is None:
            raise self._error(at, "a turn has a text or a call")
        speed = table.get("speed")
        if speed is not None and (
            not isinstance(speed, int | float) or isinstance(speed, bool) or not 0 < speed < float("inf")
        ):
            raise self._error(f"{at}.speed", f"speed is in tokens a second, not {speed!r}")
        answer = Answer(
            text=text.strip("\n") or ("(The scenario gives this turn no text.)" if not calls else ""),
            thinking=self._text(table, "thinking", at).strip("\n"),
            calls=calls,
            stop=stop,
            stop_detail=self._text(table, "stop_detail", at),
            speed=speed,
        )
        expect = self._expectation(table, at)
        return Turn(self._place(at), answer, expect, fault)

    def _call(self, table: Mapping[str, Any], at: str) -> Call:
        self._only(table, _CALL, at)
        tool = self._text(table, "tool", at)
        if not tool:
            raise self._error(at, "tool is missing: the name of the tool to call")
        inputs = table.get("input", {})
        if not isinstance(inputs, dict):
            raise self._error(f"{at}.input", f"input is a table, not {inputs!r}")
        if not _is_json(inputs):
            raise self._error(f"{at}.input", "input holds a date or time, which JSON does not have")
        served = table.get("served")
        if served is not None and (tool not in SERVED or not _is_json(served)):
            raise self._error(f"{at}.served", f"served is for the server's own tools: {', '.join(SERVED)}")
        return Call(tool, inputs, self._text(table, "raw", at) or None, served)

    def _expectation(self, turn: Mapping[str, Any], parent: str) -> Expectation:
        at = f"{parent}.expect"
        table = turn.get("expect", {})
        if not isinstance(table, dict):
            raise self._error(at, "expect is a table")
        self._only(table, _EXPECT, at)
        error = table.get("error")
        if error is not None and not isinstance(error, bool):
            raise self._error(f"{at}.error", f"error is true or false, not {error!r}")
        return Expectation(
            prompt=self._text(table, "prompt", at),
            results=self._texts(table, "result", at),
            error=error,
            tools=self._texts(table, "tools", at),
            system=self._text(table, "system", at),
        )

    def _tables(self, table: Mapping[str, Any], key: str, at: str) -> Sequence[Mapping[str, Any]]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
            raise self._error(at, f"{key} is an array of tables: [[{key}]]")
        return value

    def _text(self, table: Mapping[str, Any], key: str, at: str) -> str:
        value = table.get(key, "")
        if not isinstance(value, str):
            raise self._error(f"{at}.{key}", f"{key} is a text, not {value!r}")
        return value

    def _texts(self, table: Mapping[str, Any], key: str, at: str) -> tuple[str, ...]:
        value = table.get(key, [])
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(part, str) for part in values):
            raise self._error(f"{at}.{key}", f"{key} is a text or a list of texts, not {value!r}")
        return tuple(values)

    def _only(self, table: Mapping[str, Any], keys: set[str], at: str) -> None:
        for key in table:
            if key not in keys:
                raise self._error(f"{at}.{key}", f"unknown key {key!r}; known are {', '.join(sorted(keys))}")

    def _place(self, at: str) -> str:
        """Return file and line of `at`, or of the nearest table around it that has a line of its own."""
        path = at.lstrip(".")
        while path:
            dotted = [line for known, line in self._lines.items() if known.startswith(path + ".")]
            if path in self._lines:
                return f"{self._name}:{self._lines[path]}"
            if dotted:
                return f"{self._name}:{min(dotted)}"
            path = path.rpartition(".")[0]
        return f"{self._name}:1"

    def _error(self, at: str, message: str) -> ScenarioError:
        return ScenarioError(f"{self._place(at)}: {message}")


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_json(part) for part in value.values())
    if isinstance(value, list):
        return all(_is_json(part) for part in value)
    return isinstance(value, str | int | float | bool)
