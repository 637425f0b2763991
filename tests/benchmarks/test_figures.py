"""The benchmarks' own parts: figures and their parsers, and the maker of long sessions. No clock here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.figures import TICKS, Figure, Memory, parse_smaps, parse_stat, percentile, table
from tests.benchmarks.screen import _turn_cost
from tests.benchmarks.sessions import LAST_ANSWER, make_session
from tui_agent.journal import Journal
from tui_agent.runtime import Runtime
from tui_agent.session import AnswerItem, OpenOptions, PromptItem, StepItem, resume_session


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (Figure("x", 10, "ms", aim=10), True),
        (Figure("x", 10.1, "ms", aim=10), False),
        (Figure("x", 14, "ms", floor=10, aim_ratio=1.4), True),
        (Figure("x", 15, "ms", floor=10, aim_ratio=1.4), False),
        (Figure("x", 99.9, "%", floor=50, aim_least=100), False),
        (Figure("x", 10, "ms", floor=1), None),
        (Figure("x", 10, "ms", aim_ratio=1.4), False),
    ],
)
def test_an_aim_is_met_or_not(figure: Figure, met: bool | None) -> None:
    assert figure.met is met


def test_the_table_names_what_missed() -> None:
    text = table([Figure("slow", 3.0, "s", 2.0, "bare", aim_ratio=1.4), Figure("events", 12345, "")])
    assert [line.count("|") for line in text.splitlines()] == [7] * 4
    assert "| slow " in text and "2.00 s (bare)" in text and "1.50" in text and "**no**" in text
    assert "12,345" in text


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([3, 1, 2], 50) == 2
    assert percentile(list(range(1, 101)), 95) == 95
    assert percentile([7], 99) == 7


def test_cpu_is_read_whatever_the_program_is_called() -> None:
    rest = " ".join(["S", *["0"] * 10, str(3 * TICKS), str(TICKS // 2), "7", "8"])
    assert parse_stat(f"12 (a) b (c) {rest}") == 3.5


def test_memory_is_summed_in_mebibytes() -> None:
    assert parse_smaps("00-ff ---p 0 [rollup]\nRss:   2048 kB\nPss:   1024 kB\nPss_Dirty: 1 kB\n") == Memory(2, 1)


def test_a_turn_costs_the_mean_between_two_counts() -> None:
    samples = [(9, 0.5), (10, 1.0), (10, 1.1), (21, 2.0), (30, 3.0), (31, 4.0)]
    assert _turn_cost(samples, 10, 30) == pytest.approx(0.1)


@pytest.mark.parametrize("items", [0, 30])
async def test_a_made_session_is_whole_and_opens(isolated: Path, tmp_path: Path, items: int) -> None:
    data = tmp_path / "data"
    name = await make_session(data, isolated, items)
    journal = await Journal.open(data / "sessions" / name / "session.db", Runtime())
    assert (await journal.verify()).ok
    assert await journal.latest_snapshot() is not None
    await journal.close()
    handle = await resume_session(name, OpenOptions(data, data, isolated))
    shown = await handle.items(0, handle.item_count)
    await handle.close()
    assert len(shown) >= items
    if items:
        kinds = {type(item) for item in shown.values()}
        assert {PromptItem, AnswerItem, StepItem} <= kinds
        assert any(LAST_ANSWER in str(item) for item in shown.values())
