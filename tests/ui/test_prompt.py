"""The prompt by itself: drafts of any kind, pastes, keys."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.events import Paste

from tui_agent.ui.prompt import FOLD_BYTES, MAX_LINES, Prompt


class Bench(App[None]):
    CSS = "#prompt { height: auto; max-height: 12; }"

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def compose(self) -> ComposeResult:
        yield Prompt(id="prompt")

    def on_prompt_sent(self, event: Prompt.Sent) -> None:
        self.sent.append(event.text)


anything = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(-5, 9), max_size=3)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "text": anything,
            "cursor": anything,
            "anchor": anything,
            "pastes": st.dictionaries(st.text(max_size=2), anything),
        },
    )
)
async def test_any_stored_draft_can_be_restored(draft):
    app = Bench()
    async with app.run_test() as pilot:
        prompt = app.query_one(Prompt)
        prompt.restore_draft(draft)
        await pilot.press("x", "up", "down", "backspace")


@settings(max_examples=15, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=30), st.integers(1, 3))
async def test_draft_with_pastes_round_trips(text, pastes):
    app, other = Bench(), Bench()
    async with app.run_test() as pilot:
        prompt = app.query_one(Prompt)
        prompt.insert(text)
        for number in range(pastes):
            prompt.post_message(Paste(f"{number}" * (FOLD_BYTES + 1)))
            await pilot.pause()
        draft, full = prompt.draft(), prompt.full_text()
        assert full == text + "".join(f"{n}" * (FOLD_BYTES + 1) for n in range(pastes))
    async with other.run_test():
        prompt = other.query_one(Prompt)
        prompt.restore_draft(draft)
        assert prompt.full_text() == full
        assert prompt.draft() == draft


async def test_two_drafts_with_pastes_do_not_mix():
    app = Bench()
    async with app.run_test() as pilot:
        prompt = app.query_one(Prompt)
        prompt.post_message(Paste("new" * 1000))
        await pilot.pause()
        prompt.restore_draft({"text": "[pasted #1: 3,000 characters]", "pastes": {"1": "old" * 1000}})
        assert prompt.full_text() == "old" * 1000 + "\n" + "new" * 1000


async def test_enter_sends_ctrl_j_does_not():
    app = Bench()
    async with app.run_test() as pilot:
        await pilot.press("a", "ctrl+j", "b", "enter", "enter")
        assert app.sent == ["a\nb"]
        assert app.query_one(Prompt).text == ""


async def test_a_folded_paste_is_sent_whole():
    app = Bench()
    async with app.run_test() as pilot:
        text = "\r\n".join(["line"] * 30)
        app.query_one(Prompt).post_message(Paste(text))
        await pilot.press("enter")
        assert app.sent == [text.replace("\r\n", "\n")]


async def test_it_grows_to_its_limit():
    app = Bench()
    async with app.run_test(size=(60, 40)) as pilot:
        prompt = app.query_one(Prompt)
        prompt.insert("\n".join("abcdefghijklmnopqrstuvwxyz"))
        await pilot.pause()
        assert prompt.region.height == MAX_LINES + 2


async def test_what_a_prompt_holds_never_acts_on_the_terminal():
    text = "a \x1b]0;title\x07\x1b[2J\u202eb\u200b [red]c\x9b31m\x00\x7f"
    app = Bench()
    async with app.run_test() as pilot:
        prompt = app.query_one(Prompt)
        prompt.post_message(Paste(text))
        await pilot.pause()
        shown = "".join(prompt.render_line(y).text for y in range(prompt.size.height))
        assert not set(shown) & set("\x1b\x07\u202e\u200b\x9b\x00\x7f"), ascii(shown)
        assert "a ␛]0;title␇␛[2J�b" in shown
        await pilot.press("enter")
        await pilot.pause()
        assert app.sent == [text]
