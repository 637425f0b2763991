"""`inert`: nothing that a terminal would obey gets through."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_agent.text import inert, inert_line, inert_same_length, inert_strict


@given(st.text())
def test_no_control_or_invisible_character_is_left(text: str) -> None:
    safe = inert(text)
    for character in safe:
        allowed = character in "\n\t\u200c\u200d"  # which is kept only where it joins, see below
        assert allowed or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


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


@pytest.mark.parametrize(
    "text",
    [
        "می\u200cخواهم",  # Persian: a space of no width between the parts of a word
        "ه\u200d",
        "क्\u200dष",  # Hindi: a half consonant
        "தமிழ்\u200c",
        "👩\u200d💻",
        "👩🏽\u200d❤\ufe0f\u200d💋\u200d👨",
        "🏳\ufe0f\u200d🌈",
        "☎\ufe0e",
    ],
)
def test_what_joins_letters_and_emoji_stays_but_is_shown_in_what_is_approved(text: str) -> None:
    assert inert(text) == text
    assert inert_same_length(text) == text
    assert not set(inert_strict(text)) & set("\u200c\u200d\ufe0e")


@pytest.mark.parametrize(
    "text",
    [
        *("pay\u200dpal", "pay\u200cpal", "rm\u200d -rf", "\u200dx", "x\u200d", "1\ufe0e", "a\ufe0e", "👩\u200dx"),
        *("م\ufe0e\u200d", "م\u200c\u180bم"),
        *("а\u200cб", "日\u200d本", "می\u200c\u200cخواهم", "👩\u200d\u200d💻", "م\u200cx", "x\u200cم"),
    ],
)
def test_what_joins_nothing_is_shown(text: str) -> None:
    assert set("\u200c\u200d\ufe0e") & set(text)
    assert "\\u" in inert(text)
    assert inert(inert(text)) == inert(text)


@given(st.text("aم\u0645\u06cc\u094d\u0915\u0937👩💻🏽❤☎1 \u200c\u200d\ufe0e\ufe0f"))
def test_joiners_stand_alone_and_inert_text_with_them_stays(text: str) -> None:
    safe = inert(text)
    assert inert(safe) == safe
    assert not any(pair in safe for pair in ("\u200c\u200c", "\u200d\u200d", "\u200c\u200d", "\u200d\u200c"))


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
