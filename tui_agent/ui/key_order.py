"""Keys act one after the other, however fast they come.

Textual forwards each key to the widget that has the focus when the key arrives, and runs a binding only once the key
has bubbled up to the app. Of keys that come in one burst (fast typing over a slow line, a macro), the later ones are
thus under way to the old focus, and overtake the bindings of the earlier ones. Here a key waits until everything that
the key before it set off has been done: bindings, messages, a dialog that opened or closed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import TypeVar

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.widgets import Input, TextArea

from tui_agent.ui.keys import typed_text

MAX_WAIT_SECONDS = 0.5
"""How long a key waits for the one before it: a widget that hangs must not take the keyboard along."""
MAX_LIST_SECONDS = 3.0
"""How long a key waits for a list from which it may choose (a screen says so by `keys_wait`)."""
_LEAVING = frozenset({"escape", "ctrl+c", "ctrl+q", "ctrl+z"})
"""Keys that choose nothing, and wait for no list."""
_LOOK_SECONDS = 0.05
"""How often a key that waits looks whether the widget that it waits for is still there."""
_LEAST_ROUNDS = 2
"""A key's action runs in the first round; what that action posted is handled by the end of the second."""
_MOST_ROUNDS = 6

ReturnType = TypeVar("ReturnType")


class OrderedKeysApp(App[ReturnType]):
    """An app whose keys and pastes act in the order in which they came."""

    takes_keys = True
    """Whether keys may act yet; before that they are kept."""

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]  # handed on as they are
        self._typed: deque[events.Event] = deque()
        self._text_under_way = False
        self._round = 0
        self._followed: DOMNode | None = None
        self._looks_again = False
        self._list_awaited_since = 0.0
        self._followed_since = 0.0

    async def on_event(self, event: events.Event) -> None:
        typed = isinstance(event, events.Key | events.Paste) and not event.is_forwarded
        if typed or isinstance(event, events.AppFocus | events.AppBlur):
            self._typed.append(event)  # a key says that the terminal has the focus: the order counts here, too
            await self.take_typed()
        else:
            await super().on_event(event)

    async def take_typed(self) -> None:
        """Let the keys act that have come, as far as nothing is under way."""
        while self._typed and self.takes_keys and not self._must_wait():
            text = self._is_text(self._typed[0])
            if not text and self._text_under_way:
                self._text_under_way = False
                self._follow(self._place())
                continue
            if not text and self._waits_for_list(self._typed[0]):
                return
            event, target = self._typed.popleft(), self._place()
            if isinstance(event, events.Key | events.Paste):
                await self.take_key(event)
            else:
                await super().on_event(event)
            if text:
                # One text after the other goes into the same field, whose own queue keeps the order.
                self._text_under_way = True
            else:
                self._follow(target)

    async def take_key(self, event: events.Key | events.Paste) -> None:
        """Act on a key or a paste, or forward it to the widget that has the focus."""
        await super().on_event(event)

    def _is_text(self, event: events.Event) -> bool:
        if not isinstance(self.focused, Input | TextArea):
            return False
        return isinstance(event, events.Paste) or (isinstance(event, events.Key) and bool(typed_text(event)))

    def _place(self) -> DOMNode:
        return self.focused or self.screen

    def _must_wait(self) -> bool:
        if self._followed is None:
            return False
        if not self._followed.is_attached or monotonic() - self._followed_since > MAX_WAIT_SECONDS:
            self._followed = None
            return False
        self._look_later()
        return True

    def _waits_for_list(self, event: events.Event) -> bool:
        """Say whether a key must wait until the screen knows what it lists."""
        leaves = not isinstance(event, events.Key) or event.key in _LEAVING
        if leaves or not getattr(self.screen, "keys_wait", False):
            self._list_awaited_since = 0.0
            return False
        self._list_awaited_since = self._list_awaited_since or monotonic()
        if monotonic() - self._list_awaited_since > MAX_LIST_SECONDS:
            return False
        self._look_later()
        return True

    def _look_later(self) -> None:
        if not self._looks_again:
            self._looks_again = True
            self.set_timer(_LOOK_SECONDS, self._look_again)

    async def _look_again(self) -> None:
        self._looks_again = False
        await self.take_typed()

    def _follow(self, place: DOMNode, rounds: int = 1) -> None:
        """Send a call behind the key, through the queue of every widget that the key comes to."""
        if rounds == 1:
            self._followed_since = monotonic()
        self._followed, self._round = place, self._round + 1
        self._pass(self._round, rounds, place.ancestors_with_self)

    def _pass(self, turn: int, rounds: int, way: Sequence[DOMNode]) -> None:
        """Go on to the next queue; one that takes nothing any more is passed over."""
        for at, node in enumerate(way):
            if node is self:
                self.call_later(self._passed, turn, rounds)
                return
            if node.call_later(self._pass, turn, rounds, way[at + 1 :]):
                return

    async def _passed(self, turn: int, rounds: int) -> None:
        if turn != self._round or self._followed is None:
            return
        place = self._place()
        if rounds < _LEAST_ROUNDS or (place is not self._followed and rounds < _MOST_ROUNDS):
            self._follow(place, rounds + 1)
            return
        self._followed = None
        await self.take_typed()
