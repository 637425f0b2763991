"""`write` and `edit`: all or nothing, only what was asked for, and never over somebody else's change."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.tools.support import Bench, text
from tui_agent.runtime import Runtime
from tui_agent.tools.diff import unified_diff
from tui_agent.tools.encoding import decode
from tui_agent.tools.files import temporary_name
from tui_agent.tools.replace import Edit, apply_edits
from tui_agent.workflow import ToolError


async def test_write_creates_a_file_and_its_folders(bench: Bench) -> None:
    outcome = await bench.do("write", path="a/b/c.txt", content="one\ntwo\n")
    assert (bench.workspace / "a/b/c.txt").read_bytes() == b"one\ntwo\n"
    assert text(outcome) == "a/b/c.txt: created, 2 lines (+2 −0)."
    assert [state.path for state in outcome.effects] == [str(bench.workspace / "a/b/c.txt")]


async def test_write_refuses_what_was_not_read(bench: Bench) -> None:
    bench.file("a.txt", "precious\n")
    with pytest.raises(ToolError, match="has not been read"):
        await bench.do("write", path="a.txt", content="x")
    await bench.do("read", path="a.txt")
    await bench.do("write", path="a.txt", content="x\n")
    await bench.do("write", path="a.txt", content="what was written is known\n")


@pytest.mark.parametrize("tool", ["write", "edit"])
async def test_a_file_changed_since_it_was_read_is_refused(bench: Bench, tool: str) -> None:
    path = bench.file("a.txt", "one\n")
    await bench.do("read", path="a.txt")
    path.write_text("one\nmore\n")
    more: dict[str, object] = {"content": "x"} if tool == "write" else {"edits": [{"old": "one", "new": "1"}]}
    with pytest.raises(ToolError, match="has changed since it was read"):
        await bench.do(tool, path="a.txt", **more)
    assert path.read_text() == "one\nmore\n"


async def test_a_file_changed_while_the_user_decided_is_refused(bench: Bench) -> None:
    path = bench.file("a.txt", "one\n")
    call = bench.call("edit", path="a.txt", edits=[{"old": "one", "new": "two"}])
    plan = await bench.plan(call)
    path.write_text("one one\n")
    with pytest.raises(ToolError, match="changed meanwhile"):
        await bench.run(call, plan.intent)
    assert path.read_text() == "one one\n"


@pytest.mark.parametrize("before", ["one\n", None])
async def test_a_file_changed_at_the_very_last_moment_is_refused(
    bench: Bench, before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bench.workspace / "a.txt"
    if before is not None:
        path.write_text(before)
        await bench.do("read", path="a.txt")
    call = bench.call("write", path="a.txt", content="mine\n")
    plan = await bench.plan(call)
    real_sync = os.fsync

    def meddle(descriptor: int) -> None:
        if not path.exists() or path.read_text() == before:
            path.write_text("theirs\n")
        real_sync(descriptor)

    monkeypatch.setattr(os, "fsync", meddle)
    with pytest.raises(ToolError, match="changed by somebody else"):
        await bench.run(call, plan.intent)
    assert path.read_text() == "theirs\n"
    assert [entry.name for entry in bench.workspace.iterdir()] == ["a.txt"]


async def test_a_link_out_of_the_workspace_is_not_written_through(bench: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("secret\n")
    (bench.workspace / "link.txt").symlink_to(outside)
    (bench.workspace / "folder").symlink_to(tmp_path)
    for path in ("link.txt", "folder/outside.txt"):
        with pytest.raises(ToolError, match="symbolic link out of the workspace"):
            await bench.do("edit", path=path, edits=[{"old": "secret", "new": "x"}])
    assert outside.read_text() == "secret\n"


async def test_a_folder_swapped_for_a_link_after_the_check_is_not_followed(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.workspace / "sub").mkdir()
    (tmp_path / "elsewhere").mkdir()
    call = bench.call("write", path="sub/a.txt", content="x")
    plan = await bench.plan(call)
    from tui_agent.tools import change

    real_write = change.write_file

    def swap(*args: object, **kwargs: object) -> None:
        (bench.workspace / "sub").rmdir()
        (bench.workspace / "sub").symlink_to(tmp_path / "elsewhere")
        real_write(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they are

    monkeypatch.setattr(change, "write_file", swap)
    with pytest.raises(ToolError, match="could not be written"):
        await bench.run(call, plan.intent)
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_a_link_that_leads_elsewhere_since_the_decision_is_refused(bench: Bench) -> None:
    for name in ("a.txt", "b.txt"):
        bench.file(name, "one\n")
    link = bench.workspace / "link.txt"
    link.symlink_to("a.txt")
    call = bench.call("edit", path="link.txt", edits=[{"old": "one", "new": "two"}])
    plan = await bench.plan(call)
    link.unlink()
    link.symlink_to("b.txt")
    with pytest.raises(ToolError, match=r"not .*a\.txt any more"):
        await bench.run(call, plan.intent)


async def test_another_change_than_the_intended_one_is_refused(bench: Bench) -> None:
    path = bench.file("a.txt", "one\n")
    plan = await bench.plan(bench.call("edit", path="a.txt", edits=[{"old": "one", "new": "two"}]))
    with pytest.raises(ToolError, match="not the approved one"):
        await bench.run(bench.call("edit", path="a.txt", edits=[{"old": "one", "new": "six"}]), plan.intent)
    assert path.read_text() == "one\n"


async def test_content_and_name_are_synced_in_order(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def note_sync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def note_replace(*args: object, **kwargs: object) -> None:
        done.append("rename")
        replace(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they are

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    await bench.do("write", path="a.txt", content="x\n")
    assert done == ["file", "rename", "folder"]


async def test_a_link_inside_the_workspace_stays_a_link(bench: Bench) -> None:
    bench.file("real.txt", "one\n")
    (bench.workspace / "link.txt").symlink_to("real.txt")
    await bench.do("edit", path="link.txt", edits=[{"old": "one", "new": "two"}])
    assert (bench.workspace / "link.txt").is_symlink()
    assert (bench.workspace / "real.txt").read_text() == "two\n"


@pytest.mark.parametrize("mode", [0o640, 0o755, 0o4711])
async def test_the_mode_stays(bench: Bench, mode: int) -> None:
    path = bench.file("a.sh", "one\n")
    path.chmod(mode)
    await bench.do("edit", path="a.sh", edits=[{"old": "one", "new": "two"}])
    assert stat.S_IMODE(path.stat().st_mode) == mode


async def test_the_owner_stays(bench: Bench) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can have files of others")
    path = bench.file("a.txt", "one\n")
    os.chown(path, 1234, 2345)
    await bench.do("edit", path="a.txt", edits=[{"old": "one", "new": "two"}])
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


@pytest.mark.parametrize(
    "data",
    ["é one\r\nb\r\n".encode(), "\ufeffé one\n".encode(), "\ufeffé one\r\n".encode("utf-16-le"), b"\xe9 one\n"],
)
async def test_encoding_and_line_ends_stay(bench: Bench, data: bytes) -> None:
    path = bench.file("a.txt", data)
    await bench.do("edit", path="a.txt", edits=[{"old": "one", "new": "two\nthree"}])
    form = decode(data)
    newline = "\r\n" if form.crlf else "\n"
    assert path.read_bytes() == form.encode(form.text.replace("one", f"two{newline}three"))
    await bench.do("write", path="a.txt", content="ü\nv\n")
    assert path.read_bytes() == form.encode(f"ü{newline}v{newline}")


async def test_characters_that_the_encoding_lacks(bench: Bench) -> None:
    path = bench.file("a.txt", b"\xe9 one\n")
    with pytest.raises(ToolError, match="latin-1, which has no '\\\\u2192'"):
        await bench.do("edit", path="a.txt", edits=[{"old": "one", "new": "→"}])
    assert path.read_bytes() == b"\xe9 one\n"


async def test_binary_files_are_not_edited(bench: Bench) -> None:
    bench.file("a.bin", b"\0one\xff")
    with pytest.raises(ToolError, match="binary data; only text can be edited"):
        await bench.do("edit", path="a.bin", edits=[{"old": "one", "new": "two"}])


async def test_several_edits_are_all_or_nothing(bench: Bench) -> None:
    path = bench.file("a.txt", "one\ntwo\n")
    with pytest.raises(ToolError, match="edit 2 of 2: old was not found"):
        await bench.do("edit", path="a.txt", edits=[{"old": "one", "new": "1"}, {"old": "three", "new": "3"}])
    assert path.read_text() == "one\ntwo\n"
    outcome = await bench.do("edit", path="a.txt", edits=[{"old": "one", "new": "1"}, {"old": "1\ntwo", "new": "2"}])
    assert path.read_text() == "2\n"
    assert text(outcome) == "a.txt: 2 replacements (+1 −2)."


@pytest.mark.parametrize(
    ("old", "message"),
    [
        ("x = 1", "occurs 2 times, in lines 1, 5"),
        ("  y = 2\nz", "other white space are\n2\t\ty = 2\n3\t\tz"),
        ("def helllo():", "nearest lines are\n4\tdef hello"),
        ("1\tx = 1", "begins with line numbers"),
        ("qwertyuiop", "Nothing in the file is like it"),
    ],
)
def test_help_when_an_edit_does_not_fit(old: str, message: str) -> None:
    content = "x = 1\n\ty = 2\n\tz\ndef hello():\nx = 1\n"
    with pytest.raises(ToolError, match=message):
        apply_edits(content, [Edit(old, "new")])


def test_occurrences_that_overlap_are_not_unique() -> None:
    with pytest.raises(ToolError, match="2 times"):
        apply_edits("aaa", [Edit("aa", "b")])


PIECES = st.text("ab\n é{\\", max_size=30)


@given(PIECES, PIECES, st.text("ab\n", min_size=1, max_size=4), st.text("xy\n\\", max_size=5), st.booleans())
def test_an_edit_is_a_replacement(head: str, tail: str, old: str, new: str, all_of_them: bool) -> None:
    content = head + old + tail
    assume(old != new)
    unique = sum(content.startswith(old, at) for at in range(len(content))) == 1
    if all_of_them or unique:
        result, times = apply_edits(content, [Edit(old, new, all_of_them)])
        assert result == content.replace(old, new)
        assert times == content.count(old)
    else:
        with pytest.raises(ToolError):
            apply_edits(content, [Edit(old, new)])


@given(st.lists(st.sampled_from(["a", "b", "\n", "\r\n", "é"]), max_size=20), st.text("xy\n", max_size=4))
def test_what_is_outside_the_edit_stays(around: list[str], new: str) -> None:
    middle = len(around) // 2
    head, tail = "".join(around[:middle]), "".join(around[middle:])
    form = decode((head + "OLD" + tail).encode())
    result, _ = apply_edits(form.text, [Edit("OLD", new)], crlf=form.crlf)
    assert result == head + (new.replace("\n", "\r\n") if form.crlf else new) + tail


@given(st.text("ab\n", max_size=40), st.text("ab\n", max_size=40))
def test_the_diff_turns_one_into_the_other(tmp_path_factory: pytest.TempPathFactory, before: str, after: str) -> None:
    diff = unified_diff("f", before, after)
    assert (diff == "") == (before == after)
    assert patched(before, diff) == after


def patched(before: str, diff: str) -> str:
    """Apply a unified diff, strictly."""
    lines = before.split("\n")
    ends = before.endswith("\n") or not before
    if ends:
        lines.pop()
    out: list[str] = []
    at = 0
    new_ends = ends
    body = diff.split("\n")[2:-1]
    for number, line in enumerate(body):
        missing_end = body[number + 1 : number + 2] == ["\\ No newline at end of file"]
        if line.startswith("@@"):
            old = line.split()[1][1:].split(",")
            start = int(old[0]) - (0 if old[1:] == ["0"] else 1)
            out += lines[at:start]
            at = start
        elif line.startswith("-"):
            assert lines[at] == line[1:]
            at += 1
        elif line.startswith("+"):
            out.append(line[1:])
            new_ends = not missing_end
        elif line.startswith(" "):
            assert lines[at] == line[1:]
            out.append(line[1:])
            at += 1
            new_ends = not missing_end
    out += lines[at:]
    if at < len(lines):
        new_ends = ends
    if out and diff and at == len(lines) and body[-1].startswith("-"):
        new_ends = True
    return "\n".join(out) + ("\n" if new_ends and out else "")


# --- after a crash --------------------------------------------------------------------------------


@pytest.mark.parametrize(("failpoint", "state"), [("effect.before", "not_started"), ("effect.after", "finished")])
@pytest.mark.parametrize("tool", ["write", "edit"])
async def test_killed_around_the_rename(bench: Bench, tool: str, failpoint: str, state: str) -> None:
    path = bench.file("a.txt", "one\n")
    given_input: dict[str, object] = {"content": "two\n"}
    if tool == "edit":
        given_input = {"edits": [{"old": "one", "new": "two"}]}
    await bench.do("read", path="a.txt")
    call = bench.call(tool, path="a.txt", **given_input)
    intent = (await bench.plan(call)).intent
    program = f"""
import asyncio, os, signal
from pathlib import Path
from tests.tools.support import Bench
from tui_agent.runtime import Runtime
def fail(name):
    if name == {failpoint!r}:
        os.kill(os.getpid(), signal.SIGKILL)
async def main():
    bench = Bench(Path({str(bench.root)!r}), runtime=Runtime(failpoint=fail))
    await bench.do("read", path="a.txt")
    await bench.do({tool!r}, path="a.txt", **{given_input!r})
asyncio.run(main())
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], check=False, cwd=root)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == ("one\n" if state == "not_started" else "two\n")
    left = bench.workspace / temporary_name(call.step)
    assert left.exists() == (state == "not_started")

    finding = await bench.probe(call, intent)
    assert finding.state == state
    assert not left.exists()
    if finding.outcome is None:
        await bench.run(call, intent)
    else:
        assert finding.outcome.effects == intent.after
    assert path.read_text() == "two\n"


async def test_neither_before_nor_after_is_for_the_user(bench: Bench) -> None:
    path = bench.file("a.txt", "one\n")
    call = bench.call("edit", path="a.txt", edits=[{"old": "one", "new": "two"}])
    intent = (await bench.plan(call)).intent
    path.write_text("one, by hand\n")
    finding = await bench.probe(call, intent)
    assert finding.state == "uncertain"
    for state in (intent.before[0], intent.after[0]):
        assert str(state.sha256) in finding.evidence
    assert "old is there, new is not there" in finding.evidence
    path.unlink()
    assert "no file" in (await bench.probe(call, intent)).evidence


async def test_a_file_read_back_different_is_an_error(bench: Bench) -> None:
    path = bench.workspace / "a.txt"

    def meddle(name: str) -> None:
        if name == "effect.after":
            path.write_text("theirs\n")

    bench.runtime = Runtime(failpoint=meddle)
    outcome = await bench.do("write", path="a.txt", content="mine\n")
    assert outcome.error
    assert "read back it is different" in text(outcome)


async def test_what_git_runs_is_not_covered_by_a_grant_for_the_workspace(bench: Bench) -> None:
    ordinary = await bench.plan(bench.call("write", path="a.txt", content="x"))
    hook = await bench.plan(bench.call("write", path=".git/hooks/pre-commit", content="x"))
    assert ordinary.scope == "Edit(./a.txt)"
    assert hook.scope == ""


async def test_a_folder_or_pipe_is_not_written(bench: Bench) -> None:
    (bench.workspace / "folder").mkdir()
    os.mkfifo(bench.workspace / "pipe")
    for path, message in (("folder", "is a folder"), ("pipe", "not a regular file"), ("a\0b", "NUL")):
        with pytest.raises(ToolError, match=message):
            await bench.do("write", path=path, content="x")


async def test_a_write_that_was_begun_is_finished_before_a_cancellation_shows(bench: Bench) -> None:
    import asyncio
    import threading

    begun, go_on = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        if name == "effect.before":
            begun.set()
            go_on.wait()

    bench.runtime = Runtime(failpoint=hold)
    call = bench.call("write", path="a.txt", content="x\n")
    plan = await bench.plan(call)
    task = asyncio.ensure_future(bench.run(call, plan.intent))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await bench.probe(call, plan.intent)).state == "finished"
