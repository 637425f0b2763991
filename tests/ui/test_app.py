"""The main job on the screen: prompt, answer, approval, commands, sessions, layout."""

from __future__ import annotations

import pytest

from tests.ui.support import GUARD_SECONDS, Driven, driven
from tui_agent.journal import JournalFull
from tui_agent.opening import Start
from tui_agent.runtime import Runtime
from tui_agent.submissions import SaveLayout
from tui_agent.ui.app import TuiAgentApp
from tui_agent.ui.browser import SessionBrowser
from tui_agent.ui.dialogs import ConfirmDialog, TextDialog


@pytest.fixture
def workspace(isolated):
    (isolated / "hello.py").write_text("x = 1\nprint('hi')\n")
    return isolated


EDIT = "edit hello.py: print => PRINT"


async def test_prompt_answer_approval_edit(workspace):
    async with driven(workspace) as me:
        await me.request(EDIT)
        assert "waiting" in me.app.query_one("#header").content.plain
        await me.pilot.press("f4")
        await me.until(lambda: me.queue.has_focus)
        await me.armed()
        await me.pilot.press("y")
        await me.idle()
        assert "PRINT('hi')" in (workspace / "hello.py").read_text()
        assert "waiting" not in me.app.query_one("#header").content.plain


async def test_typing_while_a_request_arrives_approves_nothing(workspace):
    async with driven(workspace) as me:
        await me.request(EDIT)
        await me.type("yes yyy sy 1\n".strip())
        assert me.app.workbench.prompt.text == "yes yyy sy 1"
        assert me.state.permissions.pending
        assert "PRINT" not in (workspace / "hello.py").read_text()


async def test_keys_right_after_the_focus_do_nothing(workspace):
    async with driven(workspace) as me:
        await me.request(EDIT)
        me.queue._clock = lambda: 100.0
        await me.pilot.press("f4")
        await me.until(lambda: me.queue.has_focus)
        await me.pilot.press("y", "n", "s", "y")
        assert me.state.permissions.pending
        me.queue._clock = lambda: 100.6
        await me.pilot.press("n")
        await me.idle()
        assert me.state.permissions.denied == 1


async def test_deny_with_a_comment(workspace):
    async with driven(workspace) as me:
        await me.request(EDIT)
        await me.pilot.press("f4")
        await me.until(lambda: me.queue.has_focus)
        await me.armed()
        await me.pilot.press("N")
        await me.type("no shouting")
        await me.pilot.press("enter")
        await me.idle()
        decided = [
            e for e in await me.handle._core.journal.read(0) if e.type == "permission.decided" and e.by == "person"
        ]
        assert [(d.verdict, d.comment) for d in decided] == [("deny", "no shouting")]


async def test_escape_leaves_the_comment_and_denies_nothing(workspace):
    async with driven(workspace) as me:
        await me.request(EDIT)
        await me.pilot.press("f4")
        await me.until(lambda: me.queue.has_focus)
        await me.armed()
        await me.pilot.press("N", "x", "escape")
        await me.until(lambda: me.queue.has_focus)
        assert me.state.permissions.pending


async def test_session_grant_shows_its_reach_first(workspace):
    async with driven(workspace) as me:
        await me.request(EDIT)
        await me.pilot.press("f4")
        await me.until(lambda: me.queue.has_focus)
        await me.armed()
        await me.pilot.press("s")
        shown = me.queue.query_one("#waiting-text")._lines
        assert any(me.queue.current.scope in line for line, _ in shown)
        assert "y allow it" in me.queue.query_one("#waiting-keys").content.plain
        footer = me.app.query_one("#footer").content.plain
        assert "y grant for the session" in footer
        assert "allow once" not in footer
        assert me.state.permissions.pending
        await me.armed()
        await me.pilot.press("y")
        await me.idle()
        assert [grant.pattern for grant in me.state.permissions.grants]


async def test_question_is_answered_by_number_or_text(workspace):
    async with driven(workspace) as me:
        await me.ask("ask Which colour?")
        await me.until(lambda: me.queue.entries)
        assert me.queue.current.kind == "question"
        await me.pilot.press("f4")
        await me.until(lambda: me.queue.has_focus)
        await me.armed()
        await me.pilot.press("enter")
        await me.type("blue")
        await me.pilot.press("enter")
        await me.idle()
        assert not me.state.workflow.questions


async def test_escape_interrupts_from_the_prompt_only(workspace):
    async with driven(workspace) as me:
        await me.request(EDIT)
        await me.pilot.press("f4")
        await me.until(lambda: me.queue.has_focus)
        await me.pilot.press("escape")
        await me.until(lambda: me.app.workbench.prompt.has_focus)
        assert me.state.conversation.active_run
        await me.pilot.press("escape")
        await me.idle()


async def test_keys_typed_before_the_session_is_open_are_kept_and_sent(workspace):
    async with driven(workspace, keys="list", opened=False) as me:
        assert me.app.workbench.prompt.text == "list"
        await me.pilot.press("enter")
        await me.idle()
        assert me.state.conversation.prompts == 1


async def test_draft_and_what_was_typed_meanwhile_are_both_kept(workspace):
    async with driven(workspace) as me:
        await me.type("old draft")
        await me.pilot.press("left", "left")
        await me.until(lambda: me.app._saver._timer is None)
        session = me.handle.session
    async with driven(workspace, resume=session) as me:
        assert me.app.workbench.prompt.text == "old draft"
        assert me.app.workbench.prompt.cursor_location == (0, 7)
    async with driven(workspace, resume=session, keys="new") as me:
        assert me.app.workbench.prompt.text == "old draft\nnew"


async def test_layout_comes_back(workspace):
    async with driven(workspace) as me:
        await me.ask("say 300")
        await me.idle()
        await me.pilot.press("alt+left", "alt+down", "f6", "home", "z")
        await me.until(lambda: me.app.workbench.conversation.has_focus)
        me.app.use_theme("tui-agent-light")
        await me.pilot.pause()
        before = me.app.workbench.collect(me.app.theme)
        session = me.handle.session
    async with driven(workspace, resume=session) as me:
        await me.until(lambda: me.app.workbench.conversation.has_focus)
        assert me.app.workbench.collect(me.app.theme) == before
        assert me.app.theme == "tui-agent-light"


async def test_history_goes_back_to_the_first_prompt_and_keeps_the_draft(workspace):
    async with driven(workspace) as me:
        for number, text in enumerate(("list", "read hello.py"), start=1):
            await me.ask(text)
            await me.idle(number)
        session = me.handle.session
    async with driven(workspace, resume=session) as me:
        prompt = me.app.workbench.prompt
        await me.type("half")
        for expected in ("read hello.py", "list", "list"):
            await me.pilot.press("up")
            await me.until(lambda expected=expected: prompt.text == expected, expected)
        await me.pilot.press("down")
        assert prompt.text == "read hello.py"
        await me.pilot.press("down")
        assert prompt.text == "half"


async def test_paste_of_any_size_arrives_whole(workspace):
    text = "\n".join(f"line {n} [not] markup" for n in range(5_000))
    async with driven(workspace) as me:
        prompt = me.app.workbench.prompt
        from textual.events import Paste

        prompt.post_message(Paste(text))
        await me.until(lambda: prompt.text)
        assert len(prompt.text) < 50
        assert prompt.full_text() == text
        await me.until(lambda: me.app._saver._timer is None)
        session = me.handle.session
    async with driven(workspace, resume=session) as me:
        prompt = me.app.workbench.prompt
        assert prompt.full_text() == text
        await me.pilot.press("ctrl+o")
        assert prompt.text == text
        await me.pilot.press("ctrl+underscore")
        assert prompt.full_text() == text
        await me.pilot.press("ctrl+y", "ctrl+underscore", "ctrl+end", "backspace")
        assert prompt.text == ""


async def test_unknown_command_keeps_the_text(workspace):
    async with driven(workspace) as me:
        await me.ask("/nonsense please")
        await me.until(lambda: me.app.workbench.prompt.text)
        assert me.app.workbench.prompt.text == "/nonsense please"
        assert me.state.conversation.prompts == 0


async def test_a_path_at_the_start_is_a_prompt(workspace):
    async with driven(workspace) as me:
        await me.ask("/usr/bin/env is what?")
        await me.idle()
        assert me.state.conversation.prompts == 1


async def test_commands_configure_the_session(workspace):
    async with driven(workspace) as me:
        await me.ask("/title A [/red] title")
        await me.until(lambda: me.state.conversation.title == "A [/red] title")
        await me.ask("/max-turns 7")
        await me.until(lambda: me.state.budget.max_turns == 7)
        await me.ask("/effort high")
        await me.until(lambda: me.state.conversation.effort == "high")
        await me.ask("/mode bypass")
        await me.until(lambda: me.app.workbench.prompt.text)
        assert me.state.conversation.mode == "ask"


async def test_slash_completes(workspace):
    async with driven(workspace) as me:
        await me.type("/comp")
        assert [name for name, _ in me.app.workbench.prompt.completions] == ["/compact"]
        await me.pilot.press("tab")
        assert me.app.workbench.prompt.text == "/compact "


async def test_sessions_switch_in_place(workspace):
    async with driven(workspace) as me:
        await me.ask("list")
        await me.idle()
        first = me.handle.session
        await me.type("my draft")
        await me.ask("")
        await me.idle(2)
        await me.app.submit("/new")
        await me.until(lambda: me.app.handle and me.handle.session != first and me.app._opened.is_set())
        assert me.app.workbench.conversation.item_count == me.handle.item_count
        await me.pilot.press("f2")
        await me.until(lambda: me.app.screen.query("#browser-list") and me.app.screen._sessions)
        await me.type("list")
        await me.pilot.press("enter")
        await me.until(lambda: me.app.handle and me.handle.session == first and me.app._opened.is_set())


async def test_second_window_is_read_only_and_says_so(workspace):
    async with driven(workspace) as me:
        await me.ask("list")
        await me.idle()
        async with driven(workspace, resume=me.handle.session) as other:
            assert other.handle.read_only
            assert "READ-ONLY: another window holds it" in other.app.query_one("#header").content.plain
            assert "Read-only: another window holds it" in str(other.app.workbench.prompt.placeholder)
            assert "What should I do" in str(me.app.workbench.prompt.placeholder)
            await me.ask("read hello.py")
            await me.idle(2)
            await other.until(
                lambda: other.state.conversation.prompts == 2 and not other.state.conversation.active_run
            )
            conversation = other.app.workbench.conversation
            await other.until(lambda: conversation.item_count == me.handle.item_count, "the other window shows it")
            await other.ask("hello")
            await other.until(lambda: other.app.workbench.prompt.text == "hello")
            other.app.workbench.prompt.clear_draft()
            await other.app.submit("/new")
            await other.until(lambda: other.app.handle and not other.handle.read_only)
            assert "What should I do" in str(other.app.workbench.prompt.placeholder)


async def test_bypass_is_said(workspace):
    async with driven(workspace, mode="bypass") as me:
        assert "BYPASS" in me.app.query_one("#header").content.plain


@pytest.mark.parametrize("size", [(80, 24), (39, 9), (20, 5), (3, 2), (250, 80)])
async def test_any_size_works(workspace, size):
    async with driven(workspace, size=size) as me:
        await me.request(EDIT)
        await me.pilot.press("f4")
        await me.until(lambda: me.queue.has_focus)
        if size < (40, 10):
            await me.pilot.resize_terminal(80, 24)
            me.app._blind_until = 0.0
        await me.armed()
        await me.pilot.press("y")
        await me.idle()
        assert "PRINT" in (workspace / "hello.py").read_text()


@pytest.mark.parametrize("size", [(100, 24), (80, 24), (110, 30), (60, 16)])
async def test_a_request_and_its_keys_are_in_view(workspace, size):
    async with driven(workspace, size=size) as me:
        await me.request(EDIT)
        await me.pilot.press("f4")
        await me.until(lambda: me.queue.has_focus)

        def shown():
            return "\n".join(strip.text for strip in me.app.screen._compositor.render_strips())

        await me.until(lambda: "y once" in shown())
        assert "no rule covers it" in shown()


async def test_narrow_tabs_show_each_pane(workspace):
    async with driven(workspace, size=(80, 24)) as me:
        bench = me.app.workbench
        for key, shown in (("f3", "timeline"), ("f4", "permissions"), ("f5", "budget"), ("f6", "conversation")):
            await me.pilot.press(key)
            await me.until(lambda shown=shown: bench.query_one(f"#{shown}").has_focus, shown)
            assert bench.query_one(f"#{shown}").region.height > 5
            assert bench.prompt.region.height >= 3


async def test_help_and_palette_open(workspace):
    async with driven(workspace) as me:
        await me.pilot.press("f1")
        await me.until(lambda: isinstance(me.app.screen, TextDialog))
        await me.pilot.press("escape")
        await me.pilot.press("ctrl+p")
        await me.until(lambda: me.app.screen.is_modal)
        await me.type("budget")
        await me.pilot.press("enter")
        await me.until(lambda: not me.app.screen.is_modal)
        await me.until(lambda: me.app.workbench._budget.has_focus)


async def test_nothing_is_decided_behind_the_message_that_covers_the_screen(workspace, monkeypatch):
    now = 0.0
    monkeypatch.setattr("tui_agent.ui.app.monotonic", lambda: now)
    async with driven(workspace) as me:
        await me.request("write a.txt: x")
        await me.pilot.press("f4")
        await me.armed()
        await me.pilot.resize_terminal(30, 8)
        await me.until(lambda: me.app.query_one("#too-small").display)
        await me.pilot.press("y", "s", "n", "enter")
        assert me.queue.current is not None
        assert not me.queue._answered
        await me.pilot.resize_terminal(120, 36)
        await me.armed()
        await me.pilot.press("y")
        assert not me.queue._answered, "typed on while the screen came back"
        now += GUARD_SECONDS
        await me.pilot.press("y")
        await me.idle()
        assert (workspace / "a.txt").read_text().strip() == "x"


async def test_a_dialog_that_has_no_room_takes_no_answer(workspace):
    async with driven(workspace) as me:
        dialog = ConfirmDialog("Delete?", [("everything", "")], "delete", clock=lambda: 0.0)
        me.app.push_screen(dialog)
        await me.until(lambda: me.app.screen is dialog)
        dialog._armed_from = 0.0
        await me.pilot.resize_terminal(20, 5)
        await me.pilot.press("y")
        assert me.app.screen is dialog
        await me.pilot.press("escape")
        await me.until(lambda: me.app.screen is not dialog)
        await me.type("typing goes on")
        assert me.app.workbench.prompt.text == "typing goes on"


async def test_a_layout_that_cannot_be_saved_is_said_once_and_ends_nothing(workspace, monkeypatch):
    async with driven(workspace) as me:
        full, save = [True], me.handle.do

        async def no_room(layout):
            if full[0]:
                raise JournalFull("No room left.")
            await save(SaveLayout(layout=layout))

        monkeypatch.setattr(me.app._saver, "_save", no_room)
        for text in ("half", " a", " thought"):
            await me.type(text)
            await me.app._saver.flush()
        assert len([n for n in me.app._notifications if "No room left" in n.message]) == 1
        assert me.app.is_running
        full[0] = False
        await me.type("!")
        await me.app._saver.flush()
        assert (await me.handle.inspect.layout())["draft"]["text"] == "half a thought!"


async def test_a_session_that_cannot_be_opened_leaves_the_app_alive(workspace):
    async with driven(workspace, resume="session_nonsense", opened=False) as me:
        await me.until(lambda: me.app._notifications)
        await me.type("still here")
        await me.pilot.press("enter")
        await me.until(lambda: len(me.app._notifications) > 1, "why nothing was sent")
        assert me.app.workbench.prompt.text == "still here"
        assert "no session is open" in me.app.query_one("#footer").content.plain
        me.app.workbench.prompt.clear_draft()
        await me.ask("/new")
        await me.until(lambda: me.app.handle, "another session is open")
        await me.ask("list")
        await me.idle()


async def test_leaving_the_list_of_sessions_without_a_choice_begins_a_new_one(workspace):
    start = Start(Runtime(), workspace, offline=True)
    app = TuiAgentApp(None, options=start.options)
    async with app.run_test(size=(120, 36)) as pilot:
        me = Driven(app, pilot)
        await me.until(lambda: isinstance(app.screen, SessionBrowser))
        await pilot.press("escape")
        await me.until(lambda: app.handle, "a session is open")
        await me.ask("list")
        await me.idle()
        await app.leave_session()


async def test_a_prompt_for_a_session_that_cannot_be_opened_is_given_back(workspace):
    async with driven(workspace, resume="session_nonsense", prompt="list", opened=False) as me:
        await me.until(lambda: me.app.workbench.prompt.text == "list")


async def test_sessions_that_cannot_be_listed_do_not_look_like_none(workspace, monkeypatch):
    async def broken(data_dir):
        raise RuntimeError("no [/] index")

    monkeypatch.setattr("tui_agent.ui.carry_out.list_sessions", broken)
    async with driven(workspace) as me:
        await me.pilot.press("f2")
        await me.until(lambda: isinstance(me.app.screen, SessionBrowser))
        listing = me.app.screen.query_one("#browser-list")
        await me.until(lambda: listing.option_count)
        assert "cannot be listed: no [/] index" in str(listing.get_option_at_index(0).prompt)


async def test_hostile_names_style_nothing(workspace):
    async with driven(workspace) as me:
        await me.request("write [/]b\x1b[2J.py: [bold]x")
        text = me.queue.current.lines
        assert any("[/]b" in line for line, _ in text)
        await me.pilot.press("f4", "d")
        await me.until(lambda: isinstance(me.app.screen, TextDialog))
        strips = [s.text for s in me.app.screen._compositor.render_strips()]
        assert not any("\x1b" in s for s in strips)


async def test_first_prompt_is_sent_by_itself(workspace):
    async with driven(workspace, prompt="list") as me:
        await me.idle()


async def test_a_session_whose_end_cannot_be_written_is_left_all_the_same(workspace, monkeypatch):
    async with driven(workspace) as me:
        close = me.app.handle.close

        async def closed() -> None:
            await close()
            raise JournalFull("The disk is full.")

        monkeypatch.setattr(me.app.handle, "close", closed)
        await me.app.leave_session()
        assert me.app.handle is None
        assert me.app.close_problem == "The disk is full."
