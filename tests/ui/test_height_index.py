"""The height index against plain lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_agent.ui.height_index import HeightIndex

HEIGHTS = st.lists(st.integers(0, 9), max_size=60)


@given(HEIGHTS, st.lists(st.tuples(st.integers(0, 59), st.integers(0, 9)), max_size=20))
def test_sums_and_finding_agree_with_a_list(heights: list[int], changes: list[tuple[int, int]]) -> None:
    index = HeightIndex()
    for height in heights:
        index.append(height)
    for position, height in changes:
        if position < len(heights):
            index.set(position, height)
            heights[position] = height
    assert len(index) == len(heights)
    assert index.total == sum(heights)
    lines = [(position, line) for position, height in enumerate(heights) for line in range(height)]
    assert [index.find(line) for line in range(index.total)] == lines
    for position in range(len(heights) + 1):
        assert index.before(position) == sum(heights[:position])


@given(st.integers(0, 70), st.integers(0, 5), HEIGHTS)
def test_an_index_made_at_once_equals_one_that_grew(count: int, height: int, more: list[int]) -> None:
    made, grown = HeightIndex(count, height), HeightIndex()
    for _ in range(count):
        grown.append(height)
    for other in more:
        made.append(other)
        grown.append(other)
    assert [made.before(n) for n in range(len(made) + 1)] == [grown.before(n) for n in range(len(grown) + 1)]


@pytest.mark.parametrize("line", [-1, 6, 7])
def test_a_line_that_is_not_there_is_an_error(line: int) -> None:
    with pytest.raises(IndexError, match="there are 6"):
        HeightIndex(3, 2).find(line)
