"""Finding things: files for mentions, text in the conversation, sessions, commands and keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ui.support import driven
from tui_agent.session import load_commands
from tui_agent.session.mentions import find_mentions
from tui_agent.ui.actions import bindings, pane_actions, places
from tui_agent.ui.app import TuiAgentApp
from tui_agent.ui.browser import SessionBrowser
from tui_agent.ui.carry_out import CARRIED_OUT
from tui_agent.ui.commands import CommandProvider
from tui_agent.ui.dialogs import ConfirmDialog, TextDialog
from tui_agent.ui.header import Header
from tui_agent.ui.mentions import matching_files, mention_before, mention_text

EDIT = "edit hello.py: print => PRINT"


@pytest.fixture
def workspace(isolated):
    (isolated / "hello.py").write_text("x = 1\nprint('hi')\n")
    return isolated


# mentions


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("@", ""),
        ("look at @src/lo", "src/lo"),
        ('look at @"a b', "a b"),
        ("(@x", "x"),
        ("ada@example.org", None),
        ("@src/login.py:10", None),
        ("@src/login.py ", None),
        ('@"a b.txt"', None),
    ],
)
def test_a_mention_is_known_while_it_is_typed(line, path):
    mention = mention_before(line)
    assert (mention.path if mention else None) == path


def test_names_with_spaces_are_quoted():
    assert mention_text("src/a.py") == "@src/a.py"
    assert mention_text("a b.txt") == '@"a b.txt"'


@given(st.text(st.characters(exclude_characters='"\n\r:', exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1))
def test_what_a_completion_writes_is_read_back_as_its_path(path):
    written = mention_text(path).removesuffix('"')
    mention = mention_before(written)
    assert mention is not None
    assert mention.path == path
    sent = next(find_mentions(f"look at {mention_text(path)} please"))
    assert sent[0].path == path, "what is completed is what the session reads when it is sent"


def test_the_likeliest_file_comes_first():
    files = ["docs/notes.md", "src/login.py", "src/deep/login_test.py", "log.txt"]
    assert matching_files(files, "login")[:2] == ["src/login.py", "src/deep/login_test.py"]
    assert matching_files(files, "sly") == ["src/login.py", "src/deep/login_test.py"]
    assert matching_files(files, "") == ["log.txt", "src/login.py", "docs/notes.md", "src/deep/login_test.py"]
    assert matching_files(files, "zzz") == []


async def test_a_mention_completes_a_file_of_the_workspace(workspace):
    (workspace / "my notes.txt").write_text("")
    (workspace / ".gitignore").write_text("*.log\n")
    (workspace / "noise.log").write_text("")
    async with driven(workspace) as me:
        prompt = me.app.workbench.prompt
        await me.type("look at @not")
        await me.until(lambda: prompt.completions, "the files were read")
        assert [text for text, _ in prompt.completions] == ['@"my notes.txt"']
        await me.pilot.press("tab")
        assert prompt.text == 'look at @"my notes.txt" '
        await me.type("@he")
        await me.until(lambda: prompt.completions)
        await me.pilot.press("enter")
        await me.idle()
        item = (await me.handle.items(0, 1))[0]
        assert item.text == 'look at @"my notes.txt" @he', "Enter sends what is written unless one was chosen"
        await me.type("@")
        await me.until(lambda: len(prompt.completions) > 1)
        chosen = prompt.completions[1][0]
        await me.pilot.press("down", "enter")
        assert prompt.text == f"{chosen} "


# the conversation


async def test_search_goes_through_the_conversation_and_round_its_end(workspace):
    async with driven(workspace) as me:
        for number, prompt in enumerate(("list", "say 300", "read hello.py", "say 300"), start=1):
            await me.ask(prompt)
            await me.idle(number)
        view = me.app.workbench.conversation
        slot = me.app.query_one("#conversation-slot")
        await me.pilot.press("f6")
        await me.until(lambda: view.has_focus)
        await me.pilot.press("slash")
        await me.until(lambda: me.app.focused and me.app.focused.id == "search-bar")
        await me.type("HELLO.PY")
        await me.pilot.press("enter")
        await me.until(lambda: "match in" in (slot.border_subtitle or ""))
        seen = [view.cursor]
        assert view.has_focus, "Enter leaves the field"
        while len(seen) == 1 or seen[-1] != seen[0]:
            await me.pilot.press("n")
            before = seen[-1]
            await me.until(lambda before=before: view.cursor != before)
            seen.append(view.cursor)
        assert seen[:-1] == sorted(set(seen), reverse=True), "the nearest one above comes first, each once"
        assert len(seen) > 3
        await me.pilot.press("N")
        await me.until(lambda: view.cursor == seen[-2])
        await me.pilot.press("slash")
        await me.until(lambda: me.app.focused.id == "search-bar", "the field is back")
        await me.pilot.press("up")
        await me.until(lambda: view.cursor == seen[-1])
        await me.pilot.press("down")
        await me.until(lambda: view.cursor == seen[-2])
        assert any(view.highlighted(line) for line in view.lines(view.cursor))
        await me.pilot.press("escape")
        await me.until(lambda: view.has_focus)
        assert not me.app.query("#search-bar")
        await me.pilot.press("n")
        await me.until(lambda: view.cursor == seen[-1])
        await me.pilot.press("escape")
        assert view.needle == ""
        assert view.has_focus
        await me.pilot.press("slash")
        await me.until(lambda: me.app.focused.id == "search-bar")
        await me.type("hello")
        await me.pilot.press("enter")
        await me.until(lambda: view.has_focus)
        await me.pilot.press("escape")
        await me.until(lambda: not me.app.query("#search-bar"), "the field goes with its marks")
        await me.pilot.press("ctrl+f")
        await me.until(lambda: me.app.focused.id == "search-bar")
        await me.type("nowhere at all")
        await me.pilot.press("enter")
        await me.until(lambda: slot.border_subtitle == "nothing found")


# sessions


async def test_sessions_are_found_by_what_was_said_and_deleted_after_a_yes(workspace):
    async with driven(workspace) as me:
        await me.ask("search xylophone")
        await me.idle()
        await me.app.submit("/title plain words")
        first = me.handle.session
        folder = me.handle.path.parent
        await me.app.submit("/new")
        await me.until(lambda: me.app.handle and me.handle.session != first and me.app._opened.is_set())
        await me.pilot.press("f2")
        await me.until(lambda: isinstance(me.app.screen, SessionBrowser) and me.app.screen._sessions)
        browser = me.app.screen
        await me.type("xylo")
        await me.until(lambda: browser._highlighted() == first)
        row = str(browser.query_one("#browser-list").get_option_at_index(0).prompt)
        assert "plain words" in row
        assert "prompt: search xylophone" in row
        await me.pilot.press("f9")
        await me.until(lambda: isinstance(me.app.screen, ConfirmDialog))
        me.app.screen._clock = lambda: 0.0
        await me.pilot.press("y")
        assert isinstance(me.app.screen, ConfirmDialog), "a y in the first half second is not an answer"
        await me.pilot.press("n")
        await me.until(lambda: me.app.screen is browser)
        assert folder.exists()
        await me.pilot.press("f9")
        await me.until(lambda: isinstance(me.app.screen, ConfirmDialog))
        me.app.screen._armed_from = 0.0
        await me.pilot.press("y")
        await me.until(lambda: not folder.exists())
        await me.until(lambda: first not in [s.id for s in browser._sessions])


async def test_an_open_session_is_not_deleted(workspace):
    async with driven(workspace) as me:
        await me.ask("list")
        await me.idle()
        async with driven(workspace) as other:
            await other.pilot.press("f2")
            await other.until(lambda: isinstance(other.app.screen, SessionBrowser) and other.app.screen._sessions)
            await other.type("list")
            browser = other.app.screen
            await other.until(lambda: browser._highlighted() == me.handle.session)
            await other.pilot.press("f9")
            await other.until(lambda: isinstance(other.app.screen, ConfirmDialog))
            other.app.screen._armed_from = 0.0
            await other.pilot.press("y")
            await other.until(lambda: any("open in a window" in n.message for n in other.app._notifications))
            assert me.handle.path.exists()


# commands and keys


def test_every_command_of_the_registry_works_on_the_screen():
    assert set(load_commands()) - CARRIED_OUT <= {"context"}


async def test_every_action_has_a_key_a_palette_entry_and_a_line_in_the_help(workspace):
    offered = {(action.place, action.label.rpartition(": ")[2]) for action in pane_actions()}
    async with driven(workspace, size=(120, 40)) as me:
        me.app.action_help()
        await me.until(lambda: isinstance(me.app.screen, TextDialog))
        shown = "\n".join(line for line, _ in me.app.screen._lines)
        for command in me.app.commands:
            assert f"/{command.name}" in shown
        palette = [label for label, *_ in CommandProvider(me.app.screen)._entries]
    for place in places():
        bound = set()
        for binding in bindings(place.kind):
            assert binding.key
            assert binding.description, f"{binding.key} in {place.title} says nothing"
            assert binding.description in shown
            if place.id:
                assert (place.id, binding.description.lower()) in offered
                assert any(binding.description.lower() in label for label in palette)
            bound.add(binding.action.partition("(")[0])
        own = {name.removeprefix("action_") for name in vars(place.kind) if name.startswith("action_")}
        overridden = {name for name in own for base in place.kind.__mro__[1:] if f"action_{name}" in vars(base)}
        commands = {"interrupt"} if place.kind is TuiAgentApp else set()
        assert own - overridden - commands <= bound, place.title


async def test_verify_export_registry_and_title_answer_on_the_screen(workspace):
    async with driven(workspace) as me:
        await me.ask("list")
        await me.idle()
        for command, expected in (
            ("/verify", "The journal is whole."),
            ("/tools", "offered: "),
            ("/tools commands", "/compact"),
        ):
            await me.app.submit(command)
            await me.until(lambda: isinstance(me.app.screen, TextDialog))
            assert any(expected in line for line, _ in me.app.screen._lines), command
            await me.pilot.press("escape")
            await me.until(lambda: not me.app.screen.is_modal)
        await me.app.submit("/export out.md")
        await me.until((workspace / "out.md").exists)
        assert (workspace / "out.md").read_text().startswith("> list")
        await me.app.submit("/title now named")
        await me.until(lambda: me.state.conversation.title == "now named")
        await me.app.submit("/title")
        assert me.app.workbench.prompt.text == "/title now named"


async def test_verify_names_what_is_wrong(workspace):
    import sqlite3

    async with driven(workspace) as me:
        await me.ask("list")
        await me.idle()
        with sqlite3.connect(me.handle.path) as connection:
            connection.execute("UPDATE event SET body = replace(body, 'list', 'lisp') WHERE type = 'run.started'")
        await me.app.submit("/verify")
        await me.until(lambda: isinstance(me.app.screen, TextDialog))
        text = "\n".join(line for line, _ in me.app.screen._lines)
        assert "NOT as it was written" in text


async def test_a_click_in_the_footer_presses_the_key(workspace):
    async with driven(workspace) as me:
        footer = me.app.query_one("#footer")
        at = footer.content.plain.index("help")
        await me.pilot.click("#footer", offset=(at, 0))
        await me.until(lambda: isinstance(me.app.screen, TextDialog))
        assert "help" not in footer.content.plain, "the dialog has the keys"
        await me.pilot.press("escape")
        await me.until(lambda: not me.app.screen.is_modal)
        assert "help" in footer.content.plain
        assert "send" not in footer.content.plain, "there is nothing to send"
        await me.type("x")
        await me.until(lambda: "send" in footer.content.plain)
        me.app.workbench.prompt.clear_draft()
        await me.request(EDIT)
        await me.until(lambda: "Esc interrupts" in footer.content.plain)
        await me.pilot.click("#footer", offset=(footer.content.plain.index("your decision"), 0))
        await me.idle()
        assert not me.state.permissions.pending


async def test_add_dir_adds_a_folder_lists_it_and_shows_it_in_the_header(workspace):
    other = workspace.parent / "other"
    other.mkdir()
    async with driven(workspace) as me:
        await me.app.submit(f"/add-dir {other}")
        await me.until(lambda: me.state.conversation.added == (str(other),))
        await me.until(lambda: "+1 folder" in me.app.query_one(Header).content.plain)
        await me.app.submit("/add-dir")
        await me.until(lambda: any(str(other) in note.message for note in me.app._notifications))
        me.app.start(me.app.submit("/add-dir ~"))
        await me.until(lambda: any("~ cannot be added" in note.message for note in me.app._notifications))
