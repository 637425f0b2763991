"""The app: what is on the screen, its keys and its themes.

The first paint needs Textual and the light widgets only. The session room is imported and opened behind it,
while keys already arrive in the prompt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual._compositor import CompositorUpdate
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, TextArea

from tui_agent.text import inert
from tui_agent.ui.commands import CommandProvider, ScreenCommand
from tui_agent.ui.header import Header, HeaderData
from tui_agent.ui.hints import KeyHints
from tui_agent.ui.keys import in_burst, typed_text
from tui_agent.ui.line import Line
from tui_agent.ui.line_input import Editor, LineInput
from tui_agent.ui.prompt import GUARD_SECONDS
from tui_agent.ui.session_app import SessionApp
from tui_agent.ui.terminal import has_job_control
from tui_agent.ui.terminal_cells import TerminalCells
from tui_agent.ui.themes import DEFAULT_THEME, FEW_COLORS_THEME, load_themes, packaged_themes
from tui_agent.ui.workbench import Workbench

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.screen import Screen

    from tui_agent.session import OpenOptions, SessionHandle
    from tui_agent.ui.actions import PaneAction
    from tui_agent.ui.conversation import ConversationView
    from tui_agent.ui.permissions import PermissionQueue
    from tui_agent.ui.waiting import Waiting

LEAST_WIDTH, LEAST_HEIGHT = 40, 10
"""Cells, below which a message covers the screen."""

HARMLESS_KEYS = frozenset(
    {"escape", "up", "down", "left", "right", "pageup", "pagedown", "home", "end", "ctrl+c", "ctrl+q"}
)
"""Keys that decide nothing in any dialog."""
DECIDING_KEYS = frozenset({"enter", "ctrl+s"})
"""Keys that decide even while a field of a dialog has the focus."""

QUIT_SECONDS = 2.0
"""How soon the second Ctrl+C must follow the first to quit."""


class TuiAgentApp(SessionApp):
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
        (LEAST_WIDTH, "-narrow"),
        (100, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (LEAST_HEIGHT, "-low"), (32, "-middle"), (45, "-tall")]  # noqa: RUF012

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "escape", "back, or interrupt the run", show=False),
        Binding("ctrl+p", "command_palette", "commands", priority=True),
        Binding("f1", "help", "help"),
        Binding("f2", "sessions", "sessions"),
        Binding("f3", "place('timeline')", "timeline", priority=True),
        Binding("f4", "place('permissions')", "permissions", priority=True),
        Binding("f5", "place('budget')", "budget", show=False, priority=True),
        Binding("f6", "place('conversation')", "conversation", show=False, priority=True),
        Binding("f7", "place('prompt')", "prompt", show=False, priority=True),
        Binding("f8", "carry_out('context')", "context", show=False),
        Binding("f9", "carry_out('audit')", "audit", show=False),
        Binding("alt+left", "resize(4, 0)", "wider right column", show=False, priority=True),
        Binding("alt+right", "resize(-4, 0)", "narrower right column", show=False, priority=True),
        Binding("alt+down", "resize(0, 5)", "taller timeline", show=False, priority=True),
        Binding("alt+up", "resize(0, -5)", "shorter timeline", show=False, priority=True),
        Binding("ctrl+c", "copy_or_quit", "copy, or quit on the second press", show=False),
        Binding("ctrl+l", "repaint", "paint the screen again", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", "suspend; fg comes back", show=False, priority=True),
        Binding("ctrl+q", "leave", "quit", show=False, priority=True),
    ]

    def __init__(
        self,
        open_session: Callable[[], Awaitable[SessionHandle]] | None,
        *,
        options: Callable[[], OpenOptions] | None = None,
        prompt: str = "",
        theme: str = "",
        few_colors: bool = False,
        theme_folders: Sequence[Path] = (),
        driver_class: Any = None,
    ) -> None:
        super().__init__(open_session, options=options, prompt=prompt, driver_class=driver_class)
        self.takes_keys = False
        self._cells = TerminalCells()
        self._cursor_shown = False
        self._quit_asked = -QUIT_SECONDS
        self._blind_until = 0.0
        self._strayed = -GUARD_SECONDS
        self._leaving, self._leave_code = False, 0
        self._background_settled = False
        loaded = load_themes([packaged_themes(), *theme_folders])
        for own in loaded.themes.values():
            self.register_theme(own)
        self.own_themes = tuple(loaded.themes)
        """Names of the themes from the package's and the user's folders."""
        self._theme_problems = loaded.problems
        self._passing_theme = FEW_COLORS_THEME if few_colors and not theme else ""
        wanted = theme or self._passing_theme or DEFAULT_THEME
        if wanted in self.available_themes:
            self.theme = wanted
        else:
            self._theme_problems += (f"There is no theme {wanted!r}; there are {', '.join(self.own_themes)}.",)
            self.theme = DEFAULT_THEME if DEFAULT_THEME in self.available_themes else "textual-dark"

    def compose(self) -> ComposeResult:
        """Lay out the header, the panes and the footer."""
        yield Header(id="header")
        yield Workbench(id="workbench", written=lambda: self._cells.written)
        yield KeyHints(id="footer")
        small = Line(id="too-small")
        small.content = Content(f"too small: {LEAST_WIDTH}×{LEAST_HEIGHT} is needed")
        yield small

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Paint only the cells that change; Textual has no other place to say so."""
        if not isinstance(renderable, CompositorUpdate):
            super()._display(screen, renderable)
            return
        # Where a field stands is known only once the layout is done; input methods open their window there.
        focused = self.focused
        field = focused if isinstance(focused, Editor | LineInput) else None
        if field is not None:
            self.cursor_position = field.cursor_screen_offset
        self._show_cursor(self._cursor_shown and self._sync_available)  # else it would be seen running about
        super()._display(screen, self._cells.update(renderable))
        self._show_cursor(field is not None)

    def _show_cursor(self, shown: bool) -> None:
        """Show or hide the terminal's own cursor, which blinks without a byte being written."""
        if (
            shown != self._cursor_shown
            and self._driver is not None
            and self.terminal_cursor
            and not self._batch_count
        ):
            self._cursor_shown = shown
            self._driver.write("\x1b[?25h" if shown else "\x1b[?25l")

    def repaint_all(self) -> None:
        """Write every cell of the screen again: the terminal may show anything."""
        self._cells.forget()
        self._cursor_shown = False
        if self._driver is not None and self.terminal_cursor:
            self._driver.write("\x1b[?25l")
        self.screen.refresh(repaint=True, layout=False)

    def action_repaint(self) -> None:
        """Paint all again, over what something else has written there."""
        self.repaint_all()

    def action_suspend_process(self) -> None:
        """Stop as Ctrl+Z stops any program; `fg` brings it back. Needs a shell that can do that."""
        if self._driver is None or self.is_headless or not has_job_control():
            self.notify("There is no shell here that could bring it back: not suspended.", timeout=3)
            return
        super().action_suspend_process()

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Resize):
            self._cells.forget()  # terminals move what they show when their size changes
        await super().on_event(event)

    async def take_key(self, event: events.Key | events.Paste) -> None:
        if self._is_blind(event):
            return
        if isinstance(event, events.Key) and self._decides_in_burst(event):
            self.notify("Several keys came at once. Press it again.", timeout=2)
            return
        if self._is_for_prompt(event):
            hold = isinstance(event, events.Key) and in_burst(event)
            self.workbench.write_in_prompt(hold=hold)
            self._strayed = event.time if hold else self._strayed
        elif event.time - self._strayed < GUARD_SECONDS:
            # It came with that text, however late it gets its turn.
            self.workbench.prompt.hold(GUARD_SECONDS)
        await super().take_key(event)

    def _is_blind(self, event: events.Key | events.Paste) -> bool:
        """Say whether a key would act on what cannot be seen, or could not when it was typed.

        The prompt takes all, and keys that only leave or step back are never that.
        """
        if self.size.width < LEAST_WIDTH or self.size.height < LEAST_HEIGHT:
            self._blind_until = monotonic() + GUARD_SECONDS
        elif monotonic() >= self._blind_until:
            return False
        if self.focused is not None and self.focused.id == "prompt":
            return False
        return not (isinstance(event, events.Key) and event.key in {"escape", "ctrl+c", "ctrl+q"})

    def _decides_in_burst(self, key: events.Key) -> bool:
        """Say whether a key that came at once with others would decide something in a dialog."""
        if not in_burst(key) or not getattr(self.screen, "DECIDES", False) or key.key in HARMLESS_KEYS:
            return False
        return key.key in DECIDING_KEYS or not isinstance(self.focused, Input | TextArea)

    def _is_for_prompt(self, event: events.Key | events.Paste) -> bool:
        """Say whether text comes while a pane has the focus that has no use for it."""
        focused = self.focused
        if self.screen.is_modal or isinstance(focused, Input | TextArea):
            return False
        if isinstance(event, events.Paste):
            return True
        if not typed_text(event):
            return False
        queue = self.workbench.queue
        if queue is not None and focused is queue:
            return not queue.wants(event)
        return event.key not in self.active_bindings

    def on_mount(self) -> None:
        """Paint first."""
        self.terminal_cursor = not self.is_headless
        self.query_one(Header).show(HeaderData())
        self.app_resume_signal.subscribe(self, lambda _: self.repaint_all())
        self.call_after_refresh(self._painted)

    async def _painted(self) -> None:
        self.workbench.prompt.focus()
        self.takes_keys = True
        await self.take_typed()
        for problem in self._theme_problems:
            self.notify(inert(problem), title="Theme", severity="warning", markup=False)
        self.set_interval(1.0, self._tick)
        self.start(self._begin())

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

        options = self.open_options()
        copied = await copy_locally(text, options.runtime.environment, [str(options.workspace)])
        self.notify(copied.message, timeout=2 if copied.sure else 4, markup=False)

    def on_conversation_view_copy_requested(self, event: ConversationView.CopyRequested) -> None:
        """Copy an item of the conversation."""
        self.copy_to_clipboard(event.text)

    def on_permission_queue_preview_wanted(self, event: PermissionQueue.PreviewWanted) -> None:
        """Show a request in full size."""
        self.start(self._show_request(event.entry))

    async def _show_request(self, entry: Waiting) -> None:
        from tui_agent.ui.dialogs import TextDialog

        lines = list(entry.lines)
        if entry.call:
            lines += [("", ""), ("The call as the model made it:", "muted"), *entry.call]
        foot = Content.styled("Only for reading: Esc goes back, then y, n …", "$foreground-muted")
        if await self.push_screen_wait(TextDialog("Request", lines, foot)):
            self.workbench.mark_read(entry.id)

    def on_permission_queue_wanted(self, event: PermissionQueue.Wanted) -> None:
        """Show why something is asked, or let the user change the call or the rules."""
        from tui_agent.ui.approving import approve

        self.start(approve(self, event.request, event.what))

    def on_conversation_view_why_wanted(self, event: ConversationView.WhyWanted) -> None:
        """Show why a step was asked about, or why not."""
        from tui_agent.ui.approving import show_why

        self.start(show_why(self, event.step))

    def action_escape(self) -> None:
        """Step back: out of a comment, a list, a pane; from the prompt, interrupt the run."""
        if self.workbench.step_back() or self.handle is None:
            return
        self.action_interrupt()

    def action_interrupt(self) -> None:
        """Stop the run, if there is one."""
        handle = self.handle
        if handle is not None and (handle.state.conversation.active_run is not None or handle.compacting):
            self.start(self.interrupt())

    def action_place(self, name: str) -> None:
        """Go to a pane, unless a dialog has the keys."""
        if not self.screen.is_modal:
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

    async def action_leave(self, code: int = 0) -> None:
        """Save, close the session, end with `code`. A prompt sent before the session is open is kept first."""
        self._leave_code = max(self._leave_code, code)
        if self._leaving:
            return
        handle = self.handle
        waits = handle is not None and not handle.read_only and handle.background and not self._background_settled
        if handle is not None and waits and not code:
            self.start(self._settle_background(handle))
            return
        self._leaving = True
        try:
            if self._opening and self._submitting.locked():
                self.notify("Your prompt is being kept; then this ends.", timeout=5)
                async with self._submitting:
                    pass
            await self.leave_session()
        finally:
            self.exit(self._leave_code)

    async def _settle_background(self, handle: SessionHandle) -> None:
        """Ask what becomes of the commands in the background, then leave, unless the user stays."""
        from tui_agent.ui.leaving import ask_about_background

        self._background_settled = True
        if await ask_about_background(self, handle):
            await self.action_leave()
        else:
            self._background_settled = False

    async def carry_out(self, name: str, argument: str) -> None:
        from tui_agent.ui.carry_out import carry_out

        await carry_out(self, name, argument)

    async def action_sessions(self) -> None:
        """Choose another session."""
        from tui_agent.ui.carry_out import browse

        self.start(browse(self))

    def action_carry_out(self, command: str) -> None:
        """Carry out a command that a key stands for."""
        self.start(self.submit(f"/{command}"))

    def action_help(self) -> None:
        """Show all keys and commands."""
        from tui_agent.ui.actions import help_screen

        self.push_screen(help_screen(self))

    def use_theme(self, name: str) -> None:
        """Switch to a theme; the session remembers it."""
        self.theme, self._passing_theme = name, ""
        self.on_workbench_layout_changed()

    def on_prompt_draft_changed(self) -> None:
        """Show what the word being typed could become."""
        self.workbench.show_completions()
