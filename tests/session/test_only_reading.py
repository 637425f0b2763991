"""What runs without a question because it only reads cannot do more; asking for more asks the user."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.session.support import opened, options
from tests.session.test_secrets import Told
from tui_agent.models.offline.answer import Answer, Call
from tui_agent.sandbox import probe_sandbox
from tui_agent.submissions import Decide, Submit

pytestmark = pytest.mark.skipif(probe_sandbox().kind != "bubblewrap", reason="no bubblewrap here")

LOOK = "[ -w data.txt ] && echo writable || echo shut"


async def test_more_than_reading_asks_the_user(tmp_path: Path, isolated: Path) -> None:
    (isolated / "data.txt").write_text("x")
    calls = (Call("bash", {"command": LOOK}), Call("bash", {"command": LOOK, "access": "write"}))
    server = Told(Answer(calls=calls[:1]), Answer(calls=calls[1:]), Answer(text="done"))
    try:
        await asyncio.to_thread(server.start)
        given = options(tmp_path, offline=False, base_url=server.base_url, api_key="k", mode="ask")
        async with opened(given) as session:
            await session.handle.do(Submit(prompt="go"))
            await session.event("permission.requested", 1)
            first = session.of("step.finished")[0]
            assert first.result[0]["text"] == "shut"
            [request] = session.handle.state.permissions.pending
            assert request.why == "it asks to write in the workspace"
            await session.handle.do(Decide(request=request.request, verdict="allow"))
            await session.idle()
            assert session.of("step.finished")[1].result[0]["text"] == "writable"
    finally:
        await asyncio.to_thread(server.stop)


async def test_a_secret_is_kept_from_a_script_that_only_the_sandbox_holds(tmp_path: Path, isolated: Path) -> None:
    (isolated / ".env").write_text("PASSWORD=never-shown")
    script = "import glob; print(open(glob.glob('.e*')[0]).read(), end='')"
    call = Call("bash", {"command": f'python3 -c "{script}"; echo end'})
    server = Told(Answer(calls=(call,)), Answer(text="done"))
    try:
        await asyncio.to_thread(server.start)
        given = options(tmp_path, offline=False, base_url=server.base_url, api_key="k", mode="sandboxed")
        async with opened(given) as session:
            await session.handle.do(Submit(prompt="go"))
            await session.idle()
            [done] = session.of("step.finished")
            assert done.result[0]["text"].startswith("end")
            assert "never-shown" not in str(done.result)
    finally:
        await asyncio.to_thread(server.stop)
