"""The forms of output of a headless run, and the lines beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal, Protocol, TextIO

from tui_agent.events import (
    MAIN_AGENT,
    BudgetStopped,
    BudgetWarned,
    ContextCompacted,
    ContextRepaired,
    Crash,
    EventBase,
    Notice,
    RunFinished,
    StepFinished,
    StepRecovered,
    TurnDelta,
    TurnFailed,
    TurnFinished,
)
from tui_agent.headless.progress import Progress, text_of
from tui_agent.session import stop_text, warning_text
from tui_agent.streams import json_line
from tui_agent.text import inert

Output = Literal["text", "json", "stream-json"]


class Report(Protocol):
    """One form of output."""

    def event(self, event: EventBase) -> None:
        """Show one event as it happens."""

    def end(self, session: str, progress: Progress, exit_code: int) -> None:
        """Show the result."""


class TextReport:
    """The answers as plain text: while they stream on a terminal, whole ones elsewhere.

    A retry after part of an answer repeats it; a terminal can say so, a file must not hold it twice.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._open = False
        self._paragraph = False

    def event(self, event: EventBase) -> None:
        if event.agent != MAIN_AGENT:
            return
        match event:
            case TurnDelta() if event.kind == "text" and self._terminal:
                if not self._open:
                    self._begin()
                self._out.write(inert(event.text))
            case TurnFinished():
                text = text_of(event.content)
                if self._open:
                    self._out.write("\n")
                elif text:
                    self._begin()
                    self._out.write((inert(text) if self._terminal else text) + "\n")
                self._open = False
            case TurnFailed() if self._open:
                self._out.write(" […]\n")
                self._open = False

    def _begin(self) -> None:
        if self._paragraph:
            self._out.write("\n")
        self._paragraph = self._open = True

    def end(self, session: str, progress: Progress, exit_code: int) -> None:
        return


class StreamReport:
    """Every event as one line of JSON, the same as in the journal."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def event(self, event: EventBase) -> None:
        self._out.write(json_line(event.model_dump_json(), self._out) + "\n")

    def end(self, session: str, progress: Progress, exit_code: int) -> None:
        return


class JsonReport:
    """One JSON object at the end."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def event(self, event: EventBase) -> None:
        return

    def end(self, session: str, progress: Progress, exit_code: int) -> None:
        end = progress.end if progress.finished else None
        outcome, reason = progress.outcome
        result = {
            "session": session,
            "run": progress.run,
            "outcome": outcome,
            "reason": reason,
            "hint": end.hint if end else "",
            "stop_reason": end.stop_reason if end else "",
            "answer": progress.answer,
            "turns": end.turns if end else 0,
            "seconds": end.seconds if end else 0.0,
            "waited": end.waited if end else 0.0,
            "usage": end.usage.model_dump() if end else {},
            "cost": end.cost if end else None,
            "cost_simulated": progress.simulated,
            "stop": stop_facts(progress.stop) if progress.stop else None,
            "denied": progress.denied,
            "exit_code": int(exit_code),
        }
        self._out.write(json.dumps(result) + "\n")


REPORTS: dict[Output, Callable[[TextIO], Report]] = {
    "text": TextReport,
    "json": JsonReport,
    "stream-json": StreamReport,
}


def notice_of(event: EventBase, titles: dict[str, str]) -> str:
    """Return the line for stderr that tells of `event`, or nothing."""
    match event:
        case StepFinished():
            mark = "✓" if event.outcome == "ok" else "✗"
            what = titles.get(event.step, event.tool)
            return f"{mark} {what} ({event.outcome})" + (f": {event.summary}" if event.summary else "")
        case TurnFailed() if event.agent == MAIN_AGENT and _ends_the_run(event):
            return ""  # the run's end says it
        case TurnFailed():
            again = "" if event.retry_seconds is None else f"; next attempt in {event.retry_seconds:.1f} s"
            return f"{event.kind}: {event.message}{again}"
        case ContextRepaired():
            return f"warning: {event.words}"
        case ContextCompacted() if event.trigger == "automatic":
            receipt = event.receipt
            return f"compacted: {receipt.tokens_before:,} → {receipt.tokens_after:,} tokens, because {event.reason}"
        case RunFinished() if event.agent == MAIN_AGENT and event.outcome != "stopped" and _has_words(event):
            words = ". ".join(part.rstrip(".") for part in (event.reason, event.hint) if part)
            return f"run {event.outcome.replace('_', ' ')}" + (f": {words}" if words else "")
        case BudgetStopped():
            return stop_text(event)
        case BudgetWarned():
            return warning_text(event)
        case StepRecovered():
            return f"recovered: {titles.get(event.step, event.step)}: {event.finding}: {event.evidence}"
        case Crash():
            return f"an earlier start of this session crashed: {event.reason}"
        case Notice():
            return f"{event.level}: {event.message}"
    return ""


def _has_words(finished: RunFinished) -> bool:
    """Return whether there is more to say of a run's end than that it is done."""
    return finished.outcome != "completed" or bool(finished.reason)


def _ends_the_run(failed: TurnFailed) -> bool:
    return failed.kind == "interrupted" or (failed.retry_seconds is None and not failed.partial)


def stop_facts(stop: BudgetStopped) -> dict[str, object]:
    """Return a budget's stop for programs: named as in the event; in turns, tokens, dollars or seconds."""
    names = ("limit", "scope", "reason", "used", "reserved", "projected", "left", "maximum", "hint")
    return {name: getattr(stop, name) for name in names}
