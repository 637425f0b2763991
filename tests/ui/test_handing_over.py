"""After the last answer in the permission queue the prompt has the focus, and no key does harm on the way."""

from __future__ import annotations

import pytest
from textual.events import Key

from tests.ui.support import driven

EDIT = "edit hello.py: print => PRINT"


@pytest.fixture
def workspace(isolated):
    (isolated / "hello.py").write_text("x = 1\nprint('hi')\n")
    return isolated


async def ready(me):
    await me.pilot.press("f4")
    await me.until(lambda: me.queue.has_focus)
    await me.armed()


@pytest.mark.parametrize("size", [(120, 36), (80, 24)])
@pytest.mark.parametrize("key", ["y", "n"])
async def test_the_focus_goes_back_to_the_prompt_after_the_last_answer(workspace, size, key):
    async with driven(workspace, size=size) as me:
        await me.request(EDIT)
        await ready(me)
        assert me.app.workbench.tab == "permissions"
        await me.pilot.press(key)
        await me.until(lambda: me.app.workbench.prompt.has_focus)
        assert me.app.workbench.tab == "conversation"
        await me.idle()


async def test_while_others_wait_the_queue_keeps_the_focus(workspace):
    (workspace / "two.py").write_text("print(2)\n")
    async with driven(workspace) as me:
        await me.ask(EDIT)
        await me.until(lambda: me.queue.entries)
        first = me.queue.entries
        from dataclasses import replace

        me.queue.show((*first, replace(first[0], id="another")))
        show, me.queue.show = me.queue.show, lambda entries: None
        await ready(me)
        await me.pilot.press("y")
        await me.pilot.pause()
        assert me.queue.has_focus
        assert me.queue.current.id == "another"
        show(())
        await me.until(lambda: me.app.workbench.prompt.has_focus, "nothing waits any more")


async def test_a_new_request_still_takes_no_focus_and_gets_no_key_meant_for_the_prompt(workspace):
    async with driven(workspace) as me:
        await me.request(f"{EDIT} then edit hello.py: x => y")
        await ready(me)
        first = me.queue.current.id
        await me.pilot.press("y")
        await me.type("yyy s 1")
        await me.until(lambda: me.queue.entries and me.queue.current.id != first)
        await me.type("y")
        assert me.app.workbench.prompt.has_focus
        assert me.app.workbench.prompt.text == "yyy s 1y"
        assert me.state.permissions.pending
        assert (workspace / "hello.py").read_text().startswith("x = 1")


async def test_keys_of_one_burst_after_the_answer_are_written_and_send_nothing(workspace):
    async with driven(workspace) as me:
        await me.type("half a draft ")
        await me.app.submit(EDIT)
        await me.until(lambda: me.queue.entries)
        await ready(me)
        queue = me.queue
        for key in ("y", "y", "o", "k", "enter", "escape"):
            # As in a burst: all have come to the queue before it acts on the first.
            event = Key(key, key if len(key) == 1 else None)
            event._set_forwarded()
            queue.post_message(event)
        await me.until(lambda: me.app.workbench.prompt.text == "half a draft yok")
        assert me.state.conversation.prompts == 1, "Enter was meant for the queue"
        await me.idle()
        assert "PRINT" in (workspace / "hello.py").read_text(), "Escape stopped nothing"
        me.app.workbench.prompt._held_until = 0.0
        await me.pilot.press("enter")
        await me.idle(2)


async def test_a_comment_that_denies_the_last_request_goes_back_too(workspace):
    async with driven(workspace) as me:
        await me.request(EDIT)
        await ready(me)
        await me.pilot.press("N")
        await me.type("no")
        await me.pilot.press("enter")
        await me.until(lambda: me.app.workbench.prompt.has_focus)
        await me.idle()
        assert me.state.permissions.denied == 1
