"""Positions: each subject one place in a pane, the same before and after a restart, and pages of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.journal.conftest import turn
from tui_agent.events import (
    EventBase,
    Notice,
    RunFinished,
    RunStarted,
    SessionConfigured,
    StepOutput,
    StepPlanned,
    TurnDelta,
    TurnStarted,
)
from tui_agent.journal import Journal
from tui_agent.journal import head as head_module
from tui_agent.runtime import Runtime


def step(number: int, agent: str = "main") -> StepPlanned:
    return StepPlanned(
        agent=agent, step=f"step_{number}", turn="t", call_id="c", tool="read", input={}, effect="pure"
    )


async def test_events_of_one_subject_share_a_position(journal: Journal) -> None:
    committed = await journal.append(
        *turn(1), step(1), Notice(level="info", code="a", message="b"), *turn(2), step(1)
    )
    assert [(one.item, one.entry) for one in committed] == [
        (0, None),
        (1, 0),
        (1, 0),
        (2, 1),
        (3, 2),
        (4, None),
        (5, 3),
        (5, 3),
        (2, 1),
    ]
    assert (journal.item_count, journal.entry_count) == (6, 4)


async def test_a_subagent_is_in_the_timeline_only(journal: Journal) -> None:
    committed = await journal.append(step(1, agent="agent_2"), SessionConfigured(title="x"))
    assert [(one.item, one.entry) for one in committed] == [(None, 0), (None, 1)]
    assert await journal.page("conversation", 0, 10) == []
    assert [position for position, _ in await journal.page("timeline", 0, 10)] == [0, 1]


async def test_a_page_holds_its_positions_and_nothing_else(journal: Journal) -> None:
    for number in range(300):
        await journal.append(*turn(number))
    await journal.append(RunFinished(run="run_0", outcome="completed"))
    await journal.append(turn(0)[1])
    page = await journal.page("conversation", 0, 2)
    assert [(position, event.type) for position, event in page] == [
        (0, "run.started"),
        (1, "turn.started"),
        (1, "turn.finished"),
        (1, "turn.started"),
    ]
    seqs = [event.seq or 0 for _, event in page]
    assert seqs == sorted(seqs)
    assert len(await journal.page("conversation", 500, 510)) == 15
    assert await journal.count("conversation") == journal.item_count == 601
    assert await journal.page("timeline", 5, 5) == []


async def test_open_deltas_are_in_the_page_where_they_happened(journal: Journal) -> None:
    first = TurnStarted(run="r", turn="t", model="m", number=1)
    await journal.append(RunStarted(run="r", prompt="p"), first)
    await journal.append_chunks(TurnDelta(turn="t", block=0, kind="text", text="a"))
    await journal.append(first.model_copy(update={"attempt": 2}))
    await journal.append_chunks(TurnDelta(turn="t", block=0, kind="text", text="b"))
    page = await journal.page("conversation", 1, 2)
    assert [getattr(event, "text", event.type) for _, event in page] == ["turn.started", "a", "turn.started", "b"]


async def test_subjects_keep_their_place_after_a_restart(path: Path, runtime: Runtime) -> None:
    journal = await Journal.create(path, "s", runtime)
    await journal.append(*turn(1)[:2], step(1))
    await journal.append_chunks(StepOutput(step="step_lonely", text="only a chunk"))
    await journal.close()
    journal = await Journal.open(path, runtime)
    assert (journal.item_count, journal.entry_count) == (4, 2)
    committed = await journal.append(turn(1)[2], step(1), step(2), step_output_owner := step(99))
    assert [(one.item, one.entry) for one in committed] == [(1, 0), (2, 1), (4, 2), (5, 3)]
    assert step_output_owner.step == "step_99"
    (lonely,) = await journal.append(step(1).model_copy(update={"step": "step_lonely"}))
    assert (lonely.item, lonely.entry) == (3, 4)
    await journal.close()


async def test_subjects_forgotten_by_memory_are_found_in_the_table(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_module, "REMEMBERED_SUBJECTS", 3)
    for number in range(20):
        await journal.append(step(number))
    again = await journal.append(*(step(number) for number in range(20)))
    assert [one.item for one in again] == list(range(20))


events = st.one_of(
    st.integers(0, 5).map(step),
    st.integers(0, 5).map(lambda number: step(number, agent="other")),
    st.integers(0, 5).map(lambda number: turn(number)[1]),
    st.text(max_size=20).map(lambda text: Notice(level="info", code="c", message=text)),
    st.just(SessionConfigured(title="t")),
)
actions = st.lists(st.one_of(st.lists(events, min_size=1, max_size=4), st.just("reopen")), max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=actions)
def test_any_appends_and_reopenings_give_one_contiguous_chain(
    actions: list[list[EventBase] | str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def run() -> None:
        path = tmp_path_factory.mktemp("property") / "session.db"
        journal = await Journal.create(path, "s", Runtime())
        expected: list[tuple[int | None, int | None, EventBase]] = []
        for action in actions:
            if action == "reopen":
                await journal.close()
                journal = await Journal.open(path, Runtime())
                assert journal.crashed_boot is None
            else:
                committed = await journal.append(*action)
                expected.extend((one.item, one.entry, one.event) for one in committed)
        everything = [event for _, _, event in expected]
        assert await journal.read() == everything
        assert [event.seq for event in everything] == list(range(1, len(everything) + 1))
        verification = await journal.verify()
        assert (verification.ok, verification.head) == (True, journal.head)
        items = [(item, event) for item, _, event in expected if item is not None]
        entries = [(entry, event) for _, entry, event in expected if entry is not None]
        assert await journal.page("conversation", 0, 100) == items
        assert await journal.page("timeline", 0, 100) == entries
        assert {item for item, _ in items} == set(range(journal.item_count))
        assert {entry for entry, _ in entries} == set(range(journal.entry_count))
        await journal.close()

    asyncio.run(run())


async def test_who_follows_sees_each_delta_when_earlier_ones_have_been_replaced(
    journal: Journal, runtime: Runtime
) -> None:
    follower = await Journal.open(journal.path, runtime, read_only=True)
    for number in (1, 2, 3):
        started = await journal.append(TurnStarted(turn=f"turn_{number}", model="m", number=number))
        await follower.follow()
        for text in ("some ", "more ") if number == 1 else ("some ",):
            await journal.append_chunks(TurnDelta(turn=f"turn_{number}", block=0, kind="text", text=text))
            assert (await follower.follow()).items == {started[0].item}
            assert not (await follower.follow()).items
        await journal.append(RunFinished(outcome="completed"), drop_chunks=[f"turn_{number}"])
    await follower.close()
