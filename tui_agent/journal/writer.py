"""The one thread that writes a session file.

It is fed whole transactions through a queue and commits as many of them together as wait (group commit).
Each is all or nothing: when a batch fails, its transactions are tried one by one, and only those fail
that cannot be written.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from tui_agent.journal.errors import FenceLost, JournalError, JournalGone, explain, is_damage
from tui_agent.journal.head import INSERT_EVENT, Envelope, Head
from tui_agent.journal.lock import FileLock
from tui_agent.journal.records import Committed, Durability
from tui_agent.journal.schema import standing_file

if TYPE_CHECKING:
    from tui_agent.events import EventBase
    from tui_agent.runtime import Runtime

BATCH_LIMIT = 256
"""Transactions in one commit, so that the first of them does not wait for too many others."""

Statement = tuple[str, tuple[object, ...]]


@dataclass(slots=True)
class Transaction:
    """What is written together, and who waits for it. `error` or `committed` is set when it is through."""

    done: asyncio.Future[tuple[Committed, ...]]
    durability: Durability
    events: tuple[tuple[EventBase, Envelope], ...] = ()
    chunks: tuple[tuple[EventBase, Envelope], ...] = ()
    drop_chunks: tuple[str, ...] = ()
    statements: tuple[Statement, ...] = ()
    committed: tuple[Committed, ...] = ()
    error: JournalError | None = None


@dataclass(frozen=True, slots=True)
class Tip:
    """Where the journal ends after a batch; what the event loop sees of `Head`."""

    seq: int
    hash: bytes
    items: int
    entries: int


@dataclass(slots=True)
class OpenFile:
    """A session file opened for writing: the lock is held, the fence raised, the boot row written."""

    path: Path
    connection: sqlite3.Connection
    lock: FileLock
    session: str
    boot: int
    fence: int
    head: Head


class Writer:
    """Owns the connection from `start` to `stop`.

    `publish` is called on the event loop with the transactions of each batch, in commit order.
    """

    def __init__(
        self,
        file: OpenFile,
        runtime: Runtime,
        loop: asyncio.AbstractEventLoop,
        publish: Callable[[list[Transaction], Tip], None],
    ) -> None:
        self._file = file
        self._connection = file.connection
        self._head = file.head
        self._runtime = runtime
        self._loop = loop
        self._publish = publish
        self._queue: SimpleQueue[Transaction | _Stop] = SimpleQueue()
        self._durability: Durability | None = None
        self._damaged = False
        self._standing = standing_file(file.path)
        # A daemon, so that a program that ends without closing is not kept alive; the next opening then
        # sees a boot without an end, which is the truth.
        self._thread = threading.Thread(target=self._run, name=f"journal {file.session}", daemon=True)
        self._thread.start()

    def submit(self, transaction: Transaction) -> None:
        """Queue a transaction. Never blocks."""
        self._queue.put(transaction)

    def suspect(self) -> None:
        """Note that damage was seen: the boot gets no end, so that the next opening checks the file."""
        self._damaged = True

    async def stop(self, reason: str) -> None:
        """Write what waits, end the boot, close the file, give the lock back."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._queue.put(_Stop(reason, done))
        await asyncio.shield(done)

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            batch: list[Transaction] = []
            stop: _Stop | None = None
            job: Transaction | _Stop = first
            with suppress(Empty):
                while True:
                    if isinstance(job, _Stop):
                        stop = job
                        break
                    batch.append(job)
                    if len(batch) == BATCH_LIMIT:
                        break
                    job = self._queue.get_nowait()
            if batch:
                self._write(batch)
            if stop is not None:
                self._close(stop)
                return

    def _write(self, batch: list[Transaction]) -> None:
        try:
            self._commit(batch)
        except Exception as error:
            # Whatever it was, the waiting tasks are told; a batch is first tried in its parts.
            if len(batch) > 1:
                for transaction in batch:
                    self._write([transaction])
                return
            batch[0].error = self._explain(error)
        else:
            self._runtime.failpoint("journal.after_commit")
        head = self._head
        tip = Tip(head.seq, head.hash, head.items, head.entries)
        self._call(lambda: self._publish(batch, tip))

    def _commit(self, batch: list[Transaction]) -> None:
        connection, head = self._connection, self._head
        self._set_durability(batch)
        mark = head.mark()
        self._runtime.failpoint("journal.begin")
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._check_fence()
            for transaction in batch:
                transaction.committed = self._apply(transaction)
            self._runtime.failpoint("journal.before_commit")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            head.restore(mark)
            raise
        head.settle()

    def _set_durability(self, batch: list[Transaction]) -> None:
        full = any(transaction.durability is Durability.FULL for transaction in batch)
        wanted = Durability.FULL if full else Durability.NORMAL
        if wanted is not self._durability:
            self._connection.execute(f"PRAGMA synchronous = {wanted.value}")
            self._durability = wanted

    def _check_fence(self) -> None:
        if standing_file(self._file.path) != self._standing:
            raise JournalGone(
                f"The session file {self._file.path} was removed or exchanged while it was open: nothing that "
                "happens now would be kept. Put the file back and go on, or close this session."
            )
        row = self._connection.execute("SELECT value FROM meta WHERE key = 'fence'").fetchone()
        if row != (self._file.fence,):
            raise FenceLost(
                f"Another process has taken over the session {self._file.path}; this one writes no more. "
                "Close this window."
            )

    def _apply(self, transaction: Transaction) -> tuple[Committed, ...]:
        connection, head = self._connection, self._head
        committed: list[Committed] = []
        if transaction.events:
            rows = []
            for event, envelope in transaction.events:
                row = head.append(envelope, self._file.boot)
                stamped = event.model_copy(update={"seq": row.seq, "hash": row.hash.hex()})
                rows.append(row)
                committed.append(Committed(stamped, row.item, row.entry))
            connection.executemany(INSERT_EVENT, rows)
        for event, envelope in transaction.chunks:
            item, entry = head.place(envelope)
            connection.execute(
                "INSERT INTO chunk (after, subject, item, entry, body) VALUES (?, ?, ?, ?, ?)",
                (head.seq, envelope.subject, item, entry, envelope.body),
            )
            committed.append(Committed(event, item, entry))
        for subject in transaction.drop_chunks:
            connection.execute("DELETE FROM chunk WHERE subject = ?", (subject,))
        for sql, parameters in transaction.statements:
            connection.execute(sql, parameters)
        return tuple(committed)

    def _explain(self, error: Exception) -> JournalError:
        if is_damage(error):
            self.suspect()
        failure = explain(error, self._file.path)
        if failure is not error:
            failure.__cause__ = error
        return failure

    def _close(self, stop: _Stop) -> None:
        error: JournalError | None = None
        try:
            self._runtime.failpoint("journal.close")
            if not self._damaged:
                self._end_boot(stop.reason)
        except Exception as raised:
            error = self._explain(raised)
        finally:
            self._connection.close()
            self._file.lock.release()
        self._call(lambda: stop.done.set_exception(error) if error else stop.done.set_result(None))

    def _end_boot(self, reason: str) -> None:
        connection = self._connection
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._check_fence()
            connection.execute(
                "UPDATE boot SET ended = ?, reason = ?, last_seq = ?, head = ? WHERE number = ?",
                (self._runtime.now(), reason, self._head.seq, self._head.hash, self._file.boot),
            )
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _call(self, function: Callable[[], object]) -> None:
        # A loop that is closed has nobody waiting on it any more; what was committed stays committed.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)


@dataclass(frozen=True, slots=True)
class _Stop:
    reason: str
    done: asyncio.Future[None]
