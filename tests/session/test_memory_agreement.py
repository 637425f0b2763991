"""A project's memory files go to the model once the user has agreed to them, as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.session.support import opened, options
from tui_agent.cli import cli
from tui_agent.runtime import Runtime
from tui_agent.submissions import AgreeToMemory


@pytest.fixture(autouse=True)
def project(isolated: Path) -> Path:
    """A folder with instructions, of its own and in a folder below."""
    (isolated / "AGENTS.md").write_text("project rule\n")
    (isolated / "sub").mkdir()
    (isolated / "sub" / "CLAUDE.md").write_text("nested rule\n")
    (isolated / "sub" / "a.txt").write_text("hello\n")
    return isolated


async def test_nothing_goes_before_the_agreement_and_then_at_once(tmp_path: Path, project: Path) -> None:
    given = options(tmp_path, memory_files="")
    async with opened(given) as session:
        await session.prompt("read sub/a.txt")
        assert "project rule" not in str(session.of("context.loaded")[0].system)
        assert "nested rule" not in str(session.of("step.finished")[0].result)
        (notice,) = [event for event in session.of("notice") if event.code == "memory"]
        assert "AGENTS.md (1 line, 12 bytes)" in notice.message
        (held,) = await session.handle.inspect.held_memory()
        assert "AGENTS.md" in held
        await session.handle.do(AgreeToMemory())
        assert await session.handle.inspect.held_memory() == []
        assert "project rule" in session.of("context.noted")[0].text
        await session.prompt("read sub/a.txt")
        assert "nested rule" in str(session.of("step.finished")[1].result)
    async with opened(given) as session:
        await session.prompt("say 3")
        assert "project rule" in str(session.of("context.loaded")[0].system)


async def test_a_changed_file_is_held_back_again(tmp_path: Path, project: Path) -> None:
    given = options(tmp_path, memory_files="")
    async with opened(given) as session:
        await session.handle.inspect.held_memory()
        await session.handle.do(AgreeToMemory())
        assert session.of("context.noted") == []  # the first request will have it
    (project / "AGENTS.md").write_text("other rule\n")
    async with opened(given) as session:
        assert len(await session.handle.inspect.held_memory()) == 1
        await session.prompt("say 3")
        assert "rule" not in str(session.of("context.loaded")[0].system)


@pytest.mark.parametrize(("choice", "goes"), [("always", True), ("never", False)])
async def test_a_setting_decides_without_a_question(tmp_path: Path, choice: str, goes: bool) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.toml").write_text(f'memory_files = "{choice}"\n')
    async with opened(options(tmp_path, memory_files="", unattended=True)) as session:
        await session.prompt("read sub/a.txt")
        assert ("project rule" in str(session.of("context.loaded")[0].system)) == goes
        assert ("nested rule" in str(session.of("step.finished")[0].result)) == goes
        assert [event for event in session.of("notice") if event.code == "memory"] == []
        assert await session.handle.inspect.held_memory() == []


async def test_a_headless_run_says_that_they_were_not_read_and_what_to_do(tmp_path: Path) -> None:
    async with opened(options(tmp_path, memory_files="", unattended=True)) as session:
        await session.prompt("say 3")
        (notice,) = [event for event in session.of("notice") if event.code == "memory"]
        assert notice.level == "warning"
        assert "--memory-files always" in notice.message


async def test_text_is_added_to_the_system_prompt(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.toml").write_text('append_system_prompt = "Answer in French."\n')
    async with opened(options(tmp_path, system_prompt="Be brief.")) as session:
        await session.prompt("explore say 3")
        heads = [str(event.system) for event in session.of("context.loaded")]
        assert "Added by the user:\\n\\nAnswer in French.\\n\\nBe brief." in heads[0]
        assert "French" not in heads[1]


def test_the_command_trust_agrees_to_them(tmp_path: Path, project: Path) -> None:
    asked = CliRunner().invoke(cli, ["trust"], obj=Runtime(), input="n\n")
    assert "AGENTS.md (1 line, 12 bytes)" in asked.output
    assert asked.exit_code == 1
    agreed = CliRunner().invoke(cli, ["trust", "--yes"], obj=Runtime())
    assert agreed.exit_code == 0, agreed.output
    again = CliRunner().invoke(cli, ["trust", "--yes"], obj=Runtime())
    assert "nothing" in again.output or "no rules" in again.output
