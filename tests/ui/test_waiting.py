"""What waits for the user, as the queue shows it."""

from __future__ import annotations

from dataclasses import replace

from textual.app import App, ComposeResult
from textual.events import Key
from textual.widgets import Input

from tui_agent.events import PermissionRequested
from tui_agent.session import PermissionsState, Question, SessionState, Step, WorkflowState
from tui_agent.ui.line import Line
from tui_agent.ui.permissions import PermissionQueue
from tui_agent.ui.waiting import Waiting, waiting


def request(number: int, **fields: object) -> PermissionRequested:
    given = {
        "step": f"step{number}", "request": f"request{number}", "tool": "bash", "tier": "built-in",
        "effect": "supervised", "input": {"command": "make"}, "call_hash": "h", "title": f"bash {number}",
        "why": "the mode is ask",
    }  # fmt: skip
    return PermissionRequested.model_validate(given | fields)


def state() -> SessionState:
    step = Step("step9", 9, "run", "main", "turn", "call", "bash", {"command": "deploy"}, "supervised", "bash deploy")
    uncertain = replace(step, status="uncertain", evidence="started, no exit record\x1b[2J")
    question = Question("q1", "step8", "main", "Which?", ("red", "blue"))
    return SessionState(
        permissions=PermissionsState(pending=(request(1), request(2, agent="agent_x"))),
        workflow=WorkflowState(steps={"step9": uncertain, "step7": step}, questions={"q1": question}),
    )


def test_all_kinds_wait_in_order():
    assert [(entry.kind, entry.id) for entry in waiting(state())] == [
        ("permission", "request1"),
        ("permission", "request2"),
        ("uncertain", "step9"),
        ("question", "q1"),
    ]


def test_the_whole_command_is_there():
    command = "echo start\n" + "x" * 5_000 + "\necho end"
    entry = waiting(SessionState(permissions=PermissionsState(pending=(request(1, input={"command": command}),))))[0]
    shown = "\n".join(line.removeprefix("  ") for line, _ in entry.lines)
    assert command in shown


def test_a_command_shows_every_invisible_character():
    asked = request(1, input={"command": "echo می\u200cخواهم > 👩\u200d💻.txt"}, title="bash echo می\u200cخواهم")
    entry = waiting(SessionState(permissions=PermissionsState(pending=(asked,))))[0]
    shown = "\n".join(line for line, _ in entry.lines)
    assert not set("\u200c\u200d") & set(shown)
    assert shown.count("\\u200c") == 2
    assert "\\u200d" in shown


CHANGE = "--- real.sql\n+++ real.sql\n@@ -1,2 +1,1 @@\n--- a comment of SQL\n+x\n"


def test_a_diff_names_its_file_only_where_that_is_another_than_the_call_says():
    def shown(path: str) -> list[tuple[str, str]]:
        asked = request(1, tool="edit", title=f"edit {path}", why="why", preview=CHANGE, input={"path": path})
        entry = waiting(SessionState(permissions=PermissionsState(pending=(asked,))))[0]
        return list(entry.lines[2:])

    change = [("@@ -1,2 +1,1 @@", "muted"), ("--- a comment of SQL", "removed"), ("+x", "added")]
    assert shown("./real.sql") == change
    assert shown("link.sql") == [("the file is real.sql", "warning"), *change]


class Bench(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.answers: list[object] = []
        self.clock = 0.0

    def compose(self) -> ComposeResult:
        yield PermissionQueue(id="queue", clock=lambda: self.clock)

    def on_permission_queue_decided(self, event: PermissionQueue.Decided) -> None:
        self.answers.append((event.request, event.verdict))

    def on_permission_queue_resolved(self, event: PermissionQueue.Resolved) -> None:
        self.answers.append((event.step, event.resolution))

    def on_permission_queue_answered(self, event: PermissionQueue.Answered) -> None:
        self.answers.append((event.question, event.text))


async def test_each_kind_is_answered_by_its_own_keys_and_only_after_the_guard():
    app = Bench()
    async with app.run_test() as pilot:
        queue = app.query_one(PermissionQueue)
        queue.show(waiting(state()))
        queue.focus()
        await pilot.pause()
        for keys, answer in (
            ("hrky", ("request1", "allow")),
            ("1hn", ("request2", "deny")),
            ("ynsr", ("step9", "run_again")),
            ("2", ("q1", "blue")),
        ):
            before = list(app.answers)
            await pilot.press(*("12" if keys == "2" else "ynshrk12"))
            assert app.answers == before, "the next entry must not be answered by keys meant for the last"
            app.clock += 0.6
            await pilot.press(*keys)
            assert app.answers == [*before, answer]


async def test_a_new_request_stops_the_keys_for_a_moment():
    app = Bench()
    async with app.run_test() as pilot:
        queue = app.query_one(PermissionQueue)
        one = Waiting("permission", "a", "a", "main", (("a", ""),))
        queue.show((one,))
        queue.focus()
        app.clock = 10.0
        queue.show((one, replace(one, id="b")))
        await pilot.press("y")
        assert app.answers == []
        app.clock = 10.6
        await pilot.press("y")
        assert app.answers == [("a", "allow")]


async def test_without_focus_no_key_counts():
    app = Bench()
    async with app.run_test() as pilot:
        queue = app.query_one(PermissionQueue)
        queue.show(waiting(state()))
        app.set_focus(None)
        app.clock = 100.0
        await pilot.press("y", "n")
        queue.action_allow()
        assert app.answers == []


async def test_whoever_types_at_a_question_answers_it_and_every_letter_counts():
    app = Bench()
    async with app.run_test() as pilot:
        queue = app.query_one(PermissionQueue)
        queue.show(waiting(state())[3:])
        queue.focus()
        await pilot.pause()
        assert "just type" in queue.query_one("#waiting-keys", Line).content.plain
        for key in "just dyns 1":
            # As in a burst: all have come to the queue before it acts on the first.
            event = Key({" ": "space"}.get(key, key), key)
            event._set_forwarded()
            queue.post_message(event)
        await pilot.pause()
        field = queue.query_one("#waiting-input", Input)
        assert field.value == "just dyns 1"
        assert queue.query_one("#waiting-keys", Line).content.plain == "Enter send  Esc back"
        await pilot.press("enter")
        assert app.answers == [], "an Enter in the first half second may have been meant for something else"
        app.clock = 0.6
        await pilot.press("!", "enter")
        assert app.answers == [("q1", "just dyns 1!")]


async def test_letters_at_a_permission_request_open_no_line():
    app = Bench()
    async with app.run_test() as pilot:
        queue = app.query_one(PermissionQueue)
        queue.show(waiting(state())[:1])
        queue.focus()
        await pilot.pause()
        app.clock = 10.0
        await pilot.press("x", "b", "enter", "2")
        assert app.answers == []
        assert queue.has_focus


async def test_a_key_and_what_it_does_stand_in_one_row():
    app = Bench()
    async with app.run_test(size=(44, 20)) as pilot:
        queue = app.query_one(PermissionQueue)
        queue.show(waiting(state())[:1])
        queue.focus()
        await pilot.pause()
        keys = queue.query_one("#waiting-keys", Line)
        for columns in (44, 30, 80):
            await pilot.resize_terminal(columns, 20)
            await pilot.pause()
            await pilot.pause()
            rows = keys.content.plain.split("\n")
            assert any("N no, tell it why" in row for row in rows), columns
            assert all(len(row) <= keys.size.width for row in rows)
            assert keys.size.width == columns


async def test_control_characters_are_seen():
    app = Bench()
    async with app.run_test(size=(60, 30)) as pilot:
        queue = app.query_one(PermissionQueue)
        queue.show(waiting(state())[2:3])
        await pilot.pause()
        screen = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
        assert "\\x1b[2J" in screen
        assert "\x1b" not in screen
