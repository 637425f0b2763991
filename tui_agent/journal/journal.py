"""One open session: append, read, page, verify."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from tui_agent.journal.codec import UPCASTS, Upcast, encode
from tui_agent.journal.errors import JournalDamaged, JournalError, is_damage
from tui_agent.journal.migrations import MIGRATIONS, Migration
from tui_agent.journal.opening import FULL_CHECK_BYTES, Opened, create_file, open_file
from tui_agent.journal.reader import Changes, Reader
from tui_agent.journal.records import (
    BootRecord,
    Committed,
    Durability,
    SalvageReport,
    Snapshot,
    Verification,
)
from tui_agent.journal.redacted import redacted
from tui_agent.journal.schema import connect
from tui_agent.journal.writer import Statement, Tip, Transaction, Writer
from tui_agent.redaction import Redactor

if TYPE_CHECKING:
    from tui_agent.events import Event, EventBase
    from tui_agent.journal.head import Envelope
    from tui_agent.runtime import Runtime

T = TypeVar("T")
Pane = Literal["conversation", "timeline"]


class Journal:
    """One open session file. Belongs to the event loop it was opened on; `create` or `open` makes one.

    `boot` and `fence` number this opening; `last_seq` and `head` are the end of the chain, `item_count` and
    `entry_count` the positions used in the conversation and the timeline, all as of the last commit that
    was published. `crashed_boot` is an earlier opening that never ended; `salvage` says what became of
    the file when it was damaged. `redactor` takes secrets out of what is written.
    """

    def __init__(self, path: Path, runtime: Runtime, upcasts: Mapping[tuple[str, int], Upcast]) -> None:
        self.path = path
        self.session = ""
        self.read_only = True
        self.boot = 0
        self.fence = 0
        self.last_seq = 0
        self.head = ""
        self.item_count = 0
        self.entry_count = 0
        self.crashed_boot: BootRecord | None = None
        self.salvage: SalvageReport | None = None
        self.redactor = Redactor(runtime.environment)
        self._runtime = runtime
        self._reader = Reader(path, upcasts)
        self._last_chunk = (0, 0)
        self._writer: Writer | None = None
        self._loop = asyncio.get_running_loop()
        self._callbacks: list[Callable[[tuple[Committed, ...]], None]] = []
        self._closed: asyncio.Future[None] | None = None

    @classmethod
    async def create(cls, path: Path, session: str, runtime: Runtime) -> Journal:
        """Make a new session file at `path`, with its folder, and open it for writing.

        Raises JournalError when there is one already or it cannot be made (JournalFull, JournalWriteError).
        """
        opened = await asyncio.to_thread(create_file, path, session, runtime)
        return cls(path, runtime, UPCASTS)._start(opened)

    @classmethod
    async def open(
        cls,
        path: Path,
        runtime: Runtime,
        *,
        read_only: bool = False,
        damage: str = "",
        migrations: Sequence[Migration] = MIGRATIONS,
        upcasts: Mapping[tuple[str, int], Upcast] = UPCASTS,
    ) -> Journal:
        """Open the session file at `path`; `migrations` and `upcasts` are the program's own but in tests.

        A damaged file is set aside and salvaged, see `salvage`; `damage` says what an earlier opening found that the
        check at the opening does not. Raises SessionLocked when another window
        writes it, SessionUnwritable, NewerSchema, JournalDamaged when nothing could be salvaged (or,
        read-only, when it would have to be), JournalError.
        """
        journal = cls(path, runtime, upcasts)
        if read_only:
            try:
                start = await journal._guard(journal._reader.open(migrations))
            except BaseException:
                await journal._reader.close()
                raise
            journal.session = start.session
            journal._move(Tip(start.last_seq, start.head, start.items, start.entries))
            return journal
        return journal._start(await asyncio.to_thread(open_file, path, runtime, migrations, damage))

    def _start(self, opened: Opened) -> Journal:
        file = opened.file
        self.session, self.boot, self.fence = file.session, file.boot, file.fence
        self.crashed_boot, self.salvage = opened.crashed_boot, opened.salvage
        self.read_only = False
        head = file.head
        self._move(Tip(head.seq, head.hash, head.items, head.entries))
        self._writer = Writer(file, self._runtime, self._loop, self._publish)
        return self

    # What is written

    async def append(
        self,
        *events: EventBase,
        durability: Durability = Durability.FULL,
        drop_chunks: Sequence[str] = (),
    ) -> tuple[Committed, ...]:
        """Write `events` in one transaction, all or nothing, and return them as they stand on disk.

        Their session is set, their time where it is 0, seq and hash by the commit. The chunks of the
        subjects in `drop_chunks` go in the same transaction. Cancelling the waiting task does not
        cancel the commit: it happens whole, and is published. Raises InvalidEvent, JournalFull,
        JournalWriteError, FenceLost, JournalDamaged; nothing is written then.
        """
        return await self._submit(
            durability,
            events=tuple(self._stamp(event) for event in events),
            drop_chunks=tuple(drop_chunks),
        )

    async def append_chunks(self, *deltas: EventBase) -> None:
        """Write deltas (events that are not durable) to the chunk table; they survive a kill."""
        await self._submit(Durability.NORMAL, chunks=tuple(self._stamp(delta) for delta in deltas))

    async def save_snapshot(self, seq: int, state: str, digest: str) -> None:
        """Keep the folded state after event `seq`, in place of earlier snapshots."""
        await self._submit(
            Durability.NORMAL,
            statements=(
                ("DELETE FROM snapshot", ()),
                ("INSERT INTO snapshot VALUES (?, ?, ?)", (seq, state, digest)),
            ),
        )

    async def save_layout(self, layout: str) -> None:
        """Keep the layout, in place of the one before."""
        await self._submit(
            Durability.NORMAL,
            statements=(("INSERT OR REPLACE INTO layout VALUES (1, ?)", (self._clean_layout(layout),)),),
        )

    def _clean_layout(self, layout: str) -> str:
        # It holds the draft of the next prompt.
        if self.redactor.text(layout) == layout:
            return layout
        return json.dumps(self.redactor.value(json.loads(layout)))

    def on_commit(self, callback: Callable[[tuple[Committed, ...]], None]) -> None:
        """Call `callback` on the event loop for each transaction of events or chunks, in commit order.

        It is called before the append that wrote them returns. It must not raise.
        """
        self._callbacks.append(callback)

    def _stamp(self, event: EventBase) -> tuple[EventBase, Envelope]:
        time = event.time or self._runtime.now()
        stamped = redacted(event.model_copy(update={"session": self.session, "time": time}), self.redactor)
        return stamped, encode(stamped)

    async def _submit(
        self,
        durability: Durability,
        *,
        events: tuple[tuple[EventBase, Envelope], ...] = (),
        chunks: tuple[tuple[EventBase, Envelope], ...] = (),
        drop_chunks: tuple[str, ...] = (),
        statements: tuple[Statement, ...] = (),
    ) -> tuple[Committed, ...]:
        if self._closed is not None:
            raise JournalError(f"The session {self.path} is closed.")
        if self._writer is None:
            raise JournalError(f"The session {self.path} is open read-only here.")
        done: asyncio.Future[tuple[Committed, ...]] = self._loop.create_future()
        self._writer.submit(Transaction(done, durability, events, chunks, drop_chunks, statements))
        return await done

    def _publish(self, batch: list[Transaction], tip: Tip) -> None:
        self._runtime.failpoint("journal.before_publish")
        self._move(tip)
        for transaction in batch:
            done = transaction.done
            if done.done():  # its task was cancelled; the commit stands
                continue
            if transaction.error is not None:
                done.set_exception(transaction.error)
            else:
                done.set_result(transaction.committed)
        # The waiting tasks run after this function: they see what the callbacks did.
        for transaction in batch:
            if transaction.committed and transaction.error is None:
                for callback in self._callbacks:
                    callback(transaction.committed)

    def _move(self, tip: Tip) -> None:
        self.last_seq, self.head = tip.seq, tip.hash.hex()
        self.item_count, self.entry_count = tip.items, tip.entries

    # What is read

    async def read(
        self,
        after: int = 0,
        *,
        limit: int = 1000,
        agent: str | None = None,
        subject: str | None = None,
        types: Sequence[str] = (),
    ) -> list[Event]:
        """Return the first `limit` durable events after seq `after` of that agent, subject and types."""
        return await self._guard(self._reader.read(after, limit, agent, subject, types))

    async def page(self, pane: Pane, start: int, stop: int) -> list[tuple[int, Event]]:
        """Return the events of positions `start` to `stop` (excluded) of a pane with their position.

        In the order they happened; deltas that no durable event has replaced yet are among them.
        """
        return await self._guard(self._reader.page(pane, start, stop))

    async def follow(self) -> Changes:
        """Take up what another process has written since the last look; only for a read-only journal.

        Moves `last_seq`, `head` and the counts. A long backlog comes in parts: look again until it is empty.
        """
        changes = await self._guard(self._reader.changes(self.last_seq, self._last_chunk))
        self._last_chunk = changes.last_chunk
        if changes.events:
            last = changes.events[-1]
            self.last_seq, self.head = last.seq or self.last_seq, last.hash or self.head
        if changes.items or changes.entries:
            self.item_count, self.entry_count = await self._guard(self._reader.counts())
        return changes

    async def count(self, pane: Pane) -> int:
        """Return how many positions of the pane are used on disk."""
        items, entries = await self._guard(self._reader.counts())
        return items if pane == "conversation" else entries

    async def chunks(self) -> list[Event]:
        """Return the deltas that no durable event has replaced, in order: what a crash left."""
        return await self._guard(self._reader.chunks())

    async def latest_snapshot(self) -> Snapshot | None:
        """Return the snapshot that was saved last."""
        return await self._guard(self._reader.snapshot())

    async def layout(self) -> str | None:
        """Return the layout that was saved last."""
        return await self._guard(self._reader.layout())

    async def check(self) -> str:
        """Check what the opening of a large file left out; return the damage found, empty when it is whole.

        Damage is salvaged the next time the session is opened for writing.
        """
        if self.path.stat().st_size <= FULL_CHECK_BYTES:
            return ""
        verification = await self.verify()
        if not verification.ok and self._writer is not None:
            self._writer.suspect()
        return "" if verification.ok else verification.message

    async def verify(self) -> Verification:
        """Check chain, seqs, bodies and boots of the whole file, in a thread of its own."""
        from tui_agent.journal.verify import verify_connection

        acknowledged = self.last_seq

        def check() -> Verification:
            with closing(connect(self.path, "ro")) as connection:
                return verify_connection(connection, acknowledged)

        return await self._guard(asyncio.to_thread(check))

    async def _guard(self, reading: Awaitable[T]) -> T:
        """Await `reading`; what SQLite raises becomes a typed error."""
        try:
            return await reading
        except sqlite3.Error as error:
            if self._writer is not None and is_damage(error):
                self._writer.suspect()
            if not is_damage(error):
                raise JournalError(f"Could not read the session {self.path}: {error}.") from error
            raise JournalDamaged(
                f"The session file {self.path} is damaged ({error}). "
                "What can be read is salvaged the next time it is opened for writing."
            ) from error

    async def close(self, reason: str = "closed") -> None:
        """Write what waits, end the boot with `reason`, give the lock back. Calling it again only waits.

        Raises JournalWriteError when the end could not be written; the session is closed all the same, and
        its next opening takes it for a crash.
        """
        if self._closed is not None:
            await asyncio.wait([self._closed])
            return
        self._closed = asyncio.ensure_future(self._close(reason))
        await asyncio.shield(self._closed)

    async def _close(self, reason: str) -> None:
        # The reader first: the last connection to close tidies up the file, and a reader may not.
        await self._reader.close()
        if self._writer is not None:
            await self._writer.stop(reason)
