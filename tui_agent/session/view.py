"""Folds what the journal commits into what is shown: the state, the items, the entries."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Literal, TypeVar

from tui_agent.context.items import Item, TimelineEntry, fold_entries, fold_entry, fold_item, fold_items
from tui_agent.events import (
    EventBase,
    Notice,
    PromptQueued,
    RunFinished,
    RunStarted,
    StepPlanned,
    TurnFinished,
    TurnStarted,
)
from tui_agent.journal import Committed, Journal
from tui_agent.session.state import SessionState, Update, apply

KEPT = 256
"""How many recent items and entries stay in memory, so that the next event of each can be folded at once."""

_FIRST_EVENTS = (RunStarted, PromptQueued, TurnStarted, TurnFinished, StepPlanned, RunFinished)
"""Events that begin an item or replace it whole."""

T = TypeVar("T")
Pane = Literal["conversation", "timeline"]
Listener = Callable[[Update], None]


class SessionView:
    """The folded state of an open session, and those who watch it."""

    def __init__(self, journal: Journal, state: SessionState, spawn: Callable[[Awaitable[None]], None]) -> None:
        self.state = state
        self._journal = journal
        self._spawn = spawn
        self._items: OrderedDict[int, Item] = OrderedDict()
        self._entries: OrderedDict[int, TimelineEntry] = OrderedDict()
        self._listeners: list[Listener] = []
        self._failed: list[Listener] = []
        self._reloading: dict[tuple[Pane, int], bool] = {}

    @property
    def item_count(self) -> int:
        """How many items the conversation has."""
        return self._journal.item_count

    @property
    def entry_count(self) -> int:
        """How many entries the timeline has."""
        return self._journal.entry_count

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each update, in the order of the commits; return the function that ends it."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    def take(self, committed: tuple[Committed, ...]) -> None:
        """Fold what was committed and tell the listeners."""
        items: dict[int, Item] = {}
        entries: dict[int, TimelineEntry] = {}
        for part in committed:
            event = part.event
            self.state = apply(self.state, event)
            if part.item is not None:
                known = self._items.get(part.item)
                if known is None and not self._begins(event):
                    self._more("conversation", part.item)
                else:
                    items[part.item] = _keep(self._items, part.item, fold_item(known, event))
            if part.entry is not None:
                entry = self._entries.get(part.entry)
                if entry is None and not self._begins(event):
                    self._more("timeline", part.entry)
                else:
                    entries[part.entry] = _keep(self._entries, part.entry, fold_entry(entry, event))
        self._tell(tuple(part.event for part in committed), items, entries)

    async def follow(self) -> None:
        """Show what another window has written since the last look. Raises the journal's errors.

        Items are read anew rather than folded further: a page may hold events that were not taken up yet.
        """
        changes = await self._journal.follow()
        if not (changes.events or changes.items or changes.entries):
            return
        for event in changes.events:
            self.state = apply(self.state, event)
        items: dict[int, Item] = {}
        for start, stop in _ranges(changes.items):
            items |= fold_items(await self._journal.page("conversation", start, stop))
        entries: dict[int, TimelineEntry] = {}
        for start, stop in _ranges(changes.entries):
            entries |= fold_entries(await self._journal.page("timeline", start, stop))
        self._tell(changes.events, items, entries)

    def warn(self, notice: Notice) -> None:
        """Tell the listeners something that cannot be written to the journal."""
        self._tell((notice,), {}, {})

    async def items(self, start: int, stop: int) -> dict[int, Item]:
        """Return a page of the conversation, by position."""
        found = fold_items(await self._journal.page("conversation", start, stop))
        return found | {position: item for position, item in self._items.items() if start <= position < stop}

    async def entries(self, start: int, stop: int) -> dict[int, TimelineEntry]:
        """Return a page of the timeline, by position."""
        found = fold_entries(await self._journal.page("timeline", start, stop))
        return found | {position: entry for position, entry in self._entries.items() if start <= position < stop}

    def _begins(self, event: EventBase) -> bool:
        return not event.subject or isinstance(event, _FIRST_EVENTS)

    def _more(self, pane: Pane, position: int) -> None:
        """Take note that something came for an item whose beginning is not in memory, as after a restart."""
        reading = (pane, position) in self._reloading
        self._reloading[pane, position] = True
        if not reading:
            self._spawn(self._reload(pane, position))

    async def _reload(self, pane: Pane, position: int) -> None:
        """Read such an item, until nothing comes for it meanwhile."""
        try:
            while self._reloading[pane, position]:
                self._reloading[pane, position] = False
                page = await self._journal.page(pane, position, position + 1)
                # What was on disk before it was told here is in the page: it comes now, and must not be folded again.
                await self._journal.append_chunks()
        finally:
            del self._reloading[pane, position]
        if pane == "conversation":
            items = fold_items(page)
            for item in items.values():
                _keep(self._items, position, item)
            self._tell((), items, {})
        else:
            entries = fold_entries(page)
            for entry in entries.values():
                _keep(self._entries, position, entry)
            self._tell((), {}, entries)

    def _tell(self, events: tuple[EventBase, ...], items: dict[int, Item], entries: dict[int, TimelineEntry]) -> None:
        update = Update(events, self.state, items, entries, self.item_count, self.entry_count)
        for listener in list(self._listeners):
            try:
                listener(update)
            except Exception as error:  # the others, and the state, must not miss what follows
                self._report(listener, error)

    def _report(self, listener: Listener, error: Exception) -> None:
        """Tell a listener's error: its first as an event, further ones not, as each of those could bring the next."""
        if listener not in self._failed:
            self._failed.append(listener)
            self._spawn(_failing(error))
        else:
            what = {"message": "a listener of the session failed again", "exception": error}
            asyncio.get_running_loop().call_exception_handler(what)


def watched(task: asyncio.Task[None], spawn: Callable[[Awaitable[None]], None]) -> asyncio.Task[None]:
    """Return `task`; should an error end it, `spawn` gets work that raises it, and so tells of it."""

    def ended(done: asyncio.Task[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            spawn(_failing(error))

    task.add_done_callback(ended)
    return task


async def _failing(error: BaseException) -> None:
    raise error


def _ranges(positions: Iterable[int]) -> list[tuple[int, int]]:
    """Return the positions as ranges [start, stop), neighbours joined."""
    ranges: list[tuple[int, int]] = []
    for position in sorted(positions):
        if ranges and ranges[-1][1] == position:
            ranges[-1] = (ranges[-1][0], position + 1)
        else:
            ranges.append((position, position + 1))
    return ranges


def _keep(kept: OrderedDict[int, T], position: int, value: T) -> T:
    kept[position] = value
    kept.move_to_end(position)
    if len(kept) > KEPT:
        kept.popitem(last=False)
    return value
