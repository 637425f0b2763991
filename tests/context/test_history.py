"""The message history: always valid for the API, only ever growing at its end."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_agent.context import History, PrefixRewritten, build_request, fold_history, guard_prefix
from tui_agent.events import (
    ContextCompacted,
    ContextLoaded,
    ContextPutBack,
    EventBase,
    JsonObject,
    PromptAccepted,
    PromptQueued,
    Receipt,
    RunFinished,
    RunStarted,
    StepFinished,
    StepPlanned,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    Usage,
)

HEAD = ContextLoaded(
    system=[{"type": "text", "text": "be good"}],
    tools=[{"name": "read", "description": "", "input_schema": {}}],
    sources=[],
)


def messages(history: History) -> list[dict[str, Any]]:
    """The messages as a server would parse them."""
    body = build_request(history, model="m", max_tokens=10, fields={}).body
    return json.loads(body)["messages"]  # type: ignore[no-any-return]


@st.composite
def runs(draw: st.DrawFn) -> list[EventBase]:
    """Events of an agent's life in an order that can happen, cut anywhere between two requests."""
    sequence: list[EventBase] = [HEAD]
    number = 0
    for run in range(draw(st.integers(1, 4))):
        sequence.append(RunStarted(run=f"r{run}", prompt=f"prompt {run}"))
        for _ in range(draw(st.integers(0, 4))):
            number += 1
            turn = f"t{number}"
            if draw(st.booleans()):
                back: list[Any] = [{"type": "text", "text": f"put back {number}"}]
                sequence.append(ContextPutBack(source=1, title="", content=back))
            sequence.append(TurnStarted(turn=turn, model="m", number=number))
            kind = draw(st.sampled_from(["text", "tools", "pause", "failed", "cut", "crash", "interrupted", "empty"]))
            if draw(st.booleans()):
                sequence.append(PromptQueued(prompt_id=f"q{number}", prompt=f"queued {number}"))
            if kind in {"failed", "cut", "crash", "interrupted"}:
                text = draw(st.sampled_from(["", "  ", "some words"]))
                partial = [{"type": "text", "text": text}, {"type": "thinking", "thinking": "hm"}]
                sequence.append(
                    TurnFailed(turn=turn, kind=kind, message="", partial=partial if kind != "failed" else [])  # type: ignore[arg-type]
                )
                sequence.append(PromptAccepted(prompt_id=f"q{number}"))
                break
            count = draw(st.integers(1, 3)) if kind == "tools" else 0
            content: list[Any] = [] if kind == "empty" else [{"type": "text", "text": f"answer {number}"}]
            calls = [f"call{number}.{index}" for index in range(count)]
            content += [{"type": "tool_use", "id": call, "name": "read", "input": {}} for call in calls]
            stop = {"tools": "tool_use", "pause": "pause_turn"}.get(kind, "end_turn")
            sequence.append(TurnFinished(turn=turn, model="m", content=content, stop_reason=stop, usage=Usage()))
            for call in calls:
                sequence.append(
                    StepPlanned(step=f"s{call}", turn=turn, call_id=call, tool="read", input={}, effect="pure")
                )
            accepted = draw(st.booleans())
            if accepted:
                sequence.append(PromptAccepted(prompt_id=f"q{number}"))
            for call in draw(st.permutations(calls)):
                outcome = draw(st.sampled_from(["ok", "error", "cancelled"]))
                result = [{"type": "text", "text": "result"}]
                sequence.append(StepFinished(step=f"s{call}", tool="read", outcome=outcome, result=result))
            if not accepted:
                sequence.append(PromptAccepted(prompt_id=f"q{number}"))
        sequence.append(RunFinished(run=f"r{run}", outcome="completed"))
    return sequence


def check_valid(sent: list[dict[str, Any]]) -> None:
    """The rules of the Messages API that a history can break."""
    assert sent[0]["role"] == "user"
    waiting: set[str] = set()
    previous = ""
    for message in sent:
        assert message["role"] != previous
        previous = message["role"]
        assert message["content"]
        results = {block["tool_use_id"] for block in message["content"] if block["type"] == "tool_result"}
        assert results == waiting
        if results:
            kinds = [block["type"] for block in message["content"]]
            assert kinds[: len(results)] == ["tool_result"] * len(results)
        assert all(block["text"].strip() for block in message["content"] if block["type"] == "text")
        waiting = {block["id"] for block in message["content"] if block["type"] == "tool_use"}
    assert not waiting


@given(runs())
def test_every_request_is_valid_and_repeats_the_one_before(sequence: list[EventBase]) -> None:
    history = History()
    for event in sequence:
        history.apply(event)
        if isinstance(event, TurnStarted):
            request = build_request(history, model="m", max_tokens=10, fields={})
            guard_prefix(history, request)
            sent = json.loads(request.body)
            assert sent["system"] == HEAD.system
            check_valid(sent["messages"])


@given(runs())
def test_a_fold_from_the_journal_says_what_was_sent(sequence: list[EventBase]) -> None:
    live = History()
    written: list[EventBase] = []
    for event in sequence:
        live.apply(event)
        sent = {"prefix": live.prefix()[1]}
        written.append(event.model_copy(update=sent) if isinstance(event, TurnStarted) else event)
    again, repeats = fold_history(written)
    assert repeats
    assert again.prefix() == live.prefix()


def test_a_fold_that_differs_is_noticed() -> None:
    events = [HEAD, RunStarted(run="r", prompt="x"), TurnStarted(turn="t", model="m", number=1, prefix="other")]
    history, repeats = fold_history(events)
    assert not repeats
    assert history.message_count == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda history: history.system.append({"type": "text", "text": "be bad"}), "system[1]"),
        (lambda history: history.tools.clear(), "tools[0]"),
        (lambda history: history._last.blocks.__setitem__(0, b'{"type":"text","text":"other"}'), "messages[0]"),
    ],
)
def test_the_guard_refuses_a_rewrite_and_names_it(change: Any, named: str) -> None:
    history = History()
    history.apply(HEAD)
    history.apply(RunStarted(run="r", prompt="hello"))
    guard_prefix(history, build_request(history, model="m", max_tokens=1, fields={}))
    change(history)
    history.apply(PromptQueued(prompt_id="q", prompt="more"))
    history.apply(PromptAccepted(prompt_id="q"))
    with pytest.raises(PrefixRewritten, match="not what an earlier request sent") as refused:
        guard_prefix(history, build_request(history, model="m", max_tokens=1, fields={}))
    assert named.split("[", maxsplit=1)[0] in str(refused.value)


def test_a_compaction_begins_anew() -> None:
    history = History()
    history.apply(HEAD)
    history.apply(RunStarted(run="r", prompt="hello"))
    guard_prefix(history, build_request(history, model="m", max_tokens=1, fields={}))
    receipt = Receipt(until=2, kept=[], dropped=[], tokens_before=1, tokens_after=1)
    summary = [{"role": "user", "content": [{"type": "text", "text": "the summary"}]}]
    history.apply(ContextCompacted(messages=summary, summary="", receipt=receipt))  # type: ignore[arg-type]
    guard_prefix(history, build_request(history, model="m", max_tokens=1, fields={}))
    assert messages(history) == summary


def test_an_answer_that_a_crash_cut_off_is_asked_for_again() -> None:
    history = History()
    history.apply(HEAD)
    history.apply(RunStarted(run="r", prompt="hello"))
    history.apply(TurnStarted(turn="t", model="m", number=1))
    partial = [{"type": "text", "text": "It is"}]
    history.apply(TurnFailed(turn="t", kind="crash", message="", partial=partial))  # type: ignore[arg-type]
    assert history.needs_turn
    history.apply(TurnStarted(turn="t2", model="m", number=2))
    sent = messages(history)
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    assert sent[1]["content"] == partial


def test_a_finished_answer_needs_no_turn() -> None:
    history = History()
    history.apply(RunStarted(run="r", prompt="hello"))
    history.apply(
        TurnFinished(
            turn="t", model="m", content=[{"type": "text", "text": "hi"}], stop_reason="end_turn", usage=Usage()
        )
    )
    assert not history.needs_turn
    assert history.last_text == "hi"


@given(st.lists(st.tuples(st.text(max_size=5), st.text(min_size=1, max_size=5)), max_size=6), st.booleans())
def test_a_prefix_that_has_grown_is_the_one_that_is_made_at_once(talk: list[tuple[str, str]], tools: bool) -> None:
    grown, fresh = History(), History()
    loaded = ContextLoaded(system=[{"type": "text", "text": "s"}], tools=[{"name": "x"}] if tools else [], sources=[])
    for history in (grown, fresh):
        history.apply(loaded)
    for question, answer in talk:
        content: list[JsonObject] = [{"type": "text", "text": answer}]
        for history in (grown, fresh):
            history.apply(RunStarted(prompt=question))
            history.apply(TurnFinished(turn="t", model="m", content=content, stop_reason="end_turn", usage=Usage()))
        trial = grown.trial()
        trial.prepare()
        prefix, digest = trial.prefix()
        assert digest == hashlib.sha256(prefix).hexdigest()
    assert grown.prefix() == fresh.prefix()
    assert json.loads(b"{" + grown.prefix()[0] + (b"]}]}" if talk else b"]}"))["messages"] == grown.messages()


def test_a_server_that_numbers_its_blocks_wildly_costs_nothing() -> None:
    from tui_agent.context.items import AnswerItem, fold_item
    from tui_agent.events import TurnDelta

    item = fold_item(AnswerItem(0.0, "t"), TurnDelta(turn="t", block=10**9, kind="text", text="x"))
    assert isinstance(item, AnswerItem)
    assert item.blocks == ()
