"""What waits for the person: permission requests, steps a crash left uncertain, questions of the model.

Pure functions from the session's state to what the queue shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from os.path import normpath
from typing import TYPE_CHECKING, Literal

from tui_agent.text import inert_strict
from tui_agent.ui.text_lines import StyledLine, diff_lines

if TYPE_CHECKING:
    from tui_agent.events import JsonObject, PermissionRequested
    from tui_agent.session import Question, SessionState, Step

EFFECTS = {
    "pure": "looks only",
    "checkable": "changes files",
    "supervised": "runs a command",
    "keyed": "calls a service",
    "irreversible": "cannot be undone",
}
"""The effect classes, in words."""


PLAN_TOOL = "exit_plan"
"""The tool whose request is a plan to approve."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One entry of the queue. `scope` is what a session-long grant would cover, empty if there is none.

    `divisible` says that it changes a text, of which parts can be allowed. `step` is the step of a permission
    request: a call that was changed is asked about by another request of the same step.
    """

    kind: Literal["permission", "plan", "uncertain", "question"]
    id: str
    title: str
    agent: str
    lines: tuple[StyledLine, ...]
    scope: str = ""
    options: tuple[str, ...] = ()
    divisible: bool = False
    step: str = ""


def waiting(state: SessionState) -> tuple[Waiting, ...]:
    """Return all that waits, permission requests first, each kind oldest first."""
    edited = {step.id: step.edited for step in state.workflow.steps.values() if step.edited}
    entries = [
        _plan(request) if request.tool == PLAN_TOOL else _permission(request, request.step in edited)
        for request in state.permissions.pending
    ]
    steps = sorted(state.workflow.steps.values(), key=lambda step: step.order)
    entries += [_uncertain(step) for step in steps if step.status == "uncertain"]
    entries += [_question(question) for question in state.workflow.questions.values()]
    return tuple(entries)


def _permission(request: PermissionRequested, edited: bool) -> Waiting:
    lines: list[StyledLine] = [
        (request.title or request.tool, "title"),
        (f"{request.tool} · {request.tier} · {EFFECTS.get(request.effect, request.effect)}", "muted"),
        (f"why asked: {request.why}", "muted"),
    ]
    if edited:
        lines.append(("as you changed it; the model will be told", "warning"))
    preview = [*_change(request)]
    if preview:
        lines += [*preview, ("", ""), ("the call in full:", "muted")]
    lines += input_lines(request.input)
    return Waiting(
        "permission",
        request.request,
        request.title or request.tool,
        request.agent,
        # In a command every invisible character counts; in the text of a file they belong to words.
        tuple((inert_strict(text), style) for text, style in lines) if request.tool == "bash" else tuple(lines),
        request.session_scope,
        divisible=request.tool in {"edit", "write"},
        step=request.step,
    )


def _plan(request: PermissionRequested) -> Waiting:
    head: list[StyledLine] = [
        ("The plan, for your approval", "title"),
        ("Until you approve it nothing is changed. Approving it ends plan mode.", "muted"),
        ("", ""),
    ]
    lines = (*head, *((line, "") for line in request.preview.splitlines()))
    return Waiting("plan", request.request, request.title, request.agent, lines)


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
    return Waiting("uncertain", step.id, step.title or step.tool, step.agent, tuple(lines))


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
