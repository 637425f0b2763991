"""A session for another program: submissions come in as lines of JSON, events go out.

The first line out is `{"type": "hello", "protocol", "version", "session"}`. Each line in is a submission (see
`tui-agent schema submissions`), with an `"id"` of the program's own if it wants an answer: `{"type": "done", "id",
"result"}` or `{"type": "refused", "id", "message"}`. Every other line out is an event of the session. At the end of
the input, what asks is denied, and the session is closed when its run is over.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TextIO

from tui_agent import __version__
from tui_agent.headless.answers import deny_all, read_lines, read_submission
from tui_agent.headless.progress import ExitCode
from tui_agent.session import JournalError, NoSuchRequest, SessionError, SessionHandle, Update
from tui_agent.streams import json_line
from tui_agent.submissions import VERSION, SubmissionError


class ProtocolRun:
    """Serves one open session to a program until its input ends."""

    def __init__(self, handle: SessionHandle, out: TextIO) -> None:
        self._handle = handle
        self._out = out
        self._changed = asyncio.Event()
        self._denying: asyncio.Task[None] | None = None
        self._ended = False
        self._failure: OSError | None = None

    async def run(self, lines: AsyncIterator[bytes]) -> int:
        """Take lines until they end, wait for the run's end, and return the exit code. Raises `OSError`."""
        handle = self._handle
        self._write({"type": "hello", "protocol": VERSION, "version": __version__, "session": handle.session})
        unsubscribe = handle.subscribe(self._on_update)
        try:
            await handle.start()
            async for line in lines:
                if line.strip():
                    await self._take(line)
                if self._failure is not None:
                    raise self._failure
            self._ended = True
            await deny_all(handle)
            while handle.state.conversation.active_run is not None and not handle.halted and self._failure is None:
                await self._changed.wait()
                self._changed.clear()
            if self._failure is not None:
                raise self._failure
            return ExitCode.OK
        finally:
            unsubscribe()
            if self._denying is not None:
                self._denying.cancel()

    async def _take(self, line: bytes) -> None:
        identifier: object = None
        try:
            asked = json.loads(line)
            if isinstance(asked, dict):
                identifier = asked.pop("id", None)
            result = await self._handle.do(read_submission(json.dumps(asked).encode()))
        except (ValueError, RecursionError, SubmissionError, SessionError, NoSuchRequest, JournalError) as error:
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
        return await ProtocolRun(handle, out).run(read_lines(descriptor))
    finally:
        await handle.close()
