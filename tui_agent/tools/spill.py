"""Results too long for the model's window: cut, with the whole in a file of the session that it can read."""

from __future__ import annotations

from pathlib import Path

from tui_agent.redaction import Redactor
from tui_agent.workflow import ToolContext

FILE_NAME = "result.txt"


def spill(context: ToolContext, text: str) -> Path:
    """Write a whole result to the step's spool folder and return the file. Blocking; raises `OSError`."""
    context.spool.mkdir(parents=True, exist_ok=True)
    path = context.spool / FILE_NAME
    clean = Redactor(context.runtime.environment).text(text)
    path.write_text(clean, "utf-8", errors="backslashreplace")
    return path


def cut_result(context: ToolContext, text: str, *, lines: int, characters: int) -> str:
    """Return `text`, or its first whole lines within both bounds and where the rest is. Blocking."""
    rows = text.split("\n")
    if len(rows) <= lines and len(text) <= characters:
        return text
    shown: list[str] = []
    room = characters
    for row in rows[:lines]:
        room -= len(row) + 1
        if room < 0 and shown:
            break
        shown.append(row[:characters])
    try:
        path = spill(context, text)
    except OSError as error:
        return (
            "\n".join(shown) + f"\n[cut here: {len(rows):,} lines in all; they could not be kept: {error.strerror}]"
        )
    where = f"read {path} with offset={len(shown) + 1}, or grep it"
    return "\n".join(shown) + f"\n[cut after {len(shown):,} of {len(rows):,} lines; for the rest {where}]"
