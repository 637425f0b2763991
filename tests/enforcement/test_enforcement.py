"""A slice of the proof that `python -m tests.enforcement` gives at length."""

from __future__ import annotations

import random
import shutil
from itertools import islice
from pathlib import Path

import pytest

from tests.enforcement.lines import acting, allowed, generated
from tests.enforcement.proof import World, acts
from tui_agent.sandbox import probe_sandbox

FOUND = probe_sandbox()
pytestmark = pytest.mark.skipif(
    FOUND.kind != "bubblewrap" or shutil.which("strace") is None, reason="needs bubblewrap and strace"
)


def test_nothing_that_acts_gets_through(tmp_path: Path) -> None:
    assert World(tmp_path.resolve(), FOUND).run(acting(), trace=False) == []


def test_allowed_lines_change_reach_and_reveal_nothing(tmp_path: Path) -> None:
    world = World(tmp_path.resolve(), FOUND)
    chosen = (
        line
        for line in generated(random.Random(7))
        if "\n" not in line and allowed(line, world.workspace, world.home)
    )
    assert world.run(list(islice(chosen, 60))) == []


def test_the_watch_sees_what_a_command_does() -> None:
    begin = '10 execve("/usr/bin/bash", ["/usr/bin/bash", "-c", "x"], 0x1 /* 2 vars */) = 0\n'
    seen = (
        '11 openat(AT_FDCWD</ws>, "pwned", O_WRONLY|O_CREAT, 0666) = 3</ws/pwned>\n'
        '11 unlink("/ws/a") = 0\n'
        "11 connect(3<socket:[1]>, {sa_family=AF_INET, sin_port=htons(9)}, 16) = 0\n"
        '11 openat(AT_FDCWD</ws>, "a", O_RDONLY) = 3</ws/a>\n'
        '11 mkdir("/ws/d", 0777) = -1 EROFS (Read-only file system)\n'
    )
    early = '9 mkdir("/newroot", 0755) = 0\n'
    assert [what.split(":")[0] for what in acts(early + begin + seen, "/home/x")] == [
        "opened for writing",
        "unlink",
        "reached",
    ]
