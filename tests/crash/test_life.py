"""What counts as the same screen after a kill."""

from __future__ import annotations

from tests.crash.life import CRASH_ROWS, same_screen

TOP, BOTTOM = [" header", "╭─ Conversation ─╮"], ["╰────╯", " footer"]


def screen(*rows: str) -> str:
    return "\n".join([*TOP, *(f"│ {row}" for row in rows), *BOTTOM])


def test_a_view_that_stands_is_the_same_row_by_row() -> None:
    before = screen("one", "two", "")
    assert same_screen(before, screen("one", "two", ""), follows=False)
    assert not same_screen(before, screen("two", "crash", ""), follows=False)
    assert not same_screen(before, screen("one", "two", "crash"), follows=False)


def test_a_view_that_follows_moves_up_by_the_crash_at_most() -> None:
    rows = [f"row {number}" for number in range(12)]
    before = screen(*rows)
    assert same_screen(before, screen(*rows[1:], "crash"), follows=True)
    assert same_screen(before, screen(*rows[CRASH_ROWS:], "crash"), follows=True)
    assert not same_screen(before, screen(*rows[CRASH_ROWS + 1 :], "crash"), follows=True)
    assert not same_screen(before, screen(*rows[1:-2], "crash"), follows=True)
    assert not same_screen(before, screen(*rows[1:-2], rows[-1], rows[-2], "crash"), follows=True)
