"""Folder trust on screen: what a project's own files would allow, said once, and the question whether they may."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.app import App

from tui_agent.submissions import AgreeToMemory, TrustProject
from tui_agent.text import inert
from tui_agent.ui.dialogs import ConfirmDialog
from tui_agent.ui.text_lines import StyledLine

if TYPE_CHECKING:
    from tui_agent.session import SessionHandle
    from tui_agent.ui.app import TuiAgentApp


async def offer_trust(app: TuiAgentApp, handle: SessionHandle) -> None:
    """Ask whether the folder's memory files may go to the model, and its rules allow what they want to."""
    asked = await offer_memory(app, handle)
    found = await asyncio.to_thread(handle.inspect.audit.rules, handle.state.conversation.workspace)
    if not found.held_back:
        if asked:
            return
        app.notify("This folder has no rules of its own." if not found.trusted else "It is trusted.")
        return
    lines: list[StyledLine] = [("Its own files would allow without asking:", "title")]
    lines += [(f"  {inert(line)}", "warning") for line in found.held_back_lines]
    lines.append(("It holds until one of these files changes.", "muted"))
    dialog = ConfirmDialog("Trust this folder?", lines, "trust", "cancel")
    if await app.push_screen_wait(dialog):
        await handle.do(TrustProject(shown=found.project_hash))
        app.notify("Trusted, as long as these files stay as they are.", timeout=3)


async def offer_memory(app: App[int], handle: SessionHandle) -> bool:
    """Ask whether the folder's memory files may go to the model; return whether there was anything to ask."""
    held = await handle.inspect.held_memory()
    if not held:
        return False
    lines: list[StyledLine] = [("This folder has instructions for the model:", "title")]
    lines += [(f"  {inert(line)}", "warning") for line in held]
    lines.append(("What they say steers the agent. You are asked again when one of them changes.", "muted"))
    dialog = ConfirmDialog("Give these files to the model?", lines, "give them", "not now")
    if await app.push_screen_wait(dialog):
        await handle.do(AgreeToMemory())
    return True


async def mention_trust(app: App[int], handle: SessionHandle) -> None:
    """Say once, at the start, that the folder's files want to allow something."""
    found = await asyncio.to_thread(handle.inspect.audit.rules, handle.state.conversation.workspace)
    if found.held_back:
        kinds = {"rule": len(found.held_back_rules), "folder": len(found.held_back_folders)}
        count = " and ".join(f"{n} {kind}{'' if n == 1 else 's'}" for kind, n in kinds.items() if n)
        text = f"This folder brings {count} that would allow things. They are off until you trust it: /trust"
        app.notify(inert(text), title="Not trusted", severity="warning", timeout=10, markup=False)
