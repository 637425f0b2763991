"""What a terminal sends: keys and pastes arrive whole, however they are cut; nothing else is typed."""

from __future__ import annotations

import string
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events

from tui_agent.ui.input_parser import PASTE_BEGIN, PASTE_END, InputParser
from tui_agent.ui.keys import in_burst

pasted = st.text("ab\x1b[0mOyn\r\n\t~201; é", max_size=60).filter(
    lambda text: PASTE_END not in text and PASTE_BEGIN not in text
)
cuts = st.lists(st.integers(0, 120), max_size=6)


def feed(*reads: str | bytes, pause: float = 0.001) -> list[object]:
    """Return the events of some reads, one soon after the other, and of a long silence after them."""
    parser, found, now = InputParser(), [], 100.0
    for read in reads:
        found += parser.feed(read if isinstance(read, bytes) else read.encode(), now)
        now += pause
    for _ in range(4):
        now += 10.0
        found += parser.tick(now)
    assert parser.wait(now) is None
    return found


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(place for place in at if 0 < place < len(data)), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def keys(found: list[object]) -> list[str]:
    return [event.key for event in found if isinstance(event, events.Key)]


def texts(found: list[object]) -> list[str]:
    return [event.text for event in found if isinstance(event, events.Paste)]


# Pastes


@given(pasted, cuts)
def test_nothing_in_a_paste_is_a_key(text: str, places: list[int]) -> None:
    found = feed(*cut((PASTE_BEGIN + text + PASTE_END).encode(), places))
    assert keys(found) == []
    assert texts(found) == [text.replace("\r\n", "\n").replace("\r", "\n")]


def test_keys_around_a_paste_stay_keys() -> None:
    found = feed("a" + PASTE_BEGIN + "x\x1b[31my" + PASTE_END + "b")
    kinds = [event.key if isinstance(event, events.Key) else event.text for event in found]  # type: ignore[attr-defined]
    assert kinds == ["a", "x\x1b[31my", "b"]


def test_an_end_mark_inside_a_paste_does_not_let_the_rest_type() -> None:
    found = feed(PASTE_BEGIN + "harmless" + PASTE_END + "\ry" + PASTE_END)
    assert [type(event) for event in found] == [events.Paste]


def test_two_pastes_in_one_read_stay_apart() -> None:
    one, two = PASTE_BEGIN + "one" + PASTE_END, PASTE_BEGIN + "two" + PASTE_END
    assert texts(feed(one + two)) == ["one", "two"]
    assert texts(feed(one[:8], one[8:] + two)) == ["one", "two"]
    assert texts(feed(one, two)) == ["one", "two"]


def test_what_stands_between_two_pastes_in_one_read_is_text() -> None:
    found = feed(PASTE_BEGIN + "one" + PASTE_END + "\ry" + PASTE_BEGIN + "two" + PASTE_END)
    assert texts(found) == ["one", "\ny", "two"]
    assert keys(found) == []


def test_a_paste_whose_end_is_lost_is_given_and_the_keyboard_comes_back() -> None:
    parser = InputParser()
    assert parser.feed(b"\x1b[200~half a paste", 1.0) == []
    assert texts(list(parser.tick(1.0 + (parser.wait(1.0) or 0)))) == ["half a paste"]
    assert keys(list(parser.feed(b"k", 20.0))) == ["k"]


@pytest.mark.parametrize("sent", ["rm -rf build\rgit push\r", "one\rtwo", "\rfirst line empty", "a\r\n\tb\r"])
def test_a_paste_without_brackets_is_a_paste_and_sends_nothing(sent: str) -> None:
    found = feed(sent)
    assert keys(found) == []
    assert "".join(texts(found)) == sent.replace("\r\n", "\n").replace("\r", "\n")


@given(st.lists(st.integers(1, 40), max_size=4))
def test_a_paste_without_brackets_may_come_in_several_reads(places: list[int]) -> None:
    sent = b"first line\rsecond line\rthird line\r"
    found = feed(*cut(sent, places))
    assert keys(found)[:1] != ["enter"]
    assert "enter" not in keys(found)


def test_a_line_and_its_enter_in_one_read_are_typed() -> None:
    assert keys(feed("hi\r")) == ["h", "i", "enter"]
    assert keys(feed("hi\r\x04")) == ["h", "i", "enter", "ctrl+d"]


def test_what_was_typed_before_the_app_could_read_may_hold_one_enter() -> None:
    parser = InputParser()
    found = parser.feed(b"run it\ryyy", 1.0, early=True)
    assert keys(list(found)) == [*"run", "space", *"it", "enter", *"yyy"]


# What is not a key


def _control_string(introducer: str, end: str) -> st.SearchStrategy[bytes]:
    content = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x2FF, exclude_characters="\x7f"), max_size=40)
    content = content.filter(lambda text: not any("\x80" <= character <= "\x9f" for character in text))
    return content.map(lambda text: (introducer + text + end).encode())


def _eight_bit(introducer: int, end: bytes) -> st.SearchStrategy[bytes]:
    return st.text(string.printable[:95], max_size=40).map(lambda text: bytes([introducer]) + text.encode() + end)


control_strings = st.one_of(
    *(_control_string(begin, "\x1b\\") for begin in ("\x1b]", "\x1bP", "\x1bX", "\x1b^", "\x1b_", "\x9d", "\x90")),
    _control_string("\x1b]", "\x07"),
    *(_eight_bit(begin, end) for begin in (0x90, 0x98, 0x9D, 0x9E, 0x9F) for end in (b"\x9c", b"\x1b\\")),
)
unknown_sequences = st.one_of(
    st.tuples(
        st.sampled_from([b"\x1b[", b"\x9b", b"\xc2\x9b"]),
        st.text("0123456789;:?=>", max_size=24).map(str.encode),
        st.text(" !\"#%&'()*+,-./", min_size=1, max_size=3).map(str.encode),
        st.sampled_from([bytes([final]) for final in range(0x40, 0x7F)]),
    ).map(b"".join),
    st.tuples(st.sampled_from([b"\x1b[?", b"\x1b[>", b"\x1b[="]), st.text("0123456789;", max_size=24).map(str.encode))
    .flatmap(lambda parts: st.sampled_from(string.ascii_letters).map(lambda final: b"".join(parts) + final.encode()))
    .filter(lambda sent: sent != b"\x1b[?M"),
    st.text("0123456789;NaNnanInfe.-+", max_size=20).map(lambda body: f"\x1b[<{body}M".encode()),
)


@given(st.one_of(control_strings, unknown_sequences), cuts)
def test_what_is_no_key_types_nothing(sent: bytes, places: list[int]) -> None:
    found = feed(*cut(sent, places))
    assert keys(found) == []
    assert texts(found) == []


@given(st.one_of(control_strings, unknown_sequences))
def test_what_is_no_key_types_nothing_byte_by_byte_and_the_next_key_arrives(sent: bytes) -> None:
    parser, now, found = InputParser(), 100.0, []
    for byte in sent:
        now += 0.004
        found += parser.feed(bytes([byte]), now)
    assert keys(found) == []
    found = parser.feed(b"k", now + 2.0)
    assert keys(list(found)) == ["k"]
    assert not in_burst(found[0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "begin", [b"\x1b]11;rgb:", b"\x1bP>|ki", b"\x1b_Gi=1", b"\x9d", b"\x1b[?1;", b"\x1b[<35;1", b"\x1b[M "]
)
def test_an_unfinished_sequence_is_dropped_after_a_while(begin: bytes) -> None:
    parser = InputParser()
    assert parser.feed(begin, 1.0) == []
    wait = parser.wait(1.0)
    assert wait is not None
    assert wait <= 1.0
    assert parser.tick(1.0 + wait) == []
    assert keys(list(parser.feed(b"k", 3.0))) == ["k"]


def test_an_unfinished_string_holds_the_keyboard_for_seconds_at_most_however_much_is_typed() -> None:
    parser, now, found = InputParser(), 1.0, []
    parser.feed(b"\x1b]52;c;", now)
    for _ in range(100):
        now += 0.1
        found += parser.feed(b"k", now)
    assert len(keys(list(found))) >= 45


@pytest.mark.parametrize(
    "sent",
    [
        b"\x1b[M \xc0\x30",  # X10 mouse, column 160
        b"\x1b[M yy",  # X10 mouse with coordinates that are letters
        b"\x1b[32;NaN;NaNM",
        b"\x1b[NaN;NaNM",
        b"\x1b[<0;99999999999999999999;1M",
        b"\x1b[<0;-1;-1M",
        b"\x1b[48;0;0;0;0t",
        b"\x1b[48;99999;99999;1;1t",
        b"\x1b[1114112;1u",
        b"\x1b[55296;1u",
        b"\x1b[97;1:3u",  # a key was released
        b"\x1b[99999999999999999999999u",
        b"\x1b[24;80R",
        b"\x1b[?997;1n",
        pytest.param(b"\x1b[" + b"1" * 5000 + b"y", id="long"),
    ],
)
def test_an_odd_report_is_dropped(sent: bytes) -> None:
    assert feed(sent) == []
    assert feed(*(bytes([byte]) for byte in sent), pause=0.0001) == []


@given(st.binary(max_size=200), cuts)
def test_no_bytes_are_an_error(sent: bytes, places: list[int]) -> None:
    for event in feed(*cut(sent, places)):
        assert isinstance(event, events.Event) or type(event).__name__ == "TerminalSupportsSynchronizedOutput"


def test_ten_thousand_random_bytes_in_one_read_are_no_error() -> None:
    import random

    for seed in range(5):
        feed(random.Random(seed).randbytes(10_000))


# Keys


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (b"\x1b[97;2u\x1b[49;2u\x1b[47u\x1b[252u", "A!/ü"),
        (b"\x1b[97:65;2u", "A"),
        (b"\x1b[55:47;2u", "/"),  # a German keyboard that tells what Shift makes of its 7
        (b"\x1b[97;65u", "A"),  # caps lock
        (b"\x1b[97;1:1u\x1b[98;1:2u", "ab"),
        (b"\x1b[97;;12354u", "あ"),
        (b"\x1b[57404u\x1b[57413u", "5+"),  # keypad
        (b"\x1bOk\x1bOq", "+1"),
        ("東京\u3000大阪\u200c\u200d\xa0👩\u200d💻\ufe0f".encode(), "東京\u3000大阪\u200c\u200d\xa0👩\u200d💻\ufe0f"),
        (b"caf\xe9 na\xefve", "caf\ufffd na\ufffdve"),
    ],
)
def test_what_is_typed_has_its_character(sent: bytes, wanted: str) -> None:
    found = feed(sent)
    assert "".join(event.character or "" for event in found if isinstance(event, events.Key)) == wanted


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (b"\x1b", ["escape"]),
        (b"\x1b[27u", ["escape"]),
        (b"\x1b\x1b", ["escape", "escape"]),
        (b"\x1b[A\x1bOB\x1b[1;5C", ["up", "down", "ctrl+right"]),
        (b"\x1b[13;2u\x1b[27;2;13~", ["shift+enter", "shift+enter"]),
        (b"\x1b[97;5u\x01", ["ctrl+a", "ctrl+a"]),
        (b"\x1b[3$", ["shift+delete"]),  # rxvt
        (b"\x1b[[A", ["f1"]),  # Linux console
        (b"\x1by", ["alt+y"]),
    ],
)
def test_keys_without_a_character(sent: bytes, wanted: list[str]) -> None:
    found = feed(sent)
    assert keys(found) == wanted
    assert not any(event.is_printable for event in found if isinstance(event, events.Key))


def test_a_key_cut_by_a_slow_line_types_no_letters() -> None:
    assert keys(feed(b"\x1b", b"[A", pause=0.2)) == ["escape", "up"]
    assert keys(feed(b"\x1b[", b"A", pause=0.2)) == ["up"]
    assert keys(feed(b"\x1b", b"]11;rgb:0/0/0\x07", pause=0.2)) == ["escape"]


def test_escape_waits_as_long_as_is_set() -> None:
    parser = InputParser(escape_seconds=0.4)
    assert parser.feed(b"\x1b", 1.0) == []
    assert parser.wait(1.0) == pytest.approx(0.4)
    assert parser.tick(1.3) == []
    assert keys(list(parser.feed(b"[A", 1.35))) == ["up"]


def test_a_key_that_came_alone_is_no_burst_and_one_with_others_is() -> None:
    [alone] = feed(b"y")
    assert not in_burst(alone)  # type: ignore[arg-type]
    for reads in (b"kitty",), (b"k", b"y"), (b"\x1b[?1;2c" + b"y",), (b"\x1b[?1;2c", b"y"):
        assert in_burst(feed(*reads)[-1])  # type: ignore[arg-type]


def test_the_mouse_makes_no_burst_of_a_key() -> None:
    *_, key = feed(b"\x1b[<35;4;4M\x1b[<35;5;5M" + b"y")
    assert not in_burst(key)  # type: ignore[arg-type]
