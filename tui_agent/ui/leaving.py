"""What the app asks before it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui_agent.submissions import EndBackground
from tui_agent.text import inert_line
from tui_agent.ui.dialogs import ConfirmDialog
from tui_agent.ui.render.words import clock
from tui_agent.ui.text_lines import StyledLine

if TYPE_CHECKING:
    from tui_agent.session import SessionHandle
    from tui_agent.ui.app import TuiAgentApp


async def ask_about_background(app: TuiAgentApp, handle: SessionHandle) -> bool:
    """Ask what becomes of the commands in the background, and end them if wanted; return whether to leave."""
    rows = [f"{inert_line(command.title)}, until {clock(command.until)}" for command in handle.background]
    lines: list[StyledLine] = [(row, "") for row in ["These commands run in the background:", "", *rows]]
    dialog = ConfirmDialog("Quit", lines, "end them and quit", "let them go on and quit", stay="stay")
    answer = await app.push_screen_wait(dialog)
    if answer:
        await handle.do(EndBackground())
    return answer is not None
