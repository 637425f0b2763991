"""What the journal holds of the work done: the facts that a summary is held against, and that replace one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePath

from tui_agent.events import EventBase, StepFinished, StepPlanned

TEST_COMMAND = re.compile(
    r"\b(pytest|tox|nox|unittest|jest|vitest|mocha|rspec|phpunit|ctest|(cargo|go|npm|pnpm|yarn|mix|dotnet|swift|make|"
    r"gradle\w*|\./gradlew|mvn|bun|deno|rake|just)\s+(run\s+)?(\S+\s+)?(test|check)\S*)"
)
"""Commands that run a project's tests, as far as their name says so."""


@dataclass(frozen=True, slots=True)
class CommandRun:
    """A command that ended: `exit_code` None where that is not known."""

    seq: int
    command: str
    exit_code: int | None


@dataclass(slots=True)
class WorkRecord:
    """The work of a session by its journal: files changed by tools, commands that ended, calls that failed since."""

    changed: dict[str, int] = field(default_factory=dict)
    commands: list[CommandRun] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def changed_file(self, name: str) -> bool:
        """Return whether a tool changed a file of that path or name, or a command that named it succeeded."""
        wanted = PurePath(name)
        parts = tuple(part for part in wanted.parts if part not in {"/", "."})
        if any(PurePath(path).parts[-len(parts) :] == parts for path in self.changed):
            return True
        return any(wanted.name in run.command for run in self.commands if run.exit_code == 0)

    def ran(self, command: str) -> bool:
        """Return whether a command that holds these words ended."""
        wanted = " ".join(command.split())
        return any(wanted in " ".join(run.command.split()) for run in self.commands)

    def succeeded(self, pattern: re.Pattern[str]) -> bool:
        """Return whether a command in which the pattern is found ended with 0."""
        return any(run.exit_code == 0 and pattern.search(run.command) for run in self.commands)

    @property
    def tests_passed(self) -> bool:
        """Whether the last command that runs tests ended with 0."""
        tests = [run for run in self.commands if TEST_COMMAND.search(run.command)]
        return bool(tests) and tests[-1].exit_code == 0


def read_record(events: Iterable[EventBase]) -> WorkRecord:
    """Return the record of the steps among `events`, which are in order."""
    record = WorkRecord()
    planned: dict[str, StepPlanned] = {}
    for event in events:
        if isinstance(event, StepPlanned):
            planned[event.step] = event
        elif isinstance(event, StepFinished):
            plan = planned.pop(event.step, None)
            title = plan.title if plan else event.tool
            if event.outcome == "ok":
                record.failed.pop(title, None)
            else:
                record.failed[title] = f"{title}: {event.outcome} (event {event.seq})"
            if event.outcome == "ok" and event.tool in {"write", "edit"}:
                record.changed |= {state.path: event.seq or 0 for state in event.effects}
            command = plan.input.get("command") if plan else None
            if isinstance(command, str) and event.outcome in {"ok", "error"} and event.exit_code is not None:
                record.commands.append(CommandRun(event.seq or 0, command, event.exit_code))
    return record
