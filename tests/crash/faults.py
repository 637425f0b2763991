"""Faults to build into the product, so that the harness shows that it would notice them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fault:
    """A mistake in the product. `install` makes it, in this process only."""

    text: str
    install: Callable[[], None]


def _outcome_not_synced() -> None:
    from tui_agent.journal.records import Durability
    from tui_agent.journal.writer import Transaction, Writer

    original = Writer._set_durability

    def relaxed(self: Writer, batch: list[Transaction]) -> None:
        for transaction in batch:
            transaction.durability = Durability.NORMAL
        original(self, batch)

    Writer._set_durability = relaxed  # type: ignore[method-assign]


def _folder_not_synced() -> None:
    from tui_agent.journal import opening

    opening.sync_folder = lambda folder: None


def _start_not_synced() -> None:
    from tui_agent.sandbox import command

    source = Path(command.__file__).with_name("runner.py").read_text()
    begin, end = source.index("    def _write_start"), source.index("    def _write_exit")
    careless = source[begin:end].replace("os.fsync(file)", "pass").replace("_sync_folder()", "pass")
    folder = Path(tempfile.mkdtemp(prefix="careless-runner-"))
    (folder / "runner.py").write_text(source[:begin] + careless + source[end:])
    command.__file__ = str(folder / "command.py")  # the runner is started by its path beside this one


FAULTS: dict[str, Fault] = {
    "outcome-not-synced": Fault("events are committed without waiting for the disk", _outcome_not_synced),
    "folder-not-synced": Fault("a new session's folder is not synced", _folder_not_synced),
    "start-not-synced": Fault("a command runs before its start record is synced", _start_not_synced),
}
"""Every seeded fault by its name."""
