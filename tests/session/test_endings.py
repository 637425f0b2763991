"""An answer that is not whole is never taken for done: outcomes, words, and what the model is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_run import result, run
from tests.session.support import opened, options
from tui_agent.models.offline import copy_demo, demo_scenario
from tui_agent.models.offline.demo import demo_scenario_file
from tui_agent.submissions import Compact


def scenario(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    return path


def ending(stop: str, detail: str = "") -> str:
    more = f"stop_detail = {json.dumps(detail)}\n" if detail else ""
    return f'[[turn]]\ntext = "As far as it goes"\nstop = "{stop}"\n{more}\n[[turn]]\ntext = "The rest."\n'


@pytest.mark.parametrize(
    ("stop", "outcome", "code", "words"),
    [
        ("end_turn", "completed", 0, ""),
        ("max_tokens", "truncated", 5, "output limit"),
        ("refusal", "refused", 6, "declined"),
        ("model_context_window_exceeded", "window_full", 7, "context window"),
        ("stop_sequence", "completed", 0, "stop sequence"),
    ],
)
def test_each_way_an_answer_ends_has_its_outcome_words_and_exit_code(
    tmp_path: Path, stop: str, outcome: str, code: int, words: str
) -> None:
    script = scenario(tmp_path, ending(stop))
    found = result("--scenario", str(script), "-p", "go")
    assert (found["outcome"], found["exit_code"], found["stop_reason"]) == (outcome, code, stop)
    assert words in found["reason"]
    assert bool(found["hint"]) == (code != 0)
    done = run("--scenario", str(script), "-p", "go")
    assert done.exit_code == code
    assert (words in done.stderr) if words else not done.stderr


def test_a_paused_turn_goes_on_to_its_end(tmp_path: Path) -> None:
    found = result("--scenario", str(scenario(tmp_path, ending("pause_turn"))), "-p", "go")
    assert (found["outcome"], found["answer"], found["turns"]) == ("completed", "The rest.", 2)


async def test_the_next_prompt_goes_on_after_a_refusal(tmp_path: Path) -> None:
    script = scenario(
        tmp_path,
        '[[turn]]\nstop = "refusal"\nstop_detail = "policy"\n[[turn.call]]\ntool = "bash"\n'
        'input = { command = "touch made" }\n[[turn]]\ntext = "Gladly."\n',
    )
    async with opened(options(tmp_path, scenario=script, mode="bypass")) as session:
        await session.prompt("go")
        (end,) = session.of("run.finished")
        assert (end.outcome, end.turns) == ("refused", 1)
        assert "policy" in end.reason
        assert not (tmp_path / "workspace" / "made").exists()
        await session.prompt("then this")
        assert session.of("run.finished")[1].outcome == "completed"


async def test_a_call_cut_at_the_output_limit_is_named_as_such_to_the_model(tmp_path: Path) -> None:
    script = scenario(
        tmp_path,
        '[[turn]]\nstop = "max_tokens"\n[[turn.call]]\ntool = "read"\ninput = { path = "a.txt" }\n'
        '[[turn.call]]\ntool = "write"\nraw = \'{"path": "b.txt", "content": "beg\'\n[[turn]]\ntext = "In parts."\n',
    )
    async with opened(options(tmp_path, scenario=script, mode="bypass")) as session:
        await session.prompt("go")
        said = {done.tool: done for done in session.of("step.finished")}
        assert "output limit" not in str(said["read"].result)  # it was whole, and ran
        text = str(said["write"].result)
        assert "reached its output limit" in text
        assert "JSON" not in text
        assert session.of("run.finished")[0].outcome == "completed"


async def test_answers_that_are_cut_again_and_again_end_the_run(tmp_path: Path) -> None:
    turn = '[[turn]]\nstop = "max_tokens"\n[[turn.call]]\ntool = "write"\nraw = \'{"path": "b.txt", "con\'\n'
    async with opened(options(tmp_path, scenario=scenario(tmp_path, turn * 9), mode="bypass")) as session:
        await session.prompt("go")
        (end,) = session.of("run.finished")
        assert (end.outcome, end.turns) == ("truncated", 3)


def test_a_limit_that_cut_the_answer_is_named(tmp_path: Path) -> None:
    found = result("--max-cost", "0.03", "-p", "say 9000")
    assert (found["outcome"], found["exit_code"]) == ("stopped", 3)
    assert found["stop"]["limit"] == "cost"
    assert "cost limit" in found["reason"]
    assert "was cut" in found["reason"]


async def test_the_demo_ends_with_its_plan_done_and_goes_on_after_a_compaction(tmp_path: Path) -> None:
    project = copy_demo(tmp_path / "basket")
    with demo_scenario_file() as script:
        given = options(tmp_path, scenario=script, mode="bypass", workspace=project)
        async with opened(given) as session:
            await session.prompt(demo_scenario().prompt)
            todo = session.handle.state.workflow.todo
            assert {item.state for item in todo} == {"done"}
            await session.handle.do(Compact())
            await session.prompt("say 5")
            said = json.dumps(session.of("turn.finished")[-1].content)
            assert "scenario stops" not in said
            assert session.of("run.finished")[-1].outcome == "completed"
