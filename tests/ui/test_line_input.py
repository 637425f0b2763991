"""The one-line input: pastes of any kind."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.events import Paste

from tui_agent.ui.line_input import LineInput


class Bench(App[None]):
    def compose(self) -> ComposeResult:
        yield LineInput("ab", id="line")


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
