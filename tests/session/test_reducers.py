"""The four reducers: pure, total, and the same however they get there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.events.strategies import events
from tui_agent.context.items import fold_entry, fold_item
from tui_agent.events import EventBase, RunStarted, SessionCreated, StepFinished, StepPlanned, TurnFinished, Usage
from tui_agent.session.state import SessionState, apply, digest, dump_state, load_state


def fold(state: SessionState, sequence: list[EventBase]) -> SessionState:
    for event in sequence:
        state = apply(state, event)
    return state


numbered = st.lists(events, max_size=25).map(
    lambda sequence: [event.model_copy(update={"seq": seq}) for seq, event in enumerate(sequence, 1)]
)


@given(numbered)
def test_any_sequence_of_events_folds_and_the_input_stays_as_it_was(sequence: list[EventBase]) -> None:
    state = SessionState()
    for event in sequence:
        before = dump_state(state)
        after = apply(state, event)
        assert dump_state(state) == before
        state = after


@given(numbered, st.integers(0, 25))
def test_a_snapshot_anywhere_gives_the_same_state(sequence: list[EventBase], cut: int) -> None:
    whole = fold(SessionState(), sequence)
    saved = load_state(dump_state(fold(SessionState(), sequence[:cut])))
    assert digest(dump_state(fold(saved, sequence[cut:]))) == digest(dump_state(whole))


@given(numbered)
def test_spend_is_the_sum_of_what_was_booked_since_the_fork(sequence: list[EventBase]) -> None:
    state = fold(SessionState(), sequence)
    booked = Usage()
    for event in sequence:
        if isinstance(event, SessionCreated) and event.forked_from is not None:
            booked = Usage()
        if event.type in {"turn.finished", "turn.failed", "context.compacted", "budget.booked"}:
            booked += event.usage  # type: ignore[attr-defined]
    assert state.budget.usage.total_tokens == booked.total_tokens


@given(numbered)
def test_no_finished_step_stays_open(sequence: list[EventBase]) -> None:
    state = fold(SessionState(), sequence)
    last = {event.step: event for event in sequence if isinstance(event, StepPlanned | StepFinished)}
    for step, event in last.items():
        assert (step in state.workflow.steps) == isinstance(event, StepPlanned)


@given(st.lists(events, min_size=1, max_size=10))
def test_any_events_of_one_position_give_an_item_and_an_entry(sequence: list[EventBase]) -> None:
    item, entry = None, None
    for event in sequence:
        item, entry = fold_item(item, event), fold_entry(entry, event)
    assert item is not None
    assert entry is not None


def test_the_state_stays_small_whatever_the_length() -> None:
    sequence: list[EventBase] = []
    for number in range(2_000):
        step, turn = f"step{number}", f"turn{number}"
        sequence.append(RunStarted(prompt="x" * 500, run=f"run{number}"))
        sequence.append(TurnFinished(turn=turn, model="m", content=[], stop_reason="end_turn", usage=Usage()))
        sequence.append(StepPlanned(step=step, turn=turn, call_id="c", tool="read", input={}, effect="pure"))
        sequence.append(StepFinished(step=step, tool="read", outcome="ok", result=[]))
        from tui_agent.events import RunFinished

        sequence.append(RunFinished(run=f"run{number}", outcome="completed"))
    assert len(dump_state(fold(SessionState(), sequence))) < 3_000
