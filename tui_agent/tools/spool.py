"""A command's spool folder, as the `bash` tools read and show it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tui_agent.sandbox import CommandRecord
from tui_agent.terminal_output import rendered_bytes
from tui_agent.tools.spill import link_output

HEAD_BYTES = 8_000
TAIL_BYTES = 16_000
"""Characters, of a long output bytes, of the beginning and of the end that the model and the screen see."""

RENDERED_BYTES = 512 * 1024
"""Bytes of an output that is rendered whole before it is cut, so that a progress bar does not count with each frame.

Takes up to a third of a second.
"""

_MOST_NAMED = 10


def newest_spool(steps: Path, step: str) -> Path | None:
    """Return the spool folder of a step's newest attempt: `STEP`, then `STEP.2` and so on; None without one."""
    newest = None
    attempt = 1
    folder = steps / step
    while folder.is_dir():
        newest = folder
        attempt += 1
        folder = steps / f"{step}.{attempt}"
    return newest


def output_view(record: CommandRecord) -> str:
    """Return the output as a terminal would show it: all of it, or its beginning and end and where the rest is."""
    try:
        with record.output.open("rb") as file:
            if record.output_bytes <= RENDERED_BYTES:
                text = rendered_bytes(file.read(RENDERED_BYTES)).rstrip("\n")
                if len(text) <= HEAD_BYTES + TAIL_BYTES:
                    return text
                head, tail = text[:HEAD_BYTES], text[-TAIL_BYTES:]
                # Cut at line ends where there are some near.
                head = head[: head.rfind("\n") + 1] or head
                tail = tail[tail.find("\n", 0, TAIL_BYTES // 2) + 1 :]
                return _joined(
                    head, f"{len(text) - len(head) - len(tail):,} characters", tail, link_output(record.output)
                )
            first = file.read(HEAD_BYTES)
            file.seek(record.output_bytes - TAIL_BYTES)
            last = file.read(TAIL_BYTES)
    except FileNotFoundError:
        return ""
    first = first[: first.rfind(b"\n") + 1] or first
    last = last[last.find(b"\n", 0, TAIL_BYTES // 2) + 1 :]
    left_out = f"{record.output_bytes - len(first) - len(last):,} bytes"
    return _joined(rendered_bytes(first), left_out, rendered_bytes(last), link_output(record.output))


def _joined(head: str, left_out: str, tail: str, output: Path) -> str:
    note = f"[… {left_out} in {output}; read it with offset, or grep it …]"
    return f"{head.rstrip()}\n{note}\n{tail.rstrip()}"


def changed_note(changed: Sequence[str]) -> str:
    """Return the warning about files that a command changed and that make git run programs."""
    more = f" and {len(changed) - _MOST_NAMED} more" if len(changed) > _MOST_NAMED else ""
    return f"Warning: it changed what makes git run programs: {', '.join(changed[:_MOST_NAMED])}{more}"


def left_note(record: CommandRecord) -> str:
    """Return what became of the processes that a command left running, empty if it left none."""
    if not record.left:
        return ""
    names = ", ".join(record.left)
    return f"what it left running was ended with it: {names}; use background: true for what is to go on"


def describe_end(record: CommandRecord, timeout: float | None) -> str:
    """Return in words how a command ended."""
    if record.timed_out:
        limit = f" after {timeout:g} s" if timeout else ""
        return f"timed out{limit} and was ended"
    if record.cancelled:
        return "was ended on request"
    if record.signal is not None:
        return f"was ended by signal {record.signal}"
    return f"exit code {record.exit_code}"
