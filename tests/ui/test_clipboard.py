"""Copying: to the terminal and with a program, and a notice that tells the truth."""

from __future__ import annotations

import pytest

from tests.ui.support import driven
from tui_agent.ui import clipboard
from tui_agent.ui.clipboard import clipboard_program, copy_locally


@pytest.fixture
def program(isolated, monkeypatch):
    """Return a function that installs a program of that name with this body."""
    folder = isolated.parent / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def install(name: str, body: str):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return {"PATH": f"{folder}:/usr/bin:/bin", "DISPLAY": ":9"}

    return install


async def test_a_program_gets_the_text_whole(program, isolated):
    environment = program("xclip", f'echo "$@" > {isolated}/arguments; cat > {isolated}/copied')
    text = "über\n[/]\0" * 5_000
    copied = await copy_locally(text, environment)
    assert copied.sure
    assert copied.message == f"Copied ({len(text):,} characters)"
    assert (isolated / "copied").read_bytes() == text.encode()
    assert (isolated / "arguments").read_text() == "-selection clipboard\n"


async def test_one_that_leaves_a_child_behind_is_not_waited_for(program):
    environment = program("xsel", "cat > /dev/null; sleep 30 &")
    assert (await copy_locally("x", environment)).sure


@pytest.mark.parametrize(("body", "why"), [("exit 1", "exit code 1"), ("exec sleep 30", "no answer")])
async def test_a_failure_is_told(program, monkeypatch, body, why):
    monkeypatch.setattr(clipboard, "SECONDS", 0.2)
    copied = await copy_locally("x" * 1_000_000, program("xclip", body))
    assert not copied.sure
    assert f"to the terminal only: xclip failed ({why}" in copied.message


async def test_without_a_program_it_says_that_only_the_terminal_was_asked():
    copied = await copy_locally("x", {"PATH": "/nonexistent", "DISPLAY": ":9"})
    assert not copied.sure
    assert copied.message == "Copied (1 character)"


def test_a_program_without_its_display_is_not_used(program):
    environment = program("xclip", "true")
    program("wl-copy", "true")
    assert clipboard_program(environment)[0].endswith("xclip")
    assert clipboard_program({"PATH": environment["PATH"]}) is None
    assert clipboard_program({**environment, "WAYLAND_DISPLAY": "w"})[0].endswith("wl-copy")


async def test_copying_an_answer_tells_what_became_of_it(program, isolated, monkeypatch):
    program("xclip", f"cat > {isolated}/copied")
    monkeypatch.setenv("DISPLAY", ":9")
    async with driven(isolated) as me:
        await me.ask("say 20")
        await me.idle()
        await me.app.submit("/copy")
        await me.until(lambda: any(n.message.startswith("Copied (") for n in me.app._notifications))
        assert (isolated / "copied").read_text() == me.app.clipboard
        assert me.app.clipboard
