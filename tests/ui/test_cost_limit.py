"""The question at the first start: what one run may cost."""

from __future__ import annotations

import pytest
from textual.events import Key
from textual.widgets import Input

from tests.waiting import until
from tui_agent.ui.cost_limit import CostLimitDialog, parse_dollars
from tui_agent.ui.key_order import OrderedKeysApp


@pytest.mark.parametrize(
    ("text", "dollars"),
    [("5", 5.0), (" $2.50 ", 2.5), ("0", 0.0), ("", None), ("x", None), ("-1", None), ("inf", None), ("nan", None)],
)
def test_an_amount_is_dollars_from_0_on(text: str, dollars: float | None) -> None:
    assert parse_dollars(text) == dollars


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        ("enter", 5.0),
        ("escape", 5.0),
        ("0 enter", 0.0),
        ("x enter 2 enter", 2.0),
        ("x enter backspace 2 . 5 enter", 2.5),
        ("x y enter backspace backspace 2 . 5 enter", 2.5),
        ("x enter y enter", None),
    ],
)
async def test_enter_takes_the_figure_and_escape_the_default(keys: str, answer: float | None) -> None:
    answers: list[float | None] = []
    app: OrderedKeysApp[None] = OrderedKeysApp()
    async with app.run_test() as pilot:
        app.push_screen(CostLimitDialog(), answers.append)
        await pilot.pause()
        await pilot.press(*keys.split())
        await pilot.pause()
        assert answers == ([] if answer is None else [answer])


async def test_what_is_typed_while_the_refusal_is_on_its_way_is_kept() -> None:
    answers: list[float | None] = []
    app: OrderedKeysApp[None] = OrderedKeysApp()
    async with app.run_test() as pilot:
        app.push_screen(CostLimitDialog(), answers.append)
        await pilot.pause()
        await pilot.press("x")
        field = app.screen.query_one(Input)
        for key in ("enter", "backspace", "2", "full_stop", "5", "enter"):
            app.post_message(Key(key, {"full_stop": ".", "2": "2", "5": "5"}.get(key)))
        await pilot.pause()
        await until(lambda: answers == [2.5], f"the answer; the field holds {field.value!r}")
