"""What a start and an end leave: nothing of an empty session, every draft, and never a dead screen."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.session.support import options
from tests.ui.support import Driven, driven
from tests.waiting import until
from tui_agent.opening import Start
from tui_agent.runtime import Runtime
from tui_agent.session import list_sessions, open_session, opening, upkeep
from tui_agent.submissions import Submit
from tui_agent.ui.app import TuiAgentApp


def folders(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "data/sessions").iterdir()]


async def test_a_session_in_which_nothing_was_asked_leaves_nothing_on_disk(tmp_path, isolated):
    async with driven(isolated) as me:
        assert len(folders(tmp_path)) == 1
        assert await list_sessions(tmp_path / "data") == []
        await me.app.leave_session()
    assert folders(tmp_path) == []


async def test_a_draft_or_a_title_is_worth_keeping(tmp_path, isolated):
    for number, text in enumerate(("half a thought", "/title plans"), 1):
        async with driven(isolated) as me:
            me.app.workbench.prompt.insert(text)
            if text.startswith("/"):
                await me.pilot.press("enter")
                await me.until(lambda me=me: me.state.conversation.title == "plans")
            await me.app.leave_session()
        assert len(folders(tmp_path)) == number
        assert len(await list_sessions(tmp_path / "data", isolated)) == number


async def test_what_a_crash_left_of_an_empty_session_goes_at_the_next_end(tmp_path, isolated):
    handle = await open_session(options(tmp_path, workspace=isolated))
    await handle.close()  # as after a crash: nobody discarded it
    used = await open_session(options(tmp_path, workspace=isolated))
    await used.start()
    await used.do(Submit(prompt="say 5"))
    await until(lambda: used.state.conversation.prompts and not used.state.conversation.active_run)
    assert [session.id for session in await list_sessions(tmp_path / "data")] == [used.session]
    async with driven(isolated) as me:
        await me.app.leave_session()
    assert folders(tmp_path) == [used.session]
    await used.close()


async def test_continue_takes_the_last_session_with_a_prompt(tmp_path, isolated):
    async with driven(isolated) as me:
        await me.ask("say 5")
        await me.idle()
        asked = me.handle.session
        await me.app.leave_session()
    empty = await open_session(options(tmp_path, workspace=isolated))
    await empty.close()
    handle = await Start(Runtime(), isolated, continue_=True, offline=True).open()
    assert handle.session == asked
    await handle.close()


async def test_a_start_that_fails_leaves_no_session(tmp_path, isolated, monkeypatch):
    def failing(*_):
        raise OSError("no first event")

    monkeypatch.setattr(opening, "created", failing)
    with suppress(OSError):
        await open_session(options(tmp_path, workspace=isolated))
    assert folders(tmp_path) == []


@asynccontextmanager
async def app_of(start: Start, *, choose: bool = False):
    app = TuiAgentApp(None if choose else start.open, options=start.options)
    async with app.run_test(size=(120, 36)) as pilot:
        try:
            yield Driven(app, pilot)
        finally:
            await app.leave_session()


async def test_continue_without_a_session_begins_one_and_says_so(isolated):
    async with app_of(Start(Runtime(), isolated, continue_=True, offline=True, on_screen=True)) as me:
        await me.until(me.app._opened.is_set)
        items = await me.handle.items(0, 5)
        assert "This is a new session." in str(items)
        await me.ask("say 5")
        await me.idle()


async def test_choosing_no_session_begins_one_and_says_so(isolated):
    async with app_of(Start(Runtime(), isolated, offline=True), choose=True) as me:
        await me.until(lambda: len(me.app.screen_stack) > 1, "the list of sessions")
        await me.pilot.press("escape")
        await me.until(lambda: me.app.handle is not None, "a session")
        await me.until(lambda: me.handle.item_count)
        assert "this is a new one" in str(await me.handle.items(0, 5))
        await me.ask("say 5")
        await me.idle()


async def test_a_draft_typed_while_the_session_opens_is_saved(isolated):
    async with driven(isolated, keys="typed early") as me:

        async def saved() -> str:
            layout = await me.handle.inspect.layout() or {}
            return str((layout.get("draft") or {}).get("text", ""))

        while await saved() != "typed early":
            await me.pilot.pause(0.05)


async def test_a_window_that_only_looks_says_when_the_other_has_left_and_a_prompt_takes_over(isolated, monkeypatch):
    monkeypatch.setattr(upkeep, "FOLLOW_SECONDS", 0.02)
    async with driven(isolated) as one:
        await one.ask("say 5")
        await one.idle()
        async with driven(isolated, resume=one.handle.session) as two:
            assert two.handle.read_only_because == "another window holds it"
            await one.app.leave_session()
            await two.until(lambda: two.handle.can_take_over, "that the other has left is noticed")
            await two.until(lambda: "has left it" in two.app.workbench.prompt.placeholder)
            await two.ask("say 6")
            await two.idle(2)
            assert not two.handle.read_only
            assert two.app.workbench.prompt.text == ""


def test_whole_words_rank_before_beginnings_and_parts():
    from tui_agent.ui.browser import _fit

    texts = ["say number 17", "say number 7", "say number 70"]
    ranked = sorted(texts, key=lambda text: _fit(["number", "7"], text))
    assert ranked == ["say number 7", "say number 70", "say number 17"]
