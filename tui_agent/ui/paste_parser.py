"""Reads what the terminal sends, and takes a bracketed paste whole.

Textual 8.2's parser looks for escape sequences inside a paste too: a paste that holds ESC comes out scrambled,
partly as keys, and a key can send or approve something. Here nothing inside a paste is ever a key.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

from textual import events
from textual._xterm_parser import XTermParser
from textual.message import Message

PASTE_BEGIN = "\x1b[200~"
PASTE_END = "\x1b[201~"

_SPLIT_BEGINS = tuple(PASTE_BEGIN[:length] for length in range(5, 2, -1))
"""The begin of a paste, cut by the end of a read; a lone ESC may be the key and is not held back."""


class PasteParser(XTermParser):
    """Textual's parser for all but pastes."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._held = ""
        self._pasted: list[str] | None = None

    def feed(self, data: str) -> Iterable[Message]:
        """Yield the events that `data` makes. Empty data ends the input; an unfinished paste is given then."""
        if not data:
            if self._pasted:
                yield events.Paste("".join(self._pasted))
                self._pasted = None
            yield from super().feed("")
            return
        data, self._held = self._held + data, ""
        while data:
            if self._pasted is None:
                before, begin, data = data.partition(PASTE_BEGIN)
                if not begin and before.endswith(_SPLIT_BEGINS):
                    cut = next(len(part) for part in _SPLIT_BEGINS if before.endswith(part))
                    before, self._held = before[:-cut], before[-cut:]
                if before:
                    yield from super().feed(before)
                if not begin:
                    return
                self._pasted = []
            data = yield from self._paste(data)

    def _paste(self, data: str) -> Generator[Message, None, str]:
        """Take pasted text; return what comes after its end."""
        assert self._pasted is not None
        # The mark may be cut by a read: look for it in the end of what came before as well.
        tail = self._pasted.pop() if self._pasted else ""
        text = tail + data
        # The last mark counts: one inside the paste, which some terminals let through, must not end it early.
        pasted, end, rest = text.rpartition(PASTE_END)
        if not end:
            self._pasted += [rest[: -len(PASTE_END)], rest[-len(PASTE_END) :]]
            return ""
        for part in _apart("".join([*self._pasted, pasted])):
            yield events.Paste(part.replace("\r\n", "\n").replace("\r", "\n"))
        self._pasted = None
        return rest


def _apart(text: str) -> Iterator[str]:
    """Yield the pastes of one read. What stands between two may be forged by the first: it is text, never keys."""
    *earlier, last = text.split(PASTE_BEGIN)
    for piece in earlier:
        pasted, _, between = piece.rpartition(PASTE_END)
        yield from filter(None, (pasted, between))
    yield last
