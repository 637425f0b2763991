"""The app's dealings with its session: opening, leaving, showing updates, sending prompts and answers.

Knows the screen by its parts only; which panes, keys and commands there are is for the app.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import on
from textual.message import Message

from tui_agent.text import inert, inert_line
from tui_agent.ui.commands import ScreenCommand, parse_command
from tui_agent.ui.header import Header, git_branch
from tui_agent.ui.hints import KeyHints
from tui_agent.ui.key_order import OrderedKeysApp
from tui_agent.ui.layout import LayoutSaver, parse_layout
from tui_agent.ui.notification import ASKS, DONE, desktop_notification
from tui_agent.ui.prompt import Prompt
from tui_agent.ui.workbench import Workbench

if TYPE_CHECKING:
    from tui_agent.events import RunFinished
    from tui_agent.session import OpenOptions, Question, SessionHandle, Update
    from tui_agent.ui.history import History
    from tui_agent.ui.paged_view import PagedView
    from tui_agent.ui.permissions import PermissionQueue


class SessionUpdated(Message):
    """The session committed something."""

    def __init__(self, update: Update) -> None:
        super().__init__()
        self.update = update


class SessionApp(OrderedKeysApp[int]):
    """An app with a session on its screen.

    `open_session` opens the first session; None lists the sessions to choose from, for which `options`
    says where they are. `prompt` is sent as soon as the session is open.
    """

    def __init__(
        self,
        open_session: Callable[[], Awaitable[SessionHandle]] | None,
        *,
        options: Callable[[], OpenOptions] | None = None,
        prompt: str = "",
        driver_class: Any = None,
    ) -> None:
        super().__init__(driver_class=driver_class)
        self._open_session = open_session
        self._options = options
        self._first_prompt = prompt
        self._memory_asked = ""
        self._opened = asyncio.Event()
        self._opening = open_session is not None
        self._failed = ""
        self._submitting = asyncio.Lock()
        self._unsubscribe: Callable[[], None] = lambda: None
        self._saver: LayoutSaver | None = None
        self._history: History | None = None
        self.handle: SessionHandle | None = None
        """The session on screen, None until it is open."""
        self.left = ""
        """The session that was closed last, empty when nothing was asked in it."""
        self.close_problem = ""
        """Why the end of the session that was closed last could not be written, empty when it was."""
        self._passing_theme = ""
        """The theme chosen for what the terminal can show: not the session's, and not kept with it."""
        self._kept_theme = ""
        self.terminal_cursor = False
        """Whether fields show the terminal's own cursor instead of painting one."""
        self.failure: Exception | None = None
        """The error that ended the app, None when it was left."""
        self._last_layout: dict[str, Any] | None = None
        self.commands: tuple[ScreenCommand, ...] = ()
        """The commands that can be carried out."""

    async def carry_out(self, name: str, argument: str) -> None:
        """Carry out a slash command. Raises `CommandError` when it cannot be done as written."""
        raise NotImplementedError

    async def action_sessions(self) -> None:
        """Choose another session."""
        raise NotImplementedError

    async def run_async(self, **options: Any) -> int | None:
        try:
            return await super().run_async(**options)
        finally:
            await self._close_after_failure()

    def _handle_exception(self, error: Exception) -> None:
        # Textual ends the app here. That is no request to stop what runs: its end must not look like one.
        if self.failure is None:
            self.failure = error
            if self.handle is not None:
                self.handle.let_go()
            with contextlib.suppress(Exception):  # the screen may be what failed
                self._last_layout = self.workbench.collect(self._theme_to_keep()).to_json()
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        if self.is_headless:
            super()._fatal_error()
        else:  # Textual would print each frame with its variables, and secrets among them
            self._close_messages_no_wait()

    def _theme_to_keep(self) -> str:
        return self._kept_theme if self._passing_theme else self.theme

    async def _close_after_failure(self) -> None:
        from tui_agent.session import JournalError
        from tui_agent.submissions import SaveLayout

        handle, self.handle = self.handle, None
        if self.failure is None or handle is None:
            return
        self._unsubscribe()
        self.left = handle.session if handle.state.conversation.prompts else ""
        try:
            if self._last_layout is not None and not handle.read_only:
                await handle.do(SaveLayout(layout=self._last_layout))
            await handle.crash("The screen failed", self.failure)
        except JournalError as error:
            self.close_problem = str(error)

    @property
    def workbench(self) -> Workbench:
        """The panes."""
        return self.screen_stack[0].query_one(Workbench)

    async def _begin(self) -> None:
        await asyncio.to_thread(_import_session_room)
        await self.workbench.complete()
        from tui_agent.ui.carry_out import offered_commands

        self.commands = offered_commands()
        self.workbench.prompt.commands = tuple((f"/{c.name}", c.description) for c in self.commands)
        if self._open_session is None:
            self._failed = "No session is open: F2 lists them, /new begins one."
            self._opened.set()  # what is typed before there is one is given back
            self._tick()
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
        from tui_agent.submissions import SaveLayout
        from tui_agent.ui.history import History

        await self.leave_session()
        self._opened.clear()
        workbench = self.workbench
        self.handle = handle
        self._failed = ""
        layout = parse_layout(await handle.inspect.layout())
        workbench.prompt.show_question(self._open_question() is not None)
        self._history = History(handle.items, handle.item_count)
        self._unsubscribe = handle.subscribe(self._receive)
        self._kept_theme = layout.theme
        if layout.theme in self.available_themes and not self._passing_theme:
            self.theme = layout.theme
        await workbench.attach(handle, layout)
        self._show_header()
        branch = await asyncio.to_thread(git_branch, Path(handle.state.conversation.workspace))
        header = self.query_one(Header)
        header.show(replace(header.data, branch=branch))
        self._saver = LayoutSaver(
            workbench,
            lambda: workbench.collect(self._theme_to_keep()),
            lambda layout: handle.do(SaveLayout(layout=layout)),
            lambda error: self.report(error, "The draft and the layout are not kept"),
        )
        if not handle.read_only:
            self._saver.touch()  # what was typed while the session was opened
        await handle.start()
        if not handle.read_only:
            from tui_agent.ui.trust import mention_trust

            self.start(mention_trust(self, handle))
            if handle.inspect.asks_for_cost:
                from tui_agent.ui.cost_limit import ask_for_cost

                self.start(ask_for_cost(self, handle))
        self._opening = False
        self._opened.set()
        if self._first_prompt:
            first, self._first_prompt = self._first_prompt, ""
            await self.submit(first)

    async def leave_session(self) -> None:
        """Save and close the session on the screen, if there is one."""
        from tui_agent.session import JournalError, discard_empty_sessions

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
        self.left = handle.session if handle.state.conversation.prompts else ""
        self.close_problem = ""
        self.workbench.prompt.clear_draft()
        try:
            await handle.close()
            if not handle.read_only:
                await discard_empty_sessions(handle.options.data_dir)
        except JournalError as error:
            self.close_problem = str(error)
            self.notify(inert(self.close_problem), severity="error", markup=False)

    def _receive(self, update: Update) -> None:
        self.post_message(SessionUpdated(update))

    @on(SessionUpdated)
    def _show_update(self, message: SessionUpdated) -> None:
        from tui_agent.events import Notice, RunFinished

        update = message.update
        self.workbench.show(update)
        self.workbench.prompt.show_question(self._open_question() is not None)
        if self._history is not None:
            self._history.note(update.items)
        for event in update.events:
            if isinstance(event, Notice) and event.code == "follow" and self.handle is not None:
                self.workbench.prompt.say_why_not(self.handle.read_only_because)
            if isinstance(event, Notice) and event.level != "info":
                self.notify(inert(event.message), severity=event.level, markup=False)
            if isinstance(event, RunFinished) and event.outcome != "interrupted" and not self.app_focus:
                self._tell_end(event)
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
                read_only=self.handle.read_only_because,
                folders=len(state.added),
                waiting=self.workbench.waiting_count,
                home=str(self.handle.options.runtime.home),
            )
        )
        self._tick()

    def _tick(self) -> None:
        run = self.handle.state.conversation.active_run if self.handle else None
        status = ""
        if run is not None and self.handle is not None:
            seconds = max(0, int(self.handle.options.runtime.now() - run.started))
            status = f"{'▲ your decision ·' if self._waits_only() else '● working'} {seconds} s"
            if self.handle.halted:
                status = "■ halted: the journal cannot be written. A prompt tries again, Esc ends the run"
            elif self.workbench.prompt.has_focus and not self.handle.read_only:
                status += " · Esc interrupts"
        elif self.handle is not None and self.handle.compacting:
            status = "● compacting · Esc stops it"
        elif self._failed:
            status = "no session is open: F2 lists them, /new begins one"
        elif self.handle is None:
            status = "opening the session …" if self._open_session else ""
        if self.handle is not None:
            state = self.handle.state.conversation
            sign = "" if run is None and not state.prompts else "✓ " if run is None else "● "
            self._set_terminal_title("▲ " if self.workbench.waiting_count else sign, state.title)
        for hints in self.query(KeyHints):  # gone already when a tick comes while the app ends
            hints.show_status(status, "interrupt" if run is not None else "")

    def _waits_only(self) -> bool:
        """Say whether nothing goes on before the user has answered."""
        if self.handle is None or not self.workbench.waiting_count:
            return False
        state = self.handle.state
        asking = {question.step for question in state.workflow.questions.values()}
        running = any(step.status == "running" and step.id not in asking for step in state.workflow.steps.values())
        return not running and not any(run.turn for run in state.conversation.runs)

    def _set_terminal_title(self, sign: str, title: str) -> None:
        text = sign + inert_line(f"{title} · tui-agent" if title else "tui-agent")
        if text != self.sub_title:
            self.sub_title = text
            if self._driver is not None and not self.is_headless:
                self._driver.write(f"\x1b]2;{text}\x07")

    def on_workbench_waiting_changed(self, event: Workbench.WaitingChanged) -> None:
        """Ring when something waits and the user looks elsewhere."""
        wanted = self.handle is not None and self.handle.settings.settings.notifications
        if event.arrived and wanted and not self.app_focus:
            self.bell()
            self._tell_desktop(event.entries[-1].title)
        self._show_header()

    def _tell_end(self, event: RunFinished) -> None:
        """Say that a run ended, to somebody who looks elsewhere."""
        if self.handle is None or not self.handle.settings.settings.notifications:
            return
        self.bell()
        how = "" if event.outcome == "completed" else f"{event.outcome}: "
        self._tell_desktop(how + (self.handle.state.conversation.title or "the run has ended"), DONE)

    def _tell_desktop(self, text: str, title: str = ASKS) -> None:
        """Ask the terminal for a notification; one that has none takes no notice."""
        if self._driver is not None and not self.is_headless:
            self._driver.write(desktop_notification(text, self.open_options().runtime.environment, title))

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
        # The program's own errors are sentences for the user; others say little without their name.
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
        from tui_agent.submissions import Answer, Submit
        from tui_agent.ui.carry_out import CommandError

        command = parse_command(text)
        if command and command[0] in {"quit", "help", "sessions"}:
            # These need no session, and leaving waits for the prompts before it.
            await self.carry_out(*command)
            return
        async with self._submitting:
            try:
                await self._opened.wait()
                if self._failed and not (command and command[0] in {"new", "resume"}):
                    self._give_back(text)
                    self.notify(self._failed, severity="warning", markup=False)
                elif command:
                    await self.carry_out(*command)
                elif self.handle is not None:
                    if self.handle.can_take_over:
                        await self._take_over(self.handle)
                    if question := self._open_question():
                        await self.handle.do(
                            Answer(question=question.id, answer=chosen_option(question.options, text))
                        )
                    else:
                        await self._agree_to_memory(self.handle)
                        await self.handle.do(Submit(prompt=text))
                    if self._history is not None:
                        self._history.reset()
            except CommandError as error:
                self._give_back(text)
                self.notify(inert(str(error)), severity="warning", markup=False)
            except Exception:
                self._give_back(text)
                raise

    async def _take_over(self, handle: SessionHandle) -> None:
        """Open the session for writing that this window only looked at, since the window that held it has left."""
        from tui_agent.session import resume_session

        draft = self.workbench.prompt.text
        await self.show_session(await resume_session(handle.session, handle.options))
        # What this window has written counts, not the draft that the other one left.
        self.workbench.prompt.clear_draft()
        self.workbench.prompt.take(draft)

    async def interrupt(self) -> None:
        """Stop the run and take back what was queued behind it: whoever stops wants nothing sent."""
        from tui_agent.submissions import Interrupt, Withdraw

        handle = self.handle
        if handle is None:
            return
        withdrawn = [
            q.prompt for q in handle.state.conversation.queued if await handle.do(Withdraw(prompt_id=q.prompt_id))
        ]
        if withdrawn:
            self._give_back("\n".join(withdrawn))
        await handle.do(Interrupt())

    async def _take_back_newest(self) -> bool:
        """Take the newest queued prompt back into the prompt, to be changed; return whether there was one."""
        from tui_agent.submissions import Withdraw

        handle = self.handle
        for queued in reversed(handle.state.conversation.queued if handle is not None else ()):
            if handle is not None and not handle.read_only and await handle.do(Withdraw(prompt_id=queued.prompt_id)):
                self._give_back(queued.prompt)
                return True
        return False

    def _open_question(self) -> Question | None:
        """Return the question that has waited longest, None if there is none: what is sent now answers it."""
        questions = self.handle.state.workflow.questions if self.handle is not None else {}
        return next(iter(questions.values()), None)

    async def _agree_to_memory(self, handle: SessionHandle) -> None:
        """Before the first prompt of a session, ask about memory files that the user has not agreed to yet."""
        if handle.state.conversation.prompts or handle.session == self._memory_asked:
            return
        from tui_agent.ui.trust import offer_memory

        self._memory_asked = handle.session
        await offer_memory(self, handle)

    def _give_back(self, text: str) -> None:
        prompt = self.workbench.prompt
        prompt.take(f"{text}\n{prompt.text}" if prompt.text else text)

    def on_prompt_older_wanted(self) -> None:
        """Show an older prompt."""
        self.start(self._older())

    async def _older(self) -> None:
        prompt = self.workbench.prompt
        browsing = self._history is not None and self._history.browsing
        if not browsing and await self._take_back_newest():
            return
        if self._history is not None and (text := await self._history.older(prompt.text)) is not None:
            prompt.take(text)

    def on_prompt_newer_wanted(self) -> None:
        """Show a newer prompt, in the end the draft."""
        if self._history is not None and (text := self._history.newer(self.workbench.prompt.text)) is not None:
            self.workbench.prompt.take(text)

    def on_permission_queue_decided(self, event: PermissionQueue.Decided) -> None:
        """Tell the session of a decision."""
        from tui_agent.submissions import Decide

        if self.handle is not None:
            work = self.handle.do(
                Decide(
                    request=event.request,
                    verdict=event.verdict,
                    scope=event.scope,
                    comment=event.comment,
                    mode=event.mode,
                )
            )
            self.start(self._answer(event.request, work))

    def on_permission_queue_resolved(self, event: PermissionQueue.Resolved) -> None:
        """Tell the session what became of an uncertain step."""
        from tui_agent.submissions import Resolve

        if self.handle is not None:
            self.start(
                self._answer(event.step, self.handle.do(Resolve(step=event.step, resolution=event.resolution)))
            )

    def on_permission_queue_answered(self, event: PermissionQueue.Answered) -> None:
        """Tell the model what the user answered."""
        from tui_agent.submissions import Answer

        if self.handle is not None:
            self.start(
                self._answer(event.question, self.handle.do(Answer(question=event.question, answer=event.text)))
            )

    async def _answer(self, identifier: str, work: Awaitable[object]) -> None:
        try:
            await work
        except Exception:
            self.workbench.reopen(identifier)
            raise

    def open_options(self) -> OpenOptions:
        """Return the options sessions are opened with. Raises `RuntimeError` when there are none."""
        if self.handle is not None:
            return self.handle.options
        if self._options is None:
            raise RuntimeError("There is no session to take the options from.")
        return self._options()

    def on_paged_view_fetch_failed(self, event: PagedView.FetchFailed) -> None:
        """Say what could not be read."""
        self.notify(inert(event.reason), severity="error", markup=False)


def chosen_option(options: Sequence[str], text: str) -> str:
    """Return the option whose number was written, else the text itself."""
    number = int(text) if text.strip().isdecimal() and len(text.strip()) < 3 else 0
    return options[number - 1] if 0 < number <= len(options) else text


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
