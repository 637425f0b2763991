"""The context screen, what is in the model's window; and receipts of compactions, to read and to put back from."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui_agent.session import describe_window
from tui_agent.submissions import PutBack
from tui_agent.text import inert_line
from tui_agent.ui.dialogs import TextDialog
from tui_agent.ui.line import Line
from tui_agent.ui.text_lines import TextLines

if TYPE_CHECKING:
    from tui_agent.events import ContextCompacted, Receipt, ReceiptLine
    from tui_agent.session import SessionHandle, Window
    from tui_agent.ui.app import TuiAgentApp


async def show_context(app: TuiAgentApp, handle: SessionHandle) -> None:
    """Show the window by source, each part with its size and where it is from."""
    app.push_screen(ContextDialog(await handle.inspect.context()))


class ContextDialog(TextDialog):
    """The window part by part; Enter shows and hides where each part is from."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "details", "details of each part")]

    def __init__(self, window: Window) -> None:
        foot = Content.assemble(
            ("Enter", "bold"),
            " details  ",
            ("Esc", "bold"),
            " back  ",
            ("/compact makes room · /receipt shows what was dropped", "$foreground-muted"),
        )
        super().__init__("Context", describe_window(window), foot)
        self._window_shown = window
        self._details = False

    def action_details(self) -> None:
        """Show or hide the hash, the time and the event of each part."""
        self._details = not self._details
        self.query_one(TextLines).set_lines(describe_window(self._window_shown, details=self._details))


async def show_receipt(app: TuiAgentApp, handle: SessionHandle, compacted: ContextCompacted, title: str) -> None:
    """Show a receipt; what it dropped can be put back from there."""

    async def put_back(line: ReceiptLine) -> None:
        await handle.do(PutBack(seq=line.seq))
        screen.mark_put_back(line)
        app.notify("It goes with your next message.", timeout=3)

    def chosen(line: ReceiptLine) -> None:
        app.start(put_back(line))

    head = f"{compacted.trigger}, summary by the {compacted.author}"
    reason = f"{head}: {compacted.reason}" if compacted.reason else head
    done = await handle.inspect.put_back_since(compacted.seq or 0)
    screen = ReceiptScreen(title, reason, compacted.receipt, chosen, done)
    await app.push_screen(screen)


class ReceiptScreen(ModalScreen[None]):
    """Lists a receipt: doubts and open things, what was kept, what was dropped. Enter puts a dropped line back."""

    AUTO_FOCUS = "#receipt-list"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "back"),
    ]

    def __init__(
        self,
        title: str,
        reason: str,
        receipt: Receipt,
        put_back: Callable[[ReceiptLine], None],
        done: Collection[int] = (),
    ) -> None:
        super().__init__()
        self._done = set(done)
        self._receipt_title = title
        self._reason = reason
        self._receipt = receipt
        self._put_back = put_back

    def compose(self) -> ComposeResult:
        """Lay out the list and the keys."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = self._receipt_title
            yield OptionList(*self._options(), id="receipt-list", markup=False)
            foot = Line(id="dialog-foot")
            foot.content = Content.assemble(("Enter", "bold"), " put a dropped line back  ", ("Esc", "bold"), " back")
            yield foot

    def _options(self) -> list[Option]:
        receipt = self._receipt
        size = f"{receipt.tokens_before:,} → {receipt.tokens_after:,} tokens · {inert_line(self._reason)}"
        options = [Option(Content.styled(size, "bold"), disabled=True)]
        for title, rows in (("Claims without a fact", receipt.doubts), ("Open, or failed", receipt.unresolved)):
            if rows:
                options.append(_heading(title, len(rows)))
                marked = (Content.styled(f"  {inert_line(row)}", "$text-warning") for row in rows)
                options += [Option(content, disabled=True) for content in marked]
        for title, lines in (("Kept word for word", receipt.kept), ("Dropped: only in the journal", receipt.dropped)):
            options.append(_heading(title, len(lines)))
            for number, line in enumerate(lines):
                dropped = lines is receipt.dropped
                options.append(
                    Option(
                        self._row(line),
                        id=f"dropped-{number}" if dropped else None,
                        disabled=not dropped or line.seq in self._done,
                    )
                )
        return options

    def _row(self, line: ReceiptLine) -> Content:
        where = f" · event {line.seq}" if line.seq else ""
        done = bool(line.seq) and line.seq in self._done
        return Content.assemble(
            ("✓ put back: ", "$text-success") if done else "  ",
            f"{inert_line(line.kind)}{where}: ",
            (inert_line(line.text), "$foreground-muted"),
        )

    def mark_put_back(self, line: ReceiptLine) -> None:
        """Mark what has been put back, and let it be put back no more."""
        self._done.add(line.seq)
        if self.is_attached:
            listing = self.query_one(OptionList)
            for number, other in enumerate(self._receipt.dropped):
                if other.seq == line.seq:
                    listing.replace_option_prompt(f"dropped-{number}", self._row(other))
                    listing.disable_option(f"dropped-{number}")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Put the line back."""
        event.stop()
        if event.option.id:
            event.option_list.disable_option(event.option.id)
            self._put_back(self._receipt.dropped[int(event.option.id.removeprefix("dropped-"))])


def _heading(title: str, count: int) -> Option:
    return Option(Content.styled(f"{title} ({count})", "bold"), disabled=True)
