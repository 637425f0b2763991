"""`glob` and `grep`, with ripgrep and without: the results are the same."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.support import Bench, text
from tests.waiting import until
from tui_agent.runtime import Runtime
from tui_agent.tools.globs import filter_regex, glob_regex
from tui_agent.workflow import ToolError


@pytest.fixture(params=["rg", "python"])
def searching(request: pytest.FixtureRequest, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    environment = dict(os.environ)
    if request.param == "python":
        environment["PATH"] = "/nowhere"
        monkeypatch.setattr("tui_agent.programs.SYSTEM_FOLDERS", ())
        monkeypatch.setattr("tui_agent.programs.HOME_FOLDERS", ())
    elif shutil.which("rg") is None:
        pytest.skip("no ripgrep here")
    bench.runtime = Runtime(environment=environment)
    bench.file("src/app.py", "import os\nx = 1\ny = 2\nprint(x)\n")
    bench.file("src/deep/b.ts", "let x\n")
    bench.file("notes.md", "about X\n")
    bench.file("build/out.py", "x = 'ignored'\n")
    bench.file("src/local.log", "x\n")
    bench.file(".gitignore", "build/\n*.log\n!src/keep.log\n")
    bench.file("src/keep.log", "x kept\n")
    bench.file(".github/ci.yml", "x: 1\n")
    bench.file(".git/config", "x\n")
    bench.file("data.bin", b"x\0x\n")
    return bench


async def glob(bench: Bench, pattern: str, **more: object) -> list[str]:
    return text(await bench.do("glob", pattern=pattern, **more)).split("\n")


async def test_glob(searching: Bench) -> None:
    assert await glob(searching, "**/*.py") == ["src/app.py"]
    assert await glob(searching, "src/**/*.{py,ts}") == ["src/app.py", "src/deep/b.ts"]
    assert await glob(searching, "*") == [".github/", ".gitignore", "data.bin", "notes.md", "src/"]
    assert await glob(searching, "*", path="src") == ["src/app.py", "src/deep/", "src/keep.log"]
    assert await glob(searching, "**/*.log") == ["src/keep.log"]
    assert await glob(searching, "*.ts") == ["No file matches.", "In folders below some do: try **/*.ts"]
    assert await glob(searching, "s*/") == ["src/"]
    with pytest.raises(ToolError, match="not a folder"):
        await glob(searching, "*", path="notes.md")


async def test_what_is_protected_is_left_out_and_counted_whether_it_matches_or_not(searching: Bench) -> None:
    searching.protected = ("/deep/", ".md")
    assert await glob(searching, "**/*.ts") == [
        "No file matches.",
        "[1 file left out, protected by the permission rules]",
    ]
    assert await glob(searching, "*") == [
        ".github/", ".gitignore", "data.bin", "src/", "[1 file left out, protected by the permission rules]",
    ]  # fmt: skip
    for pattern in ("about|let", "nowhere"):
        for mode in ("content", "files", "count"):
            shown = text(await searching.do("grep", pattern=pattern, mode=mode))
            assert "notes.md" not in shown
            assert "b.ts" not in shown
            assert shown.endswith("[2 files left out, protected by the permission rules]")
    assert "[1 file left out" in text(await searching.do("grep", pattern="nowhere", glob="*.md"))
    assert "left out" not in text(await searching.do("grep", pattern="nowhere", glob="*.py"))


async def test_glob_states_its_limit(searching: Bench) -> None:
    for number in range(250):
        searching.file(f"many/{number:03}.txt", "")
    lines = await glob(searching, "many/*")
    assert len(lines) == 201
    assert lines[-1].startswith("[cut after 200 of 250 lines; for the rest read ")


async def test_grep(searching: Bench) -> None:
    outcome = await searching.do("grep", pattern=r"\bx\b")
    assert text(outcome).split("\n") == [
        ".github/ci.yml",
        "1:x: 1",
        "src/app.py",
        "2:x = 1",
        "4:print(x)",
        "src/deep/b.ts",
        "1:let x",
        "src/keep.log",
        "1:x kept",
    ]
    assert outcome.summary == "5 matches in 4 files"


async def test_grep_modes(searching: Bench) -> None:
    async def lines(**more: object) -> list[str]:
        return text(await searching.do("grep", **more)).split("\n")

    assert await lines(pattern="x", mode="files", glob="*.{py,ts}") == ["src/app.py", "src/deep/b.ts"]
    assert await lines(pattern="x", mode="count", path="src", glob="*.py") == ["src/app.py: 2"]
    assert await lines(pattern="x", glob="src/*.py", mode="files") == ["src/app.py"]
    assert await lines(pattern="ABOUT", ignore_case=True) == ["notes.md", "1:about X"]
    assert await lines(pattern="x = 1", context=1) == ["src/app.py", "1-import os", "2:x = 1", "3-y = 2"]
    assert await lines(pattern="x", path="src/app.py") == ["src/app.py", "2:x = 1", "4:print(x)"]
    assert await lines(pattern="nowhere at all") == ["No line matches."]
    assert await lines(pattern="nowhere at all", mode="files") == ["No file matches."]


async def test_grep_separates_lines_that_are_apart(searching: Bench) -> None:
    searching.file("apart.txt", "hit\n1\n2\n3\n4\nhit\n")
    result = text(await searching.do("grep", pattern="hit", context=1))
    assert result == "apart.txt\n1:hit\n2-1\n--\n5-4\n6:hit"


async def test_grep_states_its_limits(searching: Bench) -> None:
    searching.file("many.txt", "hit\n" * 500 + "hit " + "y" * 1000 + "\n")
    result = text(await searching.do("grep", pattern="hit")).split("\n")
    assert result[-1].startswith("[501 matches in 1 file in all;")
    searching.file("long.txt", "needle " + "y" * 1000 + "\n")
    assert "omitted end of long line" in text(await searching.do("grep", pattern="needle"))


async def test_a_bad_pattern_is_named(searching: Bench) -> None:
    with pytest.raises(ToolError, match="regex parse error"):
        await searching.do("grep", pattern="(")
    with pytest.raises(ToolError, match="does not exist"):
        await searching.do("grep", pattern="x", path="nowhere")


async def test_hostile_names_are_valid_unicode(searching: Bench) -> None:
    (searching.workspace / os.fsdecode(b"bad\xff\x1b[2J\nname")).write_text("needle\n")
    for outcome in (
        await searching.do("glob", pattern="bad*"),
        await searching.do("grep", pattern="needle", mode="files"),
    ):
        text(outcome).encode()
        assert "bad\\xff" in text(outcome)


async def test_a_search_that_takes_for_ever_is_ended(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from tui_agent.tools import search

    monkeypatch.setattr(search, "TIME_LIMIT", 0.5)
    monkeypatch.setattr(search, "find_program", lambda *_, **__: None)
    bench.file("a.txt", "a" * 40 + "!\n")
    result = text(await bench.do("grep", pattern=r"(a+)+$"))
    assert "the search was ended after" in result


NAMES = st.text("ab./", min_size=1, max_size=8)


@given(NAMES)
def test_a_name_without_wildcards_matches_itself_alone(name: str) -> None:
    regex = re.compile(glob_regex(name))
    assert regex.fullmatch(name.removeprefix("./"))
    assert not regex.fullmatch(name + "x")


@given(st.text("ab*?[]{},!/^\\-", max_size=12))
def test_any_pattern_is_a_regular_expression_or_named_as_wrong(pattern: str) -> None:
    try:
        re.compile(filter_regex(pattern))
    except re.error:
        assert "[" in pattern  # only a reversed range such as [b-a]


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.py", "a.py", True),
        ("*.py", "d/a.py", False),
        ("**/*.py", "a.py", True),
        ("**/*.py", "d/e/a.py", True),
        ("src/**", "src/a/b", True),
        ("a?c", "a/c", False),
        ("[!a]b", "cb", True),
        ("[!a]b", "ab", False),
        ("[a", "[a", True),
        ("{a,b{c,d}}.x", "bd.x", True),
        ("{a", "{a", True),
        ("./a", "a", True),
    ],
)
def test_glob_syntax(pattern: str, path: str, expected: bool) -> None:
    assert bool(re.fullmatch(glob_regex(pattern), path)) == expected


async def test_cancelling_a_search_ends_its_process(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setattr("tui_agent.tools.search._ripgrep", lambda context: None)  # it would be done at once
    bench.file("a.txt", "a" * 40 + "!\n")
    call = bench.call("grep", pattern=r"(a+)+$")
    task = asyncio.ensure_future(bench.run(call, (await bench.plan(call)).intent))

    def children() -> set[str]:
        return {
            child
            for thread in Path("/proc/self/task").iterdir()
            for child in (thread / "children").read_text().split()
        }

    before = children()
    await until(lambda: task.done() or children() - before)
    assert not task.done(), task.result()
    (child,) = children() - before
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not Path(f"/proc/{child}").exists()


async def test_what_is_too_long_is_an_error_of_the_call(searching: Bench) -> None:
    with pytest.raises(ToolError, match="not a folder"):
        await glob(searching, "*", path="x" * 300)
    with pytest.raises(ToolError, match="does not exist"):
        await searching.do("grep", pattern="x", path="x" * 300)
    with pytest.raises(ToolError, match="did not start"):
        await searching.do("grep", pattern="x" * 200_000)


async def test_a_match_may_span_lines(searching: Bench) -> None:
    found = text(await searching.do("grep", pattern=r"x = 1.*print", multiline=True))
    assert found.splitlines() == ["src/app.py", "2:x = 1", "3:y = 2", "4:print(x)"]
    assert "No line matches" in text(await searching.do("grep", pattern=r"x = 1.*print"))
    around = text(await searching.do("grep", pattern=r"1\ny", multiline=True, context=1))
    assert around.splitlines()[1:] == ["1-import os", "2:x = 1", "3:y = 2", "4-print(x)"]


async def test_linked_folders_are_named_and_searched_where_the_pattern_names_them(searching: Bench) -> None:
    searching.file("packages/core/a.py", "needle\n")
    (searching.workspace / "sym").mkdir()
    (searching.workspace / "sym/core").symlink_to("../packages/core")
    (searching.workspace / "sym/loop").symlink_to("..")
    (searching.workspace / "sym/etc").symlink_to("/etc")
    assert await glob(searching, "sym/core/*.py") == ["sym/core/a.py"]
    assert await glob(searching, "core/*.py", path="sym") == ["sym/core/a.py"]
    assert await glob(searching, "sym/core/**/*.py") == ["sym/core/a.py"]
    assert (await glob(searching, "sym/etc/*"))[0] == "No file matches."
    (searching.workspace / "build/core").symlink_to("../packages/core")  # ignored, so nobody misses it
    note = "3 linked folders not followed: sym/core -> packages/core, sym/etc -> /etc, sym/loop -> "
    assert note in (await glob(searching, "**/*.py"))[-1]
    assert note in text(await searching.do("grep", pattern="needle"))
    assert "needle" in text(await searching.do("grep", pattern="needle", path="sym/core"))
    assert "linked" not in text(await searching.do("grep", pattern="x", path="src"))
