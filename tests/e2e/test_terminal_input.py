"""What comes out of a terminal besides keys: replies, broken bytes, its end. None of it decides or ends a run."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.terminal import Terminal
from tests.waiting import MAX_WAIT_SECONDS

F4 = "\x1bOS"
READY = "offline practice model"

NO_KEYS = {
    "XTVERSION, kitty": b"\x1bP>|kitty(0.35.2)\x1b\\",
    "XTVERSION, ghostty": b"\x1bP>|ghostty 1.1.3\x1b\\",
    "XTVERSION, 8-bit": b"\x90>|yes\x9c",
    "colour of the background": b"\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\",
    "colour, ended by BEL": b"\x1b]10;rgb:ffff/yyyy/nnnn\x07",
    "colour scheme": b"\x1b[?997;1n",
    "device attributes": b"\x1b[?64;1;2;6;9;15;18;21;22c",
    "kitty graphics": b"\x1b_Gi=1;nynyrs\x1b\\",
    "privacy message": b"\x1b^y\x1b\\",
    "start of string": b"\x1bXy\x1b\\",
    "mouse without numbers": b"\x1b[<32;NaN;NaNM",
    "X10 mouse": b"\x1b[M yy\x1b[M \xc0\x30",
    "unfinished": b"\x1b]52;c;yyyy",
    "released key": b"\x1b[121;1:3u",
}


def settle(terminal: Terminal, seconds: float = 0.3) -> None:
    """Let the screen show what the last input did."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        terminal.read(0.05)


def ended(terminal: Terminal) -> int:
    """Wait for the program's end without reading its screen; return its exit code."""
    until = time.monotonic() + MAX_WAIT_SECONDS
    while time.monotonic() < until:
        pid, status = os.waitpid(terminal.process.pid, os.WNOHANG)
        if pid:
            terminal.process.terminated = True
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    raise AssertionError("it did not end")


def close(terminal: Terminal) -> None:
    """Close the terminal's window."""
    os.close(terminal.process.fd)
    with contextlib.suppress(OSError):  # it was closed behind the back of its object
        terminal.process.fileobj.close()


def test_replies_of_the_terminal_decide_nothing_and_type_nothing(start, isolated):
    terminal = start()
    terminal.type("edit hello.py: print => PRINT\r")
    terminal.until("waiting: F4")
    terminal.type(F4)
    terminal.until("y once")
    settle(terminal, 0.8)  # the guard: half a second in which no key counts
    before = terminal.text
    for sent in NO_KEYS.values():
        os.write(terminal.process.fd, sent)
        settle(terminal, 0.1)
    settle(terminal, 1.2)  # what was not finished is given up
    assert "print('hi')" in (isolated / "hello.py").read_text()
    assert terminal.text.splitlines()[1:-1] == before.splitlines()[1:-1]
    terminal.type("\x1b")
    terminal.until("Esc interrupts")
    for sent in NO_KEYS.values():
        os.write(terminal.process.fd, sent)
        settle(terminal, 0.1)
    settle(terminal, 1.2)
    terminal.type("mark")
    terminal.until("│ mark ")


def test_letters_that_come_at_once_do_not_decide(start, isolated):
    terminal = start()
    terminal.type("edit hello.py: print => PRINT\r")
    terminal.until("waiting: F4")
    terminal.type(F4)
    terminal.until("y once")
    settle(terminal, 0.8)
    terminal.type("kitty")
    terminal.until("│ kitty")
    assert "print('hi')" in (isolated / "hello.py").read_text()
    assert "waiting: F4" in terminal.text


def test_a_byte_that_is_no_text_neither_ends_the_app_nor_the_command(start, isolated):
    terminal = start("--mode", "bypass")
    terminal.type("run touch started; while [ ! -e go ]; do sleep 0.05; done; echo finished > done.txt\r")
    terminal.until((isolated / "started").exists)
    for sent in (
        b"\xff",
        b"\x1b[97:65;2u",
        b"\x1b[1114112;1u",
        b"\x1b[48;0;0;0;0t",
        b"\x1b[<35;3;3M",
        b"\x1b[M \xc0\x30",
    ):
        os.write(terminal.process.fd, sent)
    terminal.until("│ \ufffdA")
    (isolated / "go").touch()
    terminal.until("✓ done")
    assert (isolated / "done.txt").exists()


def test_ten_thousand_random_bytes_are_survived_and_decide_nothing(start, isolated):
    terminal = start()
    terminal.type("edit hello.py: print => PRINT\r")
    terminal.until("waiting: F4")
    chance = random.Random(7)
    sent = bytes(byte for byte in chance.randbytes(11_000) if byte not in b"\x03\x04\x11\x1a\x1c")[:10_000]
    terminal.type(F4)
    terminal.until("y once")
    settle(terminal, 0.8)
    for at in range(0, len(sent), 500):
        os.write(terminal.process.fd, sent[at : at + 500])
        settle(terminal, 0.05)
    settle(terminal, 1.5)
    assert terminal.process.isalive()
    assert "print('hi')" in (isolated / "hello.py").read_text()
    terminal.type("\x1b[27u\x1b[27u")
    terminal.until("waiting: F4")  # a message may cover it for some seconds


@pytest.mark.parametrize("moment", ["at the start", "while it runs", "while it leaves"])
def test_the_end_of_the_terminal_ends_the_app_at_every_moment(start, isolated, moment):
    terminal = start()
    if moment == "at the start":
        terminal.until("Conversation")
    else:
        terminal.until(READY)
    if moment == "while it leaves":
        os.write(terminal.process.fd, b"\x11")
        time.sleep(0.05)
    close(terminal)
    assert ended(terminal) in ({129, -signal.SIGHUP} if moment == "at the start" else {129})


def test_a_crash_of_the_screen_leaves_the_command_running_and_says_how_to_go_on(start, isolated, monkeypatch):
    (isolated / "site").mkdir()
    (isolated / "site" / "sitecustomize.py").write_text(
        "import os, threading, time\n"
        "def fail():\n"
        "    while not os.path.exists('fail'): time.sleep(0.05)\n"
        "    import tui_agent.ui.app as app\n"
        "    def tick(self): raise ValueError('sk-' + 'ant-api03-' + 'a' * 40)\n"
        "    import tui_agent.ui.prompt as prompt\n"
        "    prompt.Prompt.get_line = lambda self, n: tick(self)\n"
        "threading.Thread(target=fail, daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{isolated / 'site'}:{Path.cwd()}")
    terminal = start("--mode", "bypass")
    terminal.type("run touch started; while [ ! -e go ]; do sleep 0.05; done; echo finished > done.txt\r")
    terminal.until((isolated / "started").exists)
    terminal.type("a draft")
    terminal.until("a draft")
    (isolated / "fail").touch()
    time.sleep(0.2)
    terminal.type("x")
    terminal.until("To go on with this session: tui-agent --resume session_")
    terminal.until("ValueError")
    assert "sk-ant" not in terminal.text
    assert ended(terminal) == 1
    assert not (isolated / "done.txt").exists()
    (isolated / "go").touch()
    (isolated / "fail").unlink()
    terminal.until((isolated / "done.txt").exists)
    again = start("--continue", rows=50)
    again.until("The screen failed: ValueError")
    again.until("✓ done")
    again.until("│ a draft")
