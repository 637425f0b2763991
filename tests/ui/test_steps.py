"""What a step shows of itself after it was asked about: its output, and no change that was not made."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.style import Style

from tests.ui.panes import DIFF, Session, finished, planned, started
from tests.ui.support import Driven, driven
from tui_agent.events import (
    EventBase,
    PermissionDecided,
    PermissionRequested,
    QuestionAsked,
    StepFinished,
    StepOutput,
)
from tui_agent.session import StepItem
from tui_agent.ui.render.items import Drawing, item_text, unfolded_by_itself
from tui_agent.ui.render.palette import make_palette

PALETTE = make_palette(Style(color="white", bgcolor="black"), {"success": "#00ff00", "error": "#ff0000"})
COMMAND = "Runs in the sandbox.\n\npython3 -m unittest"


def asked(preview: str, tool: str = "bash") -> PermissionRequested:
    return PermissionRequested(
        step="s", request="q", tool=tool, tier="built-in", effect="supervised", input={}, call_hash="x",
        title=f"{tool} x", why="mode is ask", preview=preview,
    )  # fmt: skip


def decided(verdict: str, tool: str = "bash") -> PermissionDecided:
    return PermissionDecided(step="s", request="q", tool=tool, call_hash="x", verdict=verdict, by="person")


def folded(*events: EventBase) -> StepItem:
    session = Session()
    session.add(*events)
    item = session.all_items[0]
    assert isinstance(item, StepItem)
    return item


def lines(item: StepItem, unfolded: bool | None = None) -> list[str]:
    drawing = Drawing(PALETTE, 80)
    drawing.update(item, unfolded_by_itself(item) if unfolded is None else unfolded)
    return ["".join(segment.text for segment in line.segments) for line in drawing.lines]


def command(output: str) -> StepItem:
    plan = planned("s", "bash", "bash python3 -m unittest")
    return folded(plan, asked(COMMAND), decided("allow"), started("s", "bash"), finished("s", "bash", view=output))


def test_the_output_of_an_approved_command_is_shown() -> None:
    shown = lines(command("Ran 3 tests\nOK\n"))
    assert "  │ Ran 3 tests" in shown
    assert "  │ OK" in shown
    assert not any("Runs in" in row for row in shown)


def test_of_a_long_output_the_last_rows_show_and_unfolding_shows_all() -> None:
    item = command("".join(f"row {n}\n" for n in range(300)))
    shown = lines(item)
    assert [row for row in shown if "row" in row] == [f"  │ row {n}" for n in range(295, 300)]
    assert "  │ row 0" in lines(item, unfolded=True)


def test_of_a_failed_command_the_last_rows_show_whether_it_was_asked_about_or_not() -> None:
    end = StepFinished(
        step="s", tool="bash", outcome="error", result=[], summary="exit code 1", view="a\nb\nFAILED\n"
    )
    item = folded(planned("s", "bash", "bash make"), started("s", "bash"), end)
    assert lines(item)[-1] == "  │ FAILED"


def test_copying_and_searching_reach_the_output_of_an_approved_command() -> None:
    text = item_text(command("Ran 3 tests\nOK\n"))
    assert text == "bash python3 -m unittest\npath: src/login.py\nRan 3 tests\nOK".replace("path: ", "")


@pytest.mark.parametrize("outcome", ["denied", "cancelled"])
def test_a_change_that_was_not_made_is_not_shown_as_made(outcome: str) -> None:
    events = [planned("s", "edit", "edit a.py"), asked(DIFF, "edit")]
    if outcome == "denied":
        events.append(decided("deny", "edit"))
    else:
        events.append(StepFinished(step="s", tool="edit", outcome="cancelled", result=[]))
    item = folded(*events)
    [head] = lines(item)
    assert "+2" not in head
    drawing = Drawing(PALETTE, 80)
    drawing.update(item, True)
    assert "  not made:" in lines(item, unfolded=True)
    colours = {s.style.color.name for line in drawing.lines[1:] for s in line.segments if s.style and s.style.color}
    assert "#00ff00" not in colours


def test_a_waiting_and_a_made_change_show_their_lines() -> None:
    events = [planned("s", "edit", "edit a.py"), asked(DIFF, "edit")]
    assert any("+    log(user)" in row for row in lines(folded(*events)))
    made = finished("s", "edit", diff=DIFF)
    shown = lines(folded(*events, decided("allow", "edit"), started("s", "edit"), made))
    assert any("+    log(user)" in row for row in shown)
    assert "+2 −1" in shown[0]


def test_a_question_waits_only_while_it_can_be_answered() -> None:
    question = QuestionAsked(step="s", question="q", text="Which?")
    events = [planned("s", "ask", "ask"), started("s", "ask"), question]
    assert lines(folded(*events)) == [
        "▾ ▲ ask  waits for your answer",
        "  │ ? Which?",
        "  │ → (waits for your answer)",
    ]
    end = StepFinished(step="s", tool="ask", outcome="cancelled", result=[])
    assert lines(folded(*events, end))[-1] == "  │ → (not answered)"


def painted(me: Driven) -> str:
    return "\n".join(strip.text for strip in me.app.screen._compositor.render_strips())


async def test_an_approved_command_leaves_its_output_on_the_screen(isolated: Path) -> None:
    async with driven(isolated) as me:
        await me.request("run python3 -c 'print(6*7)'")
        await me.pilot.press("f4")
        await me.armed()
        await me.pilot.press("y")
        await me.idle()
        await me.until(lambda: "│ 42" in painted(me), "the output is on the screen")


@pytest.mark.parametrize("unfolded", [False, True])
def test_a_running_command_shows_the_last_frame_of_a_redrawn_line(unfolded: bool) -> None:
    frames = "".join(f"\r\x1b[K[{'#' * (n // 10)}] {n}%" for n in range(1, 61))
    # the pieces break in the midst of escape sequences
    pieces = [StepOutput(step="s", text=frames[at : at + 7]) for at in range(0, len(frames), 7)]
    colours = [StepOutput(step="s", text=text) for text in ("\x1b[32mPA", "SS\x1b[", "0m test_1\n")]
    item = folded(planned("s", "bash", "bash make"), started("s", "bash"), *colours, *pieces)
    shown = lines(item, unfolded)
    assert [row for row in shown if "│" in row] == ["  │ PASS test_1", "  │ [######] 60%"]


def test_of_a_bar_longer_than_what_is_kept_the_last_frame_shows() -> None:
    frames = "".join(f"\r\x1b[K\x1b[32m{n} of 9000\x1b[0m" for n in range(1, 9001))
    item = folded(planned("s", "bash", "bash make"), started("s", "bash"), StepOutput(step="s", text=frames))
    assert lines(item, False)[-1] == "  │ 9000 of 9000"
