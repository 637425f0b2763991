"""Themes: ours are sound, bad files are named and never keep the app from starting."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ui.support import driven
from tui_agent.ui.themes import ThemeError, load_themes, packaged_themes, read_theme


def test_packaged_themes_are_sound():
    loaded = load_themes([packaged_themes()])
    assert not loaded.problems
    assert {theme.dark for theme in loaded.themes.values()} == {True, False}


def contrast(one, other):
    """The contrast ratio of WCAG 2.2."""

    def luminance(color):
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color.normalized]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", sorted(load_themes([packaged_themes()]).themes))
def test_text_can_be_read(name):
    from textual.color import Color

    theme = load_themes([packaged_themes()]).themes[name]
    background = Color.parse(theme.background)
    for role in ("foreground", "primary", "warning", "error", "success", "secondary"):
        assert contrast(Color.parse(getattr(theme, role)), background) >= 4.5, role


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('name = "x"\n[colors]\nprimary = "#zz"\n', 3, "no colour"),
        ('name = "x"\n[colors]\nprimary = 3\n', 3, "must be a string"),
        ('name = "X Y"\n[colors]\nprimary = "red"\n', 1, "lower-case"),
        ('name = "x"\n\ncolours = 1\n', 3, "unknown key"),
        ('name = "x"\n[colors]\nprimary = "red"\nprimry = "red"\n', 4, "unknown colour"),
        ('name = "x"\n[colors]\nprimary = "red"\n[variables]\na = "1; } Screen {"\n', 5, "style sheet"),
        ('name = "x"\n[colors]\n', 2, "missing"),
        ('name = "x\n', 1, "line 1"),
    ],
)
def test_bad_files_are_named_with_their_line(tmp_path, text, line, said):
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(ThemeError) as error:
        read_theme(file)
    assert str(file) in str(error.value)
    assert said in str(error.value)
    assert f":{line}:" in str(error.value) or f"line {line}" in str(error.value)


@given(st.binary(max_size=200))
def test_any_file_is_read_or_named(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("themes")
    (folder / "t.toml").write_bytes(data)
    loaded = load_themes([folder])
    assert len(loaded.themes) + len(loaded.problems) == 1


async def test_a_bad_theme_is_said_and_the_default_used(isolated, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "bad.toml").write_text("name = [")
    async with driven(isolated, theme="no-such", theme_folders=(folder,)) as me:
        said = " ".join(note.message for note in me.app._notifications)
        assert "bad.toml" in said
        assert "no-such" in said
        assert me.app.theme == "tui-agent-dark"


@pytest.mark.parametrize("theme", ["ansi-dark", "ansi-light", "textual-light", "tui-agent-light"])
async def test_every_kind_of_theme_works(isolated, theme):
    async with driven(isolated, theme=theme) as me:
        await me.ask("say 60")
        await me.idle()
        assert me.app.theme == theme


async def test_without_colour_nothing_is_lost(isolated, monkeypatch):
    monkeypatch.setitem(os.environ, "NO_COLOR", "1")
    (isolated / "a.txt").write_text("x")
    async with driven(isolated) as me:
        await me.request("edit a.txt: x => y")
        assert "▲ 1 waiting" in me.app.query_one("#header").content.plain
        assert any(line.startswith("+y") for line, _ in me.queue.current.lines)
