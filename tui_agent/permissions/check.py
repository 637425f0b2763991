"""The dry run: decides calls given as JSON lines as a session would, without running anything or asking anybody.

A line is `{"tool", "input", "cwd", "mode", "sandbox", "agent_type", "grants": [rules], "folders": [paths], "tier",
"allow": [rules], "ask": [rules], "deny": [rules]}`; all but `tool` and `input` may be left out. `sandbox`: available,
reduced, none; `agent_type` the name of a type, or a list of them, the outermost agent's first; `grants` and `folders`
are those of a session. The answer is `{"verdict", "reason", "winner", "modules", "rules"}`, for a command with the
`sandbox` that was assumed; a line that cannot be understood is answered by `{"error", "line"}`.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_agent.events import EffectClass, TrustTier
from tui_agent.permissions.broker import hash_call, judge
from tui_agent.permissions.narrowing import Narrowing
from tui_agent.permissions.policy import MODES, PolicyDecision, Request, SandboxState
from tui_agent.permissions.rule_sources import listed_rules
from tui_agent.permissions.rules import RuleSet

_CLAUDE_NAMES = {
    "ls": "glob", "multiedit": "edit", "notebookedit": "edit", "bashoutput": "bash_output", "todowrite": "todo",
    "shell": "bash",
}  # fmt: skip
_MOST_BYTES = 4 * 1024 * 1024
_TIERS: dict[object, TrustTier] = {"built-in": "built-in", "plugin": "plugin", "skill": "skill"}
_SANDBOXES: dict[object, SandboxState] = {"available": "available", "reduced": "reduced", "none": "none"}


@dataclass(frozen=True, slots=True)
class CheckDefaults:
    """What holds where a line does not say. Paths are absolute; `rules` come from the user's files.

    `narrowing` returns what agent types forbid, by their names; it raises `KeyError` for one that there is not.
    """

    workspace: str
    home: str
    protected: tuple[str, ...] = ()
    rules: RuleSet = RuleSet()
    mode: str = "ask"
    sandbox: SandboxState = "none"
    agent_types: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    narrowing: Callable[[Sequence[str]], Narrowing] = lambda types: Narrowing()


class CheckError(ValueError):
    """The line is no call; the message says what is wrong with it."""


def check_lines(lines: Iterable[str | bytes], defaults: CheckDefaults) -> Iterator[str]:
    """Yield one JSON object for each line that is not blank, as text without a newline. Never raises for input."""
    for number, raw in enumerate(lines, 1):
        try:
            text = raw.decode("utf-8") if isinstance(raw, bytes) else raw
            if not text.strip():
                continue
            answer = check_call(_load(text), defaults)
        except CheckError as error:
            answer = {"error": str(error), "line": number}
        except UnicodeDecodeError:
            answer = {"error": "not UTF-8 text", "line": number}
        except (ValueError, RecursionError) as error:
            answer = {"error": f"not valid JSON: {error}", "line": number}
        yield json.dumps(answer, ensure_ascii=True)


def _load(text: str) -> object:
    if len(text) > _MOST_BYTES:
        raise CheckError(f"over {_MOST_BYTES:,} characters")
    return json.loads(text)


def check_call(call: object, defaults: CheckDefaults) -> dict[str, Any]:
    """Return the decision on one call as a JSON object. Raises `CheckError` for what is no call."""
    if not isinstance(call, dict):
        raise CheckError("a call is an object with tool and input")
    tool, given = call.get("tool"), call.get("input")
    if not isinstance(tool, str) or not tool:
        raise CheckError("tool is missing, or no text")
    if not isinstance(given, dict):
        raise CheckError("input is missing, or no object")
    cwd = _text(call, "cwd", defaults.workspace)
    mode = _text(call, "mode", defaults.mode)
    if mode not in MODES:
        raise CheckError(f"mode {mode!r} is not known: it is one of {', '.join(MODES)}")
    workspace = _text(call, "workspace", cwd if "cwd" in call else defaults.workspace)
    if not os.path.isabs(cwd) or not os.path.isabs(workspace) or "\0" in cwd + workspace:
        raise CheckError("cwd and workspace are absolute paths")
    lists = tuple(tuple(_list(call, verdict)) for verdict in ("allow", "ask", "deny"))
    rules = defaults.rules.plus(_listed(lists, defaults.home, workspace))
    name = _CLAUDE_NAMES.get(tool.lower(), tool.lower() if not tool.startswith("mcp__") else tool)
    tier = _TIERS.get(call.get("tier"), "plugin" if tool.startswith("mcp__") else "built-in")
    sandbox = _sandbox(call, defaults.sandbox) if name == "bash" else "none"
    folders = (*defaults.folders, *_list(call, "folders", "absolute paths"))
    if not all(os.path.isabs(folder) and "\0" not in folder for folder in folders):
        raise CheckError("folders is a list of absolute paths")
    effect = _effects().get(name, "irreversible")
    request = Request(name, given, workspace, cwd, mode, tier, effect, folders=folders, sandbox=sandbox)
    types = _list(call, "agent_type") if "agent_type" in call else list(defaults.agent_types)
    try:
        narrowing = defaults.narrowing(types)
    except KeyError as error:
        raise CheckError(f"there is no agent type {error}") from error
    grants = [*defaults.grants, *_list(call, "grants")]
    try:
        call_hash = hash_call(name, given, Path(workspace))
    except (ValueError, RecursionError):
        call_hash = ""
    decision = judge(
        request, call_hash, rules, grants, home=defaults.home, protected=defaults.protected, narrowing=narrowing
    )
    answer = as_json(decision, rules.problems)
    return {**answer, "sandbox": sandbox} if name == "bash" else answer


def as_json(decision: PolicyDecision, problems: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a decision as the JSON object that the dry run prints."""
    answer: dict[str, Any] = {
        "verdict": decision.verdict,
        "reason": decision.reason,
        "winner": decision.winner,
        "modules": [{"name": m.name, "verdict": m.verdict, "reason": m.reason} for m in decision.modules],
        "rules": [
            {"rule": r.rule, "verdict": r.verdict, "source": r.source, "file": r.file, "line": r.line}
            for r in decision.rules
        ],
    }
    if problems:
        answer["problems"] = list(problems)
    return answer


@functools.cache
def _effects() -> dict[str, EffectClass]:
    from tui_agent.registry import load_tools

    return {name: tool.effect for name, tool in load_tools().items()}


def _sandbox(call: dict[str, Any], default: SandboxState) -> SandboxState:
    given = call.get("sandbox")
    if given is None:
        return default
    if not isinstance(given, str) or given not in _SANDBOXES:
        raise CheckError(f"sandbox {given!r} is not known: it is one of {', '.join(map(str, _SANDBOXES))}")
    return _SANDBOXES[given]


@functools.lru_cache(maxsize=64)
def _listed(lists: tuple[tuple[str, ...], ...], home: str, base: str) -> RuleSet:
    return listed_rules(lists[0], lists[1], lists[2], source="user", home=home, base=base)


def _text(call: dict[str, Any], key: str, default: str) -> str:
    value = call.get(key)
    if value is None:
        return default
    if not isinstance(value, str) or not value:
        raise CheckError(f"{key} is no text")
    return value


def _list(call: dict[str, Any], key: str, kind: str = "rules") -> list[str]:
    value = call.get(key)
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(rule, str) for rule in value):
        raise CheckError(f"{key} is a list of {kind}, each a text")
    return value
