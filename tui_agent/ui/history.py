"""The prompts of a session, newest last, read from the conversation as far back as somebody goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui_agent.session import Item

PAGE = 100
"""Conversation items read at once when going back."""

ReadItems = Callable[[int, int], Awaitable["dict[int, Item]"]]
"""Reads the conversation's items from one position up to another."""


class History:
    """Goes back and forth in the prompts; what was being typed is the newest entry of all.

    What is changed in an entry stays so until something is sent.
    """

    def __init__(self, read: ReadItems, item_count: int) -> None:
        self._read = read
        self._unread = item_count
        self._older: dict[int, str] = {}
        self._at: int | None = None
        self._edited: dict[int | None, str] = {}
        """What was made of each entry since something was sent; the draft's place is None."""

    def note(self, items: Mapping[int, Item]) -> None:
        """Take up the prompts among items that changed."""
        from tui_agent.session import PromptItem

        for position, item in items.items():
            if isinstance(item, PromptItem) and position >= self._unread:
                self._older[position] = item.text

    def reset(self) -> None:
        """Stand after the newest prompt again; edits of older ones are forgotten, as in a shell."""
        self._at = None
        self._edited.clear()

    @property
    def browsing(self) -> bool:
        """Whether an older prompt is shown in place of the draft."""
        return self._at is not None

    async def older(self, text: str) -> str | None:
        """Return the prompt before the one shown, None at the first one. `text` is what is shown now."""
        self._edited[self._at] = text
        position = self._before(self._at)
        while position is None and self._unread > 0:
            await self._read_page()
            position = self._before(self._at)
        if position is None:
            return None
        self._at = position
        return self._shown(position)

    def newer(self, text: str) -> str | None:
        """Return the prompt after the one shown, the draft after the newest, None when already there."""
        if self._at is None:
            return None
        self._edited[self._at] = text
        after = [position for position in self._older if position > self._at]
        if after:
            self._at = min(after)
            return self._shown(self._at)
        self._at = None
        return self._edited.get(None, "")

    def _shown(self, position: int) -> str:
        return self._edited.get(position, self._older[position])

    def _before(self, position: int | None) -> int | None:
        shown = None if position is None else self._older.get(position)
        candidates = (p for p in self._older if (position is None or p < position) and self._older[p] != shown)
        return max(candidates, default=None)

    async def _read_page(self) -> None:
        from tui_agent.session import PromptItem

        start = max(0, self._unread - PAGE)
        items = await self._read(start, self._unread)
        self._unread = start
        for position, item in items.items():
            if isinstance(item, PromptItem):
                self._older[position] = item.text
