"""The app: puts the pieces together, opens sessions, carries out commands.

The first paint needs Textual and the light widgets only. The session room is imported and opened behind it,
while keys already arrive in the prompt.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message

from tui_agent.text import inert, inert_line
from tui_agent.ui.commands import CommandProvider, ScreenCommand, parse_command
from tui_agent.ui.header import Header, HeaderData, git_branch
from tui_agent.ui.hints import KeyHints
from tui_agent.ui.layout import LayoutSaver, parse_layout
from tui_agent.ui.line import Line
from tui_agent.ui.prompt import Prompt
from tui_agent.ui.themes import DEFAULT_THEME, load_themes, packaged_themes
from tui_agent.ui.workbench import Workbench

if TYPE_CHECKING:
    from tui_agent.session import OpenOptions, SessionHandle, Update
    from tui_agent.ui.actions import PaneAction
    from tui_agent.ui.conversation import ConversationView
    from tui_agent.ui.history import History
    from tui_agent.ui.paged_view import PagedView
    from tui_agent.ui.permissions import PermissionQueue

QUIT_SECONDS = 2.0
"""How soon the second Ctrl+C must follow the first to quit."""


class SessionUpdated(Message):
    """The session committed something."""

    def __init__(self, update: Update) -> None:
        super().__init__()
        self.update = update


class TuiAgentApp(App[int]):
    """The full-screen agent. Returns its exit code.

    `open_session` opens the first session; None lists the sessions to choose from, for which `options`
    says where they are. `prompt` is sent as soon as the session is open.
    """

    CSS_PATH = Path(__file__).with_name("app.tcss")
    TITLE = "tui-agent"
    AUTO_FOCUS = "#prompt"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[Any]] = {CommandProvider}
    PAUSE_GC_ON_SCROLL = True
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 (Textual declares both as instance variables)
        (0, "-tiny"),
        (40, "-narrow"),
        (100, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (10, "-tall")]  # noqa: RUF012

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "escape", "back, or interrupt the run", show=False),
        Binding("ctrl+p", "command_palette", "commands", priority=True),
        Binding("f1", "help", "help"),
        Binding("f2", "sessions", "sessions"),
        Binding("f3", "place('timeline')", "timeline"),
        Binding("f4", "place('permissions')", "permissions"),
        Binding("f5", "place('budget')", "budget", show=False),
        Binding("f6", "place('conversation')", "conversation", show=False, priority=True),
        Binding("f7", "place('prompt')", "prompt", show=False, priority=True),
        Binding("alt+left", "resize(4, 0)", "wider right column", show=False, priority=True),
        Binding("alt+right", "resize(-4, 0)", "narrower right column", show=False, priority=True),
        Binding("alt+down", "resize(0, 5)", "taller timeline", show=False, priority=True),
        Binding("alt+up", "resize(0, -5)", "shorter timeline", show=False, priority=True),
        Binding("ctrl+c", "copy_or_quit", "copy, or quit on the second press", show=False),
        Binding("ctrl+q", "leave", "quit", show=False, priority=True),
    ]

    def __init__(
        self,
        open_session: Callable[[], Awaitable[SessionHandle]] | None,
        *,
        options: Callable[[], OpenOptions] | None = None,
        prompt: str = "",
        theme: str = "",
        theme_folders: Sequence[Path] = (),
        driver_class: Any = None,
    ) -> None:
        super().__init__(driver_class=driver_class)
        self._open_session = open_session
        self._options = options
        self._first_prompt = prompt
        self._early: list[events.Event] | None = []
        self._opened = asyncio.Event()
        self._opening = open_session is not None
        self._failed = ""
        self._submitting = asyncio.Lock()
        self._unsubscribe: Callable[[], None] = lambda: None
        self._saver: LayoutSaver | None = None
        self._history: History | None = None
        self._run_began = 0.0
        self._quit_asked = -QUIT_SECONDS
        self.handle: SessionHandle | None = None
        """The session on screen, None until it is open."""
        self.commands: tuple[ScreenCommand, ...] = ()
        """The commands that can be carried out."""
        loaded = load_themes([packaged_themes(), *theme_folders])
        for own in loaded.themes.values():
            self.register_theme(own)
        self.own_themes = tuple(loaded.themes)
        """Names of the themes from the package's and the person's folders."""
        self._theme_problems = loaded.problems
        wanted = theme or DEFAULT_THEME
        if wanted in self.available_themes:
            self.theme = wanted
        else:
            self._theme_problems += (f"There is no theme {wanted!r}; there are {', '.join(self.own_themes)}.",)
            self.theme = DEFAULT_THEME if DEFAULT_THEME in self.available_themes else "textual-dark"

    def compose(self) -> ComposeResult:
        """Lay out the header, the panes and the footer."""
        yield Header(id="header")
        yield Workbench(id="workbench")
        yield KeyHints(id="footer")
        small = Line(id="too-small")
        small.content = Content("too small: 40×10 is needed")
        yield small

    @property
    def workbench(self) -> Workbench:
        """The panes."""
        return self.screen_stack[0].query_one(Workbench)

    async def on_event(self, event: events.Event) -> None:
        if self._early is not None and isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            # Typed before the prompt can take it: kept, and typed again when it can.
            self._early.append(event)
            return
        await super().on_event(event)

    def on_mount(self) -> None:
        """Paint first."""
        self.query_one(Header).show(HeaderData())
        self.call_after_refresh(self._painted)

    async def _painted(self) -> None:
        self.workbench.prompt.focus()
        early, self._early = self._early or [], None
        for event in early:
            await super().on_event(event)
        for problem in self._theme_problems:
            self.notify(inert(problem), title="Theme", severity="warning", markup=False)
        self.set_interval(1.0, self._tick)
        self.start(self._begin())

    async def _begin(self) -> None:
        await asyncio.to_thread(_import_session_room)
        await self.workbench.complete()
        from tui_agent.ui.carry_out import offered_commands

        self.commands = offered_commands()
        self.workbench.prompt.commands = tuple((f"/{c.name}", c.description) for c in self.commands)
        if self._open_session is None:
            await self.action_sessions()
            return
        try:
            handle = await self._open_session()
        except Exception as error:
            self._failed = self.report(error, "The session could not be opened")
            self._opening = False
            self._opened.set()  # prompts that waited are given back
            if self._first_prompt:
                self._give_back(self._first_prompt)
                self._first_prompt = ""
            self._tick()
            return
        await self.show_session(handle)

    async def show_session(self, handle: SessionHandle) -> None:
        """Put a session on the screen in place of the one that is there."""
        from tui_agent.ui.history import History

        await self.leave_session()
        self._opened.clear()
        workbench = self.workbench
        self.handle = handle
        self._failed = ""
        layout = parse_layout(await handle.layout())
        self._history = History(handle.items, handle.item_count)
        self._unsubscribe = handle.subscribe(self._receive)
        if layout.theme in self.available_themes:
            self.theme = layout.theme
        await workbench.attach(handle, layout)
        self._show_header()
        branch = await asyncio.to_thread(git_branch, Path(handle.state.conversation.workspace))
        header = self.query_one(Header)
        header.show(replace(header.data, branch=branch))
        self._saver = LayoutSaver(workbench, lambda: workbench.collect(self.theme), handle.save_layout)
        await handle.start()
        self._opening = False
        self._opened.set()
        if self._first_prompt:
            first, self._first_prompt = self._first_prompt, ""
            await self.submit(first)

    async def leave_session(self) -> None:
        """Save and close the session on the screen, if there is one."""
        if self.handle is None:
            return
        self._opened.clear()
        self._unsubscribe()
        if self._saver is not None:
            if not self.handle.read_only:
                await self._saver.flush()
            self._saver.stop()
            self._saver = None
        handle, self.handle = self.handle, None
        await handle.close()
        self.workbench.prompt.clear_draft()

    def _receive(self, update: Update) -> None:
        self.post_message(SessionUpdated(update))

    @on(SessionUpdated)
    def _show_update(self, message: SessionUpdated) -> None:
        from tui_agent.events import Notice

        update = message.update
        self.workbench.show(update)
        if self._history is not None:
            self._history.note(update.items)
        for event in update.events:
            if isinstance(event, Notice) and event.level != "info":
                self.notify(inert(event.message), severity=event.level, markup=False)
        self._show_header()

    def _show_header(self) -> None:
        if self.handle is None:
            return
        state = self.handle.state.conversation
        header = self.query_one(Header)
        header.show(
            replace(
                header.data,
                workspace=state.workspace,
                model=state.model,
                mode=state.mode,
                title=state.title,
                offline=state.offline,
                sandbox=state.sandbox,
                read_only=self.handle.read_only,
                waiting=self.workbench.waiting_count,
                home=str(self.handle.options.runtime.home),
            )
        )
        self._set_terminal_title(state.title)
        self._tick()

    def _tick(self) -> None:
        run = self.handle.state.conversation.active_run if self.handle else None
        status = ""
        if run is not None and self.handle is not None:
            status = f"● working {max(0, int(self.handle.options.runtime.now() - run.started))} s · Esc interrupts"
        elif self._failed:
            status = "no session is open: F2 lists them, /new begins one"
        elif self.handle is None:
            status = "opening the session …" if self._open_session else ""
        self.query_one(KeyHints).show_status(status, "interrupt" if run is not None else "")

    def _set_terminal_title(self, title: str) -> None:
        text = inert_line(f"{title} · tui-agent" if title else "tui-agent")
        if text != self.sub_title:
            self.sub_title = text
            if self._driver is not None and not self.is_headless:
                self._driver.write(f"\x1b]2;{text}\x07")

    def on_workbench_waiting_changed(self, event: Workbench.WaitingChanged) -> None:
        """Ring when something waits and the person looks elsewhere."""
        wanted = self.handle is not None and self.handle.settings.settings.notifications
        if event.arrived and wanted and not self.app_focus:
            self.bell()
        self._show_header()

    def on_workbench_layout_changed(self) -> None:
        """Save the layout soon."""
        if self._saver is not None and self.handle is not None and not self.handle.read_only:
            self._saver.touch()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background; an error is shown and ends nothing."""

        async def guarded() -> None:
            try:
                await work
            except Exception as error:
                self.report(error)

        self.run_worker(guarded(), exit_on_error=False)

    def report(self, error: Exception, what: str = "") -> str:
        """Show an error; return what was shown."""
        # The program's own errors are sentences for the person; others say little without their name.
        own = type(error).__module__.startswith("tui_agent.")
        text = str(error) if own else f"{type(error).__name__}: {error}"
        message = inert(f"{what}: {text}" if what else text)
        self.notify(message, severity="error", timeout=15, markup=False)
        return message

    def on_prompt_sent(self, event: Prompt.Sent) -> None:
        """Send a prompt, or carry out a command."""
        self.start(self.submit(event.text))

    async def submit(self, text: str) -> None:
        """Send a prompt or carry out a command. What cannot be taken goes back into the prompt."""
        from tui_agent.ui.carry_out import CommandError, carry_out

        command = parse_command(text)
        if command and command[0] in {"quit", "help", "sessions"}:
            # These need no session, and leaving waits for the prompts before it.
            await carry_out(self, *command)
            return
        async with self._submitting:
            try:
                await self._opened.wait()
                if self._failed and not (command and command[0] in {"new", "resume"}):
                    self._give_back(text)
                    self.notify(self._failed, severity="warning", markup=False)
                elif command:
                    await carry_out(self, *command)
                elif self.handle is not None:
                    await self.handle.submit(text)
                    if self._history is not None:
                        self._history.reset()
            except CommandError as error:
                self._give_back(text)
                self.notify(inert(str(error)), severity="warning", markup=False)
            except Exception:
                self._give_back(text)
                raise

    def _give_back(self, text: str) -> None:
        prompt = self.workbench.prompt
        prompt.take(f"{text}\n{prompt.text}" if prompt.text else text)

    def start_pane_action(self, action: PaneAction) -> None:
        """Do what the palette offers besides commands."""
        from tui_agent.ui.actions import run_pane_action

        self.start(run_pane_action(self, action))

    def edit_in_prompt(self, text: str) -> None:
        """Put a command into the prompt to be completed; a draft that was there comes back with undo."""
        self.workbench.prompt.take(text)
        self.workbench.focus_place("prompt")

    def offer_command(self, command: ScreenCommand) -> None:
        """Carry a command out; one that takes an argument is put into the prompt to be completed."""
        if command.argument:
            self.edit_in_prompt(f"/{command.name} ")
        else:
            self.start(self.submit(f"/{command.name}"))

    def copy_to_clipboard(self, text: str) -> None:
        """Send `text` to the terminal's clipboard and to this machine's; then say what became of it."""
        super().copy_to_clipboard(text)
        self.start(self._copy_locally(text))

    async def _copy_locally(self, text: str) -> None:
        from tui_agent.ui.clipboard import copy_locally

        copied = await copy_locally(text, self.open_options().runtime.environment)
        self.notify(copied.message, timeout=2 if copied.sure else 6, markup=False)

    def on_conversation_view_copy_requested(self, event: ConversationView.CopyRequested) -> None:
        """Copy an item of the conversation."""
        self.copy_to_clipboard(event.text)

    def on_paged_view_fetch_failed(self, event: PagedView.FetchFailed) -> None:
        """Say what could not be read."""
        self.notify(inert(event.reason), severity="error", markup=False)

    def on_prompt_older_wanted(self) -> None:
        """Show an older prompt."""
        self.start(self._older())

    async def _older(self) -> None:
        prompt = self.workbench.prompt
        if self._history is not None and (text := await self._history.older(prompt.text)) is not None:
            prompt.take(text)

    def on_prompt_newer_wanted(self) -> None:
        """Show a newer prompt, in the end the draft."""
        if self._history is not None and (text := self._history.newer()) is not None:
            self.workbench.prompt.take(text)

    def on_permission_queue_decided(self, event: PermissionQueue.Decided) -> None:
        """Tell the session of a decision."""
        if self.handle is not None:
            work = self.handle.decide(event.request, event.verdict, scope=event.scope, comment=event.comment)
            self.start(self._answer(event.request, work))

    def on_permission_queue_resolved(self, event: PermissionQueue.Resolved) -> None:
        """Tell the session what became of an uncertain step."""
        if self.handle is not None:
            self.start(self._answer(event.step, self.handle.resolve(event.step, event.resolution)))

    def on_permission_queue_answered(self, event: PermissionQueue.Answered) -> None:
        """Tell the model what the person answered."""
        if self.handle is not None:
            self.start(self._answer(event.question, self.handle.answer(event.question, event.text)))

    async def _answer(self, identifier: str, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception:
            self.workbench.reopen(identifier)
            raise

    def on_permission_queue_preview_wanted(self, event: PermissionQueue.PreviewWanted) -> None:
        """Show a request in full size."""
        from tui_agent.ui.dialogs import TextDialog

        foot = Content.styled("Only for reading: Esc goes back, then y, n …", "$foreground-muted")
        self.push_screen(TextDialog("Request", event.entry.lines, foot))

    def action_escape(self) -> None:
        """Step back: out of a comment, a list, a pane; from the prompt, interrupt the run."""
        if self.workbench.step_back() or self.handle is None:
            return
        self.action_interrupt()

    def action_interrupt(self) -> None:
        """Stop the run, if there is one."""
        if self.handle is not None and self.handle.state.conversation.active_run is not None:
            self.start(self.handle.interrupt())

    def action_place(self, name: str) -> None:
        """Go to a pane."""
        self.workbench.focus_place(name)

    def action_resize(self, side: int, timeline: int) -> None:
        """Move the borders between the panes."""
        self.workbench.resize_panes(side=side, timeline=timeline)

    def action_copy_or_quit(self) -> None:
        """Copy what is selected; without a selection, quit on the second press."""
        selected = self.screen.get_selected_text()
        if selected:
            self.copy_to_clipboard(selected)
            return
        now = monotonic()
        if now - self._quit_asked < QUIT_SECONDS:
            self.start(self.action_leave())
        else:
            self._quit_asked = now
            self.notify("Press Ctrl+C again to quit; the draft is kept. Esc interrupts a run.", timeout=2)

    def on_prompt_interrupt_key(self) -> None:
        """Ctrl+C in the prompt, with nothing selected there."""
        self.action_copy_or_quit()

    def on_prompt_quit_wanted(self) -> None:
        """Ctrl+D on an empty prompt."""
        self.start(self.action_leave())

    async def action_leave(self) -> None:
        """Save, close the session, end. A prompt sent before the session is open is kept first."""
        try:
            if self._opening and self._submitting.locked():
                self.notify("Your prompt is being kept; then this ends.", timeout=5)
                async with self._submitting:
                    pass
            await self.leave_session()
        finally:
            self.exit(0)

    async def action_sessions(self) -> None:
        """Choose another session."""
        from tui_agent.ui.carry_out import browse

        self.start(browse(self))

    def action_help(self) -> None:
        """Show all keys and commands."""
        from tui_agent.ui.actions import help_screen

        self.push_screen(help_screen(self))

    def use_theme(self, name: str) -> None:
        """Switch to a theme; the session remembers it."""
        self.theme = name
        self.on_workbench_layout_changed()

    def open_options(self) -> OpenOptions:
        """Return the options sessions are opened with. Raises `RuntimeError` when there are none."""
        if self.handle is not None:
            return self.handle.options
        if self._options is None:
            raise RuntimeError("There is no session to take the options from.")
        return self._options()

    def on_prompt_draft_changed(self) -> None:
        """Show what the word being typed could become."""
        self.workbench.show_completions()


def _import_session_room() -> None:
    """Import what a session needs, off the loop; a collection in the middle would stall every key."""
    gc.disable()
    try:
        session = importlib.import_module("tui_agent.session")
        for name in ("SessionHandle", "SessionState", "PromptItem", "load_commands", "SessionError"):
            getattr(session, name)
        for name in ("budget", "carry_out", "conversation", "history", "permissions", "timeline"):
            importlib.import_module(f"tui_agent.ui.{name}")
    finally:
        gc.freeze()
        gc.enable()
