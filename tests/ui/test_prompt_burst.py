"""Keys that come in one burst, as fast typing over a slow line gives them, keep their order."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.events import Key

from tui_agent.ui.key_order import OrderedKeysApp
from tui_agent.ui.prompt import Prompt


class PromptApp(OrderedKeysApp[None]):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def compose(self) -> ComposeResult:
        yield Prompt(id="prompt")

    def on_prompt_sent(self, message: Prompt.Sent) -> None:
        self.sent.append(message.text)


async def test_a_line_typed_and_sent_in_one_burst_is_sent_whole() -> None:
    app = PromptApp()
    async with app.run_test() as pilot:
        app.query_one(Prompt).focus()
        await pilot.pause()
        for key in ("a", "ctrl+j", "b", "enter", "c"):
            app.post_message(Key(key, key if len(key) == 1 else None))
        await pilot.pause()
        assert app.sent == ["a\nb"]
        assert app.query_one(Prompt).text == "c"


async def test_mistakes_mended_in_a_burst_are_mended_where_they_were() -> None:
    app = PromptApp()
    async with app.run_test() as pilot:
        app.query_one(Prompt).focus()
        await pilot.pause()
        for key in ("x", "ctrl+u", "a", "b", "backspace", "c", "left", "d", "home", "e"):
            app.post_message(Key(key, key if len(key) == 1 else None))
        await pilot.pause()
        assert app.query_one(Prompt).text == "eadc"
