"""Lines of a program on standard input: decisions, changed calls, what became of a step, replies to questions.

A line is one JSON object: a submission (see `tui-agent schema submissions`), or a short form of one:
`{"request", "verdict": "allow"|"deny", "scope": "once"|"session", "comment"}`, with `"mode"` for the mode after a
plan that is approved; `{"request", "input": {…}}` to change the call before it is decided anew; `{"question",
"answer"}`; `{"step", "resolution": "happened"|"run_again"|"skip"}`. At the end of the input, what still asks is
denied.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import AsyncIterator
from typing import Any

from tui_agent.session import NoSuchRequest, Session
from tui_agent.submissions import Answer, Decide, EditCall, Resolve, Submission, SubmissionError, parse

_MOST_BYTES = 4 * 1024 * 1024
_NOBODY = "Nobody is there to answer. Decide yourself and say what you assumed."


async def read_lines(descriptor: int) -> AsyncIterator[bytes]:
    """Yield the lines of a file descriptor until its end; one that is too long ends it."""
    loop = asyncio.get_running_loop()
    found: asyncio.Queue[bytes] = asyncio.Queue()

    def read() -> None:
        # a daemon that may be left in its read: a thread of the pool would keep the process from ending
        while True:
            try:
                data = os.read(descriptor, 65_536)
            except OSError:
                data = b""
            try:
                loop.call_soon_threadsafe(found.put_nowait, data)
            except RuntimeError:
                return  # the loop has ended, and with it the wish for answers
            if not data:
                return

    threading.Thread(target=read, name="answers", daemon=True).start()
    rest = b""
    while data := await found.get():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > _MOST_BYTES:
            return
    if rest:
        yield rest


def read_submission(line: bytes) -> Submission:
    """Return what a line asks: a submission with its `type`, or one of the short forms. Raises `SubmissionError`."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SubmissionError(f"not valid JSON: {error}") from error
    match answer:
        case {"type": str()}:
            return parse(line)
        case {"request": str(), "input": dict()}:
            form: type[EditCall | Decide | Answer | Resolve] = EditCall
        case {"request": str(), "verdict": _}:
            form = Decide
        case {"question": str(), "answer": _}:
            form = Answer
        case {"step": str(), "resolution": _}:
            form = Resolve
        case dict():
            raise SubmissionError('neither a submission with a "type" nor a decision {"request", "verdict"}')
        case _:
            raise SubmissionError("an answer is an object")
    # A short form may be an event that was sent back, with more in it than is asked for.
    known = {name: value for name, value in answer.items() if name in form.model_fields and name != "unattended"}
    return parse(json.dumps({**known, "type": form.model_fields["type"].default}))


async def deny_all(handle: Session) -> None:
    """Deny what waits, since nobody is there any more."""
    state: Any = handle.state
    for request in state.permissions.pending:
        with contextlib.suppress(NoSuchRequest):  # the last answer may have come just before
            await handle.do(Decide(request=request.request, verdict="deny", unattended=True))
    for question in state.workflow.questions:
        await handle.do(Answer(question=question, answer=_NOBODY))
