"""The permission queue: nothing is approved by accident.

It never takes the focus by itself. Its keys act only while it has the focus, and not in the first half second
after the focus, a request, or another request's turn arrived: whoever was typing then was not answering. What
allows a call acts only once the end of the request was in view.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import ClassVar, Literal

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.message import Message
from textual.widgets import Input

from tui_agent.text import inert_line
from tui_agent.ui.keys import in_burst, typed_text
from tui_agent.ui.line import Line
from tui_agent.ui.line_input import LineInput
from tui_agent.ui.prompt import GUARD_SECONDS
from tui_agent.ui.text_lines import StyledLine, TextLines
from tui_agent.ui.waiting import Waiting

ALLOWING = frozenset({"allow", "session", "grant", "always"})
"""Actions that allow a call or lead to it: they wait until the end of the request was in view."""

_KINDS = {
    "allow": "permission",
    "session": "permission",
    "grant": "permission",
    "ungrant": "permission",
    "deny": "permission plan",
    "deny_comment": "permission plan",
    "preview": "permission plan",
    "why": "permission plan",
    "always": "permission",
    "edit": "permission",
    "parts": "permission",
    "approve_plan": "plan",
    "resolve": "uncertain",
    "option": "question",
    "answer": "question",
}

_MOVING_KEYS = frozenset({"left", "right", "up", "down", "pageup", "pagedown"})
"""Keys that only look about: they may come as fast as a held key repeats."""


class PermissionQueue(Vertical, can_focus=True, can_focus_children=True):
    """Shows what waits, one entry at a time, and takes the user's answer."""

    BORDER_TITLE = "Permissions"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "grant", "grant for the session"),
        Binding("y", "allow", "allow once"),
        Binding("y", "approve_plan('ask')", "approve the plan; changes ask"),
        Binding("a", "approve_plan('accept-edits')", "approve the plan and edits inside the workspace"),
        Binding("s", "session", "allow for this session"),
        Binding("n", "ungrant", "back"),
        Binding("n", "deny", "no"),
        Binding("N", "deny_comment", "no, and tell the model why", key_display="N"),
        Binding("a", "always", "always, with a preview of the rule"),
        Binding("e", "edit", "edit the call"),
        Binding("p", "parts", "allow parts of a change"),
        Binding("ctrl+e,d", "preview", "full screen", key_display="^E"),
        Binding("w", "why", "why was this asked"),
        Binding("h", "resolve('happened')", "it happened"),
        Binding("r", "resolve('run_again')", "run again"),
        Binding("k", "resolve('skip')", "skip"),
        *(Binding(str(n), f"option({n})", f"option {n}", show=False) for n in range(1, 10)),
        Binding("enter", "answer", "write an answer"),
        Binding("right", "move(1)", "next request", show=False),
        Binding("left", "move(-1)", "previous request", show=False),
        Binding("down", "scroll(1)", "scroll down", show=False),
        Binding("up", "scroll(-1)", "scroll up", show=False),
        Binding("pagedown", "scroll(10)", "scroll a page down", show=False),
        Binding("pageup", "scroll(-10)", "scroll a page up", show=False),
        Binding("end", "edge(False)", "scroll to the end", show=False),
        Binding("home", "edge(True)", "scroll to the top", show=False),
    ]

    @dataclass
    class Decided(Message):
        """The user decided on a permission request."""

        request: str
        verdict: Literal["allow", "deny"]
        scope: Literal["once", "session"] = "once"
        comment: str = ""
        mode: str = ""

    @dataclass
    class Resolved(Message):
        """The user said what became of an uncertain step."""

        step: str
        resolution: Literal["happened", "run_again", "skip"]

    @dataclass
    class Answered(Message):
        """The user answered a question of the model."""

        question: str
        text: str

    @dataclass
    class PreviewWanted(Message):
        """The user wants to see the whole of a request, in full size."""

        entry: Waiting

    @dataclass
    class Wanted(Message):
        """The user wants to see why something is asked, or to change the call or the rules before they decide."""

        request: str
        what: Literal["why", "always", "edit", "parts"]

    class AllAnswered(Message):
        """The last thing that waited was answered, or went by itself: nothing is left to do here."""

    class Stray(Message):
        """A key came that was typed after the last answer: it was not meant for the queue."""

        def __init__(self, key: Key) -> None:
            super().__init__()
            self.key = key

    def __init__(self, *, id: str, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(id=id)
        self._clock = clock
        self._armed_from = 0.0
        self.entries: tuple[Waiting, ...] = ()
        """All that waits."""
        self._current = ""
        self._answered: set[str] = set()
        self._granting = False
        self._hurried = False
        self._handed_over = 0.0
        self._read: set[str] = set()
        self._moved = False
        self._writing: Literal["", "comment", "answer"] = ""

    def compose(self) -> ComposeResult:
        """Lay out the request, its keys, and the line for a comment."""
        yield TextLines(id="waiting-text")
        yield LineInput(id="waiting-input", classes="hidden", select_on_focus=False)
        yield Line(id="waiting-keys")

    def on_mount(self) -> None:
        """Show that nothing waits."""
        self._show()

    @property
    def current(self) -> Waiting | None:
        """The entry that the keys act on."""
        return next((entry for entry in self.entries if entry.id == self._current), None)

    def show(self, entries: tuple[Waiting, ...]) -> None:
        """Show what waits now.

        The entry in view stays in view as long as it waits, also as its call is changed and asked about anew.
        Without the focus the first one is in view: nobody is reading another.
        """
        if entries == self.entries:
            return
        known = {entry.id for entry in self.entries}
        arrived = any(entry.id not in known for entry in entries)
        step = self.current.step if self.current is not None else ""
        self.entries = entries
        self._answered &= {entry.id for entry in entries}
        self._read &= {entry.id for entry in entries}
        before = self._current
        if self.current is None:
            changed = next((entry.id for entry in entries if step and entry.step == step), "")
            self._current = changed or (entries[0].id if entries else "")
            self._granting = False
            self._stop_writing()
        elif not self.has_focus_within and not self._moved:
            self._current = entries[0].id
        if arrived or self._current != before:
            self._guard()
        if self._current != before:
            self._moved = False
        self._show(keep_scroll=self._current == before)
        if not entries and self.has_focus:
            self._hand_over()

    def _show(self, *, keep_scroll: bool = False) -> None:
        entry = self.current
        text = self.query_one("#waiting-text", TextLines)
        self.set_class(entry is None, "-empty")
        count = len(self.entries)
        self.border_title = f"Permissions ({count})" if count else "Permissions"
        if entry is None:
            text.set_lines([("Nothing waits for you.", "muted")])
        else:
            at = self.entries.index(entry) + 1
            head: list[StyledLine] = []
            if count > 1:
                head.append((f"{at} of {count} · ← → for the others", "muted"))
            if entry.agent != "main":
                head.append((f"asked by subagent {inert_line(entry.agent)}", "warning"))
            if self._granting:
                head += [("Allow for the whole session:", "warning"), (f"  {entry.scope}", "warning")]
            text.set_lines([*head, *entry.lines], keep_scroll=keep_scroll)
            if not keep_scroll:
                self.call_after_refresh(text.scroll_to_change)
        self._show_keys()

    @property
    def _whole(self) -> bool:
        """Whether the end of the request in view was painted, here or in full size."""
        return self._current in self._read or self.query_one("#waiting-text", TextLines).end_seen

    def _show_keys(self) -> None:
        self._hurried = self._hurried and not self._armed
        text = self.query_one("#waiting-text", TextLines)
        hints = [] if self.has_focus_within or self.current is None else ["F4 to answer"]
        if self.current is not None and text.rows_below:
            hints.append(f"↓ {text.rows_below} more row{'' if text.rows_below == 1 else 's'}")
        self.border_subtitle = " · ".join(hints)
        keys = self.query_one("#waiting-keys", Line)
        keys.content = self._keys()
        keys.refresh(layout=True)  # they may need more rows than before
        if self.is_attached:
            self.refresh_bindings()

    def _keys(self) -> Content:
        entry = self.current
        if entry is None:
            return Content("")
        if entry.id in self._answered:
            return Content.styled("answered …", "$foreground-muted")
        if self._granting:
            style = "bold" if self._armed else "$foreground-muted"
            return Content.assemble(("y", style), " allow it  ", ("n", style), " back")
        if self._writing:
            verb = "deny" if self._writing == "comment" else "send"
            return Content.assemble(("Enter", "bold"), f" {verb}  ", ("Esc", "bold"), " back")
        if entry.kind == "changed":
            return Content.styled("your change is being checked …", "$foreground-muted")
        keys: list[str | tuple[str, str]] = []
        match entry.kind:
            case "permission":
                pairs = [("y", "once"), ("s", "session"), ("a", "always")]
                if not self._whole:
                    pairs = [("↓", "read to the end to allow it")]
                pairs += [("n", "no"), ("N", "no, tell it why")]
                pairs += [("e", "edit"), ("p", "parts"), ("^E", "full screen"), ("w", "why")]
                pairs = [
                    (key, label)
                    for key, label in pairs
                    if (key != "s" or entry.scope) and (key != "p" or entry.divisible)
                ]
            case "plan":
                pairs = [("y", "approve"), ("a", "approve, accept edits"), ("n", "keep planning")]
                pairs += [("N", "no, since…"), ("d", "all")]
            case "uncertain":
                pairs = [("h", "happened"), ("r", "run again"), ("k", "skip")]
            case "question":
                pairs = [("Enter", "or just type: an answer of your own")]
                if entry.options:
                    pairs.insert(0, (f"1-{min(9, len(entry.options))}", "choose"))
        if self._hurried:
            return Content.styled("one moment … press it again", "bold $text-warning")
        live = self._armed and self.has_focus
        width, at = self.query_one("#waiting-keys", Line).size.width, 0
        for key, label in pairs:
            cells = cell_len(f"{key} {label}")
            if at:  # a key and what it does stand together
                between = "\n" if width and at + 2 + cells > width else "  "
                keys.append(between)
                at = 0 if between == "\n" else at + 2
            keys += [
                (key, "bold" if live else "$foreground-muted"),
                (f" {label}", "" if live else "$foreground-muted"),
            ]
            at += cells
        return Content.assemble(*keys)

    @property
    def _armed(self) -> bool:
        return self._clock() >= self._armed_from

    def _guard(self) -> None:
        self._armed_from = self._clock() + GUARD_SECONDS
        self._granting = False
        if self.is_attached:
            self.set_timer(GUARD_SECONDS + 0.02, self._show_keys)

    async def _on_key(self, event: Key) -> None:
        # Of keys that come in one burst, bindings would run after the next keys have come here: they are acted
        # on in their order, and what was typed after the last answer goes where the focus goes.
        if self._writing:
            # Of the line's own keys only those come here that it did not want; letters were under way to the queue
            # when the line opened.
            if text := typed_text(event):
                event.stop()
                event.prevent_default()
                self.query_one("#waiting-input", Input).insert_text_at_cursor(text)
            return
        if self._clock() < self._handed_over:
            event.stop()
            event.prevent_default()
            self.post_message(self.Stray(event))
            return
        if in_burst(event) and event.key not in _MOVING_KEYS:
            # Nobody answers faster than keys can be told apart: this is text, or what a terminal sent by itself.
            bindings: list[Binding] = []
        else:
            bindings = self._bindings.key_to_bindings.get(event.key, [])
        for binding in bindings:
            if await self.app.run_action(binding.action, self):
                event.stop()
                event.prevent_default()
                return
        if (text := typed_text(event)) and self.current is None:
            # Nothing to answer: it was meant for the prompt.
            event.stop()
            event.prevent_default()
            self._hand_over()
            self.post_message(self.Stray(event))
            return
        if text and self._answerable(self.current):
            # Whoever types at a question answers it. Nothing is sent before Enter.
            event.stop()
            event.prevent_default()
            self._write_answer(text)
        elif event.key in self._bindings.key_to_bindings:
            event.stop()  # the app would run its binding
            event.prevent_default()

    def wants(self, key: Key) -> bool:
        """Say whether a key that inserts text means something here; another one is for the prompt."""
        if self._writing or self._clock() < self._handed_over or self._answerable(self.current):
            return True
        # A key of another kind of request does nothing, but is no text either.
        return self.current is not None and not in_burst(key) and key.key in self._bindings.key_to_bindings

    def on_resize(self) -> None:
        """Other keys fit in a row."""
        self.call_after_refresh(self._show_keys)

    def watch_has_focus(self, has_focus: bool) -> None:
        """Wait half a second after the focus came: these may be the last keys of a sentence.

        Not `on_focus` and `on_blur`: these run before Textual has taken note of the change.
        """
        super().watch_has_focus(has_focus)
        if not self.is_mounted:
            self._guard()
        elif has_focus:
            self._handed_over = 0.0
            self._guard()
            self._show_keys()
        else:
            self._granting = False
            self._show(keep_scroll=True)

    def on_text_lines_rows_painted(self) -> None:
        """Say how much of the request is out of view."""
        self._show_keys()

    def mark_read(self, identifier: str) -> None:
        """Take note that the end of this request was in view in full size."""
        self._read.add(identifier)
        self._show_keys()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what fits the entry in view."""
        entry = self.current
        if action in _KINDS:
            if entry is None or entry.id in self._answered or entry.kind not in _KINDS[action].split():
                return False
            if action in {"grant", "ungrant"}:
                return self._granting
            if action in {"allow", "session", "always", "edit", "parts", "deny", "deny_comment"} and self._granting:
                return False
            if action in ALLOWING and not self._whole:
                return False
            if action == "parts":
                return entry.divisible
            if action == "session":
                return bool(entry.scope)
            if action == "option":
                return isinstance(parameters[0], int) and parameters[0] <= len(entry.options)
        return True

    def _ready(self) -> Waiting | None:
        entry = self.current
        if entry is None or entry.id in self._answered or not self.has_focus:
            return None
        if not self._armed:
            self._hurried = True  # a key that does nothing must not look like one that got lost
            self._show_keys()
            return None
        return entry

    def action_allow(self) -> None:
        """Allow this once."""
        if entry := self._ready():
            self._settle(entry, self.Decided(entry.id, "allow"))

    def action_approve_plan(self, mode: str) -> None:
        """Approve a plan; the session goes on in `mode`."""
        if entry := self._ready():
            self._settle(entry, self.Decided(entry.id, "allow", mode=mode))

    def action_session(self) -> None:
        """Show what a grant for the session would cover; `y` then grants it."""
        if self._ready():
            self._guard()
            self._granting = True
            self._show()

    def action_grant(self) -> None:
        """Allow for the session: its reach has been shown."""
        if entry := self._ready():
            self._settle(entry, self.Decided(entry.id, "allow", "session"))

    def action_ungrant(self) -> None:
        """Step back from a grant."""
        if self._ready():
            self._granting = False
            self._show()

    def action_deny(self) -> None:
        """Deny."""
        if entry := self._ready():
            self._settle(entry, self.Decided(entry.id, "deny"))

    def action_deny_comment(self) -> None:
        """Deny with a comment that the model reads."""
        if self._ready():
            self._write("comment", "why not? The model reads it. Enter denies, Esc goes back")

    def action_resolve(self, resolution: Literal["happened", "run_again", "skip"]) -> None:
        """Say what became of an uncertain step."""
        if entry := self._ready():
            self._settle(entry, self.Resolved(entry.id, resolution))

    def action_option(self, number: int) -> None:
        """Answer with one of the offered options."""
        if entry := self._ready():
            self._settle(entry, self.Answered(entry.id, entry.options[number - 1]))

    def action_answer(self) -> None:
        """Answer in one's own words."""
        if self._ready():
            self._write_answer()

    def _answerable(self, entry: Waiting | None) -> bool:
        return entry is not None and entry.kind == "question" and entry.id not in self._answered

    def _write_answer(self, begun: str = "") -> None:
        self._write("answer", "your answer. Enter sends, Esc goes back", begun)

    def action_preview(self) -> None:
        """Show the whole request in full size."""
        if entry := self.current:
            self.post_message(self.PreviewWanted(entry))

    def action_why(self) -> None:
        """Show every reason for the question."""
        self._want("why")

    def action_always(self) -> None:
        """Open the rule that would allow this from now on."""
        self._want("always")

    def action_edit(self) -> None:
        """Open the call, to change it."""
        self._want("edit")

    def action_parts(self) -> None:
        """Choose which parts of a change are to be made."""
        self._want("parts")

    def _want(self, what: Literal["why", "always", "edit", "parts"]) -> None:
        if entry := self._ready():
            self._guard()  # keys that come before the dialog is up were meant for it
            self.post_message(self.Wanted(entry.id, what))

    def action_move(self, by: int) -> None:
        """Look at another entry."""
        if len(self.entries) > 1 and (entry := self.current):
            at = (self.entries.index(entry) + by) % len(self.entries)
            self._current = self.entries[at].id
            self._moved = True
            self._guard()
            self._show()

    def action_scroll(self, lines: int) -> None:
        """Scroll the request's text."""
        self.query_one("#waiting-text", TextLines).scroll_relative(y=lines, animate=False)

    def action_edge(self, top: bool) -> None:
        """Scroll the request's text to one end."""
        text = self.query_one("#waiting-text", TextLines)
        text.scroll_to(y=0 if top else text.max_scroll_y, animate=False)

    def reopen(self, identifier: str) -> None:
        """Let an entry be answered again, when its answer could not be taken."""
        self._answered.discard(identifier)
        self._show_keys()

    def _settle(self, entry: Waiting, message: Message) -> None:
        self._answered.add(entry.id)
        self._granting = False
        self.post_message(message)
        others = [other for other in self.entries if other.id not in self._answered]
        if others:
            self._current = others[0].id
            self._moved = False
            self._guard()
        self._show()
        if not others:
            self._hand_over()

    def _hand_over(self) -> None:
        """Nothing is left to do here: keys that still come were meant for what comes after."""
        self._handed_over = self._clock() + GUARD_SECONDS
        self.post_message(self.AllAnswered())

    def _write(self, what: Literal["comment", "answer"], placeholder: str, begun: str = "") -> None:
        self._writing = what
        field = self.query_one("#waiting-input", Input)
        field.placeholder = placeholder
        field.value = begun
        field.cursor_position = len(begun)
        field.remove_class("hidden")
        field.focus()
        self._show_keys()

    def _stop_writing(self) -> None:
        if not self._writing:
            return
        self._writing = ""
        field = self.query_one("#waiting-input", Input)
        had_focus = field.has_focus
        field.add_class("hidden")
        if had_focus:
            self.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the comment or the answer."""
        event.stop()
        entry, writing = self.current, self._writing
        if entry is None or entry.id in self._answered:
            return
        if writing == "answer" and not (event.value.strip() and self._armed):
            return  # an Enter of the burst that opened the line may have been meant for something else
        self._stop_writing()
        if writing == "comment":
            self._settle(entry, self.Decided(entry.id, "deny", comment=event.value.strip()))
        else:
            self._settle(entry, self.Answered(entry.id, event.value))

    def leave_writing(self) -> bool:
        """Leave the comment line without sending it; return whether one was open."""
        was = bool(self._writing)
        self._stop_writing()
        return was
