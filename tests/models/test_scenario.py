"""Scenario files: what they play, and errors that name file and line."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.models.conftest import assistant, results
from tui_agent.models import OverloadedError
from tui_agent.models.offline import ScenarioError, copy_demo, demo_scenario, load_scenario, parse_scenario
from tui_agent.models.offline.faults import Fault, FaultKind

SCENARIO = '''
title = "two turns"

[[turn]]
text = """
First:
[[turn]]
stop = "this is text"
"""
[[turn.call]]
tool = "read"
input = { path = "a" }

[[turn]]
text = "Second."
expect.result = "needle"
fault = { kind = "overloaded", times = 2 }

[[side]]
match = "for the subagent"
[[side.turn]]
text = "Aside."
'''


async def test_turns_are_played_in_order_with_their_faults(serve, connect) -> None:
    talk = connect(serve(parse_scenario(SCENARIO)).base_url)
    first = await talk.send("go")
    assert first.content[0]["text"].startswith("First:\n[[turn]]")
    rest = (assistant(first), results(first, "a needle"))
    for _ in range(2):
        with pytest.raises(OverloadedError):
            await talk.send("go", *rest)
    second = await talk.send("go", *rest)
    assert second.content[0]["text"] == "Second."
    after = await talk.send("go", *rest, assistant(second), "read b")
    assert after.content[-1]["name"] == "read"
    assert (await talk.send("this is for the subagent")).content[0]["text"] == "Aside."


async def test_a_mismatch_is_said_and_ends_the_scenario(serve, connect) -> None:
    talk = connect(serve(parse_scenario(SCENARIO, "s.toml")).base_url)
    first = await talk.send("go")
    rest = (assistant(first), results(first, "hay"))
    second = await talk.send("go", *rest)
    text = second.content[0]["text"]
    assert "s.toml:14 expects 'needle' in the last tool results" in text
    assert "hay" in text
    assert second.stop_reason == "end_turn"
    after = await talk.send("go", *rest, assistant(second), "hello")
    assert "practice model" in after.content[0]["text"]


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ('prompt = "other"', "in the prompt"),
        ('tools = ["fly"]', "the tool 'fly'"),
        ('system = "You are"', "in the system prompt"),
        ("error = true", "a tool result that is an error"),
    ],
)
async def test_expectations(expect: str, said: str, serve, connect) -> None:
    scenario = parse_scenario(f'[[turn]]\ntext = "x"\nexpect.{expect}\n')
    response = await connect(serve(scenario).base_url).send("go")
    assert said in response.content[0]["text"]


async def test_a_killed_scenario_goes_on_in_another_process(serve, connect) -> None:
    first = await connect(serve(parse_scenario(SCENARIO.replace("fault", "#"))).base_url).send("go")
    second = await connect(serve(parse_scenario(SCENARIO.replace("fault", "#"))).base_url).send(
        "go", assistant(first), results(first, "needle")
    )
    assert second.content[0]["text"] == "Second."


@pytest.mark.parametrize(
    "note",
    [
        "[The connection broke while you were writing. What had arrived is above. Continue from there.]",
        "[The person interrupted you here.]",
    ],
)
async def test_a_turn_that_broke_off_is_played_again(note: str, serve, connect) -> None:
    talk = connect(serve(parse_scenario(SCENARIO)).base_url)
    first = await talk.send("go", {"role": "assistant", "content": "Fir"}, note)
    assert first.content[0]["text"].startswith("First:")
    assert first.stop_reason == "tool_use"


TURN = '[[turn]]\ntext = "x"\n'
WRONG = [
    ("[[turn]\n", 1, "Expected"),
    ('title = "x"\n', 1, "at least one [[turn]]"),
    (TURN + "colour = 1\n", 3, "unknown key 'colour'"),
    (TURN + 'stop = "never"\n', 3, "stop is one of"),
    (TURN + "speed = 0\n", 3, "tokens a second"),
    (TURN + "speed = true\n", 3, "tokens a second"),
    (TURN + "\n[[turn]]\nthinking = 'x'\n", 4, "a text or a call"),
    (TURN + "[[turn.call]]\ninput = {}\n", 3, "tool is missing"),
    (TURN + "[[turn.call]]\ntool = 'read'\ninput = 3\n", 5, "input is a table"),
    (TURN + "[[turn.call]]\ntool = 'read'\ninput = { at = 2020-01-01 }\n", 5, "date"),
    (TURN + "[[turn.call]]\ntool = 'read'\n[[turn.call]]\ntool = 3\n", 6, "tool is a text"),
    (TURN + "fault = 'earthquake'\n", 3, "no fault is called 'earthquake'"),
    (TURN + "fault = { kind = 'cut', after = 3 }\n", 3, "unknown key 'after'"),
    (TURN + "fault = { kind = 'cut', times = 0 }\n", 3, "times is at least 1"),
    (TURN + "fault = { times = 'x', kind = 'cut' }\n", 3, "a number is wanted"),
    (TURN + "fault = {}\n", 3, "kind is missing"),
    (TURN + "expect.colour = 'x'\n", 3, "unknown key 'colour'"),
    (TURN + "expect.error = 'x'\n", 3, "true or false"),
    (TURN + "expect = 3\n", 3, "expect is a table"),
    (TURN + "[turn.expect]\nresult = 3\n", 4, "a text or a list of texts"),
    ("turn = 3\n", 1, "array of tables"),
    (TURN + "[[side]]\n[[side.turn]]\ntext = 'x'\n", 3, "match is missing"),
    (TURN + "[[side]]\nmatch = 'x'\n[[side.turn]]\ntext = 3\n", 6, "text is a text"),
    ('[[turn]]\ntext = """\n[[turn]]\nstop = 3\n"""\n\nstop = 4\n', 7, "stop is a text"),
]


@pytest.mark.parametrize(("text", "line", "said"), WRONG)
def test_errors_name_file_and_line(text: str, line: int, said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, "x.toml")
    assert str(caught.value).startswith(f"x.toml:{line}: ")
    assert said in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"nothing\.toml: No such file"):
        load_scenario(tmp_path / "nothing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff")
    with pytest.raises(ScenarioError, match="no UTF-8"):
        load_scenario(tmp_path / "binary.toml")


def test_every_fault_is_documented() -> None:
    import tui_agent.models.offline.scenario as module

    text = (Path(module.__file__).parent / "SCENARIOS.md").read_text()
    assert all(f"`{kind}`" in text for kind in get_args(FaultKind))
    assert Fault("stall").times == 1


def test_standalone_prints_its_url_or_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[[turn]]\n")
    command = [sys.executable, "-m", "tui_agent.models.offline", "--scenario", str(tmp_path / "bad.toml")]
    wrong = subprocess.run(command, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("bad.toml:1: a turn has a text or a call")
    assert wrong.stderr.count("\n") == 1


async def test_the_demo_repairs_its_project(tmp_path: Path, serve, connect) -> None:
    project = copy_demo(tmp_path / "demo")
    scenario = demo_scenario()
    turns = [replace(turn, answer=replace(turn.answer, speed=None)) for turn in scenario.main.turns]
    scenario = replace(scenario, main=replace(scenario.main, turns=tuple(turns)))
    talk = connect(serve(scenario).base_url)
    messages: list[Any] = [scenario.prompt]
    verdicts = []
    while True:
        response = await talk.send(*messages)
        if len(messages) == 1:
            assert "not from a language model" in response.content[0]["text"]
        if response.stop_reason != "tool_use":
            break
        outputs = []
        for block in response.content:
            if block["type"] == "tool_use":
                outputs.append(await act(project, block["name"], block["input"]))
                if block["name"] == "bash":
                    verdicts.append("FAILED" in outputs[-1])
        messages += [assistant(response), results(response, *outputs)]
    assert verdicts == [True, False]
    assert "All three tests pass" in response.content[0]["text"]


async def act(project: Path, tool: str, inputs: dict[str, Any]) -> str:
    """The demo's tools, as simply as can be."""
    match tool:
        case "bash":
            process = await asyncio.create_subprocess_shell(
                inputs["command"], cwd=project, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
            )
            return (await process.communicate())[0].decode()
        case "glob":
            return "\n".join(str(path.relative_to(project)) for path in project.glob(inputs["pattern"]))
        case "read":
            return (project / inputs["path"]).read_text()
        case "edit":
            path = project / inputs["path"]
            text = path.read_text()
            for edit in inputs["edits"]:
                assert text.count(edit["old"]) == 1
                text = text.replace(edit["old"], edit["new"])
            path.write_text(text)
    return "done"


def test_the_demo_does_not_overwrite(tmp_path: Path) -> None:
    copy_demo(tmp_path / "demo")
    with pytest.raises(FileExistsError):
        copy_demo(tmp_path / "demo")
