"""Going back and forth in the prompts of a session."""

from __future__ import annotations

from tests.ui.support import driven


async def test_edits_of_recalled_prompts_and_the_draft_stay_until_something_is_sent(isolated):
    async with driven(isolated) as me:
        prompt = me.app.workbench.prompt
        for number, sent in enumerate(("say 3", "say 4"), start=1):
            await me.ask(sent)
            await me.idle(number)

        async def press(key, shown):
            await me.pilot.press(key)
            await me.until(lambda: prompt.text == shown, f"{shown!r} after {key}")

        await me.type("my draft")
        await press("up", "say 4")
        await me.type("0")
        await press("up", "say 3")
        await me.type("1")
        await press("down", "say 40")
        await press("down", "my draft")
        await press("up", "say 40")
        await press("up", "say 31")
        await me.pilot.press("enter")
        await me.idle(3)
        await press("up", "say 31")
        await press("up", "say 4")
        await press("up", "say 3")
