"""`/model`, `/mode` and `/theme` without an argument: a list with the present one marked."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import OptionList

from tests.ui.support import driven
from tui_agent.ui.picker import Picker


@pytest.fixture
def workspace(isolated: Path) -> Path:
    return isolated


def present(me, name: str) -> str:
    conversation = me.state.conversation
    return {"model": conversation.model, "mode": conversation.mode, "theme": me.app.theme}[name]


def rows(me) -> list[str]:
    return [str(option.prompt) for option in me.app.screen.query_one(OptionList).options]


async def open_picker(me, name: str) -> None:
    await me.until(lambda: not me.app.workbench.prompt.held, "the prompt takes keys")
    await me.ask(f"/{name}")
    await me.until(lambda: isinstance(me.app.screen, Picker) and me.app.screen.focused is not None, "a list")


@pytest.mark.parametrize("name", ["model", "mode", "theme"])
async def test_a_list_marks_the_present_one_and_picks_another(workspace, name):
    async with driven(workspace) as me:
        before = present(me, name)
        await open_picker(me, name)
        (marked,) = [row for row in rows(me) if row.startswith("●")]
        assert marked.split()[1] == before
        assert not any("bypass" in row for row in rows(me))
        listing = me.app.screen.query_one(OptionList)
        assert listing.highlighted == rows(me).index(marked)
        listing.highlighted = next(n for n, row in enumerate(rows(me)) if not row.startswith("●"))
        wanted = rows(me)[listing.highlighted].split()[0]
        await me.pilot.press("enter")
        await me.until(lambda: present(me, name) == wanted, "it is chosen")


@pytest.mark.parametrize("key", ["enter", "escape"])
async def test_the_first_enter_and_escape_change_nothing(workspace, key):
    async with driven(workspace) as me:
        before = present(me, "mode")
        await open_picker(me, "mode")
        await me.pilot.press(key)
        await me.until(lambda: not me.app.screen.is_modal, "the list is closed")
        assert present(me, "mode") == before
