"""The state of the permissions, folded from events: what waits, what was granted."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tui_agent.events import (
    EventBase,
    PermissionDecided,
    PermissionRequested,
    PermissionRevoked,
    StepEdited,
    StepFinished,
)


@dataclass(frozen=True, slots=True)
class Grant:
    """Something allowed for the rest of the session.

    `pattern` is a rule such as `Bash(git log *)`, or the hash of one exact call.
    """

    pattern: str
    step: str
    granted: float


@dataclass(frozen=True, slots=True)
class PermissionsState:
    """Requests that wait, oldest first, and the grants of this session."""

    pending: tuple[PermissionRequested, ...] = ()
    grants: tuple[Grant, ...] = ()
    allowed: int = 0
    denied: int = 0


def apply(state: PermissionsState, event: EventBase) -> PermissionsState:
    """Return the state after `event`. Pure."""
    match event:
        case PermissionRequested():
            return replace(state, pending=(*state.pending, event))
        case PermissionDecided():
            pending = tuple(p for p in state.pending if p.step != event.step)
            grants = state.grants
            if event.verdict == "allow" and event.scope == "session" and event.grant:
                grants = (*grants, Grant(event.grant, event.step, event.time))
            allowed = state.allowed + (event.verdict == "allow")
            denied = state.denied + (event.verdict == "deny")
            return PermissionsState(pending, grants, allowed, denied)
        case PermissionRevoked():
            return replace(state, grants=tuple(g for g in state.grants if g.pattern != event.grant))
        case StepFinished() | StepEdited():
            if any(p.step == event.step for p in state.pending):
                return replace(state, pending=tuple(p for p in state.pending if p.step != event.step))
    return state
