"""What the screen, headless runs and tests know of a session, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tui_agent.context.items import Item, TimelineEntry
    from tui_agent.session.inspection import Inspection
    from tui_agent.session.state import SessionState
    from tui_agent.session.view import Listener
    from tui_agent.submissions import Submission


class Session(Protocol):
    """One open session: submissions go in with `do`, updates come out to those who subscribed.

    `SessionHandle` is the session of this process.
    """

    session: str

    @property
    def state(self) -> SessionState:
        """Everything folded so far."""

    @property
    def read_only_because(self) -> str:
        """Why the session is read-only; empty if it is not."""

    @property
    def inspect(self) -> Inspection:
        """Answers to questions about the session, which change nothing."""

    def subscribe(self, on_update: Listener) -> Callable[[], None]:
        """Call `on_update` on the loop with each update, in commit order; return the function that ends it."""

    async def do(self, submission: Submission) -> str:
        """Do what is asked, and return the id or path of what it made, if any. Raises `SessionError`."""

    async def items(self, start: int, stop: int) -> dict[int, Item]:
        """Return a page of the conversation, by position."""

    async def entries(self, start: int, stop: int) -> dict[int, TimelineEntry]:
        """Return a page of the timeline, by position."""
