"""The conversation in an app: paging, following, staying where it is put, folding, selecting, keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from textual.geometry import Offset
from textual.pilot import Pilot
from textual.selection import Selection

from tests.ui.panes import (
    DIFF,
    MARKDOWN,
    PaneApp,
    Session,
    answer,
    delta,
    feed,
    long_session,
    planned,
    prompt,
    sample,
    screen_text,
    started,
    step,
)
from tui_agent.events import StepOutput, TurnStarted
from tui_agent.session import Item
from tui_agent.ui import line_window
from tui_agent.ui.conversation import ConversationView


@asynccontextmanager
async def showing(
    session: Session, size: tuple[int, int] = (60, 20)
) -> AsyncIterator[tuple[ConversationView, Pilot[None]]]:
    view = ConversationView()
    app = PaneApp(view)
    async with app.run_test(size=size) as pilot:
        view.show(session)
        await settled(pilot)
        view.focus()
        await pilot.pause()
        yield view, pilot


async def settled(pilot: Pilot[None]) -> None:
    """Wait until nothing is being fetched."""
    await pilot.pause()
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def messages(pilot: Pilot[None], kind: type) -> list[object]:
    app = pilot.app
    assert isinstance(app, PaneApp)
    return [message for message in app.said if isinstance(message, kind)]


async def test_the_end_is_shown_first_and_pages_are_fetched_around_it_only() -> None:
    session = long_session(300)
    async with showing(session) as (view, _):
        assert view.item_count == 3000
        assert screen_text(view)[-1] == "▸ ✓ read file299_7.py  2 lines" or "file299_7" in screen_text(view)[-1]
        assert session.fetches <= 3
        assert view.follow


async def test_nothing_is_shown_of_an_empty_session_and_the_first_items_appear() -> None:
    session = Session()
    async with showing(session) as (view, pilot):
        assert not any(screen_text(view))
        feed(session, view, [prompt("r", "hello")])
        await settled(pilot)
        assert screen_text(view)[:2] == ["", "> hello"]
        assert view.cursor == 0


async def test_it_follows_the_end_until_it_is_scrolled_up_and_again_at_the_end() -> None:
    session = long_session(5)
    async with showing(session) as (view, pilot):
        feed(session, view, step("x", title="read followed.py"))
        await settled(pilot)
        assert "followed.py" in screen_text(view)[-1]
        view.scroll_to(y=view.scroll_y - 5, animate=False)
        await settled(pilot)
        assert not view.follow
        before = screen_text(view)
        for n in range(30):
            feed(session, view, step(f"y{n}", title=f"read later{n}.py"))
        await settled(pilot)
        after = screen_text(view)
        assert after[:-1] == before[:-1]
        assert after[-1].endswith("↓ new")
        await pilot.press("end")
        await settled(pilot)
        assert view.follow
        assert "later29.py" in screen_text(view)[-1]
        follows = [message.follow for message in messages(pilot, ConversationView.FollowChanged)]  # type: ignore[attr-defined]
        assert follows == [False, True]


async def test_what_is_looked_at_stays_while_heights_above_become_known() -> None:
    session = long_session(100)
    async with showing(session) as (view, pilot):
        for _ in range(40):
            before = screen_text(view)
            view.scroll_to(y=view.scroll_y - 3, animate=False)
            await pilot.app.workers.wait_for_complete()
            assert screen_text(view)[3:] == before[:-3]
            assert view._heights.before(view._top[0]) + view._top[1] == view.scroll_y
        for _ in range(40):
            before = screen_text(view)
            view.scroll_to(y=view.scroll_y + 3, animate=False)
            await pilot.app.workers.wait_for_complete()
            assert screen_text(view)[:-3] == before[3:]
        assert view.follow


async def test_an_item_that_grows_above_the_window_moves_nothing() -> None:
    session = Session()
    session.add(prompt("r", "go"), planned("run", "bash", "bash make"), started("run", "bash"))
    session.add(*[event for n in range(60) for event in step(f"s{n}", title=f"read f{n}.py")])
    async with showing(session) as (view, pilot):
        await pilot.press("home")
        view.scroll_to(y=4, animate=False)
        await settled(pilot)
        before = screen_text(view)
        feed(session, view, [StepOutput(step="run", text="one\ntwo\nthree\n")])
        await settled(pilot)
        assert screen_text(view)[:-1] == before[:-1]
        await pilot.press("home")
        assert screen_text(view)[2:6] == ["▸ ● bash make  running", "  │ one", "  │ two", "  │ three"]


async def test_a_jump_by_the_scrollbar_shows_placeholders_and_then_items() -> None:
    session = long_session(200)
    gate = asyncio.Event()

    class Slow(Session):
        async def items(self, start: int, stop: int) -> Mapping[int, Item]:
            if start < 1000:
                await gate.wait()
            return await Session.items(self, start, stop)

    slow = Slow()
    slow.all_items = session.all_items
    async with showing(slow) as (view, pilot):
        view.scroll_to(y=view.max_scroll_y // 4, animate=False)
        await pilot.pause()
        assert screen_text(view)[0] in {"", " …"}
        assert set(screen_text(view)) <= {"", " …"}
        gate.set()
        await settled(pilot)
        assert any("file" in row or "prompt" in row for row in screen_text(view))
        assert " …" not in screen_text(view)


async def test_items_that_cannot_be_read_are_told_and_asked_for_again() -> None:
    class Broken(Session):
        broken = True

        async def items(self, start: int, stop: int) -> Mapping[int, Item]:
            if self.broken:
                raise OSError("disk on fire")
            return await Session.items(self, start, stop)

    session = Broken()
    session.all_items = long_session(20).all_items
    async with showing(session) as (view, pilot):
        failures = messages(pilot, ConversationView.FetchFailed)
        assert {failure.reason for failure in failures} == {"disk on fire"}  # type: ignore[attr-defined]
        session.broken = False
        view.scroll_to(y=view.scroll_y - 3, animate=False)
        await settled(pilot)
        assert any("file" in row for row in screen_text(view))


async def test_an_update_is_not_overwritten_by_a_page_that_was_read_before_it() -> None:
    gate = asyncio.Event()

    class Slow(Session):
        async def items(self, start: int, stop: int) -> Mapping[int, Item]:
            page = await Session.items(self, start, stop)
            await gate.wait()
            return page

    session = Slow()
    session.add(*step("a"), planned("s", "bash", "bash make"))
    view = ConversationView()
    app = PaneApp(view)
    async with app.run_test(size=(60, 20)) as pilot:
        view.show(session)
        await pilot.pause()
        feed(session, view, [started("s", "bash")])
        gate.set()
        await settled(pilot)
        assert screen_text(view)[1] == "▸ ● bash make  running"


async def test_a_page_of_the_session_shown_before_is_dropped() -> None:
    gate = asyncio.Event()

    class Slow(Session):
        async def items(self, start: int, stop: int) -> Mapping[int, Item]:
            await gate.wait()
            return await Session.items(self, start, stop)

    first, second = Slow(), Slow()
    first.add(prompt("r", "of the first"))
    second.add(prompt("r", "of the second"))
    view = ConversationView()
    app = PaneApp(view)
    async with app.run_test(size=(60, 20)) as pilot:
        view.show(first)
        await pilot.pause()
        view.show(second)
        gate.set()
        await settled(pilot)
        assert "> of the second" in screen_text(view)


async def test_what_fits_is_always_followed() -> None:
    session = Session()
    session.add(prompt("r", "go"), *step("s"))
    async with showing(session) as (view, pilot):
        await pilot.press("home", "up", "pageup", "k")
        assert view.follow
        assert view.cursor == 0
        assert screen_text(view)[1] == "> go"


async def test_memory_is_bounded() -> None:
    session = long_session(300, steps=8)
    async with showing(session, (80, 50)) as (view, pilot):
        for _ in range(100):
            view.action_page(-1)
            await pilot.app.workers.wait_for_complete()
        assert view.cursor < 2000
        assert len(view._items) <= line_window.KEPT_ITEMS
        assert len(view._drawings) <= line_window.KEPT_DRAWINGS


async def test_streaming_shows_what_a_finished_answer_shows() -> None:
    session = Session()
    session.add(prompt("r", "go"))
    async with showing(session, (70, 60)) as (view, pilot):
        feed(session, view, [TurnStarted(turn="t", model="m", number=1)])
        await settled(pilot)
        assert "… waiting for the model" in screen_text(view)
        for start in range(0, len(MARKDOWN), 37):
            feed(session, view, [delta("t", MARKDOWN[start : start + 37])])
            view.settle()
        streamed = screen_text(view)
        feed(session, view, answer("t", MARKDOWN))
        await settled(pilot)
        finished = screen_text(view)
    other = Session()
    other.add(prompt("r", "go"), *answer("t", MARKDOWN))
    async with showing(other, (70, 60)) as (view, _):
        assert streamed == finished == screen_text(view)


async def test_only_rows_that_changed_are_repainted(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session()
    session.add(prompt("r", "go"), TurnStarted(turn="t", model="m", number=1), delta("t", "one\n\ntwo\n\nthree"))
    async with showing(session) as (view, _):
        painted: list[int] = []
        monkeypatch.setattr(view, "refresh", lambda *regions: painted.extend(r.y for r in regions))
        feed(session, view, [delta("t", " more")])
        view.settle()
        assert len(painted) == 1
        assert screen_text(view)[painted[0]] == "three more"
        painted.clear()
        view.settle()
        assert painted == []


async def test_folding_by_key_click_and_all_at_once() -> None:
    session = Session()
    session.add(prompt("r", "go"), *step("a", view="out\nput"), *step("b", "edit", "edit x", summary="", diff=DIFF))
    async with showing(session) as (view, pilot):
        await pilot.press("home", "down")
        assert view.cursor == 1
        await pilot.press("enter")
        assert screen_text(view)[2:5] == ["▾ ✓ read src/login.py  84 lines", "  │ out", "  │ put"]
        await pilot.press("space")
        assert screen_text(view)[2:4] == ["▸ ✓ read src/login.py  84 lines", "▾ ✓ edit x  +2 −1"]
        await pilot.click(view, offset=(5, 2))
        assert screen_text(view)[2:4] == ["▾ ✓ read src/login.py  84 lines", "  │ out"]
        await pilot.press("z")
        assert screen_text(view)[2:5] == ["▸ ✓ read src/login.py  84 lines", "▸ ✓ edit x  +2 −1", ""]
        await pilot.press("z")
        assert screen_text(view)[3] == "▾ ✓ edit x  +2 −1"
        steps = [message.step for message in messages(pilot, ConversationView.StepSelected)]  # type: ignore[attr-defined]
        assert steps[-1] == "a"


async def test_unfolding_at_the_end_shows_the_end() -> None:
    session = long_session(10)
    async with showing(session) as (view, pilot):
        await pilot.press("enter")
        assert view.follow
        assert screen_text(view)[-1] == "  │ output"


async def test_folding_leaves_the_head_where_it_is() -> None:
    session = long_session(10)
    async with showing(session) as (view, pilot):
        await pilot.press("home")
        for _ in range(20):
            view.action_move(1)
        row = next(n for n, row in enumerate(view._rows) if row.position == view.cursor)
        head = screen_text(view)[row]
        await pilot.press("enter")
        assert screen_text(view)[row].replace("▾", "▸") == head.replace("▾", "▸")


async def test_the_state_of_the_view_comes_back() -> None:
    session = long_session(60)
    async with showing(session) as (view, pilot):
        await pilot.press("home")
        view.cursor = 3
        await pilot.press("enter")
        for _ in range(9):
            view.action_page(1)
        await settled(pilot)
        state, shown = view.view_state(), screen_text(view)
        assert state["folds"] == {"3": True}
        assert state["follow"] is False
    async with showing(session) as (view, pilot):
        view.restore_view(state)
        await settled(pilot)
        assert screen_text(view) == shown
        assert view.view_state() == state
        await pilot.press("home")
        await settled(pilot)
        assert view.unfolded(3, session.all_items[3])


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"item": "x", "offset": None, "follow": False, "cursor": "1", "folds": [1]},
        {"item": 10**9, "offset": 0, "follow": False, "cursor": -7, "folds": {"x": True, "1": "y"}},
        {"item": 2, "offset": -1, "follow": False},
    ],
)
async def test_a_state_that_makes_no_sense_is_ignored(state: dict[str, object]) -> None:
    session = long_session(3)
    async with showing(session) as (view, pilot):
        before = screen_text(view)
        view.restore_view(state)
        await settled(pilot)
        assert screen_text(view) == before
        assert view.follow


async def test_resizing_keeps_what_is_read() -> None:
    session = Session()
    words = " ".join(f"word{n}" for n in range(3000))
    session.add(prompt("r", "go"), *answer("t", words), *answer("u", words))
    async with showing(session, (60, 20)) as (view, pilot):
        view.scroll_to(y=view.max_scroll_y // 2, animate=False)
        await settled(pilot)
        first = screen_text(view)[0].split()[0]
        for width in (33, 90, 47, 120, 60):
            await pilot.resize_terminal(width, 20)
            await settled(pilot)
            assert first in screen_text(view)[0].split()
        assert not view.follow


async def test_growing_and_shrinking_keeps_following() -> None:
    session = long_session(5)
    async with showing(session, (60, 20)) as (view, pilot):
        for height in (40, 8, 30):
            await pilot.resize_terminal(60, height)
            await settled(pilot)
            assert view.follow
            assert "file4_7.py" in screen_text(view)[-1]


async def test_the_cursor_goes_by_item_and_through_long_ones() -> None:
    session = Session()
    session.add(prompt("r", "go"), *answer("t", "\n\n".join(f"line {n}" for n in range(30))), *step("s"))
    async with showing(session, (60, 10)) as (view, pilot):
        await pilot.press("g", "j")
        assert view.cursor == 1
        seen: set[str] = set()
        for _ in range(40):
            seen.update(screen_text(view))
            view.action_move(1)
        assert view.cursor == 2
        assert view.follow
        assert {f"line {n}" for n in range(30)} <= seen
        for _ in range(60):
            view.action_move(-1)
        assert view.cursor == 0
        assert "> go" in screen_text(view)


async def test_prompts_are_found_across_pages() -> None:
    session = Session()
    session.add(prompt("r1", "the first"))
    session.add(*[event for n in range(400) for event in step(f"s{n}")])
    session.add(prompt("r2", "the second"))
    session.add(*[event for n in range(9) for event in step(f"x{n}")])
    async with showing(session) as (view, pilot):
        await pilot.press("[")
        await settled(pilot)
        assert view.cursor == 401
        await pilot.press("[")
        await settled(pilot)
        assert view.cursor == 0
        assert "> the first" in screen_text(view)[:2]
        await pilot.press("]")
        await settled(pilot)
        assert view.cursor == 401
        assert await view.go_to_subject("s200")
        await settled(pilot)
        assert view.cursor == 201
        assert not await view.go_to_subject("no such step")


async def test_copying_an_item_and_a_selection() -> None:
    session = Session()
    session.add(prompt("r", "go\non"), *answer("t", "some **bold** text"))
    async with showing(session) as (view, pilot):
        await pilot.press("c", "home", "c")
        view.screen.selections = {view: Selection(Offset(3, 1), Offset(4, 2))}
        await pilot.press("c")
        copied = [message.text for message in messages(pilot, ConversationView.CopyRequested)]  # type: ignore[attr-defined]
        assert copied == ["some **bold** text", "go\non", "go\no"]


async def test_a_mouse_drag_across_items_selects_their_text_without_ornaments() -> None:
    session = Session()
    words = "one two three four five six seven eight nine ten eleven twelve thirteen"
    session.add(prompt("r", "go"), *answer("t", f"{words}\n\n> quoted\n\n```\nx = 1\n```"), *step("s", view="out"))
    async with showing(session, (40, 20)) as (view, pilot):
        await pilot.mouse_down(view, offset=(3, 1))
        await pilot.hover(view, offset=(30, 9))
        await pilot.mouse_up(view, offset=(30, 9))
        await pilot.pause()
        selected = view.screen.get_selected_text()
        assert selected == f"go\n\n{words}\n\nquoted\n\nx = 1\nread src/login.py  84 line"
        highlighted = view.screen.get_component_rich_style("screen--selection").bgcolor
        strip = view.render_line(1)
        marked = "".join(s.text for s in strip if s.style and s.style.bgcolor == highlighted)
        assert marked == "go"
        assert all(s.style.color != s.style.bgcolor for s in strip if s.style and s.text.strip())
        # a selection names its rows by item: what changes above does not shift it
        feed(session, view, step("late"))
        await settled(pilot)
        assert view.screen.get_selected_text() == selected


async def test_a_double_click_selects_one_item() -> None:
    session = long_session(50)
    async with showing(session) as (view, pilot):
        await pilot.click(view, offset=(12, 19), times=2)
        selected = view.screen.get_selected_text()
        assert selected is not None
        assert selected.splitlines()[0] == "read file49_7.py  84 lines"
        assert view._folds == {499: True}  # and it folds but once


async def test_hostile_text_reaches_no_strip() -> None:
    session = Session()
    session.add(prompt("r", "[/] \x1b[2J\x1b]52;c;aGk=\x07 \u202e"), *answer("t", "&#x202e; \x9b31m [/bold]"))
    async with showing(session) as (view, _):
        rows = [view.render_line(y).text for y in range(20)]
        assert all(char.isprintable() for row in rows for char in row)
        assert any("[/] \\x1b[2J\\x1b]52" in row for row in rows)
        assert any("\\u202e \\x9b31m [/bold]" in row for row in rows)


async def test_a_theme_change_changes_the_colours() -> None:
    session = Session()
    session.add(*sample())
    async with showing(session, (80, 60)) as (view, pilot):
        before = [view.render_line(y) for y in range(60)]
        pilot.app.theme = "textual-light"
        await settled(pilot)
        after = [view.render_line(y) for y in range(60)]
        assert [strip.text for strip in before] == [strip.text for strip in after]
        assert before != after


async def test_the_scrollbar_is_painted_again_only_where_that_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    session = long_session(300)
    async with showing(session) as (view, pilot):
        bar, painted = view.vertical_scrollbar, []
        refresh = bar.refresh
        monkeypatch.setattr(bar, "refresh", lambda *a, **k: (painted.append(1), refresh(*a, **k))[1])
        for number in range(5):
            feed(session, view, [prompt(f"r{number}", "more")])
        assert painted == []
        assert (bar.window_virtual_size, bar.position) == (view.virtual_size.height, view.scroll_y)
        await pilot.press("home")
        assert painted
        assert bar.position == 0
