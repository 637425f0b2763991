"""More than yes and no: why, always, edit, parts; and the keys that must not slip through."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path

import pytest
from textual.events import Key
from textual.widgets import Input, OptionList, TextArea

from tests.ui.support import driven
from tui_agent.ui.approval_dialogs import EditDialog, PartsDialog, RuleDialog
from tui_agent.ui.audit import AuditScreen
from tui_agent.ui.dialogs import ConfirmDialog, TextDialog


@pytest.fixture
def workspace(isolated: Path) -> Path:
    return isolated


async def ask(me, prompt):
    """Send a prompt, once the prompt takes keys again."""
    await me.until(lambda: not me.app.workbench.prompt.held, "the prompt takes keys")
    await me.ask(prompt)


async def to_queue(me):
    await me.pilot.press("f4")
    await me.until(lambda: me.queue.has_focus, "the queue has the focus")
    await me.armed()


def shown(me) -> str:
    return "\n".join(text for text, _ in me.app.screen.query_one("#dialog-text")._lines)


@pytest.mark.parametrize("size", [(120, 35), (80, 24), (100, 30)])
async def test_the_change_the_reason_and_the_keys_are_seen_at_once(workspace, size):
    (workspace / "a.txt").write_text("one\ntwo\nthree\nfour\nfive\n")
    async with driven(workspace, size=size) as me:
        await me.request("read a.txt then edit a.txt: four => FOUR")
        await to_queue(me)

        def seen() -> str:
            region = me.queue.region
            rows = [strip.text for strip in me.app.screen._compositor.render_strips()]
            return "\n".join(row[region.x : region.right] for row in rows[region.y : region.bottom])

        await me.until(lambda: "y once" in seen() and "why" in seen().rpartition("full screen")[2])
        for wanted in ("edit a.txt", "no rule covers it", "-four", "+FOUR"):
            assert wanted in seen()
        assert "--- " not in seen()


async def test_w_shows_every_reason(workspace):
    async with driven(workspace) as me:
        await me.request("run touch a")
        await to_queue(me)
        await me.pilot.press("w")
        await me.until(lambda: isinstance(me.app.screen, TextDialog))
        assert "decided by" in shown(me)
        assert "mode ask" in shown(me)


async def test_w_on_a_step_of_the_conversation_says_why_it_was_allowed(workspace):
    async with driven(workspace) as me:
        await me.ask("run ls")
        await me.idle()
        await me.pilot.press("f6")
        conversation = me.app.workbench.conversation
        await me.until(lambda: conversation.has_focus)
        await conversation.go_to_subject(
            next(i.step for i in (await me.handle.items(0, 9)).values() if getattr(i, "step", ""))
        )
        await me.pilot.press("w")
        await me.until(lambda: isinstance(me.app.screen, TextDialog))
        assert "allowed by the rules and the guard" in shown(me)
        assert "read_only" in shown(me)


async def test_an_edited_call_is_asked_again_and_then_run(workspace):
    async with driven(workspace) as me:
        await me.request("run touch a")
        await to_queue(me)
        first = me.queue.entries[0].id
        await me.pilot.press("e")
        await me.until(lambda: isinstance(me.app.screen, EditDialog))
        me.app.screen.query_one(TextArea).text = "touch b"
        await me.pilot.press("ctrl+s")
        await me.until(lambda: me.queue.entries and me.queue.entries[0].id != first, "it is asked again")
        assert ("as you changed it; the model will be told", "warning") in me.queue.entries[0].lines
        await to_queue(me)
        await me.pilot.press("y")
        await me.idle()
        assert (workspace / "b").exists()
        assert not (workspace / "a").exists()


async def test_keys_typed_on_after_e_a_and_p_decide_nothing(workspace):
    async with driven(workspace) as me:
        await me.request("write f.txt: x")
        await to_queue(me)
        for key in ("e", "y", "s", "y", "a", "y"):
            me.app.post_message(Key(key, key))
        await me.until(lambda: isinstance(me.app.screen, EditDialog))
        await me.pilot.press("escape")
        await me.pilot.pause()
        assert me.state.permissions.allowed == 0
        assert me.state.permissions.pending


@pytest.mark.parametrize("key", ["a", "e", "p"])
async def test_the_new_keys_wait_half_a_second_like_the_others(workspace, key):
    async with driven(workspace) as me:
        await me.request("write f.txt: x")
        await me.pilot.press("f4")
        await me.until(lambda: me.queue.has_focus)
        me.queue._armed_from = me.queue._clock() + 1000
        await me.pilot.press(key)
        await me.pilot.pause()
        assert not me.app.screen.is_modal


async def test_a_rule_is_previewed_saved_and_lets_the_call_go(workspace):
    async with driven(workspace) as me:
        await me.request("run touch a")
        await to_queue(me)
        await me.pilot.press("n")
        await me.idle()
        await ask(me, "run touch b")
        await me.until(lambda: me.queue.entries, "a request")
        await to_queue(me)
        await me.pilot.press("a")
        await me.until(lambda: isinstance(me.app.screen, RuleDialog))
        dialog = me.app.screen
        field = dialog.query_one(Input)
        assert field.value == "Bash(touch *)"
        field.value = "Bash(touch"
        await me.until(lambda: "no rule" in shown(me))
        await me.pilot.press("enter")
        assert me.app.screen is dialog
        field.value = "Bash(rm *)"
        await me.until(lambda: "would still ask" in shown(me))
        field.value = "Bash(touch *)"
        await me.until(lambda: "It allows this call." in shown(me))
        assert "touch a" in shown(me)
        dialog._armed_from = 0
        await me.pilot.press("enter")
        await me.idle(2)
        assert (workspace / "b").exists()
        config = me.handle.options.config_dir / "permissions.toml"
        assert config.read_text() == 'allow = ["Bash(touch *)"]\n'


@pytest.mark.parametrize(
    ("line", "rules"),
    [
        ("make build && make test", ["Bash(make build *)", "Bash(make test *)"]),
        ("git commit -m x && git push origin main", ["Bash(git commit *)", "Bash(git push *)"]),
        ("ls && touch a | tail -5; touch b", ["Bash(touch *)"]),
        ("echo a && touch b 2>&1 | tail -5; python3 -c 'print(1)'", ["Bash(touch *)", "Bash(python3 -c 'print(1)')"]),
    ],
)
async def test_a_line_of_several_commands_is_offered_all_the_rules_that_it_needs(workspace, line, rules):
    async with driven(workspace) as me:
        await me.request(f"run {line}")
        await to_queue(me)
        await me.pilot.press("a")
        await me.until(lambda: isinstance(me.app.screen, RuleDialog))
        dialog = me.app.screen
        await me.until(lambda: [field.value for field in dialog.query(Input)] == rules, "the rules are offered")
        await me.until(lambda: "allow this call." in shown(me) or "allows this call." in shown(me))
        if len(rules) > 1:
            await me.pilot.press("down")
            await me.until(lambda: list(dialog.query(Input))[1].has_focus)
            list(dialog.query(Input))[1].value = ""
            await me.until(lambda: "would still ask" in shown(me), "one rule is not enough")
            list(dialog.query(Input))[1].value = rules[1]
            await me.until(lambda: "Together they allow this call." in shown(me))
        dialog._armed_from = 0
        await me.pilot.press("enter")
        await me.idle()
        saved = tomllib.loads((me.handle.options.config_dir / "permissions.toml").read_text())
        assert saved == {"allow": rules}
        assert me.state.permissions.allowed == 1


async def test_a_line_that_no_rule_lets_go_is_said_to_ask_still(workspace):
    async with driven(workspace) as me:
        await me.request("run touch a && touch $(cat names)")
        await to_queue(me)
        await me.pilot.press("a")
        await me.until(lambda: isinstance(me.app.screen, RuleDialog))
        await me.until(lambda: "would still ask" in shown(me))


async def test_another_mode_empties_the_queue_of_what_it_allows(workspace):
    async with driven(workspace) as me:
        await me.request("write f.txt: x")
        await ask(me, "/mode bypass")
        await me.until(lambda: me.app.workbench.prompt.text == "/mode bypass", "it comes back")
        assert me.queue.entries
        me.app.workbench.prompt.take("")
        await ask(me, "/mode accept-edits")
        await me.idle()
        await me.until(lambda: not me.queue.entries, "nothing waits")
        assert (workspace / "f.txt").exists()
        assert me.state.permissions.allowed == 1


async def test_a_rule_is_not_saved_by_an_enter_that_was_typed_on(workspace):
    async with driven(workspace) as me:
        await me.request("run touch a")
        await to_queue(me)
        await me.pilot.press("a")
        await me.until(lambda: isinstance(me.app.screen, RuleDialog))
        me.app.screen._armed_from = me.app.screen._clock() + 1000
        await me.until(lambda: "It allows this call." in shown(me))
        await me.pilot.press("enter")
        await me.pilot.pause()
        assert isinstance(me.app.screen, RuleDialog)


async def test_parts_of_a_change(workspace):
    (workspace / "a.txt").write_text("one\ntwo\nthree\nfour\n")
    async with driven(workspace) as me:
        await me.ask("read a.txt")
        await me.idle()
        await me.request("write a.txt: ONE\ntwo\nthree\nFOUR\n")
        await to_queue(me)
        first = me.queue.entries[0].id
        await me.pilot.press("p")
        await me.until(lambda: isinstance(me.app.screen, PartsDialog))
        await me.pilot.press("home", "space", "ctrl+s")
        await me.until(lambda: me.queue.entries and me.queue.entries[0].id != first, "it is asked again")
        await to_queue(me)
        await me.pilot.press("y")
        await me.idle(2)
        assert (workspace / "a.txt").read_text().split() == ["one", "two", "three", "FOUR"]


async def test_the_keys_of_a_dialog_are_all_seen_on_a_narrow_terminal(workspace):
    (workspace / "a.txt").write_text("one\ntwo\nthree\nfour\n")
    async with driven(workspace, size=(80, 24)) as me:
        await me.ask("read a.txt")
        await me.idle()
        await me.request("write a.txt: ONE\ntwo\nthree\nFOUR\n")
        await to_queue(me)
        await me.pilot.press("p")
        await me.until(lambda: isinstance(me.app.screen, PartsDialog))
        foot = me.app.screen.query_one("#dialog-foot")
        await me.until(lambda: foot.region.height == 2, "the keys have the rows that they need")
        assert foot.region.bottom <= me.app.screen.query_one("#dialog").region.bottom - 1


async def test_the_audit_lists_filters_says_why_and_revokes(workspace):
    async with driven(workspace) as me:
        await me.request("run touch a")
        await to_queue(me)
        await me.pilot.press("s")
        await me.armed()
        await me.pilot.press("y")
        await me.idle()
        await ask(me, "run ls")
        await me.idle(2)
        await ask(me, "/audit")
        await me.until(lambda: isinstance(me.app.screen, AuditScreen))
        screen = me.app.screen
        listing = screen.query_one(OptionList)
        await me.until(lambda: listing.option_count == 3)
        screen.query_one(Input).value = "rule:read_only"
        await me.until(lambda: listing.option_count == 1)
        await me.pilot.press("enter")
        await me.until(lambda: isinstance(me.app.screen, TextDialog))
        assert "read_only" in shown(me)
        await me.pilot.press("escape")
        screen.query_one(Input).value = ""
        await me.until(lambda: listing.option_count == 3)
        await me.pilot.press("enter")
        await me.until(lambda: isinstance(me.app.screen, ConfirmDialog))
        me.app.screen._armed_from = 0
        await me.pilot.press("y")
        await me.until(lambda: me.state.permissions.grants == ())
        await me.until(lambda: listing.option_count == 2)


async def test_no_secret_is_shown_of_the_past(workspace, monkeypatch):
    secret = "hunter2hunter2"  # the environment in which the call was made did not know that it is one
    async with driven(workspace) as me:
        await me.request(f"run touch a {secret}")
        assert secret in me.state.permissions.pending[0].input["command"]
        await to_queue(me)
        await me.pilot.press("n")
        await me.idle()
    monkeypatch.setenv("MY_TOKEN", secret)
    async with driven(workspace) as me:
        kept = await asyncio.to_thread(me.handle.inspect.audit.trail)
        assert secret in str(kept.entries[0].input)
        await ask(me, "/audit")
        await me.until(lambda: isinstance(me.app.screen, AuditScreen))
        screen = me.app.screen
        listing = screen.query_one(OptionList)
        await me.until(lambda: listing.option_count == 1 and listing.get_option_at_index(0).id)
        row = listing.get_option_at_index(0).prompt.plain
        assert "touch a" in row
        assert secret not in row
        screen.query_one(Input).value = secret[:12]
        await me.until(lambda: listing.get_option_at_index(0).id is None, "nothing fits")
        screen.query_one(Input).value = ""
        await me.until(lambda: listing.get_option_at_index(0).id)
        await me.pilot.press("enter")
        await me.until(lambda: isinstance(me.app.screen, TextDialog))
        assert "touch a" in shown(me)
        assert secret not in shown(me)
        await me.pilot.press("escape", "escape")
        await ask(me, "/audit allow Bash(touch *)")
        await me.until(lambda: isinstance(me.app.screen, TextDialog))
        assert "touch a" in shown(me)
        assert secret not in shown(me)
        calls, allowed = await asyncio.to_thread(me.handle.inspect.audit.newly_allowed, "Bash(touch *)")
        assert calls == len(allowed) == 1
        assert secret not in str(allowed[0].input)


async def test_what_another_rule_would_have_done(workspace):
    async with driven(workspace) as me:
        await me.request("run touch a")
        await to_queue(me)
        await me.pilot.press("n")
        await me.idle()
        await ask(me, "/audit allow Bash(touch *)")
        await me.until(lambda: isinstance(me.app.screen, TextDialog))
        assert "1 questions saved" in shown(me)
        assert "Newly allowed: 1" in shown(me)


async def test_a_folder_that_wants_to_allow_something_says_so_and_can_be_trusted(workspace):
    (workspace / ".claude").mkdir()
    (workspace / ".claude" / "settings.json").write_text('{"permissions": {"allow": ["Bash(touch *)"]}}')
    async with driven(workspace) as me:
        await me.until(lambda: any("until you trust" in n.message for n in me.app._notifications), "it is said")
        await me.request("run touch a")
        await ask(me, "/trust")
        await me.until(lambda: isinstance(me.app.screen, ConfirmDialog))
        assert "Bash(touch *)" in shown(me)
        me.app.screen._armed_from = 0
        await me.pilot.press("y")
        await me.idle()
        assert (workspace / "a").exists()


@pytest.mark.parametrize("mode", ["accept-edits", "plan", "sandboxed", "ask"])
async def test_the_mode_can_be_changed(workspace, mode):
    async with driven(workspace) as me:
        await ask(me, f"/mode {mode}")
        await me.until(lambda: me.state.conversation.mode == mode)
        await ask(me, "/mode bypass")
        await me.until(lambda: any("bypass comes only" in n.message for n in me.app._notifications))
        assert me.state.conversation.mode == mode


async def test_a_plan_is_read_in_the_queue_sent_back_and_approved(workspace):
    async with driven(workspace, mode="plan") as me:
        await me.request("propose write a.txt; run the tests")
        await to_queue(me)
        (entry,) = me.queue.entries
        assert [line for line, _ in entry.lines][-2:] == ["1. write a.txt", "2. run the tests"]
        keys = me.queue._keys().plain
        assert "approve" in keys
        assert "always" not in keys
        await me.pilot.press("s", "e", "p")  # what fits a call and no plan
        await me.pilot.press("n")
        await me.idle()
        assert me.state.conversation.mode == "plan"
        await ask(me, "propose write a.txt")
        await me.until(lambda: me.queue.entries, "the plan waits")
        await to_queue(me)
        await me.pilot.press("a")
        await me.idle(2)
        assert me.state.conversation.mode == "accept-edits"
        await ask(me, "write a.txt: x")
        await me.until((workspace / "a.txt").exists, "the edit is made")


async def test_memory_files_are_agreed_to_once_before_the_first_prompt(workspace):
    (workspace / "AGENTS.md").write_text("use tabs\n")
    async with driven(workspace) as me:
        await me.ask("say 3")
        await me.until(lambda: isinstance(me.app.screen, ConfirmDialog), "the question about the files")
        assert "AGENTS.md (1 line, 8 bytes)" in shown(me)
        me.app.screen._armed_from = 0.0
        await me.pilot.press("y")
        await me.idle()
        assert await me.handle.inspect.held_memory() == []
    async with driven(workspace) as me:
        await me.ask("say 3")
        await me.idle()
