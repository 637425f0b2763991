"""Quitting while commands run in the background: they end, they go on, or the user stays."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager

import pytest

from tests.session.test_background_commands import script
from tests.ui.support import driven
from tui_agent.ui.dialogs import ConfirmDialog


@asynccontextmanager
async def asked(workspace, tmp_path):
    """The app with a command in the background, and its question at the quitting."""
    waiting = script(tmp_path, "while [ ! -e go ]; do sleep 0.02; done")
    async with driven(workspace, mode="bypass", scenario=waiting) as me:
        await me.ask("go")
        await me.until(lambda: me.handle.background)
        await me.idle()
        await me.pilot.press("ctrl+d")
        await me.until(lambda: isinstance(me.app.screen, ConfirmDialog), "the question")
        try:
            yield me
        finally:
            (workspace / "go").touch()


async def armed(me):
    """Let the guard time of the question pass."""
    me.app.screen._armed_from = 0.0
    await me.pilot.pause()


async def test_escape_stays_and_the_question_comes_again(isolated, tmp_path):
    async with asked(isolated, tmp_path) as me:
        for _ in range(2):
            assert "stay" in str(me.app.screen.query_one("#dialog-foot").content)
            await me.pilot.press("escape")
            await me.until(lambda: not isinstance(me.app.screen, ConfirmDialog))
            assert me.app.is_running
            assert not me.app._leaving
            assert len(me.handle.background) == 1
            await me.pilot.press("ctrl+d")
            await me.until(lambda: isinstance(me.app.screen, ConfirmDialog), "the question again")


@pytest.mark.parametrize(("key", "left"), [("y", 0), ("n", 1)])
async def test_quitting_ends_the_commands_or_lets_them_go_on(isolated, tmp_path, key, left):
    async with asked(isolated, tmp_path) as me:
        handle = me.handle
        me.app.screen._armed_from = math.inf
        await me.pilot.press(key)
        assert isinstance(me.app.screen, ConfirmDialog), "a key in the first half second is not an answer"
        ended = []
        handle.subscribe(lambda update: ended.extend(e for e in update.events if e.type == "background.ended"))
        await armed(me)
        await me.pilot.press(key)
        await me.until(lambda: me.app._leaving)
        assert len(handle.background) == left
        assert len(ended) == 1 - left
