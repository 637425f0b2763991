"""Carrying out commands: which the screen does itself, which it asks the session to do."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tui_agent.session import (
    MODES,
    AnswerItem,
    SessionHandle,
    delete_session,
    list_sessions,
    load_commands,
    open_session,
    resume_session,
    search_sessions,
)
from tui_agent.submissions import AddFolder, Compact, Configure, EndBackground, Fork, RemoveFolder, StopAgent
from tui_agent.text import inert_line
from tui_agent.ui import reports
from tui_agent.ui.audit import show_audit, show_what_if
from tui_agent.ui.browser import Choice, SessionBrowser
from tui_agent.ui.commands import ScreenCommand
from tui_agent.ui.context import show_context, show_receipt
from tui_agent.ui.picker import Picker
from tui_agent.ui.render.words import clock
from tui_agent.ui.trust import offer_trust

if TYPE_CHECKING:
    from tui_agent.session import Model
    from tui_agent.ui.app import TuiAgentApp

PLACES = ("conversation", "timeline", "permissions", "budget", "prompt")
"""Commands that go to a pane."""

CARRIED_OUT = frozenset(
    {
        *PLACES, "help", "quit", "new", "sessions", "resume", "fork", "compact", "model", "effort", "mode",
        "max-turns", "title", "interrupt", "stop", "theme", "copy", "verify", "export", "tools", "context",
        "receipt", "audit", "trust", "background", "add-dir", "remove-dir",
    }
)  # fmt: skip
"""Commands that work on the screen."""


class CommandError(Exception):
    """A command cannot be carried out as written; the message says what to write instead."""


def offered_commands() -> tuple[ScreenCommand, ...]:
    """Return the registry's commands that work on the screen."""
    return tuple(
        ScreenCommand(command.name, command.description, command.argument)
        for command in load_commands().values()
        if command.name in CARRIED_OUT
    )


async def carry_out(app: TuiAgentApp, name: str, argument: str) -> None:
    """Carry out a command. Raises `CommandError` when it does not exist or lacks something."""
    if name not in CARRIED_OUT:
        raise CommandError(f"There is no command /{name}. / lists them; a prompt may not begin like one.")
    match name:
        case "help":
            app.action_help()
        case "quit":
            await app.action_leave()
        case "sessions":
            await app.action_sessions()
        case "resume":
            if argument:
                await switch(app, Choice("open", argument))
            else:
                await app.action_sessions()
        case "new":
            await switch(app, Choice("new"))
        case "theme":
            if argument and argument not in app.available_themes:
                raise CommandError(f"There is no theme {argument!r}; there are {', '.join(app.own_themes)}.")
            if argument:
                app.use_theme(argument)
            else:
                app.start(_pick_theme(app))
        case "budget" if argument and app.handle is not None:
            await app.handle.do(Configure(limits=parse_limit(argument)))
        case _ if name in PLACES:
            app.workbench.focus_place(name)
        case _ if app.handle is not None:
            await _ask_session(app, app.handle, name, argument)


async def _ask_session(app: TuiAgentApp, handle: SessionHandle, name: str, argument: str) -> None:
    match name:
        case "compact":
            await _compact(handle, argument)
        case "context":
            await show_context(app, handle)
        case "receipt":
            await _receipt(app, handle, argument)
        case "audit":
            await _audit(app, handle, argument)
        case "trust":
            app.start(offer_trust(app, handle))
        case "interrupt":
            await app.interrupt()
        case "background":
            await _background(handle, argument)
        case "add-dir":
            await _add_folder(handle, argument)
        case "remove-dir":
            if not argument:
                raise CommandError("Name the folder to take back; /add-dir lists them.")
            folder = inert_line(await handle.do(RemoveFolder(path=argument)))
            app.notify(f"{folder} is not used any more", timeout=4, markup=False)
        case "stop":
            await handle.do(StopAgent(name=argument))
        case "fork":
            await switch(app, Choice("open", await handle.do(Fork())))
        case "model":
            if argument:
                await handle.do(Configure(model=argument))
            else:
                app.start(_pick_model(app, handle))
        case "mode":
            if argument:
                await handle.do(Configure(mode=argument))
            else:
                app.start(_pick_mode(app, handle))
        case "effort":
            if not argument:
                effort = handle.state.conversation.effort or handle.settings.settings.effort or "the server's default"
                raise CommandError(
                    f"The effort is {effort}. Change it: /effort low, medium, high, xhigh, max, default"
                )
            await handle.do(Configure(effort=argument))
        case "title":
            if argument:
                await handle.do(Configure(title=argument))
            else:
                app.edit_in_prompt(f"/title {handle.state.conversation.title}")
        case "max-turns":
            if not argument.isdecimal():
                raise CommandError("Write a number: /max-turns 500, or /max-turns 0 for no limit.")
            await handle.do(Configure(max_turns=int(argument)))
        case "copy":
            await _copy_answer(app, handle)
        case "verify":
            await reports.verify(app, handle)
        case "export":
            await reports.export(app, handle, argument)
        case "tools":
            if argument not in {"", "commands"}:
                raise CommandError("Write /tools or /tools commands.")
            await reports.tools(app, handle, argument)


async def _pick_theme(app: TuiAgentApp) -> None:
    picked = await app.push_screen_wait(Picker("Theme", app.theme, [(name, "") for name in app.own_themes]))
    if picked is not None:
        app.use_theme(picked)


async def _pick_model(app: TuiAgentApp, handle: SessionHandle) -> None:
    rows = [(model.id, _model_facts(model)) for model in handle.inspect.models]
    picked = await app.push_screen_wait(Picker("Model", handle.state.conversation.model, rows))
    if picked is not None:
        await handle.do(Configure(model=picked))


def _model_facts(model: Model) -> str:
    price = f" · ${model.price.input:g} in, ${model.price.output:g} out per 1M tokens" if model.price else ""
    return f"{model.name} · window {model.context_window:,} tokens{price}"


async def _pick_mode(app: TuiAgentApp, handle: SessionHandle) -> None:
    rows = [(name, meaning) for name, meaning in MODES.items() if name != "bypass"]
    picked = await app.push_screen_wait(Picker("Mode", handle.state.conversation.mode, rows, decides=True))
    if picked is not None:
        await handle.do(Configure(mode=picked))


async def _add_folder(handle: SessionHandle, argument: str) -> None:
    """Add a folder to the session, or show those it has."""
    if argument:
        await handle.do(AddFolder(path=argument))
        return
    rows = [inert_line(folder) for folder in await handle.inspect.folders()]
    raise CommandError(
        "\n".join(["The session uses these besides its own:", *rows])
        if rows
        else "No folder is added. Add one: /add-dir PATH"
    )


async def _background(handle: SessionHandle, argument: str) -> None:
    """Show the commands that run in the background, or end one, or all."""
    verb, _, which = argument.partition(" ")
    if verb == "end" and which.strip():
        await handle.do(EndBackground(step="" if which.strip() == "all" else which.strip()))
        return
    rows = [f"{command.step}  {command.title}, until {clock(command.until)}" for command in handle.background]
    listed = "\n".join(rows) or "No command runs in the background."
    raise CommandError(listed + ("\nEnd one: /background end ID, or all" if rows else ""))


async def _audit(app: TuiAgentApp, handle: SessionHandle, argument: str) -> None:
    """Show the trail, or with `VERB RULE` what the trail would have been with that rule more or less."""
    verb, _, rule = argument.partition(" ")
    if not argument:
        await show_audit(app, handle)
    elif verb in {"allow", "ask", "deny", "without"} and rule.strip():
        await show_what_if(app, handle, verb, rule.strip())
    else:
        raise CommandError("Write /audit, or /audit allow|ask|deny|without RULE to see what that would have done.")


_PART = re.compile(r"--(keep|last)\s+(\d+)(?:\s+|$)")


async def _compact(handle: SessionHandle, argument: str) -> None:
    """Compact all, or with `--keep N` all but the newest N prompts, or with `--last N` only those."""
    part = _PART.match(argument)
    if part is None:
        if argument.startswith("--"):
            raise CommandError("Write /compact, /compact --keep 3 or /compact --last 3, each with what to keep.")
        await handle.do(Compact(instructions=argument))
        return
    prompts = await handle.inspect.prompts_in_window()
    number = int(part[2])
    if not 0 < number <= len(prompts):
        raise CommandError(f"There are {len(prompts)} prompts in the window: write a number up to that.")
    rest, event = argument[part.end() :], prompts[-number]
    if part[1] == "keep":
        await handle.do(Compact(instructions=rest, before=event))
    else:
        await handle.do(Compact(instructions=rest, since=event))


async def _receipt(app: TuiAgentApp, handle: SessionHandle, argument: str) -> None:
    receipts = await handle.inspect.receipts()
    if not receipts:
        raise CommandError("Nothing was compacted in this session yet.")
    number = int(argument) if argument.isdecimal() else len(receipts)
    if not 0 < number <= len(receipts):
        raise CommandError(f"There are {len(receipts)} receipts: write a number up to that.")
    await show_receipt(app, handle, receipts[number - 1], f"Receipt {number} of {len(receipts)}")


_SHORT = {"input": "input_tokens", "output": "output_tokens"}


def parse_limit(argument: str) -> dict[str, float | None]:
    """Return the limit that `/budget SCOPE KIND AMOUNT` sets, None for `off`. Raises `CommandError`."""
    usage = (
        "Write it like this: /budget session cost 5, or /budget run tokens off. Scopes: run, session, day (UTC, all "
        "sessions). Kinds: turns, input, output, tokens, cost (dollars), time (seconds)."
    )
    words = argument.lower().split()
    if len(words) != 3:
        raise CommandError(usage)
    scope, kind, amount = words
    key = f"{scope}.{_SHORT.get(kind, kind)}"
    if amount in {"off", "none"}:
        return {key: None}
    try:
        return {key: float(amount.removeprefix("$").replace(",", "").replace("_", ""))}
    except ValueError:
        raise CommandError(usage) from None


async def _copy_answer(app: TuiAgentApp, handle: SessionHandle) -> None:
    stop = handle.item_count
    while stop > 0:
        start = max(0, stop - 50)
        items = await handle.items(start, stop)
        for position in sorted(items, reverse=True):
            item = items[position]
            if isinstance(item, AnswerItem):
                text = "\n\n".join(block.text for block in item.blocks if block.kind == "text" and block.text)
                if text:
                    app.copy_to_clipboard(text)
                    return
        stop = start
    raise CommandError("There is no answer yet.")


async def browse(app: TuiAgentApp) -> None:
    """Let the user choose a session, and open it."""
    options = app.open_options()
    current = app.handle.session if app.handle is not None else ""
    data = options.data_dir
    browser = SessionBrowser(
        lambda: list_sessions(data),
        lambda text: search_sessions(data, text),
        lambda session: delete_session(data, session),
        current,
        options.runtime.now(),
    )
    choice = await app.push_screen_wait(browser)
    if choice is not None:
        await switch(app, choice)
    elif app.handle is None:  # nothing was chosen, and there is no session to go back to
        handle = await open_session(options)
        handle.remarks.append("No session was chosen: this is a new one.")
        await app.show_session(handle)


async def switch(app: TuiAgentApp, choice: Choice) -> None:
    """Open another session in place of the one on the screen. When it cannot be opened, the old one stays."""
    options = app.open_options()
    if choice.kind == "new":
        handle = await open_session(options)
    elif app.handle is not None and choice.session == app.handle.session:
        return
    else:
        # The flags were for the session they were given with; the other one has its own.
        others = replace(
            options, model="", mode="", effort=None, max_turns=None, limits={}, folders=(), scenario=None
        )
        handle = await resume_session(choice.session, others)
    await app.show_session(handle)
