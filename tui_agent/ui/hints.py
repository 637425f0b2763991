"""The footer: what the keys do here and now, generated from the bindings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.content import Content

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


class KeyHints(Line):
    """One line of keys."""

    def on_mount(self) -> None:
        """Follow the bindings that are active."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.refresh_hints())

    def refresh_hints(self) -> None:
        """Show the keys that can be pressed now."""
        if self.is_attached:
            self.content = hints_content(self.status, self.screen.active_bindings.values())

    status = ""

    def show_status(self, status: str) -> None:
        """Show a few words of our own before the keys, e.g. that a run is going on."""
        if status != self.status:
            self.status = status
            self.refresh_hints()


def hints_content(status: str, bindings: Iterable[ActiveBinding]) -> Content:
    """Return the footer line for these bindings."""
    parts: list[str | tuple[str, str]] = [" "]
    if status:
        parts += [(status, "bold $accent"), "  "]
    seen = set()
    for active in bindings:
        binding = active.binding
        if not binding.show or not active.enabled or binding.action in seen:
            continue
        seen.add(binding.action)
        parts += [
            (binding.key_display or key_label(binding.key), "bold"),
            (f" {binding.description}  ", "$foreground-muted"),
        ]
    return Content.assemble(*parts)
