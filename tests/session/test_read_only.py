"""A second window on a session: it shows what the first one writes, and changes nothing."""

from __future__ import annotations

import pytest

from tests.session.support import options
from tests.waiting import until
from tui_agent.session import SessionReadOnly, open_session, resume_session, upkeep
from tui_agent.submissions import Decide, Submit


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(upkeep, "FOLLOW_SECONDS", 0.01)


async def test_a_read_only_window_follows_the_one_that_writes(tmp_path, isolated):
    (isolated / "hello.py").write_text("print('hi')\n")
    one = await open_session(options(tmp_path))
    await one.start()
    two = await resume_session(one.session, options(tmp_path))
    assert two.read_only
    updates = []
    two.subscribe(updates.append)
    await two.start()
    await one.do(Submit(prompt="say 200 then edit hello.py: print => PRINT"))
    await until(lambda: two.state.permissions.pending)
    assert any(update.items for update in updates)
    await one.do(Decide(request=two.state.permissions.pending[0].request, verdict="allow"))
    await until(lambda: not two.state.conversation.active_run and two.state.conversation.prompts)
    await until(lambda: two.state == one.state)
    assert (two.item_count, two.entry_count) == (one.item_count, one.entry_count)
    assert await two.items(0, two.item_count) == await one.items(0, one.item_count)
    shown = {}
    for update in updates:
        shown |= update.items
    assert shown == await one.items(0, one.item_count)
    with pytest.raises(SessionReadOnly):
        await two.do(Submit(prompt="hello"))
    await two.close()
    await one.close()


async def test_opening_while_the_other_writes_folds_nothing_twice(tmp_path):
    one = await open_session(options(tmp_path))
    await one.start()
    for number in range(5):
        await one.do(Submit(prompt=f"say {number}"))
        two = await resume_session(one.session, options(tmp_path))
        await two.start()
        await until(lambda one=one: not one.state.conversation.active_run)
        await until(lambda one=one, two=two: two.state == one.state)
        await two.close()
    await one.close()
