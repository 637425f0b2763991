"""The state of the steps, folded from events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from tui_agent.events import (
    BackgroundEnded,
    EffectClass,
    EventBase,
    Intent,
    JsonObject,
    PermissionDecided,
    PermissionRequested,
    QuestionAnswered,
    QuestionAsked,
    StepEdited,
    StepFinished,
    StepPlanned,
    StepRecovered,
    StepResolved,
    StepStarted,
    TodoChanged,
    TodoItem,
)

StepStatus = Literal["planned", "waiting", "approved", "denied", "running", "uncertain"]
"""How far an unfinished step is. `waiting` is for a permission, `uncertain` for the user after a crash."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step that has not finished. `order` is the seq of its plan: steps run in that order.

    `edited` says what the user changed of the call before they allowed it, empty if nothing. `withheld` says that
    `input` is not all of it: a secret was taken out. `problem` says why it must not be run, as the model is told.
    """

    id: str
    order: int
    run: str
    agent: str
    turn: str
    call_id: str
    tool: str
    input: JsonObject
    effect: EffectClass
    title: str
    status: StepStatus = "planned"
    intent: Intent | None = None
    attempt: int = 0
    started: float = 0.0
    evidence: str = ""
    resolution: str = ""
    comment: str = ""
    edited: str = ""
    withheld: bool = False
    problem: str = ""
    decision: PermissionDecided | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the model that waits for its answer."""

    id: str
    step: str
    agent: str
    text: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BackgroundCommand:
    """A command that goes on in the background. `started` and `until`, its time-out, are seconds since the epoch."""

    step: str
    title: str
    started: float
    until: float


BACKGROUND_TIMEOUT = 3600.0
"""Seconds a command in the background may run if its call does not say."""

MOST_ENDED = 5
"""Commands of the background whose ends the state keeps."""


@dataclass(frozen=True, slots=True)
class WorkflowState:
    """Unfinished steps by id, open questions by id, the todo list, and how many steps finished.

    `background` are the commands that go on in the background, by the step that started them; `ended` how the last of
    them ended, oldest first.
    """

    steps: Mapping[str, Step] = field(default_factory=dict)
    questions: Mapping[str, Question] = field(default_factory=dict)
    todo: tuple[TodoItem, ...] = ()
    finished: int = 0
    background: Mapping[str, BackgroundCommand] = field(default_factory=dict)
    ended: tuple[str, ...] = ()


def apply(state: WorkflowState, event: EventBase) -> WorkflowState:
    """Return the state after `event`. Pure; events about steps it does not know leave it as it is."""
    match event:
        case StepPlanned():
            step = Step(
                id=event.step,
                order=event.seq or 0,
                run=event.run,
                agent=event.agent,
                turn=event.turn,
                call_id=event.call_id,
                tool=event.tool,
                input=event.input,
                effect=event.effect,
                title=event.title,
                withheld=event.withheld,
                problem=event.problem,
            )
            return _with_step(state, step)
        case QuestionAsked():
            question = Question(event.question, event.step, event.agent, event.text, tuple(event.options))
            return replace(state, questions={**state.questions, question.id: question})
        case QuestionAnswered():
            return replace(state, questions=_without(state.questions, event.question))
        case TodoChanged():
            return replace(state, todo=tuple(event.items))
        case StepFinished():
            if event.step not in state.steps:
                return state
            step = state.steps[event.step]
            background = state.background
            if step.tool == "bash" and step.input.get("background") is True and event.outcome == "ok":
                given = step.input.get("timeout")
                seconds = float(given) if isinstance(given, int | float) else BACKGROUND_TIMEOUT
                begun = step.started or event.time
                command = BackgroundCommand(event.step, step.title, begun, begun + seconds)
                background = {**background, event.step: command}
            questions = {k: q for k, q in state.questions.items() if q.step != event.step}
            return replace(
                state,
                steps=_without(state.steps, event.step),
                questions=questions,
                finished=state.finished + 1,
                background=background,
            )
        case BackgroundEnded():
            ended = (*state.ended, f"{event.step} ({event.title}): {event.summary}")[-MOST_ENDED:]
            return replace(state, background=_without(state.background, event.step), ended=ended)
    known = state.steps.get(getattr(event, "step", ""))
    if known is None:
        return state
    match event:
        case PermissionRequested():
            known = replace(known, status="waiting")
        case PermissionDecided():
            status: StepStatus = "approved" if event.verdict == "allow" else "denied"
            # A new decision takes the place of what the user said of an earlier attempt.
            known = replace(known, status=status, decision=event, resolution="")
        case StepEdited():
            known = replace(known, status="planned", input=event.input, title=event.title, edited=event.note)
        case StepStarted():
            known = replace(
                known,
                status="running",
                intent=event.intent,
                attempt=event.attempt,
                started=event.time,
                resolution="",
            )
        case StepRecovered():
            status = "uncertain" if event.finding == "uncertain" else known.status
            known = replace(known, status=status, evidence=event.evidence)
        case StepResolved():
            known = replace(known, status="approved", resolution=event.resolution, comment=event.comment)
        case _:
            return state
    return _with_step(state, known)


def _with_step(state: WorkflowState, step: Step) -> WorkflowState:
    return replace(state, steps={**state.steps, step.id: step})


T = TypeVar("T")


def _without(mapping: Mapping[str, T], key: str) -> Mapping[str, T]:
    return {k: value for k, value in mapping.items() if k != key}
