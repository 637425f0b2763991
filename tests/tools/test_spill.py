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
    call = bench.call("read", path=path, offset=offset)
    plan = await bench.tool("read").plan(call, bench.context(call.step))
    assert plan.inside
    rest = text(await bench.do("read", path=path, offset=offset))
    assert "file299.txt" in rest
    assert "file299.txt" not in text(outcome)


async def test_a_subagents_long_answer_can_be_read(bench: Bench) -> None:
    outcome = await bench.do("task", agent="explore", prompt="\n".join(f"line {n}" for n in range(5000)))
    path, offset = pointer(text(outcome))
    assert "line 4999" in text(await bench.do("read", path=path, offset=4990))
    assert offset > 1


async def test_other_files_outside_are_still_outside(bench: Bench) -> None:
    outside = bench.root / "other.txt"
    outside.write_text("x")
    call = bench.call("read", path=str(outside))
    plan = await bench.tool("read").plan(call, bench.context(call.step))
    assert not plan.inside


async def test_a_link_among_the_sessions_files_does_not_lead_out(bench: Bench) -> None:
    outside = bench.root / "other.txt"
    outside.write_text("x")
    call = bench.call("read", path="?")
    context = bench.context(call.step)
    context.spool.mkdir(parents=True)
    (context.spool / "link").symlink_to(outside)
    call = bench.call("read", path=str(context.spool / "link"))
    plan = await bench.tool("read").plan(call, bench.context(call.step))
    assert not plan.inside
