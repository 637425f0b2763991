"""Every command under every encoding, with readers that leave, and in a folder that is gone."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tui_agent.cli import run_command_line

COMMAND = [sys.executable, "-m", "tui_agent"]
ODD_NAME = "é日本😀.txt"


class Done(NamedTuple):
    code: int
    out: bytes
    err: bytes


def tui_agent(*arguments: str, encoding: str = "utf-8") -> Done:
    """Run the command line in this process, with standard streams of this encoding."""
    out, err = io.BytesIO(), io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["tui-agent", *arguments])
        for name, raw in (("stdin", io.BytesIO()), ("stdout", out), ("stderr", err)):
            patch.setattr(sys, name, io.TextIOWrapper(raw, encoding=encoding))
        with pytest.raises(SystemExit) as ended:
            run_command_line()
        sys.stdout.flush()
        sys.stderr.flush()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())


@pytest.fixture
def a_session(isolated: Path) -> str:
    (isolated / ODD_NAME).write_text("hello\n")
    done = tui_agent("run", "--offline", "-o", "json", "-p", f"read {ODD_NAME}")
    return str(json.loads(done.out)["session"])


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "gbk", "shift_jis", "utf-16", "cp037"])
def test_json_is_json_and_no_command_ends_in_a_traceback(encoding: str, a_session: str) -> None:
    for arguments in (["--help"], ["run", "--help"], ["sessions"], ["verify", a_session]):
        done = tui_agent(*arguments, encoding=encoding)
        assert (done.code, done.err) == (0, b""), (encoding, arguments)
        assert done.out
    streamed = tui_agent("run", "--offline", "-o", "stream-json", "-p", f"read {ODD_NAME}", encoding=encoding)
    exported = tui_agent("export", a_session, encoding=encoding)
    for done in (streamed, exported):
        assert done.code == 0, done.err
        lines = [json.loads(line) for line in done.out.splitlines()]
        prompts = [line["prompt"] for line in lines if line["type"] == "run.started"]
        assert prompts == [f"read {ODD_NAME}"]


@pytest.mark.parametrize("arguments", [["--help"], ["sessions"], ["export"]])
def test_a_reader_that_leaves_gives_141_and_no_words(arguments: list[str], a_session: str) -> None:
    given = [*arguments, a_session] if arguments == ["export"] else arguments
    reader, writer = os.pipe()
    process = subprocess.Popen([*COMMAND, *given], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    os.close(reader)
    _, stderr = process.communicate(timeout=50)
    assert (process.returncode, stderr) == (141, b"")


def test_output_that_cannot_be_written_is_said_in_one_line(a_session: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "export", a_session], stdout=full, stderr=subprocess.PIPE, check=False, timeout=50
        )
    assert done.returncode == 1
    assert done.stderr == b"Error: The output cannot be written: No space left on device.\n"


@pytest.mark.parametrize(
    ("arguments", "works"),
    [
        (["--help"], True),
        (["sessions"], True),
        (["run", "--offline", "-p", "say 5"], False),
        (["--data-dir", "here", "sessions"], False),
    ],
)
def test_in_a_folder_that_was_deleted_a_command_works_or_says_so_in_one_line(
    arguments: list[str], works: bool, isolated: Path
) -> None:
    gone = isolated / "gone"
    gone.mkdir()
    # The package is found from the new place too: it is on the path of this interpreter.
    command = f'cd gone && rmdir "{gone}" && exec "$@"'
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        ["sh", "-c", command, "sh", *COMMAND, *arguments],
        env=environment,
        capture_output=True,
        check=False,
        timeout=50,
    )
    if works:
        assert (done.returncode, done.stderr.count(b"\n") <= 1) == (0, True), done.stderr
    else:
        assert done.returncode == 2
        assert b"The current folder does not exist any more" in done.stderr
        assert b"Traceback" not in done.stderr
