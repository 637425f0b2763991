"""The prompt: where the user writes.

Text is never lost: pastes are folded but kept, a draft outlives a crash, sending keeps the text until the
session has taken it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Paste
from textual.message import Message
from textual.reactive import var
from textual.widgets.text_area import Selection

from tui_agent.text import inert_line
from tui_agent.ui.line import Line
from tui_agent.ui.line_input import Editor
from tui_agent.ui.mentions import matching_files, mention_before, mention_text

FOLD_BYTES = 2_000
"""A paste longer than this is folded."""
FOLD_LINES = 20
"""A paste of more lines than this is folded."""
MAX_LINES = 10
"""Lines up to which the prompt grows."""
GUARD_SECONDS = 0.5
"""How long keys do nothing but write after something new came under the user's fingers."""

READY = "What should I do?   / commands   @ files   ^J new line"
"""What an empty prompt says."""
ANSWER = "Your answer, or the number of an option"
"""What an empty prompt says while the model waits for an answer."""

_PLACEHOLDER = re.compile(r"\[pasted #(\d+): [\d,]+ (?:lines|characters)\]")
_SLASH = re.compile(r"/[a-z-]*")


class Prompt(Editor):
    """A text area that sends on Enter."""

    BORDER_TITLE = "Prompt"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "send", show=True),
        Binding("ctrl+j,shift+enter", "newline", "new line", key_display="^J"),
        Binding("tab", "complete", "complete"),
        Binding("ctrl+o", "unfold", "unfold pasted text", show=False),
        Binding("ctrl+d", "delete_or_quit", "delete, or quit when empty", show=False),
        Binding("ctrl+c,super+c", "copy_or_quit", "copy, or quit on the second press", show=False),
    ]

    @dataclass
    class Sent(Message):
        """The user sent `text`, pastes unfolded."""

        text: str

    class FilesWanted(Message):
        """A mention is being typed: `offer_files` wants the files there are."""

    class DraftChanged(Message):
        """The text, the cursor or the selection changed."""

    class OlderWanted(Message):
        """The user went up from the first line."""

    class NewerWanted(Message):
        """The user went down from the last line."""

    class QuitWanted(Message):
        """Ctrl+D was pressed on an empty prompt."""

    class InterruptKey(Message):
        """Ctrl+C was pressed and there was nothing to copy."""

    completions: var[tuple[tuple[str, str], ...]] = var(())
    """What the word being typed could become: text and description."""

    chosen: var[int] = var(0)
    """Which completion Tab takes."""

    def __init__(self, *, id: str) -> None:
        super().__init__(
            id=id,
            soft_wrap=True,
            tab_behavior="focus",
            highlight_cursor_line=False,
            placeholder=READY,
        )
        self._had_text = False
        self._files: Sequence[str] = ()
        self._complete_from = 0
        self._moved_in_list = False
        self._held_until = 0.0
        self._pastes: dict[int, str] = {}
        self.commands: tuple[tuple[str, str], ...] = ()
        """Slash commands and their descriptions, for completion."""

    def say_why_not(self, because: str) -> None:
        """Say while the prompt is empty that nothing can be sent, and why; an empty reason: that something can."""
        self.placeholder = f"Read-only: {because}.   / commands" if because else READY

    def show_question(self, open_: bool) -> None:
        """Say while the prompt is empty that what is sent now answers a question of the model."""
        if open_ and self.placeholder == READY:
            self.placeholder = ANSWER
        elif not open_ and self.placeholder == ANSWER:
            self.placeholder = READY

    def hold(self, seconds: float) -> None:
        """For so long, take letters only: other keys may have been meant for the pane that had the focus."""
        self._held_until = monotonic() + seconds

    @property
    def held(self) -> bool:
        """Whether keys that do more than write may still be meant for the pane that had the focus."""
        return monotonic() < self._held_until

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "send":
            return bool(self.text)
        if action == "complete":
            return bool(self.completions)
        return super().check_action(action, parameters)

    def watch_completions(self) -> None:
        """Show them, and in the footer what Tab does."""
        self.refresh_bindings()
        self.post_message(self.DraftChanged())

    def watch_chosen(self) -> None:
        """Show which one Tab takes."""
        self.post_message(self.DraftChanged())

    def action_send(self) -> None:
        """Send what is written, or take the completion when a command is half written or one was chosen."""
        if self.held:
            return
        if self.completions and self._moved_in_list:
            self.action_complete()
            return
        typed = self.text.strip()
        if self.completions and typed.startswith("/") and typed not in {name for name, _ in self.completions}:
            self.action_complete()
            return
        text = self.full_text()
        if not text.strip():
            return
        self.take("")
        self.post_message(self.Sent(text))

    def action_newline(self) -> None:
        """Begin a new line."""
        self._replace_via_keyboard("\n", *self.selection)

    def full_text(self) -> str:
        """Return the text with every folded paste in its place."""
        return _PLACEHOLDER.sub(lambda m: self._pastes.get(int(m[1]), m[0]), self.text)

    def take(self, text: str) -> None:
        """Put `text` in place of all that is written, cursor at its end. Undo brings the old text back."""
        self.replace(text, (0, 0), self.document.end, maintain_selection_offset=False)
        self.move_cursor(self.document.end)
        self.completions = ()

    async def _on_paste(self, event: Paste) -> None:
        event.stop()
        event.prevent_default()
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        lines = text.count("\n") + 1
        if len(text) > FOLD_BYTES or lines > FOLD_LINES:
            number = max(self._pastes, default=0) + 1
            self._pastes[number] = text
            size = f"{lines:,} lines" if lines > 1 else f"{len(text):,} characters"
            text = f"[pasted #{number}: {size}]"
        self._replace_via_keyboard(text, *self.selection)

    def action_unfold(self) -> None:
        """Put the text of folded pastes into the prompt, to be edited."""
        if _PLACEHOLDER.search(self.text):
            self.take(self.full_text())

    def undo(self) -> None:
        # Textual places the cursor only after it has laid out the shorter text, and fails on one beyond its end.
        if self.history.undo_stack:
            self.move_cursor((0, 0))
        super().undo()

    def redo(self) -> None:
        if self.history.redo_stack:
            self.move_cursor((0, 0))
        super().redo()

    def action_delete_left(self) -> None:
        row, column = self.cursor_location
        if self.selection.is_empty:
            for match in _PLACEHOLDER.finditer(self.document[row]):
                if match.start() < column <= match.end() and int(match[1]) in self._pastes:
                    # Half a placeholder would stand for nothing: it goes as one.
                    self._delete_via_keyboard((row, match.start()), (row, match.end()))
                    return
        super().action_delete_left()

    def draft(self) -> dict[str, Any]:
        """Return what is written, with cursor and selection, as plain JSON."""
        text = self.text
        used = {int(match[1]) for match in _PLACEHOLDER.finditer(text)}
        return {
            "text": text,
            "cursor": list(self.selection.end),
            "anchor": list(self.selection.start),
            "pastes": {str(number): paste for number, paste in self._pastes.items() if number in used},
        }

    def restore_draft(self, draft: object) -> None:
        """Put a saved draft back; what has been typed meanwhile is kept after it."""
        if not isinstance(draft, dict) or not isinstance(draft.get("text"), str):
            return
        typed, at = self.text, self.selection
        pastes = draft.get("pastes")
        kept = {}
        if isinstance(pastes, dict):
            kept = {int(n): p for n, p in pastes.items() if n.isdecimal() and isinstance(p, str)}
        saved = draft["text"]
        if typed and saved:
            shift = max(kept, default=0)
            moved = {number + shift: paste for number, paste in self._pastes.items()}
            renumbered = _PLACEHOLDER.sub(lambda m: m[0].replace(f"#{m[1]}:", f"#{int(m[1]) + shift}:", 1), typed)
            self._pastes = {**kept, **moved}
            rows = saved.count("\n") + 1
            self.load_text(f"{saved}\n{renumbered}")
            self.selection = Selection((at.start[0] + rows, at.start[1]), (at.end[0] + rows, at.end[1]))
        elif saved:
            self._pastes = kept
            self.load_text(saved)
            self.selection = Selection(_location(draft.get("anchor")), _location(draft.get("cursor")))

    def clear_draft(self) -> None:
        """Forget all that is written, for another session's draft."""
        self._pastes = {}
        self.load_text("")

    def _watch_selection(self, previous_selection: Selection, selection: Selection) -> None:
        super()._watch_selection(previous_selection, selection)
        if previous_selection != selection:
            self.post_message(self.DraftChanged())

    def on_text_area_changed(self) -> None:
        """Tell of the change and look what the word could become."""
        self._complete_word()
        if bool(self.text) != self._had_text:
            self._had_text = bool(self.text)
            self.refresh_bindings()  # whether there is something to send
        self.post_message(self.DraftChanged())

    def _complete_word(self) -> None:
        self.chosen, self._moved_in_list, self._complete_from = 0, False, 0
        row, column = self.cursor_location
        word = self.document[row][:column]
        if row == 0 and _SLASH.fullmatch(word):
            fitting = (entry for entry in self.commands if entry[0].startswith(word))
            self.completions = tuple(sorted(fitting, key=lambda entry: entry[0] != word))
            return
        mention = mention_before(word)
        if mention is None:
            self.completions = ()
            return
        self._complete_from = mention.start
        found = matching_files(self._files, mention.path)
        self.completions = () if found[:1] == [mention.path] else tuple((mention_text(path), "") for path in found)
        self.post_message(self.FilesWanted())

    def offer_files(self, files: Sequence[str]) -> None:
        """Take the files that mentions can name; shows those that fit the one being typed."""
        if files != self._files:
            self._files = files
            self._complete_word()

    def action_complete(self) -> None:
        """Take the chosen completion."""
        text = self.completions[self.chosen][0]
        row, column = self.cursor_location
        self._replace_via_keyboard(f"{text} ", (row, self._complete_from), (row, column))

    def action_cursor_up(self, select: bool = False) -> None:
        if self.completions:
            self.chosen = (self.chosen - 1) % len(self.completions)
            self._moved_in_list = True
        elif not select and self.cursor_at_first_line:
            self.post_message(self.OlderWanted())
        else:
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        if self.completions:
            self.chosen = (self.chosen + 1) % len(self.completions)
            self._moved_in_list = True
        elif not select and self.cursor_at_last_line:
            self.post_message(self.NewerWanted())
        else:
            super().action_cursor_down(select)

    def action_delete_or_quit(self) -> None:
        """Delete to the right; on an empty prompt, ask to quit."""
        if self.text:
            self.action_delete_right()
        else:
            self.post_message(self.QuitWanted())

    def action_copy_or_quit(self) -> None:
        """Copy the selection; without one, let the app decide."""
        if self.selected_text:
            self.app.copy_to_clipboard(self.selected_text)
        else:
            self.post_message(self.InterruptKey())

    def on_blur(self) -> None:
        """A list of completions without the focus would be one that no key moves in."""
        if self.app.app_focus:
            self.close_completions()

    def close_completions(self) -> bool:
        """Close the list of completions; return whether there was one."""
        had = bool(self.completions)
        self.completions = ()
        return had


class Completions(Line):
    """What the word being typed could become, above the prompt."""

    SHOWN = 8
    """Lines at most."""

    def show(self, entries: tuple[tuple[str, str], ...], chosen: int) -> None:
        """Show some entries, or hide when there are none."""
        self.display = bool(entries)
        first = max(0, min(chosen - self.SHOWN // 2, len(entries) - self.SHOWN))
        lines = []
        for index, (text, description) in enumerate(entries[first : first + self.SHOWN], start=first):
            mark = "›" if index == chosen else " "
            style = "bold $primary" if index == chosen else ""
            lines.append(
                Content.assemble(
                    (f" {mark} {inert_line(text):<16} ", style), (inert_line(description), "$foreground-muted")
                )
            )
        self.styles.height = max(1, len(lines))
        self.content = Content("\n").join(lines)


def _location(value: object) -> tuple[int, int]:
    match value:
        case [int(row), int(column)] if row >= 0 and column >= 0:
            return row, column
    return 0, 0
