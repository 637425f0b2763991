"""A paste is taken whole: nothing in it is a key, whatever it holds and however it is cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from textual import events

from tui_agent.ui.paste_parser import PASTE_BEGIN, PASTE_END, PasteParser

pasted = st.text("ab\x1b[0mOyn\r\n\t~201; é", max_size=60).filter(
    lambda text: PASTE_END not in text and PASTE_BEGIN not in text
)


def feed(parts: list[str]) -> list[object]:
    parser = PasteParser()
    return [event for part in parts if part for event in parser.feed(part)]


@given(pasted, st.lists(st.integers(0, 80), max_size=4))
def test_nothing_in_a_paste_is_a_key(text: str, cuts: list[int]) -> None:
    sent = PASTE_BEGIN + text + PASTE_END
    # A read that ends in the first two bytes of the mark is Textual's to handle: ESC may be the key.
    edges = [0, *sorted(cut for cut in cuts if 3 <= cut < len(sent)), len(sent)]
    found = feed([sent[a:b] for a, b in pairwise(edges)])
    assert [type(event) for event in found] == [events.Paste]
    assert isinstance(found[0], events.Paste)
    assert found[0].text == text.replace("\r\n", "\n").replace("\r", "\n")


def test_keys_around_a_paste_stay_keys() -> None:
    found = feed(["a" + PASTE_BEGIN + "x\x1b[31my" + PASTE_END + "b"])
    kinds = [event.key if isinstance(event, events.Key) else event.text for event in found]  # type: ignore[attr-defined]
    assert kinds == ["a", "x\x1b[31my", "b"]


def test_an_end_mark_inside_a_paste_does_not_let_the_rest_type() -> None:
    found = feed([PASTE_BEGIN + "harmless" + PASTE_END + "\ry" + PASTE_END])
    assert [type(event) for event in found] == [events.Paste]


def test_two_pastes_in_one_read_stay_apart() -> None:
    one, two = PASTE_BEGIN + "one" + PASTE_END, PASTE_BEGIN + "two" + PASTE_END
    assert [event.text for event in feed([one + two])] == ["one", "two"]  # type: ignore[attr-defined]
    assert [event.text for event in feed([one[:8], one[8:] + two])] == ["one", "two"]  # type: ignore[attr-defined]


def test_what_stands_between_two_pastes_in_one_read_is_text() -> None:
    found = feed([PASTE_BEGIN + "one" + PASTE_END + "\ry" + PASTE_BEGIN + "two" + PASTE_END])
    assert [type(event) for event in found] == [events.Paste] * 3
    assert [event.text for event in found] == ["one", "\ny", "two"]  # type: ignore[attr-defined]


def test_two_pastes_in_two_reads() -> None:
    found = feed([PASTE_BEGIN + "one" + PASTE_END, PASTE_BEGIN + "two" + PASTE_END])
    assert [event.text for event in found] == ["one", "two"]  # type: ignore[attr-defined]
