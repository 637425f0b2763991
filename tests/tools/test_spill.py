"""What is cut from a result can be read on, without asking: the session's own files count as inside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tools.support import Bench, text


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def pointer(result: str) -> tuple[str, int]:
    """The file and offset that a cut result names."""
    found = re.search(r"read (\S+) with offset=(\d+)", result)
    assert found, result[-300:]
    return found[1], int(found[2])


@pytest.mark.parametrize("tool", ["grep", "glob"])
async def test_the_rest_of_a_search_can_be_read(bench: Bench, tool: str) -> None:
    for number in range(300):
        bench.file(f"src/file{number:03}.txt", f"needle {number}\n")
    outcome = await (bench.do("grep", pattern="needle") if tool == "grep" else bench.do("glob", pattern="**/*.txt"))
    path, offset = pointer(text(outcome))
    rest = text(await bench.do("read", path=path, offset=offset))
    assert "file299.txt" in rest
    assert "file299.txt" not in text(outcome)


async def test_a_subagents_long_answer_can_be_read(bench: Bench) -> None:
    outcome = await bench.do("task", agent="explore", prompt="\n".join(f"line {n}" for n in range(5000)))
    path, offset = pointer(text(outcome))
    assert "line 4999" in text(await bench.do("read", path=path, offset=4990))
    assert offset > 1
