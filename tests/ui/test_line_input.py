"""The fields to write in: characters and pastes of any kind."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.events import Key, Paste

from tui_agent.ui.line_input import Editor, LineInput

ODD = "東京\u3000大阪 می\u200cخواهم 👩\u200d💻\ufe0f a\xa0b\u2003c\u00ad\ue0b0\U0001f3f4\U000e0067\u202e"


class Bench(App[None]):
    def compose(self) -> ComposeResult:
        yield LineInput("ab", id="line")
        yield Editor(id="editor")


async def test_a_paste_arrives_whole_and_inert() -> None:
    app = Bench()
    async with app.run_test() as pilot:
        line = app.query_one(LineInput)
        line.cursor_position = 1
        line.post_message(Paste("one \x1b[2J\u202e\r\ntwo\n"))
        await pilot.pause()
        assert line.value == r"aone \x1b[2J\u202e\ntwob"
        shown = "".join(line.render_line(y).text for y in range(line.size.height))
        assert not set(shown) & {"\x1b", "\u202e"}


async def test_every_character_but_controls_can_be_typed() -> None:
    app = Bench()
    async with app.run_test() as pilot:
        line, editor = app.query_one(LineInput), app.query_one(Editor)
        line.value = ""
        for field in (line, editor):
            field.focus()
            for character in ODD + "\x07\x1b":
                app.post_message(Key("some_key", character))
            await pilot.pause()
        assert line.value == editor.text == ODD
        for field in (line, editor):
            shown = "".join(field.render_line(y).text for y in range(field.size.height))
            assert not set(shown) & {"\u202e", "\u00ad", "\U000e0067"}
