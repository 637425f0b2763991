"""Answers of a program on standard input: decisions, changed calls, what became of a step, replies to questions.

A line is one JSON object: `{"request", "verdict": "allow"|"deny", "scope": "once"|"session", "comment"}`, with
`"mode"` for the mode after a plan that is approved; `{"request", "input": {…}}` to change the call before it is
decided anew, `{"question", "answer"}`, or `{"step", "resolution": "happened"|"run_again"|"skip"}`. At the end of
the input, what still asks is denied.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import AsyncIterator
from typing import Any

from tui_agent.session import NoSuchRequest, SessionHandle
from tui_agent.submissions import Answer, Decide, EditCall, Resolve

_MOST_BYTES = 4 * 1024 * 1024
_NOBODY = "Nobody is there to answer. Decide yourself and say what you assumed."


class AnswerError(ValueError):
    """A line is no answer; the message says what is wrong with it."""


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


async def take_answer(handle: SessionHandle, line: bytes) -> None:
    """Do what a line says. Raises `AnswerError`, or the session's errors when it cannot be done."""
    if not line.strip():
        return
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise AnswerError(f"not valid JSON: {error}") from error
    if not isinstance(answer, dict):
        raise AnswerError("an answer is an object")
    match answer:
        case {"request": str(request), "input": dict(call_input)}:
            await handle.do(EditCall(request=request, input=call_input))
        case {"request": str(request), "verdict": "allow" | "deny" as verdict}:
            scope = answer.get("scope", "once")
            if scope not in {"once", "session"}:
                raise AnswerError("scope is once or session")
            comment, mode = str(answer.get("comment", "")), str(answer.get("mode", ""))
            await handle.do(Decide(request=request, verdict=verdict, scope=scope, comment=comment, mode=mode))
        case {"question": str(question), "answer": str(text)}:
            await handle.do(Answer(question=question, answer=text))
        case {"step": str(step), "resolution": "happened" | "run_again" | "skip" as resolution}:
            await handle.do(Resolve(step=step, resolution=resolution, comment=str(answer.get("comment", ""))))
        case _:
            raise AnswerError('neither a decision {"request", "verdict"} nor another answer that is known')


async def deny_all(handle: SessionHandle) -> None:
    """Deny what waits, since nobody is there any more."""
    state: Any = handle.state
    for request in state.permissions.pending:
        with contextlib.suppress(NoSuchRequest):  # the last answer may have come just before
            await handle.do(Decide(request=request.request, verdict="deny", unattended=True))
    for question in state.workflow.questions:
        await handle.do(Answer(question=question, answer=_NOBODY))
