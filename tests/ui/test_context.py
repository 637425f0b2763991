"""The context screen and the receipts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.widgets import OptionList

from tests.ui.support import driven
from tui_agent.ui.context import ReceiptScreen
from tui_agent.ui.dialogs import TextDialog


def shown(dialog: TextDialog) -> str:
    return "\n".join(text for text, _ in dialog._lines)


async def test_the_window_by_source(isolated: Path) -> None:
    (isolated / "a[1].txt").write_text("hello\n")
    async with driven(isolated) as app:
        await app.ask("read a[1].txt")
        await app.idle()
        (isolated / "a[1].txt").write_text("changed\n")
        await app.pilot.press("f8")
        await app.until(lambda: isinstance(app.app.screen, TextDialog), "the context screen")
        text = shown(app.app.screen)  # type: ignore[arg-type]
        assert "agent prompt" in text
        assert "read a[1].txt" in text
        assert "CHANGED on disk" in text


async def test_a_receipt_puts_things_back(isolated: Path) -> None:
    (isolated / "a.txt").write_text("needle\n")
    async with driven(isolated) as app:
        await app.ask("read a.txt")
        await app.idle()
        await app.ask("/compact --keep 9")
        await app.until(lambda: app.app.workbench.prompt.text == "/compact --keep 9", "the command comes back")
        app.app.workbench.prompt.clear_draft()
        await app.ask("/compact")
        handle = app.app.handle
        assert handle is not None
        compacted: list[Any] = []
        handle.subscribe(lambda update: compacted.extend(e for e in update.events if e.type == "context.compacted"))
        await app.until(lambda: handle.state.conversation.history_start, "compacted")
        await app.ask("/receipt")
        await app.until(lambda: isinstance(app.app.screen, ReceiptScreen), "the receipt")
        listing = app.app.screen.query_one(OptionList)
        await app.until(lambda: listing.highlighted is not None or _highlight(listing), "a line")
        before = handle.item_count
        await app.pilot.press("enter")
        await app.until(lambda: handle.item_count > before, "put back")
        items = await handle.items(before, before + 1)
        assert "Put back for the model" in items[before].message  # type: ignore[union-attr]

        def marked() -> int:
            return sum(
                "✓ put back: " in str(option.prompt) for option in app.app.screen.query_one(OptionList).options
            )

        await app.until(lambda: marked() == 1, "the line is marked")
        await app.pilot.press("escape")
        await app.ask("/receipt")
        await app.until(lambda: isinstance(app.app.screen, ReceiptScreen) and marked() == 1, "it stays marked")


def _highlight(listing: OptionList) -> Callable[[], None] | None:
    listing.action_first()
    return None
