"""Sessions that were closed are let go of: opening many in one program does not add up."""

from __future__ import annotations

import gc
from pathlib import Path

from tests.session.support import opened, options
from tui_agent.session import SessionHandle

OBJECTS_A_SESSION = 200
"""Objects that a closed session may leave, in caches of the standard library. One that was kept would be 5,000."""


async def test_closed_sessions_leave_nothing_in_memory(tmp_path: Path) -> None:
    async def one() -> int:
        async with opened(options(tmp_path)) as session:
            await session.prompt("say 5")
        del session
        gc.collect()
        return len(gc.get_objects()) + gc.get_freeze_count()

    for _ in range(2):  # what is imported and cached once
        before = await one()
    sessions = 4
    for _ in range(sessions):
        after = await one()
    assert after - before < sessions * OBJECTS_A_SESSION
    assert not [thing for thing in gc.get_objects() if isinstance(thing, SessionHandle)]
