"""What `write` and `edit` share: a change of one file, planned, done, and looked for after a crash."""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

from tui_agent.events import Intent
from tui_agent.threads import to_the_end
from tui_agent.tools.base import target_of
from tui_agent.tools.diff import count_changes, unified_diff
from tui_agent.tools.files import (
    Snapshot,
    Target,
    display,
    file_state,
    hash_bytes,
    read_file,
    remove_temporary,
    sync_name,
    write_file,
)
from tui_agent.tools.views import cut_view
from tui_agent.workflow import Call, Finding, Outcome, Plan, ToolContext, ToolError, text_result

_EVIDENCE_LIMIT = 2_000


@dataclass(frozen=True, slots=True)
class Change:
    """The new content of a file, as bytes, and old and new as text for the diff."""

    data: bytes
    old: str
    new: str
    done: str
    """What to tell the model once it is done, without the file's name: `2 replacements`."""


_PLAIN_PATH = re.compile(r"[^*?\[\]{}!()\\~/][^*?\[\]{}!()\\]*")
"""A path in the workspace without any character that means something in a rule."""


class FileChange(ABC):
    """A tool that gives one file a new content."""

    must_be_read = False
    """Whether an existing file must have been read before, for its old content is lost."""

    @abstractmethod
    def change(self, call: Call, target: Target, before: Snapshot | None) -> Change:
        """Return the new content. Raises `ToolError` if the call does not fit the file."""

    @abstractmethod
    def compare(self, call: Call, now: str) -> str:
        """Return how the file's content now relates to what the call would have made of it, for a user."""

    def title(self, call: Call) -> str:
        """Return the tool and the path."""
        return f"{call.tool} {call.input['path']}"

    async def plan(self, call: Call, context: ToolContext) -> Plan:
        """Work out the change, and refuse it if the file is not as the model knows it."""
        return await asyncio.to_thread(self._plan, call, context)

    def _plan(self, call: Call, context: ToolContext) -> Plan:
        target = target_of(call, context, reading=False)
        if target.linked_out:
            raise ToolError(
                f"{call.input['path']} leads through a symbolic link out of the workspace, to {target.shown}. "
                "If that is meant, use that path itself."
            )
        before = read_file(target)
        self._check_known(target, before, context)
        change = self.change(call, target, before)
        return Plan(
            Intent(
                effect="checkable",
                key=call.step,
                before=[file_state(target.real, before.data if before else None)],
                after=[file_state(target.real, change.data)],
            ),
            self.title(call),
            preview=unified_diff(target.shown, change.old, change.new),
            scope=_scope(target),
            target=target,
        )

    def _check_known(self, target: Target, before: Snapshot | None, context: ToolContext) -> None:
        if before is None:
            return
        known = context.files_read.get(display(str(target.real)))
        if known is None and self.must_be_read:
            raise ToolError(f"{target.shown} exists and has not been read: read it first, or use edit.")
        if known is not None and known != hash_bytes(before.data):
            raise ToolError(f"{target.shown} has changed since it was read: read it again.")

    async def run(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Write the file if it still is what the intent says, and read it back.

        Cancelled while it writes, it has been written; `probe` tells.
        """
        return await to_the_end(self._run, call, intent, context)

    def _run(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        target = target_of(call, context, reading=False)
        expected_before, expected = intent.before[0], intent.after[0]
        if display(str(target.real)) != expected.path:
            raise ToolError(f"{target.shown} is not {expected.path} any more; nothing was written.")
        before = read_file(target)
        if hash_bytes(before.data if before else None) != expected_before.sha256:
            raise ToolError(f"{target.shown} was changed meanwhile; nothing was written. Read it again.")
        change = self.change(call, target, before)
        if hash_bytes(change.data) != expected.sha256:
            raise ToolError(f"{target.shown}: the change is not the approved one; nothing was written.")
        write_file(target, change.data, over=before, step=call.step, runtime=context.runtime)
        now = read_file(target)
        actual = file_state(target.real, now.data if now else None)
        if actual.sha256 is not None:
            context.files_read[actual.path] = actual.sha256
        diff = unified_diff(target.shown, change.old, change.new)
        if actual != expected:
            message = f"{target.shown} was written, but read back it is different: look at it."
            return Outcome(text_result(message), error=True, summary=message, diff=diff, effects=[actual])
        size = count_changes(diff) if diff else "no line changed"
        return Outcome(
            text_result(f"{target.shown}: {change.done} ({size})."),
            summary=size,
            diff=diff,
            effects=[actual],
        )

    async def probe(self, call: Call, intent: Intent, context: ToolContext) -> Finding:
        """Tell by the file's hash whether the write happened; remove its temporary file."""
        return await asyncio.to_thread(self._probe, call, intent, context)

    def _probe(self, call: Call, intent: Intent, context: ToolContext) -> Finding:
        target = target_of(call, context, reading=False)
        before, after = intent.before[0], intent.after[0]
        remove_temporary(target, call.step)
        try:
            now = read_file(target)
            if now is not None:
                sync_name(target)
        except (ToolError, OSError) as error:
            return Finding("uncertain", str(error))
        actual = file_state(target.real, now.data if now else None)
        if actual == after and actual.sha256 is not None:
            context.files_read[actual.path] = actual.sha256
            outcome = Outcome(text_result(f"{target.shown}: done."), summary="done", effects=[actual])
            return Finding("finished", f"{target.shown} is as the step was to leave it", outcome)
        if actual == before:
            return Finding("not_started", f"{target.shown} is as it was before the step")
        lines = [
            f"{target.shown} is neither as it was before the step nor as the step was to leave it:",
            f"  before   {before.sha256 or 'no file'}",
            f"  expected {after.sha256}",
            f"  now      {actual.sha256 or 'no file'}",
        ]
        if now is not None:
            lines.append(cut_view(self.compare(call, now.data.decode(errors="replace")), _EVIDENCE_LIMIT))
        return Finding("uncertain", "\n".join(lines))

    async def attach(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Refuse: there is nothing that outlives a crash."""
        raise NotImplementedError(f"{call.tool} leaves nothing running")


def _scope(target: Target) -> str:
    """Return the rule that a grant would be: this file, but none for those that git runs.

    None for a name that a rule would read as a pattern, either: the grant is for exactly the call then.
    """
    if not target.inside or ".git" in target.real.parts or not _PLAIN_PATH.fullmatch(target.shown):
        return ""
    return f"Edit(./{target.shown})"
