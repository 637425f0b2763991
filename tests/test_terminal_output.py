"""Output as a terminal would show it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_agent.terminal_output import rendered, rendered_bytes


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("plain\ttabs\nlines\n", "plain\ttabs\nlines\n"),
        ("one\r\ntwo\r\n", "one\ntwo\n"),
        ("one\r\r\ntwo", "one\ntwo"),
        ("\rDownloading 1%\rDownloading 100%\n", "Downloading 100%\n"),
        ("\r\x1b[K[##  ] 50%\r\x1b[K[####] 100%\ndone", "[####] 100%\ndone"),
        ("long frame\rshort", "shortframe"),
        ("long frame\rshort\x1b[K", "short"),
        ("long frame\r\x1b[2Kx", "x"),
        ("\x1b[32mPASS\x1b[0m test \x1b[1mbold\x1b[0m", "PASS test bold"),
        ("\x1b[38;2;1;2;3mx\x1b[38:5:1my", "xy"),
        ("\x9b31mC1", "C1"),
        ("\x1b]0;title\x07a\x1b]52;c;aGk=\x1b\\b\x1b]8;;http://x\x1b\\link", "ablink"),
        ("\x1b]0;never ended\nnext", "\nnext"),
        ("\x1bPdata\x1b\\x\x1b_apc\x1b\\y", "xy"),
        ("\x1b(0lqqk\x1b(B", "lqqk"),
        ("\x1b[?1049l\x1b[2J\x1b[H kept", " kept"),
        ("abc\b\b\bXYZ", "XYZ"),
        ("N\bNA\bAM\bME\bE", "NAME"),
        ("_\bN_\bA", "NA"),
        ("N\b_A\b_", "NA"),
        ("spin |\b/\b-\b\\\bdone", "spin done"),
        ("\b\b\bx", "x"),
        ("a\x1b[3Cb", "a   b"),
        ("a\x1b[5Gb\x1b[1Gc", "c   b"),
        ("one\ntwo\n\x1b[2A\x1b[Kagain 1\n\x1b[Kagain 2\n", "again 1\nagain 2\n"),
        ("a\nb\nc\x1b[2A\r\x1b[Jz", "z"),
        ("bell\x07 nul\x00 del\x7f", "bell nul\\x00 del\\x7f"),
        ("日本\r語", "語本"),
        ("e\u0301\bx", "x"),
        ("👨‍👩‍👧|\u2764\ufe0f|", "👨‍👩‍👧|\u2764\ufe0f|"),
        ("cut \x1b[3", "cut "),
        ("cut \x1b", "cut "),
        ("\x1b[999999999CX", " " * 2000 + "X"),
    ],
)
def test_what_stays_on_the_lines_is_shown(written: str, shown: str) -> None:
    assert rendered(written) == shown


def test_bytes_that_are_no_text_become_escapes() -> None:
    assert rendered_bytes(b"\xff\xfe caf\xe9") == "\\xff\\xfe caf\\xe9"


@given(st.text(st.sampled_from("ab\r\n\b\t\x1b[]0;1mKJHAGCPX?(B\x07\x9b\x00é\u0301日 _"), max_size=60))
def test_nothing_that_moves_a_terminal_is_left_and_once_is_enough(text: str) -> None:
    shown = rendered(text)
    assert not any(character < " " and character not in "\n\t" for character in shown)
    assert "\x1b" not in shown
    assert rendered(shown) == shown


@given(st.text(st.sampled_from("ab\r\n\b\x1b[1mK]x\x07"), max_size=40), st.integers(0, 40))
def test_chunks_make_no_difference_once_they_are_joined(text: str, at: int) -> None:
    first = rendered(text[:at])
    assert "\x1b" not in first
    assert rendered(text[:at] + text[at:]) == rendered(text)


def test_a_long_bar_takes_little_time_and_memory() -> None:
    bar = "".join(f"\r\x1b[K[{'#' * (n % 30)}] {n}" for n in range(20_000))
    began = time.process_time()
    assert rendered(bar).endswith("] 19999")
    assert time.process_time() - began < 2
