"""A session for another program: submissions come in as lines of JSON, events go out.

The first line out is `{"type": "hello", "protocol", "version", "session", "read_only"}`. Each line in is a submission
(see `tui-agent schema submissions`), with an `"id"` of the program's own if it wants an answer: `{"type": "done",
"id", "result"}` or `{"type": "refused", "id", "message"}`. Every other line out is an event of the session. At the
end of the input, what asks is denied, and the session is closed when its run is over.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TextIO

from tui_agent import __version__
from tui_agent.headless.answers import deny_all, read_lines, read_submission
from tui_agent.headless.progress import ExitCode
from tui_agent.session import JournalError, NoSuchRequest, SessionError, SessionHandle, Update
from tui_agent.streams import json_line
from tui_agent.submissions import VERSION, EndBackground, Interrupt


class ProtocolRun:
    """Serves one open session to a program until its input ends, its output is lost, or a signal comes."""

    def __init__(self, handle: SessionHandle, out: TextIO) -> None:
        self._handle = handle
        self._out = out
        self._changed = asyncio.Event()
        self._denying: asyncio.Task[None] | None = None
        self._ended = False
        self._stopped_by: int | None = None
        self._failure: OSError | None = None

    async def run(self, lines: AsyncIterator[bytes]) -> int:
        """Take lines until they end, wait for the run's end, and return the exit code.

        Raises `OSError` when the output cannot be written any more.
        """
        handle = self._handle
        hello = {"type": "hello", "protocol": VERSION, "version": __version__, "session": handle.session}
        self._write({**hello, "read_only": handle.read_only_because})
        unsubscribe = handle.subscribe(self._on_update)
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in signals:
            loop.add_signal_handler(number, self._stop, int(number))
        taking: asyncio.Task[None] | None = None
        try:
            await handle.start()
            taking = asyncio.create_task(self._take_lines(lines), name="submissions")
            await self._until(taking.done)
            if taking.done():
                taking.result()
            self._ended = True
            if handle.read_only:
                return ExitCode.OK
            if self._stopped_by is not None:
                await handle.do(Interrupt(reason=f"{signal.Signals(self._stopped_by).name} was received"))
            await deny_all(handle)
            await self._until(lambda: handle.state.conversation.active_run is None or self._stuck)
            if self._stopped_by is not None:
                return 128 + self._stopped_by
            return ExitCode.FAILED if handle.halted else ExitCode.NEEDS_USER if self._stuck else ExitCode.OK
        finally:
            for number in signals:
                loop.remove_signal_handler(number)
            unsubscribe()
            for task in (taking, self._denying):
                if task is not None:
                    task.cancel()

    @property
    def _stuck(self) -> bool:
        """Whether the run cannot end: the journal cannot be written, or only the user knows what a crash left."""
        steps = self._handle.state.workflow.steps.values()
        return self._handle.halted or any(step.status == "uncertain" for step in steps)

    async def _until(self, reached: Callable[[], bool]) -> None:
        """Wait for `reached`, or for a signal that nobody has followed yet. Raises `OSError` of a lost output."""
        while not reached() and (self._ended or self._stopped_by is None):
            await self._changed.wait()
            self._changed.clear()
            if self._failure is not None:
                break
        if self._failure is not None:
            raise self._failure

    def _stop(self, number: int) -> None:
        self._stopped_by = number
        self._changed.set()

    async def _take_lines(self, lines: AsyncIterator[bytes]) -> None:
        try:
            async for line in lines:
                if line.strip():
                    await self._take(line)
        finally:
            self._changed.set()

    async def _take(self, line: bytes) -> None:
        identifier: object = None
        try:
            asked = json.loads(line)
            if isinstance(asked, dict):
                identifier = asked.pop("id", None)
            result = await self._handle.do(read_submission(json.dumps(asked).encode()))
        except (
            ValueError,
            RecursionError,
            SessionError,
            NoSuchRequest,
            JournalError,
        ) as error:
            self._write({"type": "refused", "id": identifier, "message": str(error)})
        else:
            if identifier is not None:
                self._write({"type": "done", "id": identifier, "result": result})

    def _on_update(self, update: Update) -> None:
        for event in update.events:
            self._write_line(event.model_dump_json())
        waits = update.state.permissions.pending or update.state.workflow.questions
        if self._ended and waits and (self._denying is None or self._denying.done()):
            self._denying = asyncio.create_task(deny_all(self._handle))
        self._changed.set()

    def _write(self, value: dict[str, object]) -> None:
        self._write_line(json.dumps(value))

    def _write_line(self, line: str) -> None:
        if self._failure is not None:
            return
        try:
            self._out.write(json_line(line, self._out) + "\n")
            self._out.flush()
        except OSError as error:  # it ends the run, where it can be raised
            self._failure = error
            self._changed.set()


async def run_protocol(open_session: Callable[[], Awaitable[SessionHandle]], out: TextIO, descriptor: int) -> int:
    """Open a session, serve it to a program on a file descriptor and `out`, close it, and return the exit code."""
    handle = await open_session()
    try:
        code = await ProtocolRun(handle, out).run(read_lines(descriptor))
        if handle.background and not handle.read_only:
            await handle.do(EndBackground())
        return code
    finally:
        await handle.close()
