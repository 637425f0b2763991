"""The timeline in an app: its lines, its selection, and the clock of what runs."""

from __future__ import annotations

from tests.ui.panes import PaneApp, Session, finished, planned, sample, screen_text, started, step
from tui_agent.ui.timeline import TimelineView


async def test_entries_by_line_and_enter_names_the_subject() -> None:
    session = Session()
    session.add(*sample(), *step("last", title="read src/last.py"))
    view = TimelineView(now=lambda: 0.0)
    app = PaneApp(view)
    async with app.run_test(size=(60, 30)) as pilot:
        view.show(session)
        await pilot.pause()
        await app.workers.wait_for_complete()
        rows = [row for row in screen_text(view) if row]
        assert len(rows) == session.entry_count
        assert rows[-1] == "00:00:00 ✓ read     src/last.py                       4 ms"
        assert any("▲ edit" in row and row.endswith("waiting") for row in rows)
        view.focus()
        await pilot.press("o", "up", "o")
        subjects = [m.subject for m in app.said if isinstance(m, TimelineView.EntrySelected)]
        assert subjects[0] == "last"
        assert subjects[1] == session.all_entries[session.entry_count - 2].subject


async def test_what_runs_shows_its_seconds_and_the_clock_stops_with_it() -> None:
    session = Session()
    clock = [0.0]
    view = TimelineView(now=lambda: clock[0])
    app = PaneApp(view)
    async with app.run_test(size=(50, 10)) as pilot:
        view.show(session)
        _, entries = session.add(planned("s", "bash", "bash make"), started("s", "bash"))
        view.update(entries, session.entry_count)
        await pilot.pause()
        assert screen_text(view)[0].endswith("running")
        assert view._ticker is not None
        clock[0] = 42.5
        view.settle()
        assert screen_text(view)[0].endswith("42 s")
        _, entries = session.add(finished("s", "bash"))
        view.update(entries, session.entry_count)
        view.settle()
        assert screen_text(view)[0].endswith("4 ms")
        assert view._ticker is None


async def test_its_state_comes_back() -> None:
    session = Session()
    for n in range(300):
        session.add(*step(f"s{n}", title=f"read f{n}.py"))
    view = TimelineView(now=lambda: 0.0)
    app = PaneApp(view)
    async with app.run_test(size=(50, 10)) as pilot:
        view.show(session)
        view.restore_view({"item": 120, "offset": 0, "follow": False, "cursor": 121})
        await pilot.pause()
        await app.workers.wait_for_complete()
        assert "f120.py" in screen_text(view)[0]
        assert view.view_state() == {"item": 120, "offset": 0, "follow": False, "cursor": 121}


async def test_an_entry_unfolds_to_its_whole_text() -> None:
    from tests.ui.panes import PaneApp, Session, screen_text
    from tui_agent.events import TurnFinished, TurnStarted, Usage

    view, session = TimelineView(), Session()
    why = "the server does not say why, and the request began with the same tools as before"
    session.add(
        TurnStarted(turn="t", model="m", number=1),
        TurnFinished(
            turn="t",
            model="m",
            content=[],
            stop_reason="end_turn",
            usage=Usage(input_tokens=9),
            cache_miss_reason=why,
        ),
    )
    async with PaneApp(view).run_test(size=(50, 12)) as pilot:
        view.show(session)
        view.focus()
        await pilot.pause()
        assert why not in " ".join(screen_text(view))
        await pilot.press("enter")
        await pilot.pause()
        unfolded = " ".join(row.replace("│", "").strip() for row in screen_text(view))
        assert why in " ".join(unfolded.split())
        await pilot.press("enter")
        await pilot.pause()
        assert why not in " ".join(" ".join(screen_text(view)).split())


def test_an_agent_is_told_by_its_short_name() -> None:
    from tui_agent.ui.timeline import agent_name

    assert agent_name("explore_0mwyinsy07t0j4ct") == "explore"
    assert agent_name("explore-1") == "explore-1"
    assert agent_name("my_reviewer-2") == "my_reviewer-2"
