"""What a user can do about a request besides yes and no: ask why, make a rule, change the call, take parts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Literal

from textual.content import Content

from tui_agent.events import JsonObject, PermissionRequested
from tui_agent.submissions import AllowAlways, ChooseHunks, EditCall
from tui_agent.text import inert, inert_strict
from tui_agent.ui.approval_dialogs import EditDialog, PartsDialog, RuleDialog
from tui_agent.ui.dialogs import TextDialog
from tui_agent.ui.why import judgement_lines, why_lines

if TYPE_CHECKING:
    from tui_agent.session import SessionHandle
    from tui_agent.ui.app import TuiAgentApp


async def approve(app: TuiAgentApp, request_id: str, what: Literal["why", "always", "edit", "parts"]) -> None:
    """Do what the user wants with a request that waits; nothing when it went meanwhile."""
    handle = app.handle
    request = next((p for p in handle.state.permissions.pending if p.request == request_id), None) if handle else None
    if handle is None or request is None:
        return
    match what:
        case "why":
            lines = [(request.title, "title"), *judgement_lines(request.judgement, request.why)]
            app.push_screen(TextDialog("Why was this asked?", lines, _back()))
        case "always":
            await _always(app, handle, request)
        case "edit":
            await _edit(app, handle, request)
        case "parts":
            await _parts(app, handle, request)


async def show_why(app: TuiAgentApp, step: str) -> None:
    """Show the reasons of all that was decided on a step."""
    if app.handle is not None:
        events = await app.handle.inspect.why(step)
        await app.push_screen(TextDialog("Why?", list(why_lines(events)), _back()))


def _back() -> Content:
    return Content.styled("Esc goes back", "$foreground-muted")


async def _always(app: TuiAgentApp, handle: SessionHandle, request: PermissionRequested) -> None:
    rule = suggested_rule(request)
    needed = (
        await handle.inspect.suggest_rules(request.request)
        if request.tool == "bash" and not request.session_scope
        else []
    )
    offers = needed or [rule, *(wider for wider in wider_rules(rule) if wider != rule)]
    dialog = RuleDialog(
        offers, lambda rules: handle.inspect.preview_rules(request.request, *rules), together=len(needed) > 1
    )
    chosen = await app.push_screen_wait(dialog)
    if chosen is not None:
        path = await handle.do(AllowAlways(rules=chosen))
        app.notify(inert(f"Saved to {path}: {', '.join(chosen)}"), timeout=4, markup=False)


async def _edit(app: TuiAgentApp, handle: SessionHandle, request: PermissionRequested) -> None:
    text, language = editable(request)
    dialog = EditDialog(request.title, text, language, lambda changed: parsed(request, changed))
    call_input = await app.push_screen_wait(dialog)
    if call_input is not None and call_input != request.input:
        await handle.do(EditCall(request=request.request, input=call_input))


async def _parts(app: TuiAgentApp, handle: SessionHandle, request: PermissionRequested) -> None:
    hunks = await handle.inspect.hunks(request.request)
    if len(hunks) < 2:
        app.notify("This change has only one part.", timeout=4)
        return
    chosen = await app.push_screen_wait(PartsDialog(request.title, hunks))
    if chosen is not None and len(chosen) < len(hunks):
        await handle.do(ChooseHunks(request=request.request, chosen=tuple(sorted(chosen))))


def suggested_rule(request: PermissionRequested) -> str:
    """Return the rule that the user is offered to begin with."""
    if request.session_scope:
        return request.session_scope
    if request.tool == "bash":
        return f"Bash({request.input.get('command', '')})"
    path = request.input.get("path")
    if isinstance(path, str) and request.tool in {"read", "glob", "grep", "write", "edit"}:
        name = "Edit" if request.tool in {"write", "edit"} else "Read"
        return f"{name}({'/' + path if path.startswith('/') else path if path.startswith('~') else './' + path})"
    return request.tool


def wider_rules(rule: str) -> list[str]:
    """Return what else is offered beside the rule for one file: its folder, and all files of the workspace."""
    match = re.fullmatch(r"(Edit|Read)\(\./([^*]+)\)", rule)
    if match is None:
        return []
    folder = match[2].rpartition("/")[0]
    return [*([f"{match[1]}(./{folder}/**)"] if folder else []), f"{match[1]}(./**)"]


def editable(request: PermissionRequested) -> tuple[str, str]:
    """Return a call as text to edit, and its language: a command alone, or the input as JSON.

    The text is inert without a change: what a terminal must not get is written as a JSON escape.
    """
    command = request.input.get("command")
    if request.tool == "bash" and isinstance(command, str) and inert_strict(command) == command:
        return command, "bash"
    text = json.dumps(request.input, ensure_ascii=False, indent=2)
    return text if inert(text) == text else json.dumps(request.input, indent=2), "json"


def parsed(request: PermissionRequested, text: str) -> JsonObject:
    """Return the input that the edited text stands for. Raises `ValueError`."""
    if editable(request)[1] == "bash":
        return {**request.input, "command": text}
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("the input is an object: { … }")  # noqa: TRY004  # one error for all that cannot be read
    return found
