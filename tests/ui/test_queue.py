"""The permission queue keeps its place, shows its keys as live only when they are, and hides nothing unsaid."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import TextArea

from tests.ui.support import Driven, driven
from tui_agent.events import PermissionRequested
from tui_agent.session import PermissionsState, SessionState, Step, WorkflowState
from tui_agent.ui.approval_dialogs import EditDialog, PartsDialog
from tui_agent.ui.dialogs import TextDialog
from tui_agent.ui.waiting import waiting

CHANGE = "one\ntwo\nthree\nfour\n"
TWO_CALLS = "write b.txt: x and run touch c"


def rows(me: Driven, selector: str) -> list[str]:
    """Return what is painted of a widget, row by row."""
    region = me.app.screen_stack[0].query_one(selector).region
    painted = [strip.text for strip in me.app.screen._compositor.render_strips()]
    return [row[region.x : region.right] for row in painted[region.y : region.bottom]]


def keys_are_live(me: Driven) -> bool:
    content = me.queue.query_one("#waiting-keys").content
    return any(str(span.style) == "bold" for span in content.spans)


async def focus(me: Driven) -> None:
    await me.pilot.press("f4")
    await me.until(lambda: me.queue.has_focus, "the queue has the focus")
    me.queue._clock = lambda: 0.0  # a guard time passes when the test says so
    await me.armed()


def calls(tmp_path: Path, *calls: tuple[str, str]) -> Path:
    """Return a scenario that makes these calls, each a tool and its input as TOML, in one turn."""
    text = '[[turn]]\ntext = "now"\n'
    text += "".join(f'[[turn.call]]\ntool = "{tool}"\ninput = {call}\n' for tool, call in calls)
    file = tmp_path / "scenario.toml"
    file.write_text(f'{text}\n[[turn]]\ntext = "done"\n')
    return file


@pytest.mark.parametrize("key", ["e", "p"])
async def test_a_changed_call_keeps_its_place_and_the_focus(isolated: Path, tmp_path: Path, key: str) -> None:
    (isolated / "a.txt").write_text(CHANGE)
    edits = '{path = "a.txt", edits = [{old = "one", new = "ONE"}, {old = "four", new = "FOUR"}]}'
    file = calls(tmp_path, ("edit", edits), ("bash", '{command = "touch pushed"}'), ("read", '{path = "a.txt"}'))
    file.write_text('[[turn]]\n[[turn.call]]\ntool = "read"\ninput = {path = "a.txt"}\n' + file.read_text())
    async with driven(isolated, scenario=file) as me:
        await me.ask("go")
        await me.until(lambda: len(me.queue.entries) == 2, "two requests wait")
        await focus(me)
        first = me.queue.current
        assert first is not None
        assert first.title.startswith("edit")
        await me.pilot.press(key)
        if key == "e":
            await me.until(lambda: isinstance(me.app.screen, EditDialog))
            editor = me.app.screen.query_one(TextArea)
            editor.text = editor.text.replace("ONE", "EINS")
        else:
            await me.until(lambda: isinstance(me.app.screen, PartsDialog))
            await me.pilot.press("home", "space")
        await me.pilot.press("ctrl+s")
        again = lambda: [p for p in me.state.permissions.pending if p.step == first.step]  # noqa: E731
        await me.until(lambda: again() and again()[0].request != first.id, "it is asked again")
        await me.until(lambda: me.queue.current is not None and me.queue.current.id == again()[0].request)
        assert [entry.title.partition(" ")[0] for entry in me.queue.entries] == ["edit", "bash"]
        assert me.queue.has_focus
        await me.pilot.press("y")
        assert len(me.state.permissions.pending) == 2, "the changed call has a guard time of its own"
        await me.armed()
        await me.pilot.press("y")
        await me.until(lambda: len(me.state.permissions.pending) == 1)
        assert not (isolated / "pushed").exists()
        assert (isolated / "a.txt").read_text() == f"{'EINS' if key == 'e' else 'one'}\ntwo\nthree\nFOUR\n"


async def test_a_changed_call_that_is_alone_keeps_the_focus(isolated: Path) -> None:
    async with driven(isolated) as me:
        await me.request("run touch a")
        await focus(me)
        first = me.queue.entries[0].id
        await me.pilot.press("e")
        await me.until(lambda: isinstance(me.app.screen, EditDialog))
        me.app.screen.query_one(TextArea).text = "touch b"
        await me.pilot.press("ctrl+s")
        await me.until(lambda: me.state.permissions.pending and me.state.permissions.pending[0].request != first)
        await me.until(lambda: me.queue.current is not None and me.queue.current.kind == "permission")
        assert me.queue.has_focus
        await me.pilot.press("y")
        assert me.state.permissions.pending, "the changed call has a guard time of its own"
        await me.armed()
        await me.pilot.press("y")
        await me.idle()
        assert (isolated / "b").exists()


def test_the_queue_is_in_the_order_of_the_calls() -> None:
    def request(step: str) -> PermissionRequested:
        return PermissionRequested(
            step=step, request=f"of {step}", tool="bash", tier="built-in", effect="supervised", input={},
            call_hash="h", title=step, why="w",
        )  # fmt: skip

    steps = {
        name: Step(name, order, "run", "main", "turn", "call", "bash", {}, "supervised", name, status=status)
        for name, order, status in (("a", 1, "waiting"), ("b", 2, "waiting"), ("c", 3, "planned"))
    }
    steps["c"] = Step("c", 3, "run", "main", "t", "c", "bash", {}, "supervised", "c", edited="changed")
    state = SessionState(
        permissions=PermissionsState(pending=(request("b"), request("a"))), workflow=WorkflowState(steps=steps)
    )
    assert [(entry.kind, entry.step) for entry in waiting(state)] == [
        ("permission", "a"),
        ("permission", "b"),
        ("changed", "c"),
    ]


async def test_the_keys_look_live_only_while_they_are(isolated: Path) -> None:
    async with driven(isolated) as me:
        await me.request("run touch a")
        assert not keys_are_live(me)
        assert me.queue.border_subtitle == "F4 to answer"
        await focus(me)
        await me.until(lambda: keys_are_live(me), "the keys can be pressed")
        await me.pilot.press("escape")
        await me.until(lambda: me.app.workbench.prompt.has_focus)
        assert not keys_are_live(me)
        assert me.queue.border_subtitle == "F4 to answer"


async def test_only_the_pane_with_the_focus_marks_its_cursor(isolated: Path) -> None:
    async with driven(isolated) as me:
        await me.ask("say one")
        await me.idle()
        for key, mine, other in (
            ("f3", "#timeline", "#conversation"),
            ("f6", "#conversation", "#timeline"),
            ("f7", "#prompt", "#conversation"),
        ):
            await me.pilot.press(key)
            await me.until(lambda mine=mine: me.app.screen.query_one(mine).has_focus)
            await me.pilot.pause()
            assert not any(row.startswith("▌") for row in rows(me, other)), key
            if mine != "#prompt":
                assert any(row.startswith("▌") for row in rows(me, mine)), key


@pytest.mark.parametrize("size", [(120, 35), (100, 24), (120, 28)])
async def test_the_focus_hides_nothing_of_the_change(isolated: Path, size: tuple[int, int]) -> None:
    (isolated / "a.txt").write_text("one\ntwo\nthree\nfour\nfive\n")
    async with driven(isolated, size=size) as me:
        await me.request("read a.txt then edit a.txt: four => FOUR")
        shown = lambda: "\n".join(rows(me, "#waiting-text"))  # noqa: E731
        await me.until(lambda: "+FOUR" in shown())
        before = shown()
        await focus(me)
        await me.pilot.pause()
        assert shown() == before
        assert "-four" in before


LONG = "\\n".join(f"echo {n} >> out" for n in range(80))


async def test_a_long_request_counts_its_hidden_rows_and_y_waits_for_its_end(isolated: Path, tmp_path: Path) -> None:
    async with driven(isolated, scenario=calls(tmp_path, ("bash", f'{{command = "{LONG}"}}'))) as me:
        await me.ask("go")
        await me.until(lambda: me.queue.entries, "a request")
        await focus(me)
        await me.until(lambda: "more rows" in str(me.queue.border_subtitle))
        hidden = int(str(me.queue.border_subtitle).split()[1])
        assert hidden == len(me.queue.query_one("#waiting-text")._wrapped) - len(rows(me, "#waiting-text")) > 50
        assert "y once" not in me.queue.query_one("#waiting-keys").content.plain
        await me.pilot.press("y", "s")
        await me.pilot.press("pagedown")
        await me.pilot.press("y")
        await me.pilot.pause()
        assert me.state.permissions.pending, "the end was not in view yet"
        await me.pilot.press("end")
        await me.until(lambda: "y once" in me.queue.query_one("#waiting-keys").content.plain)
        assert not me.queue.border_subtitle
        await me.pilot.press("y")
        await me.idle()
        assert (isolated / "out").read_text().split()[-1] == "79"


async def test_a_request_read_to_its_end_in_full_size_can_be_allowed(isolated: Path, tmp_path: Path) -> None:
    async with driven(isolated, scenario=calls(tmp_path, ("bash", f'{{command = "{LONG}"}}'))) as me:
        await me.ask("go")
        await me.until(lambda: me.queue.entries, "a request")
        await focus(me)
        for to_the_end in (False, True):
            await me.pilot.press("ctrl+e")
            await me.until(lambda: isinstance(me.app.screen, TextDialog))
            if to_the_end:
                await me.until(lambda: me.app.screen.query_one("#dialog-text").rows_below)
                await me.pilot.press("end")
                await me.until(lambda: me.app.screen.query_one("#dialog-text").end_seen)
            await me.pilot.press("escape")
            await me.until(lambda: not me.app.screen.is_modal)
            await me.pilot.pause()
            assert ("y once" in me.queue.query_one("#waiting-keys").content.plain) is to_the_end


@pytest.mark.parametrize(
    ("content", "offered"), [("ONE\ntwo\nthree\nFOUR\n", True), ("ONE\ntwo\nthree\nfour\n", False)]
)
async def test_parts_are_offered_only_where_there_are_some(isolated: Path, content: str, offered: bool) -> None:
    (isolated / "a.txt").write_text(CHANGE)
    async with driven(isolated) as me:
        await me.ask("read a.txt")
        await me.idle()
        await me.request(f"write a.txt: {content}")
        await focus(me)
        assert ("p parts" in me.queue.query_one("#waiting-keys").content.plain.replace("\n", "  ")) is offered
        await me.pilot.press("p")
        await me.pilot.pause()
        assert isinstance(me.app.screen, PartsDialog) is offered


async def test_a_key_that_comes_too_early_is_answered(isolated: Path) -> None:
    async with driven(isolated) as me:
        await me.request("run touch a")
        await me.pilot.press("f4")
        await me.until(lambda: me.queue.has_focus)
        me.queue._armed_from = me.queue._clock() + 1000
        await me.pilot.press("y")
        assert "one moment" in me.queue.query_one("#waiting-keys").content.plain
        assert me.state.permissions.pending


async def test_what_is_typed_at_an_empty_queue_goes_to_the_prompt(isolated: Path) -> None:
    async with driven(isolated) as me:
        await me.pilot.press("f4")
        await me.until(lambda: me.queue.has_focus)
        await me.type("yes")
        await me.until(lambda: me.app.workbench.prompt.text == "yes", "nothing typed is lost")
