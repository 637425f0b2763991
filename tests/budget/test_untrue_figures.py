"""A server whose usage figures are missing or cannot be true: the projection is booked, and limits hold."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.budget.test_in_a_session import at
from tests.session.support import Watcher, opened
from tui_agent.budget.belief import answer_bytes, believed, least_input, text_bytes
from tui_agent.events import TurnProjected, Usage
from tui_agent.journal import SessionIndex
from tui_agent.models.offline import OfflineServer
from tui_agent.models.offline.request import Request
from tui_agent.models.offline.rules import ApiError
from tui_agent.submissions import Interrupt, Submit

LIMIT = 20_000.0

FIGURES: dict[str, dict[str, Any]] = {
    "zero": {"input_tokens": 0, "output_tokens": 0},
    "missing": {"output_tokens": None},
    "null": {"input_tokens": None, "output_tokens": None},
    "negative": {"input_tokens": -5_000, "output_tokens": -100},
    "one": {"input_tokens": 1, "output_tokens": 1},
    "little": {"input_tokens": 40, "output_tokens": 1},
    "text": {"input_tokens": "many", "output_tokens": "few"},
    "fractions": {"input_tokens": 0.25, "output_tokens": 0.5},
    "huge": {"input_tokens": 10**30, "output_tokens": 10**30},
    "too large": {"input_tokens": 900_000_000, "output_tokens": 900_000_000},
    "true and false": {"input_tokens": True, "output_tokens": False},
    "lists": {"input_tokens": [3], "output_tokens": {}},
    "cached below nothing": {"input_tokens": 3_000, "cache_read_input_tokens": -3_000, "output_tokens": 0},
}


class Liar(OfflineServer):
    """Reports `figures` as the usage of every answer. `real` is what its answers took in truth, in tokens."""

    def __init__(self, figures: dict[str, Any], counted: int | None = None) -> None:
        super().__init__()
        self.real = 0
        self._figures = figures
        self._counted = counted
        self._lock = threading.Lock()

    def counted(self, request: Request) -> int:
        if self._counted is None:
            raise ApiError(405, "not_found_error", "no such endpoint")
        return self._counted

    def billed(self, request: Request, usage: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.real += request.tokens + int(usage["output_tokens"])
        return dict(self._figures)


def reading(tmp_path: Path, times: int) -> str:
    folder = tmp_path / "workspace"
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text("a line of text\n" * 60)
    return " then ".join(["read a.txt"] * times)


def notices(session: Watcher) -> list[str]:
    return [event.message for event in session.of("notice") if event.code == "usage-estimated"]


@pytest.mark.parametrize("kind", FIGURES)
async def test_a_limit_on_tokens_holds_whatever_the_server_says(tmp_path: Path, kind: str) -> None:
    with Liar(FIGURES[kind]) as server:
        async with opened(at(server, tmp_path, limits={"run.tokens": LIMIT})) as session:
            await session.prompt(reading(tmp_path, 20))
            assert session.of("budget.stopped")[0].limit == "tokens"
            assert 0 < server.real <= LIMIT
            finished = session.of("turn.finished")
            assert all(turn.usage.estimated for turn in finished)
            assert sum(turn.usage.total_tokens for turn in finished) <= LIMIT
            assert len(notices(session)) == 1
            assert session.of("run.finished")[-1].usage.estimated


@pytest.mark.parametrize("counted", [-3, 0, 1, 60, 10**30, 10**9])
async def test_a_count_that_cannot_be_true_is_not_believed(tmp_path: Path, counted: int) -> None:
    with Liar(FIGURES["zero"], counted) as server:
        async with opened(at(server, tmp_path, limits={"run.cost": 0.15})) as session:
            await session.prompt(reading(tmp_path, 20))
            assert session.of("budget.stopped")[0].limit == "cost"
            assert not any(projected.counted for projected in session.of("turn.projected"))
            assert 0 < session.handle.state.budget.cost <= 0.15
            assert len(session.of("turn.finished")) > 2


async def test_a_guess_is_not_built_upon(tmp_path: Path) -> None:
    with Liar(FIGURES["zero"]) as server:
        async with opened(at(server, tmp_path)) as session:
            await session.prompt(reading(tmp_path, 12))
            projected = session.of("turn.projected")
            assert projected[-1].input_tokens < 3 * projected[-1].request_bytes / 4
            assert session.handle.state.budget.context_tokens < projected[-1].request_bytes / 2


async def test_the_days_books_take_any_figure(tmp_path: Path) -> None:
    with Liar(FIGURES["huge"]) as server:
        async with opened(at(server, tmp_path, limits={"day.tokens": 1e9})) as session:
            await session.prompt("say 5")
            used = session.handle.state.budget.usage.total_tokens
    index = SessionIndex(tmp_path / "data" / "index.db", tmp_path / "data" / "sessions")
    (day,) = await index.days()
    assert (await index.day(day))[0].tokens == used > 0
    await index.close()


async def test_a_cut_answer_whose_input_nobody_told_books_the_projection(tmp_path: Path) -> None:
    with Liar(FIGURES["missing"]) as server:
        async with opened(at(server, tmp_path)) as session:
            await session.handle.do(Submit(prompt="say 300 at 100"))
            await session.until(lambda: len(session.of("turn.delta")) > 2)
            await session.handle.do(Interrupt())
            await session.idle()
            failed, projected = session.of("turn.failed")[0], session.of("turn.projected")[0]
            assert failed.usage.prompt_tokens == projected.input_tokens
            assert failed.usage.estimated
            assert session.of("run.finished")[-1].usage.total_tokens == failed.usage.total_tokens


async def test_an_honest_server_is_believed(tmp_path: Path) -> None:
    with OfflineServer() as server:
        async with opened(at(server, tmp_path, limits={"run.tokens": 60_000.0})) as session:
            await session.prompt(reading(tmp_path, 4))
            assert not any(turn.usage.estimated for turn in session.of("turn.finished"))
            assert notices(session) == []


BODY = json.dumps({"messages": [{"role": "user", "content": "some words " * 400}]}).encode()
PROJECTED = TurnProjected(turn="t", input_tokens=2_300, max_output_tokens=1_000, request_bytes=len(BODY))
figures = st.one_of(st.integers(0, 10**9), st.integers(0, 3_000))


@given(figures, figures, figures, figures, st.integers(0, 40_000))
def test_what_is_booked_is_within_what_bytes_allow(
    fresh: int, read: int, written: int, output: int, received: int
) -> None:
    said = Usage(input_tokens=fresh, cache_read_tokens=read, cache_write_tokens=written, output_tokens=output)
    usage, doubt = believed(said, PROJECTED, BODY, received, window=200_000, max_output=64_000)
    assert bool(doubt) == usage.estimated == (usage != said)
    assert least_input(BODY) <= usage.prompt_tokens <= 200_000
    assert usage.output_tokens <= max(64_000, received)
    assert usage.output_tokens >= min(received // 24, 1_000)
    assert believed(usage, PROJECTED, BODY, received, window=200_000, max_output=64_000)[0] == usage or doubt


def test_what_is_encoded_says_nothing_of_its_tokens() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": "A" * 50_000}}
    assert text_bytes(json.dumps(image).encode()) < 100
    assert (
        answer_bytes([{"type": "thinking", "thinking": "", "signature": "x" * 900}, {"type": "text", "text": "hi"}])
        < 100
    )
