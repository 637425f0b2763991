"""Random handling of the conversation: whatever is done, the window is right and it is what is painted."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from tests.ui.panes import MARKDOWN, PaneApp, answer, delta, feed, long_session, planned, started, step
from tui_agent.events import StepOutput, TurnStarted
from tui_agent.ui.conversation import ConversationView


@pytest.mark.parametrize("seed", range(3))
async def test_the_window_is_always_right(seed: int) -> None:
    chance = random.Random(seed)
    session = long_session(40, steps=4)
    view = ConversationView()
    app = PaneApp(view)
    async with app.run_test(size=(60, 20)) as pilot:
        view.show(session)
        await app.workers.wait_for_complete()
        view.focus()
        for serial in range(40):
            match chance.randrange(12):
                case 0:
                    feed(session, view, step(f"f{serial}", view="x\n" * chance.randrange(9)))
                case 1:
                    text = MARKDOWN[: chance.randrange(len(MARKDOWN))]
                    feed(
                        session,
                        view,
                        [TurnStarted(turn=f"u{serial}", model="m", number=1), delta(f"u{serial}", text)],
                    )
                case 2:
                    feed(session, view, answer(f"t{chance.randrange(40)}", MARKDOWN[chance.randrange(900) :]))
                case 3:
                    feed(session, view, [planned("run", "bash", "bash x"), started("run", "bash")])
                case 4 if "run" in session._places:
                    feed(session, view, [StepOutput(step="run", text="more\n" * chance.randrange(4))])
                case 5 | 6:
                    view.scroll_to(y=view.scroll_y + chance.randint(-30, 15), animate=False)
                case 7:
                    view.scroll_to(y=chance.randrange(view.max_scroll_y + 1), animate=False)
                case 8:
                    await pilot.resize_terminal(chance.randint(20, 90), chance.randint(5, 40))
                case 9:
                    view.action_toggle_fold()
                case 10:
                    chance.choice([view.action_fold_all, view.action_first, view.action_last])()
                case _:
                    chance.choice([view.action_move, view.action_page])(chance.choice([-1, 1]))
            view.settle()
            if chance.random() < 0.5:
                await app.workers.wait_for_complete()
            await asyncio.sleep(0)
            view.settle()  # a resize is known to the widget before its event comes
            check(view)
        await pilot.pause()
        await app.workers.wait_for_complete()
        await pilot.pause()
        check(view)
        width, height = view.scrollable_content_region.size
        painted = [strip.crop(0, width).text for strip in app.screen._compositor.render_strips()]
        assert painted == [view.render_line(y).adjust_cell_length(width).text for y in range(height)]


def check(view: ConversationView) -> None:
    rows = view._rows
    height = view.scrollable_content_region.height
    assert len(rows) == len(view._strips) <= height
    for above, below in itertools.pairwise(rows):
        if above.position == below.position:
            assert below.line == above.line + 1
        else:
            assert below.line == 0
            assert above.line == view._heights[above.position] - 1
            between = range(above.position + 1, below.position)
            assert all(view._heights[position] == 0 for position in between)
    total = view._heights.total
    assert view.virtual_size.height == total
    if rows:
        top = view._heights.before(rows[0].position) + rows[0].line
        assert top == view.scroll_y == view.scroll_target_y
        assert len(rows) == min(height, total - top)
        if view.follow or total <= height:
            assert top + len(rows) == total
