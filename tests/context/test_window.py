"""What is in the window, from events alone."""

from __future__ import annotations

from tui_agent.context import mark_stale, window_parts
from tui_agent.context.window import Window, describe_window
from tui_agent.events import (
    ContextCompacted,
    ContextLoaded,
    ContextSource,
    EventBase,
    FileState,
    Receipt,
    RunStarted,
    StepFinished,
    StepPlanned,
    TurnFinished,
    Usage,
)

EVENTS: list[EventBase] = [
    ContextLoaded(
        system=[],
        tools=[],
        sources=[
            ContextSource(kind="system", name="agent prompt", tokens=100),
            ContextSource(kind="tools", name="9 tools", tokens=200),
            ContextSource(kind="memory", name="/w/AGENTS.md", tokens=50, sha256="m"),
        ],
    ),
    RunStarted(prompt="look at @b",
               content=[{"type": "text", "text": "look at @b"}, {"type": "text", "text": "b" * 400}],
               files=[FileState(path="/w/b", sha256="b")], seq=2),
    TurnFinished(turn="t", model="m", content=[{"type": "text", "text": "hm " * 100}], stop_reason="tool_use",
                 usage=Usage()),
    StepPlanned(step="s", turn="t", call_id="c", tool="read", input={}, effect="pure", title="read a"),
    StepFinished(step="s", tool="read", outcome="ok", seq=5, memory=["/w/src/AGENTS.md"],
                 effects=[FileState(path="/w/a", sha256="a")],
                 result=[{"type": "text", "text": "x" * 4000}, {"type": "text", "text": "y" * 400}]),
]  # fmt: skip


def test_each_part_has_its_source() -> None:
    parts = window_parts(EVENTS)
    assert [(part.kind, part.name) for part in parts] == [
        ("system", "agent prompt"),
        ("tools", "9 tools"),
        ("memory", "/w/AGENTS.md"),
        ("conversation", "prompt: look at @b"),
        ("file", "/w/b"),
        ("conversation", "answer"),
        ("file", "read a"),
        ("memory", "/w/src/AGENTS.md"),
    ]
    read = parts[6]
    assert 1000 <= read.tokens <= 1050
    assert (read.path, read.sha256, read.seq) == ("/w/a", "a", 5)
    assert parts[4].tokens > 90


def test_changed_files_are_marked() -> None:
    parts = mark_stale(window_parts(EVENTS), {"/w/a": "other", "/w/AGENTS.md": None})
    assert [part.name for part in parts if part.stale] == ["/w/AGENTS.md", "read a"]
    text = "\n".join(line for line, _ in describe_window(Window("m", 1000, 500, tuple(parts))))
    assert text.count("CHANGED") == 2
    assert "m: 500 of 1,000 tokens (50.0%)" in text


def test_a_compaction_begins_anew() -> None:
    receipt = Receipt(until=5, kept=[], dropped=[], tokens_before=1, tokens_after=1)
    messages = [{"role": "user", "content": [{"type": "text", "text": "<compacted>" + "z" * 400}]}]
    parts = window_parts([*EVENTS, ContextCompacted(messages=messages, summary="", receipt=receipt)])  # type: ignore[list-item]
    assert [part.kind for part in parts] == ["system", "tools", "memory", "summary"]
    assert 100 <= parts[3].tokens <= 120
