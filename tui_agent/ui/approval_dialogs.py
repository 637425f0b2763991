"""The screens in which a request is changed: the call itself, a rule for it, the parts of a change.

None of them allows the call: what comes out of them is decided anew, and asked again if the rules ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, TextArea
from textual.widgets.option_list import Option

from tui_agent.text import inert_line
from tui_agent.ui.line import Line
from tui_agent.ui.line_input import Editor, LineInput
from tui_agent.ui.prompt import GUARD_SECONDS
from tui_agent.ui.text_lines import StyledLine, TextLines

if TYPE_CHECKING:
    from tui_agent.events import JsonObject
    from tui_agent.session import Hunk, RulePreview

PREVIEW_SECONDS = 0.2
"""How long typing must rest before a rule is tried."""
_MOST_LISTED = 200


class EditDialog(ModalScreen["JsonObject | None"]):
    """Lets the user change a call, given as text that is inert; Ctrl+S takes it."""

    DECIDES = True
    AUTO_FOCUS = "#dialog-editor"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "back", priority=True),
        Binding("ctrl+s", "take", "take the changed call", priority=True),
    ]

    def __init__(self, title: str, text: str, language: str, parse: Callable[[str], JsonObject]) -> None:
        super().__init__()
        self._dialog_title = title
        self._text = text
        self._language = language
        self._parse = parse

    def compose(self) -> ComposeResult:
        """Lay out the text and the keys."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = inert_line(f"Edit: {self._dialog_title}")
            yield Editor(self._text, id="dialog-editor", soft_wrap=True)
            foot = Line(id="dialog-foot")
            foot.content = Content.assemble(
                ("Ctrl+S", "bold"), " use this (it is checked again)  ", ("Esc", "bold"), " back"
            )
            yield foot

    def action_take(self) -> None:
        """Take the call as it is now, if it can be read."""
        try:
            self.dismiss(self._parse(self.query_one(TextArea).text))
        except (ValueError, RecursionError) as error:
            foot = self.query_one("#dialog-foot", Line)
            foot.content = Content.styled(inert_line(f"It cannot be read: {error}"), "$text-error")
            foot.refresh(layout=True)


class RuleDialog(ModalScreen["tuple[str, ...] | None"]):
    """Lets the user write rules and shows what they would allow. Enter saves only what has been shown.

    `rules` are offered one at a time, or with `together` all at once, a line for each; an empty line is left out.
    """

    DECIDES = True
    AUTO_FOCUS = "#dialog-input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "back", priority=True),
        Binding("down", "offer(1)", "next rule", show=False),
        Binding("up", "offer(-1)", "previous rule", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
    ]

    def __init__(
        self,
        rules: Sequence[str],
        preview: Callable[[Sequence[str]], Awaitable[RulePreview]],
        *,
        together: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__()
        self._rules = list(rules)
        self._together = together and len(self._rules) > 1
        self._offered = 0
        self._preview = preview
        self._clock = clock
        self._armed_from = clock() + GUARD_SECONDS
        self._shown: tuple[str, ...] = ()
        self._tried: tuple[str, ...] | None = None

    def compose(self) -> ComposeResult:
        """Lay out the rules, what they cover, and the keys."""
        count = len(self._rules)
        moving, saving = "", " save to your permissions.toml  "
        if self._together:
            moving, saving = " another rule  ", f" save the {count} rules to your permissions.toml  "
        elif count > 1:
            moving = f" one of {count} rules  "
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Always allow"
            for number, rule in enumerate(self._rules if self._together else self._rules[:1]):
                name = "dialog-input" if number == 0 else None
                yield LineInput(inert_line(rule), id=name, classes="rule", select_on_focus=False)
            yield TextLines(id="dialog-text")
            foot = Line(id="dialog-foot")
            foot.content = Content.assemble(
                ("↑↓" if moving else "", "bold"), moving, ("Enter", "bold"), saving, ("Esc", "bold"), " back"
            )
            yield foot

    def action_offer(self, by: int) -> None:
        """Go to the next line, or put the next rule that is offered into the only one."""
        if self._together:
            fields = list(self.query(LineInput))
            at = next((n for n, field in enumerate(fields) if field.has_focus), 0)
            fields[(at + by) % len(fields)].focus()
            return
        self._offered = (self._offered + by) % len(self._rules)
        self.query_one(Input).value = inert_line(self._rules[self._offered])

    def _written(self) -> tuple[str, ...]:
        return tuple(field.value for field in self.query(LineInput) if field.value.strip())

    def on_mount(self) -> None:
        """Whoever was typing did not mean this."""
        self._armed_from = self._clock() + GUARD_SECONDS

    def on_input_changed(self, event: Input.Changed) -> None:
        """Try the rules as they are written now."""
        event.stop()
        if (rules := self._written()) == self._tried:
            return
        self._shown, self._tried = (), rules
        self.run_worker(self._try(rules), group="try", exclusive=True, exit_on_error=False)

    async def _try(self, rules: tuple[str, ...]) -> None:
        text = self.query_one(TextLines)
        text.set_lines([("looking what it covers …", "muted")])
        await asyncio.sleep(PREVIEW_SECONDS)
        if not rules:
            text.set_lines([("There is no rule: nothing can be saved.", "warning")])
            return
        try:
            found = await self._preview(rules)
        except Exception as error:  # it must be said, and nothing can be saved then
            text.set_lines([(str(error), "warning")])
            return
        text.set_lines(preview_lines(found, len(rules)))
        self._shown = () if found.problem else rules

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Save the rules that are shown."""
        event.stop()
        if self._shown and self._written() == self._shown and self._clock() >= self._armed_from:
            self.dismiss(self._shown)

    def action_page(self, pages: int) -> None:
        """Scroll what it covers."""
        text = self.query_one(TextLines)
        text.scroll_relative(y=pages * max(1, text.size.height - 1), animate=False)


def preview_lines(found: RulePreview, rules: int = 1) -> list[StyledLine]:
    """Return what this many rules would allow, as lines."""
    if found.problem:
        return [("This is no rule: nothing can be saved.", "warning"), (found.problem, "")]
    if found.verdict == "allow":
        lines: list[StyledLine] = [
            ("It allows this call." if rules == 1 else "Together they allow this call.", "added")
        ]
    else:
        word = "is denied" if found.verdict == "deny" else "would still ask"
        lines = [(f"This call {word}: {found.reason}", "warning")]
    count = len(found.allowed)
    saved = f"{count} question{'' if count == 1 else 's'}:" if count else "no question."
    lines += [
        ("", ""),
        (f"In the last 30 days {'this rule' if rules == 1 else 'these rules'} would have saved {saved}", "title"),
    ]
    for entry in reversed(found.allowed[-_MOST_LISTED:]):
        shown = entry.input.get("command", entry.input.get("path", ""))
        style = "removed" if entry.decision.verdict == "deny" else ""
        lines.append((f"  {entry.decision.verdict:<5}  {entry.tool} {shown}", style))
    if count > _MOST_LISTED:
        lines.append((f"  … and {count - _MOST_LISTED} more", "muted"))
    return lines


class PartsDialog(ModalScreen["frozenset[int] | None"]):
    """Lets the user choose which parts of a change are to be made; Ctrl+S takes the choice."""

    DECIDES = True
    AUTO_FOCUS = "#dialog-list"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "back", priority=True),
        Binding("space", "toggle_part", "leave out, or take in"),
        Binding("ctrl+s", "take", "take these parts", priority=True),
    ]

    def __init__(self, title: str, hunks: Sequence[Hunk]) -> None:
        super().__init__()
        self._dialog_title = title
        self._hunks = hunks
        self._chosen = set(range(len(hunks)))

    def compose(self) -> ComposeResult:
        """Lay out the parts and the keys."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = inert_line(f"Parts: {self._dialog_title}")
            yield OptionList(*(Option(self._row(n)) for n in range(len(self._hunks))), id="dialog-list", markup=False)
            foot = Line(id="dialog-foot")
            foot.content = Content.assemble(
                ("Space", "bold"),
                " leave out or take in  ",
                ("Ctrl+S", "bold"),
                " use the marked ones (they are checked again)  ",
                ("Esc", "bold"),
                " back",
            )
            yield foot

    def _row(self, number: int) -> Content:
        hunk = self._hunks[number]
        mark = "[x]" if number in self._chosen else "[ ]"
        rows: list[Content] = [Content.styled(f"{mark} part {number + 1} of {len(self._hunks)}", "bold")]
        if hunk.context:
            rows.append(Content.styled(f"     {inert_line(hunk.context)}", "$foreground-muted"))
        for line in hunk.diff.splitlines():
            rows.append(
                Content.styled(f"    {inert_line(line)}", "$text-success" if line[0] == "+" else "$text-error")
            )
        return Content("\n").join(rows)

    def action_toggle_part(self) -> None:
        """Leave the part under the cursor out, or take it in."""
        listing = self.query_one(OptionList)
        if (number := listing.highlighted) is not None:
            self._chosen ^= {number}
            listing.replace_option_prompt_at_index(number, self._row(number))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter and a click do as space."""
        event.stop()
        self.action_toggle_part()

    def action_take(self) -> None:
        """Take the marked parts; without any, the call is to be denied instead."""
        if self._chosen:
            self.dismiss(frozenset(self._chosen))
        else:
            self.notify("Nothing is left: go back and deny it.", severity="warning")
