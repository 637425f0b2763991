"""Desktop notifications: one sequence, in the form that the terminal documents, with nothing in it but text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_agent.text import inert_line
from tui_agent.ui.notification import desktop_notification

TITLED = "\x1b]777;notify;tui-agent asks;bash make\x1b\\"
PLAIN = "\x1b]9;tui-agent asks: bash make\x07"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, PLAIN),
        ({"TERM": "xterm-256color"}, PLAIN),
        ({"TERM": "xterm-kitty"}, PLAIN),
        ({"TERM_PROGRAM": "iTerm.app", "TERM": "xterm-256color"}, PLAIN),
        ({"TERM_PROGRAM": "WezTerm", "TERM": "xterm-256color"}, TITLED),
        ({"TERM_PROGRAM": "ghostty", "TERM": "xterm-ghostty"}, TITLED),
        ({"TERM": "rxvt-unicode-256color"}, TITLED),
        ({"TERM": "foot"}, TITLED),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7600"}, TITLED),
        (
            {"TMUX": "/tmp/tmux-0/default,1,0", "TERM_PROGRAM": "tmux", "TERM": "tmux-256color"},
            "\x1bPtmux;\x1b\x1b]9;tui-agent asks: bash make\x07\x1b\\",
        ),
        (
            {"TMUX": "x", "TERM_PROGRAM": "tmux", "TERM": "screen", "VTE_VERSION": "7600"},
            "\x1bPtmux;\x1b\x1b]777;notify;tui-agent asks;bash make\x1b\x1b\\\x1b\\",
        ),
    ],
)
def test_the_form_is_that_of_the_terminal(environment: dict[str, str], wanted: str) -> None:
    assert desktop_notification("bash make", environment) == wanted


@given(st.text(), st.sampled_from([{}, {"TERM": "foot"}, {"TMUX": "x", "TERM": "foot"}]))
def test_the_text_is_only_text(text: str, environment: dict[str, str]) -> None:
    empty = desktop_notification("", environment)
    shown = desktop_notification(text, environment)
    at = empty.index("asks") + 6 - ("TERM" in environment)
    tail = empty[at:]
    inside = shown[at : len(shown) - len(tail)]
    assert shown == empty[:at] + inside + tail
    assert inert_line(inside) == inside
    assert "TERM" not in environment or ";" not in inside
    assert len(inside) <= 200
