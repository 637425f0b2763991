"""What a repaint may not cost: no layout for figures that change, and rows that are exactly Textual's own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tests.ui.panes import PaneApp, Session, sample
from tui_agent.ui.budget import BudgetPane, Gauge
from tui_agent.ui.conversation import ConversationView


def cells(strip: Strip) -> list[tuple[str, object]]:
    """Each character with what it looks like; how a row is split into segments does not matter."""
    looks = []
    for text, style, _ in strip:
        look = style and (style.color, style.bgcolor, style.bold, style.dim, style.italic, style.underline)
        looks += [(character, look) for character in text]
    return looks


@pytest.mark.parametrize("columns", [(0, 80), (5, 60)])
async def test_rows_are_painted_as_textual_would(columns: tuple[int, int]) -> None:
    session = Session()
    session.add(*sample())
    view = ConversationView()
    app = PaneApp(view)
    async with app.run_test(size=(80, 24)) as pilot:
        view.show(session)
        await pilot.pause()
        await app.workers.wait_for_complete()
        crop = Region(columns[0], 0, columns[1] - columns[0], 24)
        mine, theirs = view.render_lines(crop), Widget.render_lines(view, crop)
        assert [strip.cell_length for strip in mine] == [crop.width] * 24
        assert [cells(strip) for strip in mine] == [cells(strip) for strip in theirs]


async def test_a_row_that_moves_is_the_same_strip() -> None:
    session = Session()
    session.add(*sample())
    view = ConversationView()
    app = PaneApp(view)
    async with app.run_test(size=(80, 24)) as pilot:
        view.show(session)
        await pilot.pause()
        await app.workers.wait_for_complete()
        before = [view.render_line(y) for y in range(24)]
        view._scroll(-3)
        after = [view.render_line(y) for y in range(24)]
        assert all(new is old for new, old in zip(after[3:], before, strict=False) if old.text.strip())


class Gauges(App[None]):
    def compose(self) -> ComposeResult:
        pane = BudgetPane()
        pane.styles.height = "auto"
        yield pane


async def test_gauges_lay_the_screen_out_only_for_other_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    layouts = []
    real = Widget.refresh

    def refresh(
        self: Widget, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Widget:
        if layout:
            layouts.append(self)
        return real(self, *regions, repaint=repaint, layout=layout, recompose=recompose)

    app = Gauges()
    async with app.run_test(size=(60, 24)) as pilot:
        pane = app.query_one(BudgetPane)
        monkeypatch.setattr(Widget, "refresh", refresh)
        pane.data = replace(pane.data, tokens=500, context_tokens=400, next_tokens=500)
        await pilot.pause()
        assert not layouts
        pane.data = replace(pane.data, gauges=(Gauge("run", "turns", 1.0, 0.0, 50.0),))
        await pilot.pause()
        assert layouts
        assert "next turn" in "".join(strip.text for strip in pane.render_lines(Region(0, 0, 60, pane.size.height)))
