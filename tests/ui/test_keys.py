"""Where keys go: to what has the focus when it has a use for them, else to the prompt; nothing gets lost."""

from __future__ import annotations

from textual.events import Key

from tests.ui.support import Driven, driven
from tui_agent.ui.keys import mark_burst


def burst(app, text: str) -> None:
    """Press keys as they come when several arrive in one read."""
    for character in text:
        key = Key("enter" if character == "\r" else character if character.isalnum() else "space", character)
        mark_burst(key)
        app.post_message(key)


async def to_queue(me: Driven) -> None:
    """Go to the queue, and let its guard time pass."""
    await me.pilot.press("f4")
    await me.until(lambda: me.queue.has_focus)
    await me.armed()


async def test_letters_that_came_at_once_are_text_and_no_answer(isolated):
    async with driven(isolated) as me:
        await me.request("run touch a then run touch b")
        await to_queue(me)
        burst(me.app, "yes please\r")
        await me.until(lambda: me.app.workbench.prompt.text == "yes please", "the text is in the prompt")
        assert len(me.queue.entries) == 1
        assert not (isolated / "a").exists()
        assert me.state.conversation.queued == ()


async def test_in_a_dialog_keys_that_came_at_once_decide_nothing(isolated):
    async with driven(isolated) as me:
        await me.request("run touch a")
        await to_queue(me)
        await me.pilot.press("a")
        await me.until(lambda: me.app.screen.is_modal, "the rule's dialog")
        dialog = me.app.screen
        await me.until(lambda: dialog._shown, "the rule was tried")
        dialog._armed_from = 0.0
        burst(me.app, "\r")
        await me.pilot.pause()
        assert me.app.screen is dialog
        await me.pilot.press("enter")
        await me.until(lambda: not me.app.screen.is_modal, "the dialog is closed")


async def test_what_is_typed_at_the_empty_queue_and_in_panes_without_a_use_for_it_is_written(isolated):
    async with driven(isolated) as me:
        prompt = me.app.workbench.prompt
        me.app.workbench.focus_place("permissions")
        await me.type("write")
        assert prompt.text == "write"
        assert prompt.has_focus
        me.app.workbench.focus_place("budget")
        me.app.workbench.focus_place("timeline")
        await me.type("Z")
        assert prompt.text == "writeZ"


async def test_a_key_in_the_guard_half_second_is_answered(isolated):
    async with driven(isolated) as me:
        await me.request("run touch a")
        await me.pilot.press("f4")
        await me.until(lambda: me.queue.has_focus)
        me.queue._armed_from = me.queue._clock() + 1000
        await me.pilot.press("y")
        assert "one moment" in me.queue._keys().plain
        assert me.queue.entries
        await me.armed()
        me.queue._show_keys()
        assert "once" in me.queue._keys().plain
        await me.pilot.press("y")
        await me.idle()
        assert (isolated / "a").exists()


async def test_the_focus_stays_where_a_changed_call_is_asked_about_again(isolated):
    async with driven(isolated) as me:
        await me.request("run touch a")
        await to_queue(me)
        first = me.queue.current.id
        await me.pilot.press("e")
        await me.until(lambda: me.app.screen.is_modal, "the dialog")
        me.app.screen.query_one("#dialog-editor").text = "touch b"
        await me.pilot.press("ctrl+s")
        await me.until(lambda: me.queue.current is not None and me.queue.current.id != first, "it is asked again")
        assert me.queue.has_focus
        await me.armed()
        await me.pilot.press("y")
        await me.idle()
        assert me.app.workbench.prompt.text == ""
        assert (isolated / "b").exists()


async def test_a_question_is_answered_in_the_prompt(isolated):
    async with driven(isolated) as me:
        await me.request("ask Shall I go on?")
        assert "answer" in me.app.workbench.prompt.placeholder
        await me.ask("yes please")
        await me.idle()
        assert me.state.conversation.queued == ()
        items = await me.handle.items(0, me.handle.item_count)
        assert any("yes please" in str(item) for item in items.values())
        assert "answer" not in me.app.workbench.prompt.placeholder


async def test_escape_with_a_queued_prompt_stops_and_gives_it_back(isolated):
    async with driven(isolated) as me:
        await me.ask("say 5000 at 50")
        await me.until(lambda: me.state.conversation.active_run, "it runs")
        await me.ask("read README.md")
        await me.until(lambda: me.state.conversation.queued, "it is queued")
        await me.pilot.press("escape")
        await me.idle()
        assert me.app.workbench.prompt.text == "read README.md"
        assert me.state.conversation.queued == ()
        assert me.state.conversation.prompts == 1


async def test_up_takes_a_queued_prompt_back_to_be_changed(isolated):
    async with driven(isolated) as me:
        await me.ask("say 5000 at 50")
        await me.until(lambda: me.state.conversation.active_run, "it runs")
        for text in ("first", "second"):
            await me.ask(text)
        await me.until(lambda: len(me.state.conversation.queued) == 2, "both are queued")
        await me.pilot.press("up")
        await me.until(lambda: me.app.workbench.prompt.text == "second", "the newest is back")
        assert [queued.prompt for queued in me.state.conversation.queued] == ["first"]
        await me.pilot.press("escape")
        await me.idle()
        assert me.app.workbench.prompt.text == "first\nsecond"
