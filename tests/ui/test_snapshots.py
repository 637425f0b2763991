"""Pictures of the screen, compared as SVG. Look at a change before you accept it: `pytest --snapshot-update`."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import pytest
from textual.widgets import Input

from tests.waiting import until
from tui_agent.opening import Start
from tui_agent.runtime import Runtime
from tui_agent.session import SessionState, open_session
from tui_agent.session.core import SessionCore
from tui_agent.session.upkeep import Upkeep
from tui_agent.ui.app import TuiAgentApp
from tui_agent.ui.prompt import Prompt

NOON = 1_767_268_800.0
"""2026-01-01 12:00 UTC: the clock stands still in pictures."""

EDIT = "read hello.py then edit hello.py: print => shout"


async def _no_probe(self):
    pass


@pytest.fixture
def picture(isolated, monkeypatch, snap_compare, request):
    """Return a function that plays a prompt and compares the screen."""
    # The model is told the folder's name, and the screen how many tokens that took: it is always as long.
    workspace = Path(tempfile.mkdtemp(prefix="acme-", dir="/tmp"))
    request.addfinalizer(lambda: shutil.rmtree(workspace))
    (workspace / "hello.py").write_text("x = 1\nprint('hi')\n")
    # What commands run in is found on the machine, at some time during the first turn.
    monkeypatch.setattr(Upkeep, "probe_sandbox", _no_probe)
    monkeypatch.setattr(Prompt, "cursor_blink", False)
    monkeypatch.setattr(Input, "cursor_blink", False)
    opened = open_session

    async def open_in_acme(options):
        handle = await opened(options)
        # The folder's name differs from run to run; the screen shows one that does not.
        fold = SessionCore.state.fget

        def state(self):
            from dataclasses import replace

            folded: SessionState = fold(self)
            return replace(folded, conversation=replace(folded.conversation, workspace="/home/ada/acme"))

        monkeypatch.setattr(SessionCore, "state", property(state))
        return handle

    runtime = Runtime(now=lambda: NOON, monotonic=lambda: 1.0, home=Path("/home/ada"))
    start = Start(runtime, workspace, offline=True)

    def compare(prompt: str, *keys: str, size: tuple[int, int] = (120, 36), theme: str = "", shows: str = "") -> None:
        app = TuiAgentApp(lambda: open_in_acme(start.options()), options=start.options, prompt=prompt, theme=theme)

        async def play(pilot):
            await app._opened.wait()

            def settled():
                state = app.handle.state
                waits = app.workbench.waiting_count
                return not prompt or waits or (state.conversation.prompts and not state.conversation.active_run)

            await until(settled)
            queue = app.workbench._queue
            for key in keys:
                if key == "idle":
                    await until(lambda: not app.handle.state.conversation.active_run)
                    continue
                await pilot.press(key)
                await pilot.pause()
                queue._armed_from = 0
                queue._show_keys()
            await pilot.pause()
            await until(
                lambda: not shows or shows in "\n".join(s.text for s in app.screen._compositor.render_strips())
            )
            await asyncio.sleep(0.3)  # the last frame of the conversation's own 20 a second
            app._tick()

        assert snap_compare(app, terminal_size=size, run_before=play)

    return compare


def test_start(picture):
    picture("")


def test_request_wide(picture):
    picture(EDIT, "f4")


def test_request_narrow(picture):
    picture(EDIT, "f4", size=(80, 24))


def test_request_announced_narrow(picture):
    picture(EDIT, size=(80, 24))


def test_light_theme(picture):
    picture(EDIT, "f4", theme="tui-agent-light")


def test_help(picture):
    picture("", "f1", size=(100, 30))


def test_completion(picture):
    picture("", "slash", "m", size=(100, 30))


def test_too_small(picture):
    picture("", size=(38, 9))


def test_search(picture):
    picture("read hello.py", "f6", "slash", *"hello", "enter", shows="match in item")


def test_sessions(picture):
    picture("read hello.py", "f2", *"hel", size=(100, 30), shows="prompt: read hello.py")


def test_why(picture):
    picture(EDIT, "f4", "w", size=(100, 30), shows="decided by")


def test_always(picture):
    picture(EDIT, "f4", "a", size=(100, 30), shows="It allows this call.")


PAST = "run ls then read hello.py then run touch a then say 5"
AUDIT = "bash touch a"


def test_audit(picture):
    picture(PAST, "f4", "s", "y", "idle", "f9", shows=AUDIT)


def test_audit_narrow(picture):
    picture(PAST, "f4", "s", "y", "idle", "f9", size=(80, 24), shows=AUDIT)


def test_audit_light(picture):
    picture(PAST, "f4", "s", "y", "idle", "f9", size=(100, 30), theme="tui-agent-light", shows=AUDIT)
