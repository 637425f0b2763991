"""The small values that the journal hands out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui_agent.events import EventBase


class Durability(Enum):
    """What a commit survives: FULL the loss of power, NORMAL the death of the process only."""

    FULL = "FULL"
    NORMAL = "NORMAL"


@dataclass(frozen=True, slots=True)
class Committed:
    """An event as it stands on disk, with its position in the conversation and in the timeline."""

    event: EventBase
    item: int | None
    entry: int | None


@dataclass(frozen=True, slots=True)
class BootRecord:
    """One opening of the session for writing; `started` in seconds since the epoch."""

    number: int
    started: float
    last_seq: int
    pid: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The folded state after event `seq`, as JSON, with the digest that a fold from the start must give."""

    seq: int
    state: str
    digest: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Events lost to damage, first and last seq included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class SalvageReport:
    """What became of a damaged file: where the original stands, how many events were kept, what was lost."""

    set_aside: Path
    kept: int
    gaps: tuple[Gap, ...]
    reason: str

    @property
    def message(self) -> str:
        """One sentence or three for the user."""
        lost = sum(gap.last - gap.first + 1 for gap in self.gaps)
        return (
            f"The session file was damaged ({self.reason}). {self.kept} events were salvaged, "
            f"{lost} are known to be lost, and the newest may be missing. "
            f"The original stands at {self.set_aside}."
        )


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of checking a session file; `bad_seq` and `reason` name the first thing that is wrong.

    `gaps` are the events lost to damage and declared as such: they are no fault of the chain. `note` says what could
    not be checked.
    """

    ok: bool
    events: int
    head: str
    bad_seq: int | None = None
    reason: str = ""
    gaps: tuple[Gap, ...] = ()
    note: str = ""

    @property
    def message(self) -> str:
        """One line that says what was found."""
        if not self.ok:
            return f"event {self.bad_seq}: {self.reason}" if self.bad_seq is not None else self.reason
        lost = f", {len(self.gaps)} declared gaps" if self.gaps else ""
        return f"{self.events} events, chain head {self.head[:16]}{lost}{'; ' if self.note else ''}{self.note}"
