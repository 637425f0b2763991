"""A command's spool folder, as the `bash` tools read and show it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tui_agent.sandbox import CommandRecord
from tui_agent.tools.views import printable

HEAD_BYTES = 8_000
TAIL_BYTES = 16_000
"""Bytes of the beginning and of the end of an output that the model and the screen see."""

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
    """Return the output: all of it, or its beginning and end and where the rest is."""
    try:
        with record.output.open("rb") as file:
            if record.output_bytes <= HEAD_BYTES + TAIL_BYTES:
                return printable(file.read(HEAD_BYTES + TAIL_BYTES)).rstrip("\n")
            head = file.read(HEAD_BYTES)
            file.seek(record.output_bytes - TAIL_BYTES)
            tail = file.read(TAIL_BYTES)
    except FileNotFoundError:
        return ""
    # Cut at line ends where there are some near.
    head = head[: head.rfind(b"\n") + 1] or head
    tail = tail[tail.find(b"\n", 0, TAIL_BYTES // 2) + 1 :]
    left_out = record.output_bytes - len(head) - len(tail)
    return (
        f"{printable(head).rstrip()}\n[… {left_out:,} bytes in {record.output}; read it with offset, "
        f"or grep it …]\n{printable(tail).rstrip()}"
    )


def changed_note(changed: Sequence[str]) -> str:
    """Return the warning about files that a command changed and that make git run programs."""
    more = f" and {len(changed) - _MOST_NAMED} more" if len(changed) > _MOST_NAMED else ""
    return f"Warning: it changed what makes git run programs: {', '.join(changed[:_MOST_NAMED])}{more}"


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
