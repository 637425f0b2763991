"""Copying: to the terminal, which may or may not take it, and with a clipboard program where there is one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tui_agent.programs import find_program

SECONDS = 3.0
"""How long a clipboard program may take; those that hang have no display to talk to."""

_PROGRAMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("WAYLAND_DISPLAY", ("wl-copy",)),
    ("DISPLAY", ("xclip", "-selection", "clipboard")),
    ("DISPLAY", ("xsel", "--clipboard", "--input")),
    ("", ("pbcopy",)),
)
"""Programs that take text on standard input, each with the variable without which it has nothing to talk to."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of a copy: `message` is for the user; `sure` if a program confirmed it."""

    message: str
    sure: bool


def clipboard_program(environment: Mapping[str, str], writable: Sequence[str] = ()) -> tuple[str, ...] | None:
    """Return the command of the clipboard program to use, None when there is none that can work here.

    One in a `writable` folder is not used: a command could have put it there.
    """
    for variable, command in _PROGRAMS:
        if variable and not environment.get(variable):
            continue
        if found := find_program(command[0], environment, writable=writable):
            return (found, *command[1:])
    return None


async def copy_locally(text: str, environment: Mapping[str, str], writable: Sequence[str] = ()) -> Copied:
    """Put `text` on the clipboard of this machine; say what happened, next to what the terminal was sent.

    Never raises for a program that fails: the terminal may have taken the text all the same.
    """
    command = await asyncio.to_thread(clipboard_program, environment, writable)
    done = f"Copied ({len(text):,} character{'' if len(text) == 1 else 's'})"
    if command is None:
        return Copied(done, False)
    name = command[0].rpartition("/")[2]
    problem = await _feed(command, text.encode("utf-8", "replace"), environment)
    if not problem:
        return Copied(done, True)
    return Copied(f"{done}, to the terminal only: {name} failed ({problem})", False)


async def _feed(command: tuple[str, ...], data: bytes, environment: Mapping[str, str]) -> str:
    """Run a program with `data` on its standard input; return what went wrong, empty if nothing did."""
    try:
        # These programs leave a child behind that serves the clipboard: it may hold neither our terminal nor
        # our pipes, and must outlive this process.
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(environment),
            start_new_session=True,
        )
    except OSError as error:
        return error.strerror or str(error)
    try:
        async with asyncio.timeout(SECONDS):
            await process.communicate(data)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        return f"no answer in {SECONDS:.0f} s"
    return f"exit code {process.returncode}" if process.returncode else ""
