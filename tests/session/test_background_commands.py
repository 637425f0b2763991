"""Commands in the background: listed, told of when they end, kept over a restart, ended on request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_run import run
from tests.session.support import opened, options
from tui_agent.session import SessionError
from tui_agent.submissions import Compact, EndBackground


def script(tmp_path: Path, command: str, *later: str) -> Path:
    calls = [f"input = {{ command = {command!r}, background = true }}"]
    text = "".join(
        f'[[turn]]\ntext = "Go."\n[[turn.call]]\ntool = "bash"\n{call}\n[[turn]]\ntext = "done"\n' for call in calls
    )
    path = tmp_path / "scenario.toml"
    path.write_text(f'title = "background"\n{text}' + "".join(later))
    return path


async def test_a_background_command_is_listed_and_its_end_is_told(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir(exist_ok=True)
    given = options(
        tmp_path, scenario=script(tmp_path, "while [ ! -e go ]; do sleep 0.02; done; exit 3"), mode="bypass"
    )
    async with opened(given) as session:
        await session.prompt("go")
        (command,) = session.handle.background
        assert "while" in command.title
        assert command.until - command.started == 3600
        (tmp_path / "workspace" / "go").touch()
        ended = await session.event("background.ended")
        assert (ended.step, ended.summary, ended.exit_code) == (command.step, "exit code 3", 3)
        assert session.handle.background == []
        notice = await session.event("notice")
        assert "exit code 3" in notice.message
        assert "exit code 3" in session.handle.state.workflow.ended[0]


async def test_it_goes_on_over_a_restart_and_can_be_ended(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir(exist_ok=True)
    given = options(tmp_path, scenario=script(tmp_path, "sleep 300.0801"), mode="bypass")
    async with opened(given) as session:
        await session.prompt("go")
        name = session.handle.session
    async with opened(options(tmp_path), name) as session:
        (command,) = session.handle.background
        with pytest.raises(SessionError, match=command.step):
            await session.handle.do(EndBackground(step="step_none"))
        await session.handle.do(EndBackground(step=command.step))
        assert session.handle.background == []
        assert session.of("background.ended")[0].summary == "was ended on request"


async def test_the_model_is_told_what_runs_and_what_ended(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir(exist_ok=True)
    later = '[[turn]]\ntext = "again"\n' * 2
    given = options(tmp_path, scenario=script(tmp_path, "sleep 300.0802", later), mode="bypass")
    async with opened(given) as session:
        await session.prompt("go")
        await session.prompt("and now?")
        told = [event.facts.get("background", "") for event in session.of("context.noted")]
        assert any("sleep 300.0802" in text and "until" in text for text in told)
        await session.handle.do(EndBackground())
        await session.prompt("and then?")
        last = session.of("context.noted")[-1].facts["background"]
        assert "nothing" in last
        assert "was ended on request" in last


def test_a_headless_run_ends_them_and_says_so(tmp_path: Path, isolated: Path) -> None:
    done = run("--scenario", str(script(tmp_path, "sleep 300.0803")), "--mode", "bypass", "-p", "go")
    assert done.exit_code == 0, done.stderr
    assert "ended with this run: bash sleep 300.0803" in done.stderr
    listed = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(b"300.0803" in line for line in listed)


async def test_the_model_still_knows_the_command_after_a_compaction(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir(exist_ok=True)
    given = options(
        tmp_path, scenario=script(tmp_path, "sleep 300.0804", '[[turn]]\ntext = "again"\n' * 3), mode="bypass"
    )
    async with opened(given) as session:
        await session.prompt("go")
        (command,) = session.handle.background
        await session.handle.do(Compact())
        (compacted,) = session.of("context.compacted")
        after = session.events.index(compacted)
        await session.prompt("and now")
        facts = [e.facts.get("background", "") for e in session.events[after:] if e.type == "context.noted"]
        kept = json.dumps(compacted.messages)
        assert command.step in kept or any(command.step in fact for fact in facts), (kept, facts)
        assert [known.step for known in session.handle.background] == [command.step]
        await session.handle.do(EndBackground())
