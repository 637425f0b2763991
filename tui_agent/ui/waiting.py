"""What waits for the user: permission requests, steps a crash left uncertain, questions of the model.

Pure functions from the session's state to what the queue shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from os.path import normpath
from typing import TYPE_CHECKING, Literal

from tui_agent.text import inert_strict
from tui_agent.ui.text_lines import StyledLine, diff_lines

if TYPE_CHECKING:
    from tui_agent.events import JsonObject, PermissionRequested
    from tui_agent.session import Question, SessionState, Step


PLAN_TOOL = "exit_plan"
"""The tool whose request is a plan to approve."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One entry of the queue. `scope` is what a session-long grant would cover, empty if there is none.

    `step` is the id of the step it is about. `changed` stands for a call that the user changed and that is being
    checked again: it keeps its place. `lines` are what the user decides on, `call` the call as the model made it,
    where `lines` show it otherwise. `divisible` says that it makes several changes, of which some can be allowed.
    """

    kind: Literal["permission", "plan", "uncertain", "question", "changed"]
    id: str
    title: str
    agent: str
    lines: tuple[StyledLine, ...]
    scope: str = ""
    options: tuple[str, ...] = ()
    divisible: bool = False
    step: str = ""
    call: tuple[StyledLine, ...] = ()


def waiting(state: SessionState) -> tuple[Waiting, ...]:
    """Return all that waits: permission requests, uncertain steps, questions; each kind in the order of the calls."""
    known = state.workflow.steps
    steps = sorted(known.values(), key=lambda step: step.order)
    asked = [
        (
            known[request.step].order if request.step in known else inf,
            _plan(request) if request.tool == PLAN_TOOL else _permission(request, known.get(request.step)),
        )
        for request in state.permissions.pending
    ]
    asked += [(step.order, _changed(step)) for step in steps if step.edited and step.status == "planned"]
    entries = [entry for _, entry in sorted(asked, key=lambda pair: pair[0])]
    entries += [_uncertain(step) for step in steps if step.status == "uncertain"]
    entries += [_question(question) for question in state.workflow.questions.values()]
    return tuple(entries)


def _permission(request: PermissionRequested, step: Step | None) -> Waiting:
    title = request.title or request.tool
    preview = [*_change(request)]
    call = list(input_lines(request.input)) if preview else []
    command = request.input.get("command")
    head = title
    if isinstance(command, str) and command in request.preview:
        head = " ".join(title.replace(command, "").split())  # the preview shows the command
    lines: list[StyledLine] = [(head or request.tool, "title"), (request.why, "muted")]
    if request.tier != "built-in":
        lines.append((f"{request.tool} comes from a {request.tier}", "warning"))
    if step is not None and step.edited:
        lines.append(("as you changed it; the model will be told", "warning"))
    lines += preview or input_lines(request.input)
    if request.tool == "bash":  # in a command every invisible character counts; in a file's text they belong to words
        lines, call = _strict(lines), _strict(call)
    return Waiting(
        "permission",
        request.request,
        title,
        request.agent,
        tuple(lines),
        request.session_scope,
        divisible=_parts(request) > 1,
        step=request.step,
        call=tuple(call),
    )


def _strict(lines: Iterable[StyledLine]) -> list[StyledLine]:
    return [(inert_strict(text), style) for text, style in lines]


def _plan(request: PermissionRequested) -> Waiting:
    head: list[StyledLine] = [
        ("The plan, for your approval", "title"),
        ("Until you approve it nothing is changed. Approving it ends plan mode.", "muted"),
        ("", ""),
    ]
    lines = (*head, *((line, "") for line in request.preview.splitlines()))
    return Waiting("plan", request.request, request.title, request.agent, lines, step=request.step)


def _parts(request: PermissionRequested) -> int:
    """Return of how many parts a change of a file is made, 0 for other calls."""
    if request.tool not in {"edit", "write"}:
        return 0
    edits = request.input.get("edits")
    rows = [line[:1] in {"+", "-"} for line in request.preview.split("\n")[2:]]
    runs = sum(changed and not before for before, changed in pairwise([False, *rows]))
    return max(runs, len(edits) if isinstance(edits, list) else 0)


def _changed(step: Step) -> Waiting:
    lines = ((step.title or step.tool, "title"), ("Your change is being checked.", "muted"))
    return Waiting("changed", f"changed {step.id}", step.title or step.tool, step.agent, lines, step=step.id)


def _change(request: PermissionRequested) -> Iterator[StyledLine]:
    """Yield the preview, without the two lines that name a diff's file when that is the one that was asked for."""
    lines = request.preview.split("\n", 2)
    if len(lines) == 3 and lines[0].startswith("--- ") and lines[1].startswith("+++ "):
        file = lines[1].removeprefix("+++ ")
        if normpath(str(request.input.get("path"))) != file:
            yield f"the file is {file}", "warning"
        yield from diff_lines(lines[2])
    elif request.preview:
        yield request.preview, ""


def _uncertain(step: Step) -> Waiting:
    lines: list[StyledLine] = [
        (step.title or step.tool, "title"),
        ("A crash cut this step off. It will not run again unless you say so.", "warning"),
        *((line, "") for line in step.evidence.splitlines()),
        *input_lines(step.input),
    ]
    return Waiting("uncertain", step.id, step.title or step.tool, step.agent, tuple(lines), step=step.id)


def _question(question: Question) -> Waiting:
    lines: list[StyledLine] = [(line, "title") for line in question.text.splitlines()]
    lines += [(f"{number}  {option}", "") for number, option in enumerate(question.options, start=1)]
    return Waiting("question", question.id, question.text, question.agent, tuple(lines), options=question.options)


def input_lines(data: JsonObject) -> Iterator[StyledLine]:
    """Return a tool's input in full, one `name: value` after the other; long text on its own lines."""
    for name, value in data.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
        if "\n" in text:
            yield f"{name}:", "muted"
            for line in text.split("\n"):
                yield f"  {line}", ""
        else:
            yield f"{name}: {text}", ""
