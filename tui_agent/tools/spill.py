"""Results too long for the model's window: cut, with the whole in a file of the session that it can read."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tui_agent.private import make_private_file, make_private_folder
from tui_agent.redaction import Redactor
from tui_agent.workflow import ToolContext


def output_path(spool: Path) -> Path:
    """Return where the whole output of a step is kept for reading: commands see that folder as the tools do.

    The step's own folder is hidden from them, because the command's controls are in it.
    """
    return spool.parent.parent / "outputs" / f"{spool.name}.txt"


def link_output(output: Path) -> Path:
    """Make a command's output readable under that path too, and return it; the output's own path if that fails."""
    path = output_path(output.parent)
    try:
        make_private_folder(path.parent)
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(output)
    except OSError:
        return output
    return path


def spill(context: ToolContext, text: str) -> Path:
    """Write a whole result to the session's outputs and return the file. Blocking; raises `OSError`."""
    path = output_path(context.spool)
    make_private_folder(path.parent)
    make_private_file(path)
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
