"""Commands: what can be done, by slash, palette or key.

The registry says which there are; the app says which it can carry out. One list feeds the prompt's
completion, the palette and the help screen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

if TYPE_CHECKING:
    from tui_agent.ui.app import TuiAgentApp

_COMMAND = re.compile(r"/([a-z][a-z-]*)(?:\s+(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ScreenCommand:
    """A command as the screen offers it. `argument` is a hint, empty if it takes none."""

    name: str
    description: str
    argument: str = ""


def parse_command(text: str) -> tuple[str, str] | None:
    """Return a slash command's name and argument; None for a prompt, even `/usr/bin/env …`."""
    match = _COMMAND.fullmatch(text.strip())
    return (match[1], (match[2] or "").strip()) if match else None


class CommandProvider(Provider):
    """The command palette: every command, every theme, and every action of a pane."""

    @property
    def _entries(self) -> Iterable[tuple[str, str, str, Callable[[], Any]]]:
        """Each entry's name, the argument it takes, its description, and what it does."""
        from tui_agent.ui.actions import pane_actions

        app: TuiAgentApp = self.app  # type: ignore[assignment]  # the palette is only ever this app's
        for command in app.commands:
            label = command.name.replace("-", " ")
            run = partial(app.offer_command, command)
            yield label, command.argument, command.description, run
        for name in app.own_themes:
            yield f"theme {name}", "", "Use this theme", partial(app.use_theme, name)
        for action in pane_actions():
            yield action.label, "", action.keys, partial(app.start_pane_action, action)

    async def discover(self) -> Hits:
        for label, argument, description, run in self._entries:
            yield DiscoveryHit(_shown(Content(label), argument), run, text=label, help=escape(description))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for label, argument, description, run in self._entries:
            if (score := matcher.match(label)) > 0:
                shown = _shown(matcher.highlight(label), argument)
                yield Hit(score, shown, run, text=label, help=escape(description))


def _shown(label: Content, argument: str) -> Content:
    """Return an entry's row: what an argument holds in brackets is no markup."""
    return Content.assemble(label, (f" {argument}", "dim")) if argument else label
