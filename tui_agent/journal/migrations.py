"""Bringing a session file of an older schema up to date: a backup first, then one transaction a version.

Event bodies are never rewritten; `codec.UPCASTS` reads old ones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tui_agent.journal.errors import JournalDamaged, JournalError, NewerSchema
from tui_agent.journal.schema import APPLICATION_ID, connect

if TYPE_CHECKING:
    from tui_agent.runtime import Runtime

Migration = Callable[[sqlite3.Connection], None]

MIGRATIONS: tuple[Migration, ...] = ()
"""The first turns version 1 into version 2, and so on. Each runs in a transaction and must not end it."""


MAX_VERSION = 9_999
"""Versions above are damage to the header."""


def schema_version(migrations: Sequence[Migration]) -> int:
    """Return the version that files have after all `migrations`."""
    return len(migrations) + 1


def read_header(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the application id and the schema version."""
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    return application_id, version


def check_version(application_id: int, version: int, path: Path, migrations: Sequence[Migration]) -> bool:
    """Say whether a file with this header must be migrated.

    Raises NewerSchema when a newer program wrote it, JournalDamaged when it is no session file of ours.
    """
    if application_id != APPLICATION_ID or not 1 <= version <= MAX_VERSION:
        raise JournalDamaged(f"{path} does not look like a session file: its header is not ours")
    current = schema_version(migrations)
    if version > current:
        raise NewerSchema(
            f"The session {path} was written by a newer version of tui-agent "
            f"(schema {version}, this one knows {current}). Update tui-agent to open it."
        )
    return version < current


def require_current(application_id: int, version: int, path: Path, migrations: Sequence[Migration]) -> None:
    """Raise what `check_version` raises, and JournalError when the file is of an older version."""
    if check_version(application_id, version, path, migrations):
        raise JournalError(
            f"The session {path} is of an older version. Open it once for writing to bring it up to date."
        )


def migrate(connection: sqlite3.Connection, path: Path, runtime: Runtime, migrations: Sequence[Migration]) -> None:
    """Bring the file to the current version. After a failure or crash it stands at a whole version."""
    from tui_agent.journal.opening import put_in_place, with_suffix

    version = connection.execute("PRAGMA user_version").fetchone()[0]
    backup = with_suffix(path, f".v{version}.backup")
    if not backup.exists():
        unfinished = with_suffix(backup, ".new")
        unfinished.unlink(missing_ok=True)
        with closing(connect(unfinished, "rwc")) as target:
            connection.backup(target)
        put_in_place(unfinished, backup)
    connection.execute("PRAGMA synchronous = FULL")
    for number in range(version, schema_version(migrations)):
        runtime.failpoint("journal.migrate")
        connection.execute("BEGIN IMMEDIATE")
        try:
            migrations[number - 1](connection)
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    runtime.failpoint("journal.migrated")
