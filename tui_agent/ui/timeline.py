"""The timeline: one line for each thing that happened, and all of its text when it is unfolded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol

from rich.cells import cell_len
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.timer import Timer

from tui_agent.text import inert, inert_line
from tui_agent.ui.paged_view import PagedView
from tui_agent.ui.render.lines import Line, Prefix, clip, plain
from tui_agent.ui.render.palette import Palette
from tui_agent.ui.render.words import clock, duration

if TYPE_CHECKING:
    from tui_agent.session import TimelineEntry

NAME_CELLS = 8
"""Cells of the column of names, unless the view is narrow."""

_GLYPHS = {"running": "●", "waiting": "▲", "ok": "✓", "error": "✗", "info": "·", "warning": "!"}


class EntrySource(Protocol):
    """Where the entries are paged from."""

    @property
    def entry_count(self) -> int:
        """How many entries there are now."""
        ...

    async def entries(self, start: int, stop: int) -> Mapping[int, TimelineEntry]:
        """Return the entries of [start, stop) by position."""
        ...


class EntryDrawing:
    """An entry's lines, and what they were drawn from: the entry, its seconds so far, and whether it is unfolded."""

    __slots__ = ("drawn", "lines")

    def __init__(self, drawn: tuple[TimelineEntry, int, bool], lines: list[Line]) -> None:
        self.drawn = drawn
        self.lines = lines


class TimelineView(PagedView["TimelineEntry", EntryDrawing]):
    """Shows the entries of a session; `now` is the clock (seconds since the epoch) for what still runs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "toggle_fold", "Unfold"),
        Binding("o", "select", "Show in the conversation"),
    ]

    class EntrySelected(Message):
        """The user chose an entry; `subject` is the id of what it is about, empty if it stands alone."""

        def __init__(self, subject: str) -> None:
            super().__init__()
            self.subject = subject

    def __init__(
        self,
        now: Callable[[], float] | None = None,
        *,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._source: EntrySource | None = None
        self._now = now or _system_clock()
        self._ticker: Timer | None = None
        self._unfolded: set[int] = set()

    def show(self, source: EntrySource) -> None:
        """Show the entries of a source from now on, from the end."""
        self._source = source
        self._unfolded.clear()
        self.reset(source.entry_count)

    async def fetch(self, start: int, stop: int) -> Mapping[int, TimelineEntry]:
        return {} if self._source is None else await self._source.entries(start, stop)

    def draw(
        self, position: int, item: TimelineEntry, drawing: EntryDrawing | None, palette: Palette, width: int
    ) -> EntryDrawing:
        elapsed = max(0, int(self._now() - (item.started or item.time))) if item.state == "running" else 0
        drawn = (item, elapsed, position in self._unfolded)
        if drawing is not None and drawing.drawn == drawn:
            return drawing
        lines = [entry_line(item, elapsed, palette, width - 1)]
        if drawn[2]:
            lines += entry_body(item, palette, width - 1)
        return EntryDrawing(drawn, lines)

    def settle(self, pin: tuple[int, int, int] | None = None) -> None:
        super().settle(pin)
        running = any(
            entry is not None and entry.state == "running"
            for entry in (self.item(row.position) for row in self._rows)
        )
        if running and self._ticker is None and self.is_mounted:
            self._ticker = self.set_interval(1.0, self.settle)
        elif not running and self._ticker is not None:
            self._ticker.stop()
            self._ticker = None

    def action_toggle_fold(self) -> None:
        """Show the whole text of the entry under the cursor, or its one line again."""
        if self.item(self.cursor) is not None:
            self._unfolded ^= {self.cursor}
            self.settle()
            self.reveal(self.cursor, line=max(0, self._rows_of(self.cursor) - 1))
            self.reveal(self.cursor)

    def action_select(self) -> None:
        """Say which entry the cursor is on."""
        entry = self.item(self.cursor)
        if entry is not None:
            self.post_message(self.EntrySelected(entry.subject))


def entry_body(entry: TimelineEntry, palette: Palette, width: int) -> list[Line]:
    """Return the whole text of an entry, wrapped; parts that the one line joins stand on lines of their own."""
    bar = [Prefix("  │ ", palette.rule)]
    parts = [f"agent {entry.agent}"] if entry.agent else []
    parts += [part for part in inert(entry.detail).split(" · ") if part] or [entry.name]
    if entry.seconds:
        parts.append(duration(entry.seconds))
    return [line for part in parts for line in plain(part, palette.base, width, bar)]


def agent_name(agent: str) -> str:
    """Return the short name of a subagent: older sessions gave it a random id after the name of its type."""
    name, _, rest = inert_line(agent).rpartition("_")
    return name if name and len(rest) >= 12 else inert_line(agent)


def entry_line(entry: TimelineEntry, elapsed: int, palette: Palette, width: int) -> Line:
    """Return an entry as one line; `elapsed` is how many seconds it has been running."""
    style = {
        "running": palette.name,
        "waiting": palette.warning,
        "ok": palette.ok,
        "error": palette.error,
        "warning": palette.warning,
    }.get(entry.state, palette.dim)
    name = inert_line(entry.name)
    detail = inert_line(entry.detail).removeprefix(f"{name} ")
    if entry.agent:
        detail = f"{agent_name(entry.agent)} · {detail}"
    if entry.state == "waiting":
        ending = "waiting"
    elif entry.state == "running":
        ending = f"{elapsed} s" if elapsed else "running"
    else:
        ending = duration(entry.seconds) if entry.seconds else ""
    time = f"{clock(entry.time)} " if width >= 40 else ""
    if entry.agent and name != "run":
        name = f"  {name}"  # below the step that started the subagent
    name = clip(name, NAME_CELLS if width < 60 else 2 * NAME_CELLS)
    name += " " * (NAME_CELLS - cell_len(name))
    room = width - len(time) - 3 - cell_len(name) - len(ending) - (1 if ending else 0)
    detail = clip(detail, max(0, room))
    gap = " " * (max(0, room - cell_len(detail)) + 1) if ending else ""
    segments = [
        Segment(time, palette.dim),
        Segment(f"{_GLYPHS[entry.state]} ", style),
        Segment(f"{name} ", palette.strong),
        Segment(detail, palette.base),
        Segment(gap, palette.base),
        Segment(ending, palette.dim if entry.state in {"ok", "info"} else style),
    ]
    return Line([segment for segment in segments if segment.text])


def _system_clock() -> Callable[[], float]:
    from tui_agent.runtime import Runtime

    return Runtime().now
