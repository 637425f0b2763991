"""What is typed fast over a slow line comes in one burst. It must come out as typed."""

from __future__ import annotations

import pytest

F2, F3, F6 = "\x1bOQ", "\x1bOR", "\x1b[17~"
UP, DOWN, BACKSPACE, ENTER, ESC = "\x1b[A", "\x1b[B", "\x7f", "\r", "\x1b[27u"
READY = "offline practice model"


def begun(start, *prompts):
    """Start the app, and send prompts one after the other."""
    terminal = start()
    terminal.until(READY)
    for number, prompt in enumerate(prompts, 1):
        terminal.type(prompt + ENTER)
        terminal.until(lambda number=number: terminal.text.count("✓ done") >= number)
    return terminal


def test_a_search_of_the_conversation_with_a_mistake_in_it(start):
    terminal = begun(start, "say 3", "list")
    terminal.type(F6 + "/" + "sex" + BACKSPACE + "y 3" + BACKSPACE * 4 + "ay 3" + ENTER)
    terminal.until("1 of ")
    assert "│ /" not in terminal.text


def test_a_session_is_found_and_opened(start):
    terminal = begun(start, "say 3")
    terminal.type("/new" + ENTER)
    terminal.until(lambda: "✓ done" not in terminal.text)
    terminal.type("list" + ENTER)
    terminal.until("✓ done")
    terminal.type(F2 + "say 4" + BACKSPACE + "3" + ENTER)
    terminal.until("> say 3")


def test_moves_in_the_list_of_sessions(start):
    terminal = begun(start, "say 3")
    terminal.type("/new" + ENTER)
    terminal.until(lambda: "✓ done" not in terminal.text)
    terminal.type("list" + ENTER)
    terminal.until("✓ done")
    terminal.type(F2)
    terminal.until("say 3")
    terminal.type(DOWN + DOWN + UP + DOWN + ENTER)
    terminal.until("> say 3")


@pytest.mark.parametrize("moves", [UP, ""])
def test_a_command_of_the_palette(start, moves):
    terminal = begun(start)
    terminal.type("\x10" + "receixt" + BACKSPACE * 2 + "pt" + (DOWN + UP if moves else "") + ENTER)
    terminal.until("│ /receipt ")


def test_a_theme_is_picked(start):
    terminal = begun(start)
    terminal.type("/theme" + ENTER)
    terminal.until("● tui-agent-dark")
    terminal.type(DOWN + DOWN + UP + ENTER)
    terminal.until(lambda: "choose" not in terminal.text)
    terminal.type("/theme" + ENTER)
    terminal.until("● tui-agent-light")


def test_an_entry_of_the_timeline_is_unfolded(start):
    terminal = begun(start, "list", "say 3")
    terminal.type(F3 + UP + UP + DOWN + "o" + "after")
    terminal.until("│ after")
