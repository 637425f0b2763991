"""The full-screen app in a real terminal, driven by keys alone."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time

import pytest

from tests.e2e.terminal import Terminal
from tests.waiting import MAX_WAIT_SECONDS

F3, F4, F6, F7 = "\x1bOR", "\x1bOS", "\x1b[17~", "\x1b[18~"


def approve(terminal: Terminal) -> None:
    """Go to the queue, let its guard time pass, press y."""
    terminal.type(F4)
    terminal.until("y once")
    time.sleep(0.7)  # the guard: half a second in which no key counts
    terminal.type("y")


@pytest.mark.parametrize("columns", [pytest.param(110, marks=pytest.mark.long), 80])
def test_read_then_edit_with_approval(start, isolated, columns):
    terminal = start(columns=columns, rows=24)
    terminal.type("read hello.py then edit hello.py: print => PRINT\r")
    terminal.until("waiting: F4")
    approve(terminal)
    terminal.until(lambda: "PRINT('hi')" in (isolated / "hello.py").read_text())
    terminal.until("✓ done")  # at 80 columns too: after the last answer the conversation is back


def test_keys_typed_at_full_speed_before_the_app_is_up_are_all_kept(start):
    terminal = start()
    text = "The quick brown fox; über 日本 [/] 0123456789"
    terminal.type(text)
    terminal.until(text)
    terminal.until("offline practice model")
    assert text in terminal.text


def test_keys_typed_during_the_start_keep_their_order(start):
    terminal = start()
    text = "abcdefghijklmnopqrstuvwxyz0123456789" * 2
    for character in text:
        terminal.type(character)
        terminal.read(0.012)
    terminal.until(text)


def test_typing_while_requests_arrive_approves_nothing(start, isolated):
    terminal = start()
    terminal.type("edit hello.py: print => PRINT\r")
    for _ in range(40):
        terminal.type("y")
        terminal.read(0.05)
    terminal.until("waiting: F4")
    assert "print('hi')" in (isolated / "hello.py").read_text()


def test_the_keys_that_change_a_request_act_no_sooner_than_those_that_answer_it(start, isolated):
    terminal = start()
    terminal.type("edit hello.py: print => PRINT\r")
    terminal.until("Permissions (1)")
    terminal.type(F4 + "aepyswn" * 3)  # in the half second after the focus
    terminal.until("always")
    terminal.read(0.2)
    assert "print('hi')" in (isolated / "hello.py").read_text()
    assert not any(title in terminal.text for title in ("Always allow", "Edit: ", "Parts: ", "Why was"))
    assert "Permissions (1)" in terminal.text


@pytest.mark.parametrize("columns", [110, pytest.param(80, marks=pytest.mark.long)])
def test_a_key_that_comes_right_behind_an_f_key_goes_where_that_leads(start, columns):
    terminal = start(columns=columns)
    terminal.type("list\r")
    terminal.until("✓ done")
    terminal.type(F6 + "/")
    terminal.until("find in the conversation")
    assert "/compact" not in terminal.text
    terminal.type(F7 + "@")
    terminal.until("hello.py")
    terminal.type(F3 + F7 + "x" + F6)
    terminal.until("│ @x")


def test_a_request_that_waits_is_told_to_the_desktop_when_nobody_looks(start):
    terminal = start()
    terminal.until("offline practice model")
    terminal.type("edit hello.py: print => PRINT\r\x1b[O")  # the terminal says that it lost the focus
    terminal.until("Permissions (1)")
    terminal.until(lambda: b"\x1b]9;tui-agent asks: edit hello.py" in terminal.written)
    assert b"\x07" in terminal.written


def test_after_a_kill_everything_is_back(start, isolated):
    terminal = start()
    terminal.until("offline practice model")
    terminal.type("edit hello.py: print => PRINT\r")
    terminal.until("waiting: F4")
    terminal.type("my half-written draft")
    terminal.until("my half-written draft")
    time.sleep(0.5)  # the layout is saved within 0.2 s of the last key
    terminal.kill()
    again = start("--continue")
    again.until("my half-written draft")
    again.until("waiting: F4")
    approve(again)
    again.until(lambda: "PRINT('hi')" in (isolated / "hello.py").read_text())


def test_what_is_typed_after_the_answer_is_written_and_approves_nothing(start, isolated):
    terminal = start()
    terminal.type("edit hello.py: print => PRINT then edit hello.py: x => y\r")
    terminal.until("waiting: F4")
    terminal.type(F4)
    terminal.until("y once")
    time.sleep(0.7)  # the guard
    terminal.type("y")
    time.sleep(0.05)  # nobody answers and goes on typing within one read
    terminal.type("yes please\r")
    terminal.until("│ yes please")
    terminal.until(lambda: "PRINT('hi')" in (isolated / "hello.py").read_text())
    terminal.until("waiting: F4")
    terminal.type("y")
    terminal.until("│ yes pleasey")
    assert (isolated / "hello.py").read_text().startswith("x = 1")


def test_a_second_window_follows_the_first(start):
    first = start()
    first.type("list\r")
    first.until("✓ done")
    second = start("--continue")
    second.until("READ-ONLY")
    first.type("edit hello.py: print => PRINT\r")
    first.until("waiting: F4")
    second.until("+PRINT")
    second.until("waiting: F4")


def test_the_shell_gets_its_terminal_back(start):
    import termios

    terminal = start()
    terminal.until("offline practice model")
    terminal.type("\x04")
    terminal.until(lambda: not terminal.process.isalive())
    assert terminal.process.exitstatus == 0
    assert termios.tcgetattr(terminal.process.fd)[3] & termios.ICANON


def test_a_terminal_too_small_says_so(start):
    terminal = start(columns=36, rows=8)
    terminal.until("too small")


def test_resume_without_a_name_lists_the_sessions(start):
    first = start()
    first.type("list\r")
    first.until("✓ done")
    first.type("\x04")
    first.until(lambda: not first.process.isalive())
    again = start("--resume")
    again.until("1 prompt")
    again.type("\r")
    again.until("✓ done")


def test_a_prompt_sent_and_left_at_once_is_not_lost(start):
    first = start()
    first.until("What should I do")
    first.type("list\r\x04")
    first.until(lambda: not first.process.isalive())
    again = start("--continue")
    again.until("> list")
    again.until("✓ done")


@pytest.mark.parametrize(
    ("program", "wanted"), [("WezTerm", b"\x1b]777;notify;tui-agent asks;"), ("Apple_Terminal", b"\x1b]9;")]
)
def test_a_request_behind_another_window_is_announced_once(start, monkeypatch, program, wanted):
    for name in ("TMUX", "VTE_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("TERM_PROGRAM", program)
    terminal = start()
    terminal.until("offline practice model")
    terminal.type("say 50 at 25 then run touch a\r")
    terminal.until("working")
    terminal.type("\x1b[O")
    terminal.until("waiting: F4")
    terminal.until(lambda: b"tui-agent asks" in terminal.written)
    assert terminal.written.count(b"tui-agent asks") == 1
    assert wanted in terminal.written


@pytest.mark.parametrize("end", ["SIGHUP", "SIGTERM", "closed"])
def test_closing_the_terminal_closes_the_session_and_keeps_the_draft(start, isolated, end):
    terminal = start()
    terminal.type("run touch made\r")
    terminal.until("waiting: F4")
    terminal.type("a draft")
    terminal.until("a draft")
    if end == "closed":
        os.close(terminal.process.fd)
        with contextlib.suppress(OSError):  # it was closed behind the back of its object
            terminal.process.fileobj.close()
    else:
        terminal.process.kill(getattr(signal, end))
    assert ended(terminal) == {"SIGHUP": 129, "SIGTERM": 143, "closed": 129}[end]

    again = start("--continue")
    again.until("waiting: F4")
    again.until("a draft")
    assert "without closing" not in again.text


def test_quitting_says_how_to_go_on_with_the_session(start):
    terminal = start()
    terminal.type("say 5\r")
    terminal.until("✓ done")
    terminal.type("\x11")
    terminal.until("To go on with this session: tui-agent --resume session_")
    [session] = re.findall(rb"--resume (session_\w+)", terminal.written)
    assert ended(terminal) == 0
    start("--resume", session.decode()).until("✓ done")


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
