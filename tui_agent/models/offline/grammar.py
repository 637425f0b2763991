"""The practice grammar: what the offline model understands when nobody gave it a scenario."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tui_agent.models.offline.answer import Call
from tui_agent.models.offline.prose import markdown

HELP = """\
I am the offline practice model: no language model, only a small program that plays one. \
I understand these lines:

- `read PATH` or `read PATH:10-20`
- `list [PATH]`
- `search PATTERN [in PATH]`
- `run COMMAND`
- `write PATH: TEXT` (the lines below belong to the text, up to the next line that begins with one of these words)
- `edit PATH: OLD => NEW`
- `plan A; B; C` (a todo list)
- `propose A; B; C` (a plan for your approval, in plan mode)
- `ask QUESTION`
- `explore QUESTION` (a subagent)
- `say N` or `say N at R` (N tokens of Markdown, R tokens a second)

Several lines, or `then` between two of them, make several steps."""

MAX_SAY = 200_000
"""Tokens that `say` gives at most."""

VERBS = ("read", "list", "search", "run", "write", "edit", "plan", "propose", "ask", "explore", "say")
_VERB = re.compile(rf"\s*({'|'.join(VERBS)})(?=\s|$)", re.IGNORECASE)
_THEN = re.compile(rf"(?<=\s)then\s+(?=(?:{'|'.join(VERBS)})(?:\s|$))", re.IGNORECASE)
_TOGETHER = {"read", "list", "search", "explore"}
"""Steps that change nothing: neighbouring lines of them go into one turn."""


class NotUnderstoodError(Exception):
    """A line is not of the grammar; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One tool call, with what was typed for it."""

    typed: str
    call: Call


@dataclass
class Group:
    """The steps of one turn; `text` is said before them, at `speed` tokens a second (None: at once)."""

    steps: list[Step] = field(default_factory=list)
    text: str = ""
    speed: float | None = None


@functools.lru_cache(maxsize=64)
def parse(prompt: str) -> tuple[Group, ...]:
    """Return the turns that `prompt` asks for; only the last may be without steps. Not to be changed: it is kept.

    Raises `NotUnderstoodError` when a line is not of the grammar; then nothing of it should be done.
    """
    groups: list[Group] = []
    said = Group()
    for number, line, sequential in _lines(prompt):
        found = _VERB.match(line)
        if found is None:
            raise NotUnderstoodError(f"I do not understand line {number}: {line.strip()[:200]!r}.")
        verb, rest = found[1].lower(), line[found.end() :].strip()
        if verb == "say":
            text, speed = _say(rest, number)
            said.text += ("\n\n" if said.text else "") + text
            said.speed = speed
            continue
        step = Step(line.strip(), _PARSERS[verb](rest, f"line {number}"))
        alongside = bool(groups) and not sequential and not said.text and verb in _TOGETHER
        if alongside and _verb_of(groups[-1].steps[-1]) in _TOGETHER:
            groups[-1].steps.append(step)
        else:
            said.steps.append(step)
            groups.append(said)
            said = Group()
    if said.text:
        groups.append(said)
    return tuple(groups)


def _verb_of(step: Step) -> str:
    return step.typed.split(None, 1)[0].lower()


def _lines(prompt: str) -> list[tuple[int, str, bool]]:
    """Return (line number, line, whether `then` came before it) for each step of the prompt."""
    result: list[tuple[int, str, bool]] = []
    writing = False
    for number, line in enumerate(prompt.replace("\r\n", "\n").split("\n"), 1):
        verb = _VERB.match(line)
        if writing and verb is None:
            last_number, last, sequential = result[-1]
            result[-1] = (last_number, f"{last}\n{line}", sequential)
            continue
        if not line.strip():
            continue
        parts = _THEN.split(line.strip())
        final = len(parts) - 1
        for place, part in enumerate(parts):
            result.append((number, part.rstrip().removesuffix(",") if place < final else part, place > 0))
        last_verb = _VERB.match(result[-1][1])
        writing = last_verb is not None and last_verb[1].lower() == "write"
    return result


def _need(text: str, where: str, form: str) -> str:
    if not text:
        raise NotUnderstoodError(f"On {where} something is missing: {form}.")
    return text


def _read(rest: str, where: str) -> Call:
    path = _need(rest, where, "`read PATH`")
    lines = re.fullmatch(r"(.+):(\d+)(?:-(\d+))?", path)
    if lines is None:
        return Call("read", {"path": path})
    first = max(1, int(lines[2]))
    inputs: dict[str, Any] = {"path": lines[1], "offset": first}
    if lines[3]:
        inputs["limit"] = max(1, int(lines[3]) - first + 1)
    return Call("read", inputs)


def _list(rest: str, where: str) -> Call:
    return Call("glob", {"pattern": "**/*", "path": rest} if rest else {"pattern": "**/*"})


def _search(rest: str, where: str) -> Call:
    pattern, found, path = _need(rest, where, "`search PATTERN [in PATH]`").rpartition(" in ")
    return Call("grep", {"pattern": pattern, "path": path.strip()} if found and pattern else {"pattern": rest})


def _run(rest: str, where: str) -> Call:
    return Call("bash", {"command": _need(rest, where, "`run COMMAND`")})


def _write(rest: str, where: str) -> Call:
    path, colon, content = rest.partition(":")
    if not colon or not path.strip():
        raise NotUnderstoodError(f"On {where} something is missing: `write PATH: TEXT`.")
    content = content.removeprefix(" ").removeprefix("\n")
    return Call("write", {"path": path.strip(), "content": content.rstrip("\n") + "\n"})


def _edit(rest: str, where: str) -> Call:
    path, colon, change = rest.partition(":")
    old, arrow, new = change.partition("=>")
    if not colon or not arrow or not path.strip() or not old.strip():
        raise NotUnderstoodError(f"On {where} something is missing: `edit PATH: OLD => NEW`.")
    return Call("edit", {"path": path.strip(), "edits": [{"old": old.strip(), "new": new.strip()}]})


def _plan(rest: str, where: str) -> Call:
    items = [part.strip() for part in rest.split(";") if part.strip()]
    if not items:
        raise NotUnderstoodError(f"On {where} something is missing: `plan A; B; C`.")
    return Call("todo", {"items": [{"text": item, "state": "pending"} for item in items]})


def _propose(rest: str, where: str) -> Call:
    steps = [part.strip() for part in rest.split(";") if part.strip()]
    if not steps:
        raise NotUnderstoodError(f"On {where} something is missing: `propose A; B; C`.")
    return Call("exit_plan", {"plan": "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))})


def _ask(rest: str, where: str) -> Call:
    return Call("ask", {"question": _need(rest, where, "`ask QUESTION`")})


def _explore(rest: str, where: str) -> Call:
    question = _need(rest, where, "`explore QUESTION`")
    if _VERB.match(question):
        return Call("task", {"agent": "explore", "prompt": question})
    words = [word for word in re.findall(r"\w+", question) if len(word) > 3 and word.lower() not in _EMPTY_WORDS]
    pattern = "|".join(dict.fromkeys(words)) or _literal(question)
    return Call("task", {"agent": "explore", "prompt": f"search {pattern}"})


def _literal(text: str) -> str:
    """Return a pattern for exactly `text`; `re.escape` also escapes spaces, which ripgrep takes for a mistake."""
    return re.sub(r"[\\.^$*+?{}\[\]|()]", r"\\\g<0>", text)


_EMPTY_WORDS_TEXT = "where what which when does this that with from have there their about find show tell"
_EMPTY_WORDS = frozenset(_EMPTY_WORDS_TEXT.split())


def _say(rest: str, number: int) -> tuple[str, float | None]:
    found = re.fullmatch(r"([\d_,]+)(?:\s+tokens)?(?:\s+at\s+(\d+(?:\.\d+)?))?", rest)
    digits = re.sub(r"\D", "", found[1]) if found else ""
    if not found or not digits or not 1 <= int(digits[:9]) <= MAX_SAY or len(digits) > 9:
        raise NotUnderstoodError(f"On line {number} I can say from 1 to {MAX_SAY} tokens: `say N` or `say N at R`.")
    speed = float(found[2]) if found[2] else None
    if speed is not None and not 0 < speed <= 1_000_000:
        raise NotUnderstoodError(f"On line {number} the speed is in tokens a second, more than 0.")
    return markdown(int(digits)), speed


_PARSERS: dict[str, Callable[[str, str], Call]] = {
    "read": _read,
    "list": _list,
    "search": _search,
    "run": _run,
    "write": _write,
    "edit": _edit,
    "plan": _plan,
    "propose": _propose,
    "ask": _ask,
    "explore": _explore,
}
