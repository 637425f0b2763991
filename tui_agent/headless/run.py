"""Running one prompt to its end, with signals, closed pipes, and what only a user can decide."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TextIO

from tui_agent.events import EventBase
from tui_agent.exit_watch import ExitWatch
from tui_agent.headless.answers import deny_all, read_lines, read_submission
from tui_agent.headless.progress import ExitCode, Progress
from tui_agent.headless.reports import REPORTS, Output, Report, notice_of
from tui_agent.session import JournalError, NoSuchRequest, SessionError, SessionHandle, SessionState, Update
from tui_agent.submissions import EndBackground, Interrupt, SubmissionError, Submit
from tui_agent.text import inert_line


class HeadlessRun:
    """One prompt on one open session, watched until its run ends or only a user could go on."""

    def __init__(
        self,
        handle: SessionHandle,
        report: Report,
        out: TextIO,
        err: TextIO,
        answers: AsyncIterator[bytes] | None = None,
    ) -> None:
        self._handle = handle
        self._report = report
        self._out = out
        self._err = err
        self._answers = answers
        self._answering: asyncio.Task[None] | None = None
        self._progress = Progress()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped_by: int | None = None
        self._given_up = False
        self._answers_ended = False
        self._failure: Exception | None = None

    async def run(self, prompt: str) -> int:
        """Submit the prompt and return the exit code.

        A run that an earlier start left unfinished is brought to its end first.
        """
        unsubscribe = self._handle.subscribe(self._on_update)
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in signals:
            loop.add_signal_handler(number, self._stop, int(number))
        try:
            if self._handle.inspect.damage:
                self._err.write(f"warning: {inert_line(self._handle.inspect.damage)}\n")
            try:
                await self._work(prompt)
            except JournalError as error:
                self._progress.failed(str(error))
                self._err.write(f"error: {inert_line(str(error))}\n")
            if self._failure is not None:
                raise self._failure
            self._progress.waiting = waiting_for_user(self._handle.state)
            code = self._progress.exit_code(self._stopped_by)
            self._report.end(self._handle.session, self._progress, code)
            self._out.flush()
            return code
        finally:
            for number in signals:
                loop.remove_signal_handler(number)
            unsubscribe()
            if self._answering is not None:
                self._answering.cancel()

    async def _work(self, prompt: str) -> None:
        await self._handle.start()
        if self._handle.inspect.asks_for_cost:
            self._err.write(
                "note: a run may cost $5 at most, by default. Another limit: --max-cost DOLLARS, or max_cost in "
                "settings.toml; 0 is no limit.\n"
            )
        if self._answers is not None:
            self._answering = asyncio.create_task(self._take_answers(self._answers), name="answers")
        await self._until(lambda: self._handle.state.conversation.active_run is None)
        if not self._ended_early():
            self._progress.submitted(await self._handle.do(Submit(prompt=prompt)))
            if self._stopped_by is not None:  # the signal came before there was a run to interrupt
                self._spawn(self._handle.do(Interrupt(reason=self._stop_reason)))
            await self._until(lambda: self._progress.finished)

    def _ended_early(self) -> bool:
        stopped = self._stopped_by is not None or self._failure is not None or self._progress.stuck
        return stopped or self._waits_for_user()

    async def _until(self, reached: Callable[[], bool]) -> None:
        """Wait for `reached`, or until that cannot come any more or is not waited for any longer."""
        while not reached() and not self._waits_for_user():
            await self._changed.wait()
            self._changed.clear()
            if self._given_up or self._progress.stuck:
                return

    def _waits_for_user(self) -> bool:
        return self._answers is None and bool(waiting_for_user(self._handle.state))

    async def _take_answers(self, answers: AsyncIterator[bytes]) -> None:
        """Do what the lines say; when they end, nobody is there and what still asks is denied."""
        async for line in answers:
            if not line.strip():
                continue
            try:
                await self._handle.do(read_submission(line))
            except (SubmissionError, SessionError, NoSuchRequest) as error:
                self._err.write(f"not an answer that can be taken: {inert_line(str(error))}\n")
                self._err.flush()
        self._answers_ended = True
        self._spawn(deny_all(self._handle))

    def _stop(self, number: int) -> None:
        self._given_up = self._stopped_by is not None
        self._stopped_by = number
        self._changed.set()
        if not self._given_up:
            self._spawn(self._handle.do(Interrupt(reason=self._stop_reason)))

    @property
    def _stop_reason(self) -> str:
        return f"{signal.Signals(self._stopped_by).name} was received" if self._stopped_by is not None else ""

    def _spawn(self, work: Awaitable[object]) -> None:
        async def run() -> None:
            try:
                await work
            except Exception as error:  # it must reach the caller of `run`, whose wait ends with it
                self._fail(error)

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _fail(self, error: Exception) -> None:
        """Keep the first failure for `run` to raise, and stop: gently when only nobody reads any more."""
        if self._failure is not None:
            return
        self._failure = error
        if isinstance(error, OSError):
            self._spawn(self._handle.do(Interrupt(reason="the output cannot be written any more")))
        else:
            self._given_up = True
        self._changed.set()

    def _on_update(self, update: Update) -> None:
        for event in update.events:
            self._progress.see(event)
            self._show(event)
        if self._answers_ended and (update.state.permissions.pending or update.state.workflow.questions):
            self._spawn(deny_all(self._handle))
        self._changed.set()

    def _show(self, event: EventBase) -> None:
        if self._failure is not None:
            return
        try:
            self._report.event(event)
            self._out.flush()
            line = notice_of(event, self._progress.titles)
            if line:
                self._err.write(inert_line(line) + "\n")
                self._err.flush()
        except Exception as error:  # as in `_spawn`
            self._fail(error)


def waiting_for_user(state: SessionState) -> list[str]:
    """Return a line for each thing that an earlier start left to the user to decide."""
    uncertain = [step for step in state.workflow.steps.values() if step.status == "uncertain"]
    return [
        *(f"cut off by a crash, and only you can say what became of it: {step.title}" for step in uncertain),
        *(f"waits for your permission: {request.title}" for request in state.permissions.pending),
        *(f"the model asks you: {question.text}" for question in state.workflow.questions.values()),
    ]


async def run_headless(
    open_session: Callable[[], Awaitable[SessionHandle]],
    prompt: str,
    output: Output,
    out: TextIO,
    err: TextIO,
    *,
    answers: int | None = None,
    watch: ExitWatch | None = None,
) -> int:
    """Open the session, run one prompt to its end, close, and return the exit code.

    `answers` is the file descriptor from which a program answers what asks; None: nobody does. `watch` begins when
    the run is over and only closing is left.

    When stdout or stderr cannot be written any more (`BrokenPipeError` or another `OSError`), the run is
    interrupted, the session closed, and the error raised, as is what `open_session` raises. That the closing could
    not be written changes no exit code.
    """
    handle = await open_session()
    code: int = ExitCode.FAILED
    try:
        if handle.read_only:
            err.write(f"This session is read-only: {handle.read_only_because}. Start a new one, without --resume.\n")
            code = ExitCode.USAGE
            return code
        lines = read_lines(answers) if answers is not None else None
        code = await HeadlessRun(handle, REPORTS[output](out), out, err, lines).run(prompt)
        waiting = waiting_for_user(handle.state)
        for line in waiting:
            err.write(inert_line(line) + "\n")
        for command in handle.background:
            err.write(inert_line(f"ended with this run: {command.title}") + "\n")
        if handle.background:
            await handle.do(EndBackground())
        if waiting:
            err.write(f"Decide in the app: tui-agent --resume {handle.session}\n")
        return code
    finally:
        if watch is not None:
            watch.begin(int(code))
        try:
            await handle.close()
        except JournalError as error:  # how the run ended stands all the same
            err.write(f"error: {inert_line(str(error))}\n")
