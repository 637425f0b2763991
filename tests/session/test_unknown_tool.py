"""A model that calls a tool it was not offered hears which tools there are."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.session.support import opened, options


def stream(*blocks: dict[str, Any]) -> bytes:
    """Return a streamed answer of these blocks, as a server sends it."""
    usage = {"input_tokens": 10, "output_tokens": 5}
    stop = "tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn"
    message = {"id": "m", "type": "message", "role": "assistant", "model": "x", "content": [], "usage": usage}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message}]
    for index, block in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage})
    events.append({"type": "message_stop"})
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()


class Server:
    """Answers requests for messages in turn, everything else with 404."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.bodies: list[Any] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next((int(h.split(":")[1]) for h in head.split("\r\n") if h.startswith("content-length:")), 0)
        body = await reader.readexactly(length)
        kind = "application/json"
        status, answer = "404 Not Found", b"{}"
        if head.startswith("post /v1/messages?") or head.startswith("post /v1/messages http"):
            self.bodies.append(json.loads(body))
            status, answer, kind = "200 OK", self.answers.pop(0), "text/event-stream"
        lines = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n"
        writer.write(f"{lines}content-length: {len(answer)}\r\n\r\n".encode() + answer)
        await writer.drain()
        writer.close()


@pytest.mark.parametrize(("called", "near"), [("Greb", "grep"), ("str_replace_editor", ""), ("BASH", "bash")])
async def test_an_unknown_tool_lists_the_known_ones(tmp_path: Path, isolated: Path, called: str, near: str) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": called, "input": {}}
    server = Server(stream(call), stream({"type": "text", "text": "Oh."}))
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    given = options(tmp_path, offline=False, base_url=f"http://127.0.0.1:{port}", api_key="k")
    async with listening, opened(given) as session:
        await session.prompt("go")
        result = server.bodies[-1]["messages"][-1]["content"][0]
        assert result["is_error"]
        text = result["content"][0]["text"]
        assert f"There is no tool named {called!r}." in text
        assert (f"Did you mean {near}?" in text) == bool(near)
        assert "bash_output, edit, exit_plan, glob" in text
