"""The screen: Textual app, panes, prompt, themes.

Sees the session, the events and text, and nothing else of the house. `run_app` is what the command line
calls. Importing this room imports nothing heavy.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui_agent.text import inert

if TYPE_CHECKING:
    from tui_agent.session import OpenOptions, SessionHandle

__all__ = ["run_app"]

FRAMES_PER_SECOND = 120
"""How often the screen may be painted. A key waits for the frame after a painted one: at Textual's 60, 17 ms."""


def run_app(
    open_session: Callable[[], Awaitable[SessionHandle]] | None,
    *,
    options: Callable[[], OpenOptions] | None = None,
    prompt: str = "",
    theme: str = "",
    theme_folders: Sequence[Path] = (),
) -> int:
    """Run the full-screen app until it is left, say how to go on with the session, and return the exit code.

    `open_session` opens the first session, after the first paint. None lists the sessions instead; `options`
    then says where they are. The terminal is switched at once, so that nothing typed meanwhile is lost.
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

        app = TuiAgentApp(
            open_session,
            options=options,
            prompt=prompt,
            theme=theme,
            theme_folders=theme_folders,
            driver_class=driver_class(early),
        )
        code = app.run()
    finally:
        gc.enable()
        early.end()
    if code == 0 and app.left:
        sys.stdout.write(f"To go on with this session: tui-agent --resume {app.left}\n")
    if app.close_problem:
        sys.stderr.write(f"{inert(app.close_problem)}\n")
    return (app.return_code or 0) if code is None else code
