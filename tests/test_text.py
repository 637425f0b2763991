"""`inert`: nothing that a terminal would obey gets through."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_agent.text import inert, inert_line, inert_same_length


@given(st.text())
def test_no_control_or_invisible_character_is_left(text: str) -> None:
    safe = inert(text)
    for character in safe:
        assert character in "\n\t" or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text())
def test_inert_text_stays_as_it_is(text: str) -> None:
    assert inert(inert(text)) == inert(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_ordinary_text_is_not_changed_unless_it_hides_something(text: str) -> None:
    safe = inert(text)
    assert safe == text or "\\u" in safe or "\\U" in safe or "\\x" in safe


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("line\r\nend", "line\nend"),
        ("over\rwrite", "over\\x0dwrite"),
        ("plain [/red] text", "plain [/red] text"),
        ("日本語 é 🎉", "日本語 é 🎉"),
        ("\ud800", "\\ud800"),
    ],
)
def test_examples(text: str, safe: str) -> None:
    assert inert(text) == safe


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    assert "\n" not in inert_line(text)
    assert "\t" not in inert_line(text)


@given(st.text())
def test_inert_at_the_same_length_keeps_every_place(text: str) -> None:
    shown = inert_same_length(text)
    assert len(shown) == len(text)
    assert inert(shown) == shown.replace("\r\n", "\n")
    assert all(new == old or inert(old) != old or old == "\r" for old, new in zip(text, shown, strict=True))
