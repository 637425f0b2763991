"""A request that the server refuses, for its length or for what is in it, does not end the session."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.session.support import Watcher, opened, options
from tui_agent.context import find_fault
from tui_agent.context.repair import replace_blocks
from tui_agent.models.offline import OfflineServer
from tui_agent.models.offline.errors import invalid
from tui_agent.submissions import Compact

Refuses = Callable[[dict[str, Any]], str]


class Refusing(OfflineServer):
    """The offline server, refusing each request about which `refuses` has something to say."""

    refuses: Refuses
    refused = 0

    async def _messages(self, body: Any, *rest: Any) -> bool:
        if words := self.refuses(body):
            self.refused += 1
            raise invalid(words)
        return await super()._messages(body, *rest)


@asynccontextmanager
async def against(tmp_path: Path, refuses: Refuses, session: str = "") -> AsyncIterator[tuple[Watcher, Refusing]]:
    server = Refusing(record=True)
    server.refuses = refuses
    base_url = await asyncio.to_thread(server.start)
    given = options(tmp_path, offline=False, base_url=base_url, api_key="k", model="sonnet", mode="bypass")
    try:
        async with opened(given, session) as watcher:
            yield watcher, server
    finally:
        await asyncio.to_thread(server.stop)


def pictures(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the path and the data of each image in a request."""
    found = []
    for i, message in enumerate(body["messages"]):
        for j, block in enumerate(message["content"]):
            parts = block["content"] if block.get("type") == "tool_result" else [block]
            for k, part in enumerate(parts):
                inner = f".tool_result.content.{k}" if parts[0] is not block else ""
                if isinstance(part, dict) and part.get("type") == "image":
                    found.append((f"messages.{i}.content.{j}{inner}.image.source.base64", part["source"]["data"]))
    return found


def image(path: Path, colour: str) -> str:
    """Write an image and return its data as it is sent."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(file, "PNG")
    path.write_bytes(file.getvalue())
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("named", [True, False])
async def test_a_block_that_the_server_refuses_gives_way_to_a_note(
    tmp_path: Path, isolated: Path, named: bool
) -> None:
    good, bad = image(isolated / "good.png", "green"), image(isolated / "bad.png", "red")

    def refuses(body: dict[str, Any]) -> str:
        at = [path for path, data in pictures(body) if data == bad]
        return (f"{at[0]}: " if named else "") + "Could not process image" if at else ""

    async with against(tmp_path, refuses) as (session, server):
        await session.prompt("read good.png")
        await session.prompt("read bad.png")
        assert [end.outcome for end in session.of("run.finished")] == ["completed", "completed"]
        (repaired,) = session.of("context.repaired")
        assert "Could not process image" in repaired.reason
        assert server.refused == 1
        await session.prompt("say 5")
        assert server.refused == 1
        assert [data for _, data in pictures(_last(server))] == [good]
        assert "left out" in json.dumps(_last(server)["messages"])
        name = session.handle.session
    async with against(tmp_path, refuses, name) as (session, server):
        await session.prompt("say 5")
        assert (server.refused, session.of("notice")) == (0, [])


async def test_a_session_with_a_bad_block_in_its_past_goes_on_and_can_be_compacted(
    tmp_path: Path, isolated: Path
) -> None:
    bad = image(isolated / "bad.png", "red")
    async with against(tmp_path, lambda body: "") as (session, _):
        await session.prompt("read bad.png")
        await session.prompt("say 5")
        name = session.handle.session

    def refuses(body: dict[str, Any]) -> str:
        return "image dimensions exceed max allowed size" if any(d == bad for _, d in pictures(body)) else ""

    async with against(tmp_path, refuses, name) as (session, _):
        await session.handle.do(Compact())
        (compacted,) = session.of("context.compacted")
        assert (compacted.author, len(session.of("context.repaired"))) == ("model", 1)
        await session.prompt("say 5")
        assert session.of("run.finished")[0].outcome == "completed"


async def test_a_refusal_that_no_mending_helps_ends_the_run(tmp_path: Path, isolated: Path) -> None:
    image(isolated / "bad.png", "red")
    async with against(tmp_path, lambda body: "image: no" if len(body["messages"]) > 2 else "") as (session, server):
        await session.prompt("read bad.png")
        (end,) = session.of("run.finished")
        assert (end.outcome, "image: no" in end.reason) == ("failed", True)
        assert server.refused <= 3


async def test_a_refusal_about_something_else_takes_nothing_out(tmp_path: Path, isolated: Path) -> None:
    image(isolated / "good.png", "green")
    async with against(tmp_path, lambda body: "max_tokens: too large" if len(body["messages"]) > 2 else "") as (
        session,
        server,
    ):
        await session.prompt("read good.png")
        assert (server.refused, session.of("context.repaired")) == (1, [])
        assert session.of("run.finished")[0].outcome == "failed"


async def test_a_request_that_is_too_long_is_compacted_and_sent_once_more(tmp_path: Path, isolated: Path) -> None:
    def refuses(body: dict[str, Any]) -> str:
        size = len(json.dumps(body["messages"])) // 4
        return f"prompt is too long: {size} tokens > 5000 maximum" if size > 5_000 else ""

    for number in range(6):
        (isolated / f"{number}.txt").write_text(f"line {number}\n" * 500)
    async with against(tmp_path, refuses) as (session, _):
        for number in range(6):
            await session.prompt(f"read {number}.txt")
        ends = [end.outcome for end in session.of("run.finished")]
        assert ends == ["completed"] * 6
        compacted = session.of("context.compacted")
        assert compacted
        assert all(event.trigger == "automatic" and "too long" in event.reason for event in compacted)
        assert {event.author for event in compacted} == {"model"}


async def test_a_prompt_that_is_too_long_by_itself_ends_as_a_full_window(tmp_path: Path) -> None:
    async with against(tmp_path, lambda body: "prompt is too long: 9 tokens > 5 maximum") as (session, server):
        await session.prompt("say 5")
        (end,) = session.of("run.finished")
        assert (end.outcome, server.refused) == ("window_full", 1)


MESSAGES: list[Any] = [
    {"role": "user", "content": [{"type": "text", "text": "go"}]},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "tool_use", "id": "a", "name": "bad name!", "input": {}},
            {"type": "tool_use", "id": "b", "name": "read", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "no such tool"}]},
            {"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": "fine"}]},
        ],
    },
]


@pytest.mark.parametrize(
    ("refusal", "kinds"),
    [
        ("messages.1.content.1.tool_use.name: String should match pattern", ["text", "tool_use"]),
        ("messages.1.content.0: Invalid `signature` in `thinking` block", ["tool_use", "tool_use"]),
        ("messages.2.content.1.tool_result.content.0.text: bad", ["tool_use", "tool_use"]),
        ("messages.2.content.0.content: bad", ["tool_use", "tool_use"]),
    ],
)
def test_what_is_left_is_a_history_that_the_api_takes(refusal: str, kinds: list[str]) -> None:
    edits = find_fault(MESSAGES, refusal)
    assert edits
    repaired: list[Any] = replace_blocks(MESSAGES, edits)
    answer = repaired[1]["content"]
    assert [block["type"] for block in answer if block["type"] != "thinking"] == kinds
    results = [block["type"] for block in repaired[2]["content"]]
    assert results == sorted(results, key=lambda kind: kind != "tool_result")
    called = {block["id"] for block in answer if block["type"] == "tool_use"}
    assert {block["tool_use_id"] for block in repaired[2]["content"] if block["type"] == "tool_result"} == called


def _last(server: OfflineServer) -> dict[str, Any]:
    return next(r.body for r in reversed(server.requests) if r.path == "/v1/messages")
