"""Every action of the screen, with its keys: what the help shows and the palette offers.

Made from the bindings themselves, so that nothing that can be done is missing here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.content import Content

from tui_agent.ui.dialogs import TextDialog, help_lines
from tui_agent.ui.hints import key_label

if TYPE_CHECKING:
    from textual.dom import DOMNode

    from tui_agent.ui.app import TuiAgentApp


@dataclass(frozen=True, slots=True)
class Place:
    """Where keys act: the widget with this id, empty for everywhere or for what is open only now and then."""

    title: str
    kind: type[DOMNode]
    id: str = ""


@dataclass(frozen=True, slots=True)
class PaneAction:
    """An action of a pane as the palette offers it. `action` empty: only going there, where its key acts."""

    label: str
    keys: str
    place: str
    action: str


def places() -> list[Place]:
    """Return all places with keys of their own. Imports the panes."""
    from tui_agent.ui.app import TuiAgentApp
    from tui_agent.ui.browser import SessionBrowser
    from tui_agent.ui.conversation import ConversationView
    from tui_agent.ui.paged_view import PagedView
    from tui_agent.ui.permissions import PermissionQueue
    from tui_agent.ui.prompt import Prompt
    from tui_agent.ui.search_bar import SearchBar
    from tui_agent.ui.timeline import TimelineView

    return [
        Place("Everywhere", TuiAgentApp, "app"),
        Place("Prompt", Prompt, "prompt"),
        Place("Permissions", PermissionQueue, "permissions"),
        Place("Conversation", ConversationView, "conversation"),
        Place("Timeline", TimelineView, "timeline"),
        Place("Conversation and timeline", PagedView),
        Place("Searching the conversation", SearchBar),
        Place("Sessions", SessionBrowser),
    ]


def bindings(kind: type[DOMNode]) -> Iterator[Binding]:
    """Yield the bindings that a class defines itself."""
    for entry in kind.BINDINGS:
        if isinstance(entry, Binding):
            yield entry


def keys_label(binding: Binding) -> str:
    """Return a binding's keys as people write them."""
    return binding.key_display or " or ".join(key_label(key) for key in binding.key.split(","))


def pane_actions() -> Iterator[PaneAction]:
    """Yield what the palette offers besides the commands.

    Of the permission queue it offers to go there only: nothing is approved but by its own keys in their place.
    """
    for place in places():
        if not place.id:
            continue
        for binding in bindings(place.kind):
            label = binding.description.lower()
            label = label if place.id == "app" else f"{place.title.lower()}: {label}"
            yield PaneAction(
                label, keys_label(binding), place.id, "" if place.id == "permissions" else binding.action
            )


async def run_pane_action(app: TuiAgentApp, action: PaneAction) -> None:
    """Go to the action's pane and do it there."""
    if action.place == "app":
        await app.run_action(action.action)
        return
    app.workbench.focus_place(action.place)
    if action.action:
        await app.run_action(action.action, app.workbench.query_one(f"#{action.place}"))


def help_screen(app: TuiAgentApp) -> TextDialog:
    """Return the help: all keys by place, and all commands."""
    sections = [
        (place.title, [(keys_label(binding), binding.description) for binding in bindings(place.kind)])
        for place in places()
    ]
    foot = Content.styled("Esc goes back", "$foreground-muted")
    return TextDialog("Help", help_lines(app.commands, sections), foot)
