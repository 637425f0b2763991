"""The SDK's own helpers work against the offline server: other programs can be tried on it as well."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from anthropic import beta_tool

MODEL = "claude-sonnet-5-5"


@pytest.fixture
def sdk(serve: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=serve().base_url, api_key="k", max_retries=0)


@pytest.mark.parametrize("more", [{}, {"thread": False}], ids=["in a thread", "whole history"])
def test_the_tool_runner_calls_a_tool_and_ends_with_the_answer(sdk: anthropic.Anthropic, more: Any) -> None:
    seen: list[str] = []

    @beta_tool
    def read(path: str) -> str:
        """Read a file.

        Args:
            path: The file to read.
        """
        seen.append(path)
        return "buy milk"

    messages: Any = [{"role": "user", "content": "read notes.txt"}]
    runner = sdk.beta.messages.tool_runner(model=MODEL, max_tokens=1000, tools=[read], messages=messages, **more)
    final = runner.until_done()
    assert seen == ["notes.txt"]
    assert final.stop_reason == "end_turn"
    assert "buy milk" in str(final.content)


def test_streaming_gives_the_text_in_parts_and_the_whole_message(sdk: anthropic.Anthropic) -> None:
    messages: Any = [{"role": "user", "content": "say 30"}]
    with sdk.messages.stream(model=MODEL, max_tokens=1000, messages=messages) as stream:
        parts = list(stream.text_stream)
        message = stream.get_final_message()
    assert len(parts) > 1
    assert "".join(parts) == "".join(block.text for block in message.content if block.type == "text")
    assert message.usage.output_tokens > 0


def test_tokens_are_counted_as_they_are_billed(sdk: anthropic.Anthropic) -> None:
    messages: Any = [{"role": "user", "content": "say 3"}]
    system = "Answer in plain words. " * 20
    counted = sdk.messages.count_tokens(model=MODEL, system=system, messages=messages).input_tokens
    answer = sdk.messages.create(model=MODEL, max_tokens=100, system=system, messages=messages)
    assert answer.usage.input_tokens == counted > 0


def test_a_thread_brings_only_what_is_new_and_says_when_it_is_lost(sdk: anthropic.Anthropic) -> None:
    betas = ["message-threads-2026-08-12"]
    first: Any = [{"role": "user", "content": "remember the word marzipan"}]
    create = sdk.beta.messages.create
    held = create(model=MODEL, max_tokens=100, messages=first, thread={"type": "create"}, betas=betas)
    more: Any = [{"role": "user", "content": "say 3"}]
    goes_on: Any = {"type": "continue", "previous_message_id": held.id}
    answer = create(model=MODEL, max_tokens=100, messages=more, thread=goes_on, betas=betas)
    assert answer.usage.input_tokens > held.usage.input_tokens
    lost: Any = {"type": "continue", "previous_message_id": "msg_nothing"}
    with pytest.raises(anthropic.NotFoundError) as caught:
        create(model=MODEL, max_tokens=100, messages=more, thread=lost, betas=betas)
    assert getattr(caught.value, "error_code", "") == "thread_not_found"
    with pytest.raises(anthropic.BadRequestError, match="thread: Extra inputs"):
        create(model=MODEL, max_tokens=100, messages=first, thread={"type": "create"})
