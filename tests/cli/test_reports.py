"""What a headless run prints of the events it sees, and the exit code it makes of them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_agent.events import (
    EventBase,
    Notice,
    PermissionDecided,
    PromptAccepted,
    RunFinished,
    RunStarted,
    StepFinished,
    StepPlanned,
    TurnDelta,
    TurnFailed,
    TurnFinished,
    Usage,
)
from tui_agent.headless.progress import ExitCode, Progress
from tui_agent.headless.reports import JsonReport, StreamReport, TextReport, notice_of


class Terminal(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


def started(run: str = "run_1", agent: str = "main") -> RunStarted:
    return RunStarted(run=run, agent=agent, prompt="do it")


def answered(text: str, agent: str = "main") -> TurnFinished:
    content = [{"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "text", "text": text}]
    return TurnFinished(
        run="run_1", agent=agent, turn="t", model="m", content=content, stop_reason="end_turn", usage=Usage()
    )


def delta(text: str, agent: str = "main") -> TurnDelta:
    return TurnDelta(turn="t", agent=agent, block=0, kind="text", text=text)


def ended(outcome: str = "completed", run: str = "run_1", agent: str = "main") -> RunFinished:
    return RunFinished.model_validate({"run": run, "agent": agent, "outcome": outcome, "reason": "why"})


def denied(by: str = "unattended") -> list[EventBase]:
    planned = StepPlanned(
        step="s", turn="t", call_id="c", tool="bash", input={}, effect="supervised", title="bash rm"
    )
    values = {"step": "s", "tool": "bash", "call_hash": "", "verdict": "deny", "by": by}
    return [planned, PermissionDecided.model_validate(values)]


def followed(events: Sequence[EventBase], prompt_id: str = "run_1") -> Progress:
    progress = Progress()
    for event in events:
        progress.see(event)
    progress.submitted(prompt_id)
    return progress


@pytest.mark.parametrize(
    ("events", "stopped_by", "code"),
    [
        ([started(), ended()], None, ExitCode.OK),
        ([started(), ended("failed")], None, ExitCode.FAILED),
        ([started(), ended("interrupted")], None, ExitCode.FAILED),
        ([started(), ended("stopped")], None, ExitCode.LIMIT),
        ([started(), *denied(), ended()], None, ExitCode.NEEDS_USER),
        ([started(), *denied("person"), ended()], None, ExitCode.OK),
        ([started()], None, ExitCode.NEEDS_USER),
        ([started(), Notice(level="error", code="journal", message="full")], None, ExitCode.FAILED),
        ([started(), ended("interrupted")], 2, 130),
        ([started(), ended("interrupted")], 15, 143),
        ([started(), ended(agent="agent_2"), ended(run="run_0")], None, ExitCode.NEEDS_USER),
    ],
)
def test_exit_codes(events: list[EventBase], stopped_by: int | None, code: int) -> None:
    assert followed(events).exit_code(stopped_by) == code


def test_a_prompt_that_was_queued_ends_with_the_run_that_took_it_up() -> None:
    progress = followed([started(), PromptAccepted(run="run_1", prompt_id="prompt_9")], "prompt_9")
    assert not progress.finished
    progress.see(ended())
    assert progress.finished


def test_events_may_come_before_or_after_the_id() -> None:
    progress = Progress()
    progress.submitted("run_1")
    progress.see(started())
    progress.see(ended())
    assert progress.finished


def printed(out: io.StringIO, events: Sequence[EventBase]) -> str:
    report = TextReport(out)
    for event in events:
        report.event(event)
    return out.getvalue()


def test_a_file_gets_each_answer_once_and_as_it_is() -> None:
    failed = TurnFailed(turn="t", kind="overloaded", message="busy", retry_seconds=1.0)
    events = [delta("one \x1b[2J"), failed, delta("one"), answered("one \x1b[2J"), answered("two", "agent_2")]
    assert printed(io.StringIO(), [*events, answered(""), answered("three")]) == "one \x1b[2J\n\nthree\n"


def test_a_terminal_gets_answers_as_they_stream_and_inert() -> None:
    failed = TurnFailed(turn="t", kind="overloaded", message="busy", retry_seconds=1.0)
    events = [delta("on"), delta("e"), failed, delta("one \x1b[2J"), answered("one \x1b[2J"), answered("two")]
    assert printed(Terminal(), events) == "one […]\n\none \\x1b[2J\n\ntwo\n"


@given(st.lists(st.text(), max_size=5))
def test_no_text_reaches_a_terminal_unmade(texts: list[str]) -> None:
    events: list[EventBase] = [event for text in texts for event in (delta(text), answered(text))]
    streamed = Terminal()
    for report in (TextReport(streamed), StreamReport(streamed)):
        for event in events:
            report.event(event)
    assert not set(streamed.getvalue()) & set(map(chr, [*range(10), *range(11, 32), *range(127, 160)])) - {"\t"}
    assert not set(streamed.getvalue()) & set("\u202e\u2066\u200b\ufeff")


@given(st.text())
def test_stream_json_is_the_events_own_json_one_a_line(text: str) -> None:
    out = io.StringIO(newline="\n")
    report = StreamReport(out)
    report.event(answered(text))
    report.event(delta(text))
    first, second, rest = out.getvalue().split("\n")
    assert (json.loads(first), json.loads(second)) == (
        json.loads(answered(text).model_dump_json()),
        json.loads(delta(text).model_dump_json()),
    )
    assert rest == ""


def test_json_is_one_object() -> None:
    out = io.StringIO()
    progress = followed([started(), *denied(), answered("done"), ended()])
    JsonReport(out).end("session_1", progress, 4)
    result = json.loads(out.getvalue())
    assert result["session"] == "session_1"
    assert (result["outcome"], result["answer"], result["denied"]) == ("completed", "done", ["bash rm"])
    assert result["exit_code"] == 4


def test_notices_name_the_step() -> None:
    finished = StepFinished(step="s", tool="bash", outcome="error", result=[], summary="exit 1")
    assert notice_of(finished, {"s": "bash make"}) == "✗ bash make (error): exit 1"
    assert notice_of(delta("x"), {}) == ""


def test_sessions_are_listed_one_a_line_all_or_those_of_this_folder(tmp_path: Path, isolated: Path) -> None:
    from click.testing import CliRunner

    from tui_agent.cli import cli
    from tui_agent.runtime import Runtime

    other = tmp_path / "other"
    other.mkdir()
    for folder in (isolated, other):
        asked = ["run", "--offline", "--cwd", str(folder), "-p", "say 5"]
        assert CliRunner().invoke(cli, asked, obj=Runtime()).exit_code == 0
    everywhere = CliRunner().invoke(cli, ["sessions"], obj=Runtime()).stdout.splitlines()
    here = CliRunner().invoke(cli, ["sessions", "--here"], obj=Runtime()).stdout.splitlines()
    assert len(everywhere) == 2
    assert any(str(other) in line for line in everywhere)
    assert len(here) == 1
