"""The state of the conversation, folded from events: small, whatever the length of the session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tui_agent.events import (
    MAIN_AGENT,
    ContextCompacted,
    EventBase,
    PromptAccepted,
    PromptQueued,
    PromptWithdrawn,
    RunFinished,
    RunStarted,
    SandboxProbed,
    SessionConfigured,
    SessionCreated,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """A run that has not finished; `turn` is the turn in progress, empty between turns."""

    id: str
    agent: str
    agent_type: str
    prompt: str
    started: float
    parent_step: str = ""
    turn: str = ""
    turns: int = 0


@dataclass(frozen=True, slots=True)
class ConversationState:
    """What the session is, its runs in progress (the main agent's first), and the prompts that wait.

    `sandbox` is what commands run in: `none`, `reduced`, or the kind; empty until that is known.
    `effort` is what was asked for in the session, empty for what the settings say.
    `folders` are those added besides the workspace, by their source; a source stays when it names none any more.
    `history_start` is the seq from which the main agent's message history is built.
    """

    session: str = ""
    workspace: str = ""
    title: str = ""
    model: str = ""
    mode: str = "ask"
    effort: str = ""
    offline: bool = False
    sandbox: str = ""
    created: float = 0.0
    updated: float = 0.0
    runs: tuple[ActiveRun, ...] = ()
    queued: tuple[PromptQueued, ...] = ()
    prompts: int = 0
    history_start: int = 0
    folders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def added(self) -> tuple[str, ...]:
        """The folders added besides the workspace, of all sources, each once."""
        return tuple(dict.fromkeys(folder for source in self.folders.values() for folder in source))

    @property
    def active_run(self) -> ActiveRun | None:
        """The main agent's run in progress."""
        return next((run for run in self.runs if run.agent == MAIN_AGENT), None)


TITLE_LIMIT = 60
"""Characters of the first prompt that become the session's title."""


def apply(state: ConversationState, event: EventBase) -> ConversationState:
    """Return the state after `event`. Pure."""
    if event.durable:
        state = replace(state, updated=max(state.updated, event.time))  # the clock may jump back
    match event:
        case SessionCreated():
            return replace(
                state,
                session=event.session,
                workspace=event.workspace,
                title=event.title,
                model=event.model,
                mode=event.mode,
                offline=event.offline,
                created=event.time,
            )
        case SessionConfigured():
            return replace(
                state,
                workspace=event.workspace or state.workspace,
                title=state.title if event.title is None else event.title,
                model=event.model or state.model,
                mode=event.mode or state.mode,
                effort=state.effort if event.effort is None else event.effort.replace("default", ""),
                offline=state.offline if event.offline is None else event.offline,
                folders={**state.folders, **{name: tuple(paths) for name, paths in event.folders.items()}},
            )
        case SandboxProbed():
            return replace(state, sandbox="reduced" if event.reduced else event.kind)
        case RunStarted():
            run = ActiveRun(event.run, event.agent, event.agent_type, event.prompt, event.time, event.parent_step)
            title = state.title
            if not title and event.agent == MAIN_AGENT:
                title = " ".join(event.prompt.split())[:TITLE_LIMIT]
            prompts = state.prompts + (event.agent == MAIN_AGENT)
            return replace(state, runs=(*state.runs, run), title=title, prompts=prompts)
        case RunFinished():
            return replace(state, runs=tuple(run for run in state.runs if run.id != event.run))
        case TurnStarted():
            return _with_turn(state, event.run, event.turn, int(event.attempt == 1))
        case TurnFinished():
            return _with_turn(state, event.run, "", 0)
        case TurnFailed() if event.retry_seconds is None:
            return _with_turn(state, event.run, "", 0)
        case PromptQueued():
            return replace(state, queued=(*state.queued, event))
        case PromptAccepted() | PromptWithdrawn():
            return replace(state, queued=tuple(q for q in state.queued if q.prompt_id != event.prompt_id))
        case ContextCompacted() if event.agent == MAIN_AGENT:
            return replace(state, history_start=event.seq or 0)
    return state


def _with_turn(state: ConversationState, run_id: str, turn: str, count: int) -> ConversationState:
    runs = tuple(replace(run, turn=turn, turns=run.turns + count) if run.id == run_id else run for run in state.runs)
    return replace(state, runs=runs)
