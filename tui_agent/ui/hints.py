"""The footer: what the keys do here and now, generated from the bindings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content
from textual.events import Click

from tui_agent.ui.line import Line

if TYPE_CHECKING:
    from textual.binding import ActiveBinding

_NAMES = {
    "enter": "Enter",
    "escape": "Esc",
    "tab": "Tab",
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    "space": "Space",
    "question_mark": "?",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "slash": "/",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
}


def key_label(key: str) -> str:
    """Return a key as people write it: `ctrl+p` is `^P`, `f1` is `F1`."""
    *modifiers, last = key.split("+")
    name = _NAMES.get(last, last.upper() if last.startswith("f") and last[1:].isdigit() else last)
    if modifiers == ["ctrl"] and len(name) == 1:
        return f"^{name.upper()}"
    if modifiers == ["shift"] and len(name) == 1:
        return name.upper()
    return "+".join([*(modifier.capitalize() for modifier in modifiers), name])


@dataclass(frozen=True, slots=True)
class Hint:
    """A part of the footer: its text, and the key or action that a click on it stands for."""

    text: str
    label: str = ""
    key: str = ""
    action: str = ""

    @property
    def cells(self) -> int:
        """The columns it takes, the space after it included."""
        return cell_len(self.text) + cell_len(self.label) + 2


class KeyHints(Line):
    """One line of keys; a click on one presses it."""

    def on_mount(self) -> None:
        """Follow the bindings that are active, and the dialogs that come and go."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.refresh_hints())
        self.app.screen_change_signal.subscribe(self, lambda _: self.refresh_hints())

    def refresh_hints(self) -> None:
        """Show the keys that can be pressed now: none of them while a dialog takes the keys."""
        if self.is_attached:
            first = [Hint(self.status, action=self.action)] if self.status else []
            behind = self.app.screen is not self.screen
            offered = [*first, *(() if behind else hints(self.screen.active_bindings.values()))]
            self.hints = list(fitting(offered, self.size.width or self.app.size.width))
            self.content = hints_content(self.hints)

    def on_resize(self) -> None:
        """Show as many keys as there is room for."""
        self.refresh_hints()

    status = ""
    action = ""
    hints: Sequence[Hint] = ()

    def show_status(self, status: str, action: str = "") -> None:
        """Show a few words of our own before the keys, e.g. that a run is going on; a click on them acts."""
        if (status, action) != (self.status, self.action):
            self.status, self.action = status, action
            self.refresh_hints()

    async def on_click(self, event: Click) -> None:
        """Press the key under the mouse. What a guard would stop when typed, it stops here too."""
        at = 1
        for hint in self.hints:
            if at <= event.x < at + hint.cells:
                if hint.key:
                    self.app.simulate_key(hint.key)
                elif hint.action:
                    await self.app.run_action(hint.action)
                return
            at += hint.cells


def hints(bindings: Iterable[ActiveBinding]) -> Iterator[Hint]:
    """Yield what the footer shows: each action that can be done now, once."""
    seen = set()
    for active in bindings:
        binding = active.binding
        if not binding.show or not active.enabled or binding.action in seen:
            continue
        seen.add(binding.action)
        yield Hint(binding.key_display or key_label(binding.key), f" {binding.description}", binding.key)


def fitting(hints: Iterable[Hint], width: int) -> Iterator[Hint]:
    """Yield the first hints that fit into `width` cells: none is cut."""
    room = width - 1
    for hint in hints:
        room -= hint.cells
        if room < -2:  # the space after the last one may go
            return
        yield hint


def hints_content(hints: Iterable[Hint]) -> Content:
    """Return the footer line."""
    parts: list[str | tuple[str, str]] = []
    for hint in hints:
        # Nothing stands behind the last one: a space without room would cut it.
        style = "bold" if hint.key else "bold $accent"
        parts += ["  " if parts else " ", (hint.text, style), (hint.label, "$foreground-muted")]
    return Content.assemble(*parts)
