"""The screen: Textual app, panes, prompt, themes.

Sees the session, the events and text, and nothing else of the house. `run_app` is what the command line
calls. Importing this room imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tui_agent.text import inert

if TYPE_CHECKING:
    from tui_agent.session import OpenOptions, SessionHandle

__all__ = ["run_app"]

FRAMES_PER_SECOND = 120
"""How often the screen may be painted. A key waits for the frame after a painted one: at Textual's 60, 17 ms."""

HANGUP_CODE = 129
"""The exit code when the terminal was closed: 128 and the number of SIGHUP, as after the signal itself."""
CRASH_FRAMES = 6
"""Calls of a traceback that are printed after a crash."""


def run_app(
    open_session: Callable[[], Awaitable[SessionHandle]] | None,
    *,
    options: Callable[[], OpenOptions] | None = None,
    prompt: str = "",
    theme: str = "",
    theme_folders: Sequence[Path] = (),
    environment: Mapping[str, str] | None = None,
) -> int:
    """Run the full-screen app until it is left, say how to go on with the session, and return the exit code.

    `open_session` opens the first session, after the first paint. None lists the sessions instead; `options`
    then says where they are. `environment` is that of the process. The terminal is switched at once, so that
    nothing typed meanwhile is lost.
    """
    from tui_agent.ui.terminal import EarlyInput, driver_class

    early = EarlyInput()
    early.begin()
    # Nothing made before the first paint is garbage; the app turns collection on again.
    gc.disable()
    try:
        from textual import constants

        # Textual reads it when the screen is imported, and takes it else only from the environment, which the
        # commands that run here would inherit.
        vars(constants)["MAX_FPS"] = max(constants.MAX_FPS, FRAMES_PER_SECOND)
        from tui_agent.ui.app import TuiAgentApp
        from tui_agent.ui.themes import has_few_colors

        app = TuiAgentApp(
            open_session,
            options=options,
            prompt=prompt,
            theme=theme,
            few_colors=has_few_colors(environment or {"COLORTERM": "truecolor"}),
            theme_folders=theme_folders,
            driver_class=driver_class(early),
        )
        code = app.run()
    finally:
        gc.enable()
        early.end()
    if app.failure is not None:
        code = 1
        _report_crash(app.failure, environment or {})
    if app.left and (code == 0 or app.failure is not None):
        _say(sys.stdout, f"To go on with this session: tui-agent --resume {app.left}")
    if app.close_problem:
        _say(sys.stderr, inert(app.close_problem))
    if early.closed:
        _discard_output()
        return HANGUP_CODE
    return (app.return_code or 0) if code is None else code


def _say(stream: TextIO, line: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that was closed takes nothing
        stream.write(f"{line}\n")
        stream.flush()


def _report_crash(error: BaseException, environment: Mapping[str, str]) -> None:
    """Print the last calls of a traceback, without secrets; the journal has all of them."""
    import traceback

    from tui_agent.redaction import Redactor

    lines = traceback.format_exception(error, limit=-CRASH_FRAMES, chain=False)
    text = Redactor(environment).text("".join(lines))
    _say(sys.stderr, f"{inert(text)}tui-agent failed. A command that was running goes on; nothing on disk is lost.")


def _discard_output() -> None:
    """Send what is still to be written nowhere: Python ends with a code of its own when it cannot be written."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
