"""The terminal's screen: cursor, repainting, suspending, idling, title, and terminals that can do little."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import time

import pytest

from tests.e2e.terminal import Terminal

READY = "offline practice model"
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def start(isolated):
    """Return a function that starts the app in the test's workspace; all are ended afterwards."""
    terminals: list[Terminal] = []

    def begin(*arguments: str, **size: int) -> Terminal:
        terminals.append(Terminal(isolated, *arguments, **size))
        return terminals[-1]

    yield begin
    for terminal in terminals:
        terminal.close()


def cursor(terminal: Terminal) -> tuple[int, int, bool]:
    at = terminal.screen.cursor
    return at.x, at.y, not at.hidden


def place_of(terminal: Terminal, text: str) -> tuple[int, int, bool]:
    """Return where the screen shows a text, as a place of the visible cursor."""
    for y, line in enumerate(terminal.screen.display):
        if text in line:
            return line.index(text), y, True
    return -1, -1, False


def test_the_cursor_stands_in_the_prompt_from_the_first_frame_on(start):
    terminal = start()
    terminal.until(READY)
    prompt = "What should I do"
    terminal.until(lambda: cursor(terminal) == place_of(terminal, prompt))
    terminal.screen.resize(30, 100)
    terminal.process.setwinsize(30, 100)
    terminal.until(lambda: cursor(terminal) == place_of(terminal, prompt) and cursor(terminal)[1] < 30)
    terminal.type("\x1bOQ")  # F2: the sessions
    terminal.until("search titles")
    terminal.until(lambda: cursor(terminal) == place_of(terminal, "search titles"))
    terminal.type("\x1b[27u")
    terminal.until(lambda: "search titles" not in terminal.text)
    terminal.until(lambda: cursor(terminal) == place_of(terminal, prompt))
    terminal.type("\x1b[17~")  # F6: the conversation, in which nothing is written
    terminal.until(lambda: terminal.screen.cursor.hidden)


def test_an_idle_screen_writes_nothing(start):
    terminal = start()
    terminal.until(READY)
    terminal.type("hello")
    terminal.until("hello")
    quiet = time.monotonic()
    end = quiet + 30
    while time.monotonic() - quiet < 3.0:  # what the start still does comes to its end
        if select.select([terminal.process.fd], [], [], 0.2)[0]:
            terminal.read()
            quiet = time.monotonic()
        assert time.monotonic() < end, "it never stops writing"


def test_ctrl_l_paints_over_what_something_else_has_written(start):
    terminal = start()
    terminal.until(READY)
    terminal.paint(b"\x1b[5;5Hmessage from somebody\x1b[1;1H")
    assert "message from somebody" in terminal.text
    terminal.type("\x0c")
    terminal.until(lambda: "message from somebody" not in terminal.text)
    assert "Conversation" in terminal.text


def test_ctrl_z_suspends_and_fg_paints_everything(isolated, monkeypatch):
    monkeypatch.setenv("PS1", "shell> ")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    terminal = Terminal(isolated, program=["/bin/bash", "--norc", "--noprofile", "-i"])
    try:
        terminal.until("shell>")
        terminal.type(f"{sys.executable} -m tui_agent --offline\r")
        terminal.until(READY)
        terminal.type("draft")
        terminal.until("│ draft")
        terminal.type("\x1a")
        terminal.until("Stopped")
        terminal.type("echo seen\r")
        terminal.until("\nseen")
        terminal.paint(b"\x1b[2J")  # pyte has no screen of its own for the app
        terminal.type("fg\r")
        terminal.until("│ draft")
        terminal.until("Conversation")
        terminal.type("x")
        terminal.until("│ draftx")
    finally:
        terminal.close()


def test_without_job_control_ctrl_z_says_so_and_goes_on(start):
    terminal = start()
    terminal.until(READY)
    terminal.type("\x1a")
    terminal.until("not suspended")
    terminal.type("x")
    terminal.until("│ x")


def test_a_stopped_and_continued_app_paints_again_and_reads_on(start):
    terminal = start()
    terminal.until(READY)
    os.kill(terminal.process.pid, signal.SIGSTOP)
    terminal.paint(b"\x1b[2J")
    os.kill(terminal.process.pid, signal.SIGCONT)
    terminal.until("Conversation")
    terminal.type("abc")
    terminal.until("│ abc ")


def test_the_title_says_what_is_going_on_and_is_given_back(start):
    terminal = start()
    terminal.until(READY)
    terminal.type("run touch a\r")
    terminal.until("waiting: F4")
    terminal.until(lambda: "\x1b]2;▲ " in terminal.written.decode("utf-8", "replace"))
    terminal.type("\x1b[27u")
    terminal.until("interrupted")
    terminal.type("\x11")
    terminal.until(lambda: not terminal.process.isalive())
    terminal.read()
    assert terminal.written.count(b"\x1b[22;2t") == terminal.written.count(b"\x1b[23;2t") == 1


def test_the_end_of_a_run_is_told_when_nobody_looks(start):
    terminal = start()
    terminal.until(READY)
    terminal.type("say 5\r")
    terminal.type("\x1b[O")
    terminal.until(lambda: re.search(rb"\x1b\]9;tui-agent is done: [^\x07]*say 5", terminal.written))


@pytest.mark.parametrize("term", ["dumb", "", None])
def test_a_terminal_that_can_do_nothing_gets_a_word_and_no_screen(isolated, monkeypatch, term):
    if term is None:
        monkeypatch.delenv("TERM")
    else:
        monkeypatch.setenv("TERM", term)
    terminal = Terminal(isolated)
    terminal.until(lambda: not terminal.process.isalive())
    terminal.read()
    assert b"tui-agent run" in terminal.written
    assert b"\x1b" not in terminal.written
    assert terminal.process.exitstatus == 2
    terminal.close()


def test_sixteen_colors_have_hues(start, isolated, monkeypatch):
    monkeypatch.setenv("TERM", "linux")
    monkeypatch.delenv("COLORTERM")
    (isolated / "f.txt").write_text("one\ntwo\n")
    terminal = start()
    terminal.type("edit f.txt: two => three\r")
    terminal.until("+three")
    terminal.until("waiting: F4")
    colors = set(re.findall(rb"[\[;](3[1-6]|9[1-6])(?=[;m])", terminal.written))
    assert {b"31", b"91"} & colors, "what is removed is red"
    assert {b"32", b"92"} & colors, "what is added is green"
    assert len(colors) >= 3
