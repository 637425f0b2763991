"""What commands answer with text: the check of the journal, the export, the tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from tui_agent.session import export_session, load_commands, tool_reports, verify_session
from tui_agent.text import inert
from tui_agent.ui.dialogs import TextDialog

if TYPE_CHECKING:
    from tui_agent.session import SessionHandle, ToolReport
    from tui_agent.ui.app import TuiAgentApp
    from tui_agent.ui.text_lines import StyledLine

FOOT = Content.styled("Esc goes back", "$foreground-muted")


async def verify(app: TuiAgentApp, handle: SessionHandle) -> None:
    """Check the session's journal and show the result."""
    result = await verify_session(handle.path, handle.options.runtime)
    lines: list[StyledLine] = [
        ("The journal is whole." if result.ok else "The journal is NOT as it was written.", "title" if result.ok else
         "warning"),
        (result.message, ""),
        ("", ""),
        ("Checked: each event against the hash chain, and the stored state against a fold of all events.", "muted"),
        *((f"lost to damage and declared so: events {gap.first} to {gap.last}", "warning") for gap in result.gaps),
        (f"session {handle.session}", "muted"),
        (str(handle.path), "muted"),
    ]  # fmt: skip
    app.push_screen(TextDialog("Verify", lines, FOOT))


async def export(app: TuiAgentApp, handle: SessionHandle, argument: str) -> None:
    """Write the conversation to a file, in the workspace unless the argument says where."""
    folder = Path(handle.state.conversation.workspace or handle.options.workspace)
    name = argument.strip().strip('"') or f"tui-agent-{handle.session}.md"
    if name.startswith("~/"):
        name = str(handle.options.runtime.home / name[2:])
    target = folder / name
    count = await export_session(handle, target)
    what = "events" if target.suffix == ".jsonl" else "parts of the conversation"
    app.notify(inert(f"Wrote {count} {what} to {target}"), timeout=6, markup=False)


async def tools(app: TuiAgentApp, handle: SessionHandle, which: str) -> None:
    """Show the tools with what the session's pool says of them, and the commands; or one of both."""
    lines: list[StyledLine] = []
    if which != "commands":
        lines += _tools(await tool_reports(handle))
    lines += _commands()
    app.push_screen(TextDialog("Tools", lines, FOOT))


def _tools(reports: list[ToolReport]) -> Iterator[StyledLine]:
    yield "Tools: what the model can be offered", "title"
    for report in reports:
        tool = report.tool
        if report.offered is None:
            offer, style = "the first turn decides whether it is offered", "muted"
        elif report.offered:
            offer, style = f"offered: {report.reason}", "added"
        else:
            offer, style = f"not offered: {report.reason}", "removed"
        yield f"{tool.name:<14} {tool.tier} · {tool.effect} · {tool.source}", ""
        yield f"    {offer}", style
        yield f"    {tool.description.splitlines()[0] if tool.description else ''}", "muted"
    yield "", ""


def _commands() -> Iterator[StyledLine]:
    yield "Commands: what you can do", "title"
    for command in load_commands().values():
        name = f"/{command.name}" + (f" {command.argument}" if command.argument else "")
        yield f"{name:<26} {command.tier} · {command.effect} · {command.where} · {command.source}", ""
        yield f"    {command.description}", "muted"
