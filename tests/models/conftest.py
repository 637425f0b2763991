"""A server and a client for each test."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tui_agent.models import Delta, ModelClient, ModelRequest, Response
from tui_agent.models.offline import OfflineServer
from tui_agent.runtime import Runtime

TOOLS = [
    {"name": name, "input_schema": {"type": "object"}}
    for name in ("read", "glob", "grep", "bash", "write", "edit", "todo", "ask", "task")
]


def body_of(*messages: Any, **more: Any) -> dict[str, Any]:
    """A request's body; a text is a user message."""
    listed = [{"role": "user", "content": part} if isinstance(part, str) else part for part in messages]
    body = {"model": "claude-sonnet-5-5", "max_tokens": 4000, "stream": True, "tools": TOOLS, "messages": listed}
    return {key: value for key, value in {**body, **more}.items() if value is not None}


def assistant(response: Response) -> dict[str, Any]:
    return {"role": "assistant", "content": response.content}


def results(response: Response, *texts: str, error: bool = False) -> dict[str, Any]:
    calls = [block["id"] for block in response.content if block["type"] == "tool_use"]
    content = [
        {"type": "tool_result", "tool_use_id": call, "content": [{"type": "text", "text": text}], "is_error": error}
        for call, text in zip(calls, texts, strict=True)
    ]
    return {"role": "user", "content": content}


class Talk:
    """Sends requests and keeps the deltas of the last one."""

    def __init__(self, client: ModelClient) -> None:
        self.client = client
        self.batches: list[list[Delta]] = []

    async def on_deltas(self, deltas: list[Delta]) -> None:
        self.batches.append(deltas)

    @property
    def text(self) -> str:
        return "".join(delta.text for batch in self.batches for delta in batch if delta.kind == "text")

    async def post(self, *messages: Any, **more: Any) -> None:
        """Send a request as it is: what the server refuses is not left out of a second one."""
        body = body_of(*messages, **more)
        request = ModelRequest(body["model"], json.dumps(body).encode(), tuple(more.pop("betas", ())))
        response = await self.client._post(await self.client._ready(), request)
        await response.aclose()

    async def count(self, *messages: Any, **more: Any) -> int | None:
        body = body_of(*messages, **{"stream": None, "max_tokens": None, **more})
        return await self.client.count_tokens(body["model"], json.dumps(body).encode())

    async def send(self, *messages: Any, **more: Any) -> Response:
        self.batches = []
        body = body_of(*messages, **more)
        return await self.client.stream(ModelRequest(body["model"], json.dumps(body).encode()), self.on_deltas)


@pytest.fixture
def serve() -> Iterator[Callable[..., OfflineServer]]:
    servers: list[OfflineServer] = []

    def make(*args: Any, **options: Any) -> OfflineServer:
        server = OfflineServer(*args, **{"record": True, **options})
        server.start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Talk]]:
    clients: list[ModelClient] = []

    def make(url: str, **options: Any) -> Talk:
        client = ModelClient(base_url=url, api_key="offline", runtime=Runtime(), **options)
        clients.append(client)
        return Talk(client)

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
def talk(serve: Callable[..., OfflineServer], connect: Callable[..., Talk]) -> Talk:
    return connect(serve().base_url)
