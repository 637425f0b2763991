"""The layout of a session: everything about the screen that comes back after a crash.

Plain JSON with a version; what is not understood is left alone, what is missing is as in a new session.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.timer import Timer
    from textual.widget import Widget

TABS = ("conversation", "timeline", "permissions", "budget")
"""The panes, as tabs on a narrow terminal."""

SIDE_MIN, SIDE_MAX = 20, 70
"""Percent of the width that the right column can take."""
TIMELINE_MIN, TIMELINE_MAX = 15, 75
"""Percent of the right column's height that the timeline can take."""

SAVE_SECONDS = 0.15
"""How long after a change the layout is saved; further changes wait for the same save."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stands. `side` and `timeline_height` are percent; the views' states are their own."""

    side: int = 38
    timeline_height: int = 40
    tab: str = "conversation"
    focus: str = "prompt"
    theme: str = ""
    conversation: dict[str, Any] = field(default_factory=dict)
    timeline: dict[str, Any] = field(default_factory=dict)
    draft: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the layout as the session stores it."""
        return {
            "version": 1,
            "panes": {"side": self.side, "timeline": self.timeline_height},
            "tab": self.tab,
            "focus": self.focus,
            "theme": self.theme,
            "conversation": self.conversation,
            "timeline": self.timeline,
            "draft": self.draft,
        }

    def resized(self, *, side: int = 0, timeline: int = 0) -> Layout:
        """Return the layout with the right column and the timeline so many percent larger."""
        return replace(
            self,
            side=_within(self.side + side, SIDE_MIN, SIDE_MAX),
            timeline_height=_within(self.timeline_height + timeline, TIMELINE_MIN, TIMELINE_MAX),
        )


def parse_layout(data: object) -> Layout:
    """Read a stored layout. Never raises: what is unusable in it is as in a new session."""
    new = Layout()
    if not isinstance(data, dict):
        return new
    panes = _table(data.get("panes"))
    tab = data.get("tab")
    return Layout(
        side=_within(_number(panes.get("side"), new.side), SIDE_MIN, SIDE_MAX),
        timeline_height=_within(_number(panes.get("timeline"), new.timeline_height), TIMELINE_MIN, TIMELINE_MAX),
        tab=tab if tab in TABS else new.tab,
        focus=str(data.get("focus", new.focus)),
        theme=str(data.get("theme", new.theme)),
        conversation=_table(data.get("conversation")),
        timeline=_table(data.get("timeline")),
        draft=_table(data.get("draft")),
    )


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _within(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


class LayoutSaver:
    """Saves the layout soon after a change, off the path of the key that made it, if it differs.

    `failed` is told when it cannot be saved, once until it can be again; the next change tries anew.
    """

    def __init__(
        self,
        owner: Widget,
        collect: Callable[[], Layout],
        save: Callable[[dict[str, Any]], Awaitable[object]],
        failed: Callable[[Exception], object],
    ) -> None:
        self._owner = owner
        self._collect = collect
        self._save = save
        self._tell_failed = failed
        self._failed = False
        self._timer: Timer | None = None
        self._saved: dict[str, Any] | None = None

    def touch(self) -> None:
        """Something changed."""
        if self._timer is None:
            self._timer = self._owner.set_timer(SAVE_SECONDS, self.flush)

    async def flush(self) -> None:
        """Save now, if there is anything new."""
        self.stop()
        layout = self._collect().to_json()
        if layout == self._saved:
            return
        try:
            await self._save(layout)
        except Exception as error:  # it costs neither the app nor the way out of it
            if not self._failed:
                self._tell_failed(error)
            self._failed = True
        else:
            self._saved = layout
            self._failed = False

    def stop(self) -> None:
        """Forget a save that is due."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
