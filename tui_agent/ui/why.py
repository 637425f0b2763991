"""Why something was asked, allowed or denied: every reason of a decision, as lines."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tui_agent.events import EventBase, Judgement, PermissionDecided, PermissionRequested, StepEdited

if TYPE_CHECKING:
    from tui_agent.ui.text_lines import StyledLine

_BY = {
    "person": "you",
    "mode": "the mode",
    "grant": "a grant of this session",
    "policy": "the rules and the guard",
    "unattended": "nobody: the run was unattended",
}
_STYLES = {"allow": "added", "ask": "warning", "deny": "removed"}


def why_lines(events: Iterable[EventBase]) -> Iterator[StyledLine]:
    """Return what was asked, changed and decided about a step, oldest first."""
    some = False
    for event in events:
        some = True
        match event:
            case PermissionRequested():
                yield f"{_when(event.time)}  asked by {_agent(event.agent)}: {event.title}", "title"
                yield from judgement_lines(event.judgement, event.why)
            case StepEdited():
                yield f"{_when(event.time)}  changed by you: {event.title}", "title"
                yield event.note, "muted"
            case PermissionDecided():
                yield from _decided(event)
        yield "", ""
    if not some:
        yield (
            "Nothing was decided on this step: it was not run, or an older version did not keep the reasons.",
            "muted",
        )


def _decided(event: PermissionDecided) -> Iterator[StyledLine]:
    verb = {"allow": "allowed", "deny": "denied"}[event.verdict]
    yield f"{_when(event.time)}  {verb} by {_BY[event.by]}", "title"
    if event.request and event.by == "person":
        yield (
            f"after {event.seconds:.1f} s · for {'the session' if event.scope == 'session' else 'this call'}",
            "muted",
        )
    if event.grant:
        yield f"grant: {event.grant}", ""
    if event.comment:
        yield f"comment: {event.comment}", ""
    if not event.request or event.by != "person":
        yield from judgement_lines(event.judgement, event.reason)
    yield f"holds for exactly the call {event.call_hash[:16]}…", "muted"


def judgement_lines(judgement: Judgement | None, reason: str) -> Iterator[StyledLine]:
    """Return what the policy said, with the rules and modules that had a say."""
    if judgement is None:
        yield reason or "no reason was kept", ""
        return
    yield f"{judgement.verdict}: {judgement.reason}", _STYLES[judgement.verdict]
    above = f" · agent type {' > '.join(judgement.agent_types)}" if len(judgement.agent_types) > 1 else ""
    yield f"decided by {judgement.winner} · mode {judgement.mode} · {judgement.tier} tool{above}", "muted"
    if judgement.rules:
        yield "rules that matched:", "muted"
    for rule in judgement.rules:
        where = f"{rule.file}:{rule.line}" if rule.line else rule.file
        yield f"  {rule.verdict} {rule.rule}  ({rule.source}, {where})", _STYLES[rule.verdict]
    if judgement.modules:
        yield "checks that spoke:", "muted"
    for module in judgement.modules:
        yield f"  {module.verdict} {module.name}: {module.reason}", _STYLES[module.verdict]


def _agent(agent: str) -> str:
    return "the agent" if agent in ("", "main") else f"subagent {agent}"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
