"""Telling a session in which nothing was asked from one that is worth keeping."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tui_agent.journal.schema import connect

_OF_EVERY_START = (
    "session.created",
    "session.configured",
    "sandbox.probed",
    "budget.clocked",
    "crash",
    "notice",
)
"""Types of the events that opening and closing a session write by themselves."""


def holds_nothing(path: Path) -> bool:
    """Say whether nothing was asked or begun in the session of this file: no prompt, no draft, no title of its own.

    False for a file that cannot be read, and for one that was salvaged: what is lost may have been a prompt.
    """
    if any(path.parent.glob(f"{path.name}.damaged-*")):
        return False
    try:
        with closing(connect(path, "ro")) as connection:
            marks = ", ".join("?" * len(_OF_EVERY_START))
            used = f"SELECT 1 FROM event WHERE type NOT IN ({marks}) LIMIT 1"
            if (
                connection.execute(used, _OF_EVERY_START).fetchone()
                or connection.execute("SELECT 1 FROM chunk LIMIT 1").fetchone()
            ):
                return False
            told = connection.execute(
                "SELECT body FROM event WHERE type IN ('session.created', 'session.configured')"
            )
            titled = any(json.loads(body or "{}").get("title") for (body,) in told)
            layout = connection.execute("SELECT layout FROM layout").fetchone()
            return not titled and not (layout and _has_draft(layout[0]))
    except (sqlite3.Error, ValueError, TypeError, AttributeError):
        return False


def _has_draft(layout: str) -> bool:
    draft = json.loads(layout).get("draft") or {}
    return bool(str(draft.get("text", "")).strip())
