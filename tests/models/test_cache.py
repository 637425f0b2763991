"""The simulated prompt cache: what is read, written and billed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.models.conftest import body_of
from tui_agent.models.offline.cache import LOOKBACK, PromptCache
from tui_agent.models.offline.request import Request

LONG = "word " * 4000  # 5,000 tokens
MARK = {"cache_control": {"type": "ephemeral"}}


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> PromptCache:
    return PromptCache(clock)


def figures(usage: dict[str, Any]) -> tuple[int, int, int]:
    return usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"], usage["input_tokens"]


def turn(text: str) -> list[Any]:
    return [{"role": "assistant", "content": "ok"}, text]


def test_the_top_level_mark_advances_by_itself(cache: PromptCache) -> None:
    first = Request(body_of(LONG, **MARK))
    assert figures(cache.usage(first)) == (0, first.tokens, 0)
    second = Request(body_of(LONG, *turn("next"), **MARK))
    assert figures(cache.usage(second)) == (first.tokens, second.tokens - first.tokens, 0)


def test_without_a_mark_nothing_is_cached(cache: PromptCache) -> None:
    request = Request(body_of(LONG))
    for _ in range(2):
        assert figures(cache.usage(request)) == (0, 0, request.tokens)


def test_marks_on_blocks_cache_up_to_themselves(cache: PromptCache) -> None:
    system = [{"type": "text", "text": LONG, **MARK}]
    one = cache.usage(Request(body_of("hi", system=system)))
    two = cache.usage(Request(body_of("other", system=system)))
    assert one["cache_creation_input_tokens"] == two["cache_read_input_tokens"] > 5000
    assert two["cache_creation_input_tokens"] == 0
    assert two["input_tokens"] == 2


def test_a_changed_head_reads_nothing(cache: PromptCache) -> None:
    cache.usage(Request(body_of(LONG, system="a", **MARK)))
    assert figures(cache.usage(Request(body_of(LONG, system="b", **MARK))))[0] == 0
    assert figures(cache.usage(Request(body_of(LONG, system="a", model="offline", **MARK))))[0] == 0


def test_entries_live_five_minutes_after_their_last_use(cache: PromptCache, clock: Clock) -> None:
    request = Request(body_of(LONG, **MARK))
    cache.usage(request)
    clock.time = 299
    assert figures(cache.usage(request))[0] == request.tokens
    clock.time = 299 + 299
    assert figures(cache.usage(request))[0] == request.tokens
    clock.time += 301
    assert figures(cache.usage(request))[0] == 0


def test_an_hour_is_said_and_kept(cache: PromptCache, clock: Clock) -> None:
    request = Request(body_of(LONG, cache_control={"type": "ephemeral", "ttl": "1h"}))
    usage = cache.usage(request)
    assert usage["cache_creation"] == {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": request.tokens}
    clock.time = 3500
    assert figures(cache.usage(request))[0] == request.tokens


def test_short_prompts_are_not_cached(cache: PromptCache) -> None:
    request = Request(body_of("short", **MARK))
    for _ in range(2):
        assert figures(cache.usage(request)) == (0, 0, request.tokens)


@pytest.mark.parametrize(("blocks", "hit"), [(LOOKBACK, True), (LOOKBACK + 1, False)])
def test_only_so_many_blocks_are_looked_back(cache: PromptCache, blocks: int, hit: bool) -> None:
    cache.usage(Request(body_of(LONG, **MARK)))
    more = [{"type": "text", "text": f"n{number}"} for number in range(blocks)]
    usage = cache.usage(Request(body_of(LONG, {"role": "user", "content": more}, **MARK)))
    assert (usage["cache_read_input_tokens"] > 0) is hit


async def test_a_conversation_reads_nearly_everything_from_the_cache(talk) -> None:
    messages: list[Any] = [LONG]
    read = total = 0
    for number in range(20):
        usage = (await talk.send(*messages, **MARK)).usage
        read += usage.cache_read_tokens
        total += usage.prompt_tokens
        messages += turn(f"more {number}")
    assert read / total > 0.94
