"""Servers that give several tool calls one id, in one answer or from answer to answer: each call runs once."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.session.support import opened, options
from tui_agent.submissions import Configure


def sse(blocks: list[dict[str, Any]], stop: str) -> bytes:
    """Return an answer as the server streams it."""
    usage = {"input_tokens": 100, "output_tokens": 10}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "local", "content": [], "usage": usage}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message}]
    for index, block in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage})
    events.append({"type": "message_stop"})
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)


@contextmanager
def serving(*answers: bytes) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve these answers in turn; give the base URL and the requests for messages so far."""
    requests: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path != "/v1/messages":
                self.send_error(404)
                return
            requests.append(body)
            answer = answers[min(len(requests), len(answers)) - 1]
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
    finally:
        server.shutdown()
        server.server_close()


def bash(call: object, command: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": call, "name": "bash", "input": {"command": command}}


DONE = sse([{"type": "text", "text": "Done."}], "end_turn")


@pytest.mark.parametrize(
    ("answers", "ledger"),
    [
        ([sse([bash("x", "echo a >> ledger"), bash("x", "echo a >> ledger")], "tool_use"), DONE], "a\n"),
        ([sse([bash("x", "echo a >> ledger"), bash("x", "echo b >> ledger")], "tool_use"), DONE], "a\nb\n"),
        ([sse([bash("x", "echo a >> ledger")], "tool_use")] * 2 + [DONE], "a\na\n"),
    ],
    ids=["the same call twice", "two calls", "in two answers"],
)
async def test_each_call_runs_once_and_the_run_has_its_answer(
    tmp_path: Path, isolated: Path, answers: list[bytes], ledger: str
) -> None:
    with serving(*answers) as (base_url, requests):
        given = options(tmp_path, offline=False, base_url=base_url, api_key="k", model="local", mode="bypass")
        async with opened(given) as session:
            await session.handle.do(Configure(limits={"run.cost": None, "run.turns": 9}))
            await session.prompt("go")
            (end,) = session.of("run.finished")
            assert end.outcome == "completed", end.reason
            assert "Done." in str(session.of("turn.finished")[-1].content)
        assert await asyncio.to_thread((isolated / "ledger").read_text) == ledger
        for request in requests:
            called = [b["id"] for m in request["messages"] for b in m["content"] if b["type"] == "tool_use"]
            told = [b["tool_use_id"] for m in request["messages"] for b in m["content"] if b["type"] == "tool_result"]
            assert len(called) == len(set(called))
            assert told == called
