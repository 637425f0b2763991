"""What the conversation view costs: appending, a burst of Markdown, the first paint, memory.

Run it as `python -m tests.benchmarks.conversation`. Times are CPU of this process, terminal output left out.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import time
from dataclasses import replace

from tests.ui.panes import MARKDOWN, PaneApp, Session, answer, delta, long_session, prompt, step
from tui_agent.context.items import fold_item
from tui_agent.events import TurnStarted
from tui_agent.session import AnswerItem
from tui_agent.ui.conversation import ConversationView

SIZE = (120, 40)
TOKENS = 20_000
CHARACTERS = 4 * TOKENS
"""A token of English Markdown is about four characters."""


async def append_cost(items: int, rounds: int = 200) -> float:
    """Return the CPU seconds of one item arriving, painted, with `items` there already."""
    session = long_session(max(1, items // 10))
    view = ConversationView()
    app = PaneApp(view)
    async with app.run_test(size=SIZE) as pilot:
        view.show(session)
        await pilot.pause()
        await app.workers.wait_for_complete()
        for n in range(20):
            await _append(session, view, f"w{n}")
        gc.collect()
        gc.disable()
        began = time.process_time()
        for n in range(rounds):
            await _append(session, view, f"x{n}")
        spent = time.process_time() - began
        gc.enable()
    return spent / rounds


async def _append(session: Session, view: ConversationView, name: str) -> None:
    items, _ = session.add(*step(name, view="some\noutput"))
    view.update(items, session.item_count)
    view.settle()  # each one is painted, not merged with its neighbours
    await asyncio.sleep(0)
    view.screen._on_timer_update()


def markdown(characters: int) -> str:
    """Return Markdown of about that length."""
    return (MARKDOWN * (characters // len(MARKDOWN) + 1))[:characters]


async def burst_cost(updates: int, text: str) -> tuple[float, float]:
    """Return CPU and wall seconds of an answer that arrives in `updates` parts, 20 a second at most."""
    session = Session()
    session.add(prompt("r", "say much"))
    view = ConversationView()
    app = PaneApp(view)
    async with app.run_test(size=SIZE) as pilot:
        view.show(session)
        await pilot.pause()
        await app.workers.wait_for_complete()
        session.add(*answer("warm", MARKDOWN))
        view.update(session.all_items, session.item_count)
        await pilot.pause(0.2)
        await app.workers.wait_for_complete()
        position = session.item_count
        stages = []
        item = fold_item(None, TurnStarted(turn="t", model="m", number=1))
        size = len(text) // updates + 1
        for start in range(0, len(text), size):
            item = fold_item(item, delta("t", text[start : start + size]))
            stages.append(item)
        gc.collect()
        began, wall = time.process_time(), time.monotonic()
        for stage in stages:
            view.update({position: stage}, position + 1)
            if updates > 1:
                await asyncio.sleep(0.05)
        assert isinstance(item, AnswerItem)
        view.update({position: replace(item, state="finished")}, position + 1)
        while view._timer is not None:
            await asyncio.sleep(0.01)
        await pilot.pause()
        return time.process_time() - began, time.monotonic() - wall


async def first_paint(items: int) -> tuple[float, float, float]:
    """Return CPU seconds until the last items of a session show, and memory in MB before and after."""
    session = long_session(max(1, items // 10))
    before = _memory()
    view = ConversationView()
    app = PaneApp(view)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        began = time.process_time()
        view.show(session)
        await app.workers.wait_for_complete()
        await asyncio.sleep(0)
        spent = time.process_time() - began
        assert any("file" in view.render_line(y).text for y in range(view.size.height))
        return spent, before, _memory()


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print all figures."""
    asyncio.run(first_paint(10))  # imports
    spent, before, after = asyncio.run(first_paint(10_000))
    print(f"first paint of 10,000 items       {spent * 1000:8.1f} ms CPU, {after - before:5.1f} MB more at peak")
    few, many = asyncio.run(append_cost(100)), asyncio.run(append_cost(10_000))
    print(f"append with 100 items there       {few * 1000:8.2f} ms CPU")
    print(f"append with 10,000 items there    {many * 1000:8.2f} ms CPU, ratio {many / few:.2f}")
    fence = "```python\n" + "x = compute(1, 'two')  # three\n" * (CHARACTERS // 31) + "```\n"
    bullets = "".join(f"- point {n} with **bold** and `code`\n" for n in range(CHARACTERS // 40))
    for name, text in (("mixed", markdown(CHARACTERS)), ("one fence", fence), ("one list", bullets)):
        for updates in (1, 20, 200):
            cpu, wall = asyncio.run(burst_cost(updates, text))
            print(f"20,000 tokens, {name:9}, {updates:3} updates {cpu:6.2f} s CPU, {wall:6.2f} s wall")


if __name__ == "__main__":
    main()
