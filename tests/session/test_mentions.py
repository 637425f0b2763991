"""What a prompt mentions comes along, and counts as read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.session.support import opened, options
from tui_agent.session.mentions import MOST_MENTIONS, Expansion, expand_mentions, find_mentions
from tui_agent.submissions import Submit


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A workspace with a few files."""
    root = tmp_path / "workspace"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").write_text("".join(f"line {n}\n" for n in range(1, 31)))
    (root / "with space.md").write_text("spaced\n")
    (root / "blob.bin").write_bytes(b"\0\1\2" * 100)
    (root / "big.txt").write_text("x\n" * 5000)
    return root


def expand(prompt: str, root: Path) -> Expansion:
    return expand_mentions(prompt, root, root.parent, images=True, documents=True)


def said(expansion: Expansion) -> str:
    """The text that came along."""
    return "\n".join(str(block["text"]) for block in expansion.content[1:])


def test_files_lines_and_folders(place: Path) -> None:
    whole = expand("look at @src/a.py, please", place)
    assert whole.content[0]["text"] == "look at @src/a.py, please"
    assert "30\tline 30" in said(whole)
    assert whole.files[0].path.endswith("src/a.py")
    part = said(expand("why @src/a.py:10-12?", place))
    assert "line 12" in part
    assert "13\t" not in part
    assert 'lines="10-12"' in part
    one = said(expand("@src/a.py:7", place))
    assert "7\tline 7" in one
    assert "8\t" not in one
    assert "a.py" in said(expand("see @src/", place))


def test_names_with_spaces(place: Path) -> None:
    for prompt in ('@"with space.md"', "@with\\ space.md"):
        assert "spaced" in said(expand(prompt, place))
    assert "spaced" in said(expand('@"with space.md":1-1', place))


def test_what_is_no_file_stays_text(place: Path) -> None:
    for prompt in ("mail me@src/a.py", "@nobody", "`@src/a.py`", "@", "a @@src/a.py", "@\0", "@src/a.py\0"):
        assert replace(expand(prompt, place), mentions=[]) == Expansion(), prompt


def test_what_cannot_be_shown_says_so_and_large_files_are_cut(place: Path) -> None:
    assert "binary" in said(expand("@blob.bin", place)) or "cannot be shown" in said(expand("@blob.bin", place))
    assert "read on with offset=" in said(expand("@big.txt", place))
    assert "only 30 lines" in said(expand("@src/a.py:99", place))


def test_many_mentions_are_bounded(place: Path) -> None:
    for number in range(MOST_MENTIONS + 3):
        (place / f"{number}.txt").write_text("t\n")
    text = said(expand(" ".join(f"@{number}.txt" for number in range(MOST_MENTIONS + 3)), place))
    assert text.count("<file ") == MOST_MENTIONS
    assert text.count("mention-left-out") == 3


@given(st.text(max_size=60))
def test_any_text_can_be_looked_through(text: str) -> None:
    for choices in find_mentions(text):
        assert choices


async def test_a_mentioned_file_can_be_edited_at_once(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("old\n")
    async with opened(options(tmp_path, mode="bypass")) as session:
        handle = session.handle
        await handle.do(Submit(prompt="say 3 about @a.txt"))
        await session.idle()
        started: Any = session.of("run.started")[0]
        assert "old" in json.dumps(started.content)
        assert started.files[0].sha256
        await session.prompt("edit a.txt: old => new")
        assert (isolated / "a.txt").read_text() == "new\n"
        name = handle.session
    (isolated / "a.txt").write_text("new\n")
    async with opened(options(tmp_path, mode="bypass"), name) as session:
        await session.prompt("edit a.txt: new => newer")
        assert (isolated / "a.txt").read_text() == "newer\n"


async def test_each_mention_leaves_a_trace(tmp_path: Path, isolated: Path) -> None:
    (isolated / "a.txt").write_text("one\ntwo\n")
    (isolated / "long.txt").write_text("line\n" * 3_000)
    (isolated / "bin").write_bytes(b"\0\1")
    prompt = "say 3 of @a.txt @nope.txt, @long.txt @bin and @somebody, me@example.org"
    async with opened(options(tmp_path)) as session:
        await session.prompt(prompt)
        traces = {trace.path: trace for trace in session.of("run.started")[0].mentions}
        assert {path: trace.state for path, trace in traces.items()} == {
            "a.txt": "read",
            "nope.txt": "missing",
            "long.txt": "cut",
            "bin": "failed",
        }
        assert traces["a.txt"].detail == "2 lines"
        (item,) = [
            item for item in (await session.handle.items(0, 5)).values() if type(item).__name__ == "PromptItem"
        ]
        assert [trace.path for trace in item.mentions] == ["a.txt", "nope.txt", "long.txt", "bin"]
        await session.prompt("say 3 of @nope.txt")
        assert session.of("run.started")[1].content == []
