"""The panes of one session: conversation, timeline, permissions, budget, prompt, and where they stand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content
from textual.events import Click, DescendantFocus, Key
from textual.message import Message
from textual.reactive import var
from textual.widget import Widget

from tui_agent.ui.layout import TABS, Layout
from tui_agent.ui.line import Line
from tui_agent.ui.pacing import Pace
from tui_agent.ui.prompt import GUARD_SECONDS, Completions, Prompt

if TYPE_CHECKING:
    from tui_agent.session import SessionHandle, SessionState, Update
    from tui_agent.ui.budget import BudgetPane
    from tui_agent.ui.conversation import ConversationView
    from tui_agent.ui.permissions import PermissionQueue
    from tui_agent.ui.timeline import TimelineView
    from tui_agent.ui.waiting import Waiting

FILES_SECONDS = 3.0
"""How long the list of the workspace's files serves to complete mentions."""

SCARCE = 0.6
"""Which part of its height the timeline keeps on a low terminal while something waits: the change must be seen."""

PLACES = (*TABS, "prompt")
"""Panes that can have the focus: the name that the layout stores is the widget's id."""


class TabBar(Line):
    """The panes' names on a narrow terminal; the one in view stands out."""

    @staticmethod
    def labels(waiting_count: int) -> list[tuple[str, str]]:
        """Return each tab with its label."""
        count = f" ({waiting_count})" if waiting_count else ""
        return [(tab, f" {tab}{count if tab == 'permissions' else ''} ") for tab in TABS]

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, tab: str) -> None:
            super().__init__()
            self.tab = tab

    waiting_count = 0

    def show(self, tab: str, waiting_count: int) -> None:
        """Show which tab is in view."""
        self.waiting_count = waiting_count
        parts: list[tuple[str, str]] = []
        for name, label in self.labels(waiting_count):
            style = "reverse bold" if name == tab else "bold $warning" if "(" in label else "$foreground-muted"
            parts.append((label, style))
        self.content = Content.assemble(*parts)

    def on_click(self, event: Click) -> None:
        """Go to the tab under the mouse."""
        at = 0
        for name, label in self.labels(self.waiting_count):
            at += len(label)
            if event.x < at:
                self.post_message(self.Chosen(name))
                return


class Workbench(Container):
    """Holds the panes of a session and knows their layout; knows nothing of how a session is opened."""

    class LayoutChanged(Message):
        """Something that is part of the layout changed."""

    class WaitingChanged(Message):
        """Other things wait for the user than before."""

        def __init__(self, entries: tuple[Waiting, ...], arrived: bool) -> None:
            super().__init__()
            self.entries = entries
            self.arrived = arrived

    DEFAULT_CLASSES = "tab-conversation"
    tab: var[str] = var("conversation", init=False)

    def __init__(self, *, id: str, written: Callable[[], int]) -> None:
        """`written` says how many characters the terminal was sent by now."""
        super().__init__(id=id)
        self._split = Layout()
        self._last_focus = "prompt"
        self._workspace = ""
        self._files_read = -FILES_SECONDS
        self.conversation: ConversationView | None = None
        self.timeline: TimelineView | None = None
        self._queue: PermissionQueue | None = None
        self._budget: BudgetPane | None = None
        self._unpainted: Update | None = None
        self._pace = Pace(self, self._paint_update, written)

    def compose(self) -> ComposeResult:
        """Lay out what the first paint needs: the prompt, and frames for the rest."""
        with Container(id="conversation-slot") as slot:
            slot.border_title = "Conversation"
        yield Vertical(id="side")
        with Vertical(id="entry"):
            yield Prompt(id="prompt")

    def on_mount(self) -> None:
        """Begin with the layout of a new session."""
        self._place()

    async def complete(self) -> None:
        """Add the panes that a user can wait for; called once, after the first paint."""
        from tui_agent.ui.budget import BudgetPane
        from tui_agent.ui.permissions import PermissionQueue

        self._queue = PermissionQueue(id="permissions")
        self._budget = BudgetPane(id="budget")
        timeline_slot = Container(id="timeline-slot")
        timeline_slot.border_title = "Timeline"
        completions, tabs = Completions(id="completions"), TabBar(id="tabs")
        with self.app.batch_update():
            await self.mount(tabs, before=0)
            await self.query_one("#side").mount(timeline_slot, self._queue, self._budget)
            await self.query_one("#entry").mount(completions, before=0)
            tabs.show(self.tab, 0)
            completions.show((), 0)
            self._place()

    @property
    def prompt(self) -> Prompt:
        """Where the user writes."""
        return self.query_one("#prompt", Prompt)

    @property
    def waiting_count(self) -> int:
        """How many things wait for the user."""
        return len(self._queue.entries) if self._queue is not None else 0

    @property
    def queue(self) -> PermissionQueue | None:
        """What waits, None before the panes are there."""
        return self._queue

    def write_in_prompt(self, *, hold: bool) -> None:
        """Give the prompt the keys, for text that is no key of a pane; `hold`: for a while it only takes letters."""
        self.tab = "conversation"
        self.focus_place("prompt")
        if hold:
            self.prompt.hold(GUARD_SECONDS)

    def reopen(self, identifier: str) -> None:
        """Let something that waits be answered again, when its answer could not be taken."""
        if self._queue is not None:
            self._queue.reopen(identifier)

    def mark_read(self, identifier: str) -> None:
        """Take note that a request was read to its end in full size."""
        if self._queue is not None:
            self._queue.mark_read(identifier)

    def on_permission_queue_all_answered(self) -> None:
        """Go back to the prompt, in which a key that was meant for the queue does nothing but write."""
        self.tab = "conversation"
        self.prompt.hold(GUARD_SECONDS)
        self._focus(self.prompt)

    def on_permission_queue_stray(self, event: PermissionQueue.Stray) -> None:
        """Type again, where the focus is now."""
        self.app.post_message(Key(event.key.key, event.key.character))

    def on_prompt_files_wanted(self) -> None:
        """Complete a mention; the folder is read again when that was a while ago."""
        if monotonic() - self._files_read > FILES_SECONDS:
            self._files_read = monotonic()
            self.run_worker(self._offer_files(), group="files", exit_on_error=False)

    async def _offer_files(self) -> None:
        from tui_agent.session import workspace_files

        if self._workspace:
            self.prompt.offer_files(await asyncio.to_thread(workspace_files, Path(self._workspace)))

    async def on_conversation_view_search_wanted(self) -> None:
        """Open the search under the conversation."""
        from tui_agent.ui.search_bar import SearchBar

        if self.conversation is not None and not self.query(SearchBar):
            await self.query_one("#conversation-slot").mount(SearchBar(self.conversation))
        self.query_one("#search-bar").focus()

    def on_conversation_view_found(self, event: ConversationView.Found) -> None:
        """Say where the match is, or that there is none."""
        slot = self.query_one("#conversation-slot")
        at = "nothing found" if event.position is None else f"match in item {event.position + 1} of {event.count}"
        slot.border_subtitle = at

    async def on_search_bar_closed(self) -> None:
        """Close the search; the match stays where it is."""
        await self.query("#search-bar").remove()
        self.query_one("#conversation-slot").border_subtitle = None
        self.focus_place("conversation")

    def step_back(self) -> bool:
        """Leave a comment, a list of completions or a pane for the prompt; return whether there was one."""
        if self.prompt.held:
            return True
        if self._queue is not None and self._queue.leave_writing():
            return True
        if self.conversation is not None and self.conversation.has_focus and self.conversation.needle:
            self.conversation.mark("")
            self.query("#search-bar").remove()
            self.query_one("#conversation-slot").border_subtitle = None
            return True
        if self.screen.focused is not self.prompt:
            self.tab = "conversation"
            self.focus_place("prompt")
            return True
        return self.prompt.close_completions()

    def show_completions(self) -> None:
        """Show what the word being typed could become."""
        for completions in self.query(Completions):
            completions.show(self.prompt.completions, self.prompt.chosen)

    async def attach(self, handle: SessionHandle, layout: Layout) -> None:
        """Show a session: data, mount, scroll, focus, draft, in this order."""
        from tui_agent.ui.conversation import ConversationView
        from tui_agent.ui.timeline import TimelineView

        self._unpainted = None
        self.show_state(handle.state)
        self._workspace, self._files_read = handle.state.conversation.workspace, -FILES_SECONDS
        self.prompt.offer_files(())
        self.prompt.say_why_not(handle.read_only_because)
        conversation = ConversationView(id="conversation")
        timeline = TimelineView(id="timeline")
        self.conversation, self.timeline = conversation, timeline
        with self.app.batch_update():
            for slot, view in (("#conversation-slot", conversation), ("#timeline-slot", timeline)):
                container = self.query_one(slot)
                await container.remove_children()
                await container.mount(view)
        conversation.show(handle)
        timeline.show(handle)
        conversation.restore_view(layout.conversation)
        timeline.restore_view(layout.timeline)
        self._split = layout
        self._place()
        self.tab = layout.tab
        if layout.focus in PLACES and not self.prompt.text:
            # Whoever is typing already keeps the prompt.
            self.focus_place(layout.focus, switch_tab=False)
        self.prompt.restore_draft(layout.draft)

    def show(self, update: Update) -> None:
        """Show what a commit changed, together with what others change about the same time."""
        earlier = self._unpainted
        if earlier is not None:
            items, entries = {**earlier.items, **update.items}, {**earlier.entries, **update.entries}
            update = replace(update, items=items, entries=entries)
        self._unpainted = update
        self._pace.ask()

    def _paint_update(self) -> None:
        update, self._unpainted = self._unpainted, None
        if update is None:
            return
        if self.conversation is not None and (update.items or update.item_count):
            self.conversation.update(update.items, update.item_count)
        if self.timeline is not None and (update.entries or update.entry_count):
            self.timeline.update(update.entries, update.entry_count)
        self.show_state(update.state)

    def show_state(self, state: SessionState) -> None:
        """Show what waits and what is spent."""
        from tui_agent.ui.budget import budget_data
        from tui_agent.ui.waiting import waiting

        queue, budget = self._queue, self._budget
        if queue is None or budget is None:
            return
        entries = waiting(state)
        if entries != queue.entries:
            known = {entry.id for entry in queue.entries}
            queue.show(entries)
            self.query_one(TabBar).show(self.tab, len(entries))
            self.set_class(bool(entries), "-waiting")
            self._place()
            self.post_message(self.WaitingChanged(entries, any(e.id not in known for e in entries)))
        budget.data = budget_data(state)

    def collect(self, theme: str) -> Layout:
        """Return the layout as it is now."""
        return replace(
            self._split,
            tab=self.tab,
            focus=self._last_focus,
            theme=theme,
            conversation=self.conversation.view_state() if self.conversation else {},
            timeline=self.timeline.view_state() if self.timeline else {},
            draft=self.prompt.draft(),
        )

    def resize_panes(self, *, side: int = 0, timeline: int = 0) -> None:
        """Move the borders between the panes by so many percent."""
        self._split = self._split.resized(side=side, timeline=timeline)
        self._place()
        self._changed()

    def _place(self) -> None:
        wide = not self.screen.has_class("-narrow")
        self.styles.grid_columns = f"{100 - self._split.side}fr {self._split.side}fr" if wide else "1fr"
        # With nothing to answer, the timeline has the room of the queue.
        shared = wide and self.waiting_count > 0
        timeline = self._split.timeline_height * (SCARCE if self.screen.has_class("-low") else 1.0)
        for slot in self.query("#timeline-slot"):
            slot.styles.height = f"{timeline}%" if shared else "1fr"

    def on_resize(self) -> None:
        """Between narrow and wide, sizes mean other things."""
        self._place()

    def watch_tab(self, old: str, tab: str) -> None:
        """Bring a pane into view; on a wide terminal all are."""
        self.remove_class(f"tab-{old}")
        self.add_class(f"tab-{tab}")
        for tabs in self.query(TabBar):
            tabs.show(tab, self.waiting_count)
        self._changed()

    def on_tab_bar_chosen(self, event: TabBar.Chosen) -> None:
        """Go where the user clicked."""
        event.stop()
        self.focus_place(event.tab)

    def focus_place(self, name: str, *, switch_tab: bool = True) -> None:
        """Give a pane the focus and, on a narrow terminal, the space."""
        if switch_tab and name in TABS:
            self.tab = name
        if self.screen.has_class("-narrow"):
            # At once, as what is hidden cannot take the focus, and the next key is meant for this pane.
            self.app.stylesheet.update(self)
        for widget in self.query(f"#{name}").results(Widget):
            self._focus(widget)
            if self.screen.focused is not widget:  # it has only just been mounted
                self.call_after_refresh(self._focus, widget)

    def _focus(self, widget: Widget) -> None:
        if widget.focusable and not self.app.screen.is_modal:
            self.screen.set_focus(widget, scroll_visible=False)

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Remember where the focus is."""
        for ancestor in event.widget.ancestors_with_self:
            if ancestor.id in PLACES:
                self._last_focus = ancestor.id
                break
        self._changed()

    def _changed(self) -> None:
        self.post_message(self.LayoutChanged())

    def on_prompt_draft_changed(self) -> None:
        """The draft is part of the layout."""
        self._changed()

    def on_paged_view_view_changed(self) -> None:
        """Where a view stands is part of the layout."""
        self._changed()

    async def on_timeline_view_entry_selected(self, event: TimelineView.EntrySelected) -> None:
        """Show in the conversation what an entry of the timeline is about."""
        if self.conversation is not None and await self.conversation.go_to_subject(event.subject):
            self.focus_place("conversation")
