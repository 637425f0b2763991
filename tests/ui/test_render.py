"""Wrapping, Markdown and whole items as lines: nothing too wide, nothing lost, nothing that acts on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from tests.ui.panes import DIFF, MARKDOWN, Session, answer, finished, planned, prompt, sample, started, step
from tui_agent.context.items import answer_blocks
from tui_agent.events import (
    BudgetStopped,
    ContextCompacted,
    Crash,
    EventBase,
    JsonObject,
    Notice,
    PermissionDecided,
    PromptQueued,
    PromptWithdrawn,
    QuestionAnswered,
    QuestionAsked,
    Receipt,
    ReceiptLine,
    RunFinished,
    StepOutput,
    StepRecovered,
    TodoChanged,
    TodoItem,
    TurnDelta,
    TurnFailed,
    TurnStarted,
)
from tui_agent.session import AnswerBlock, AnswerItem, TimelineEntry
from tui_agent.text import inert
from tui_agent.ui.render import code
from tui_agent.ui.render.document import MarkdownDocument
from tui_agent.ui.render.items import Drawing, item_text
from tui_agent.ui.render.lines import Line, Prefix, breaks, clip, displayable, wrap
from tui_agent.ui.render.palette import make_palette
from tui_agent.ui.timeline import entry_line

PALETTE = make_palette(
    Style(color="white", bgcolor="black"), {"primary": "#0000ff", "success": "#00ff00", "accent": "ansi_red"}
)

TEXT = st.text(st.sampled_from("ab cd  e日本語✅é\u0301\tx😀-*_`|[]()"), max_size=80).map(displayable)

HOSTILE = (
    "[/] [bold]x[/bold] \x1b[2J\x1b]52;c;aGk=\x07 \u202egnp.exe \x9b31m \x00 \u200bz \r\x08 "
    "&#x202e; &rlm; &shy; <b>&#27;</b> <http://x/%E2%80%AE%1B> [t](http://y/&#x202e;) ![i](&rlm; '\u2066')"
)


def texts(lines: list[Line]) -> list[str]:
    return ["".join(segment.text for segment in line.segments) for line in lines]


def copied(lines: list[Line]) -> str:
    return "".join((line.joint if n else "") + line.text for n, line in enumerate(lines))


@given(TEXT, st.integers(2, 30), st.booleans())
def test_wrapping_loses_nothing_and_is_never_too_wide(text: str, width: int, words: bool) -> None:
    lines = wrap([(text, PALETTE.base)], width, words=words)
    assert all(cell_len(row) <= width for row in texts(lines))
    assert copied(lines) + ("" if not words else " " * (len(text) - len(copied(lines)))) == text
    assert "".join(copied(lines).split()) == "".join(text.split())


@given(st.lists(TEXT, min_size=1, max_size=5), st.integers(8, 30))
def test_styles_do_not_change_where_text_breaks(parts: list[str], width: int) -> None:
    styles = [PALETTE.base, PALETTE.strong]
    many = wrap([(part, styles[n % 2]) for n, part in enumerate(parts)], width)
    assert texts(many) == texts(wrap([("".join(parts), PALETTE.base)], width))


def test_rows_break_at_spaces_and_prefixes_are_not_copied() -> None:
    lines = wrap([("one two three", PALETTE.base)], 10, [Prefix("> ", PALETTE.dim)], [Prefix("  ", PALETTE.dim)])
    assert texts(lines) == ["> one two", "  three"]
    assert copied(lines) == "one two three"
    assert breaks("日本語日本語", 5) == [(0, 2), (2, 4), (4, 6)]
    assert breaks("  abcdefgh", 4) == [(0, 4), (4, 8), (8, 10)]


@given(TEXT, st.integers(0, 20))
def test_clipping_fits(text: str, cells: int) -> None:
    assert cell_len(clip(text, cells)) <= cells


# Markdown

PIECES = st.sampled_from(
    [
        "# Title\n",
        "text **bold** *em* `code`\n",
        "\n",
        "\n\n",
        "- item\n",
        "- item two\n  more\n",
        "  - nested\n",
        "1. one\n",
        "2. two\n",
        "10) ten\n",
        "> quote\n",
        "> - in quote\n",
        "lazy\n",
        "```python\nx = 1\n",
        "```\n",
        "~~~\n",
        "    code\n",
        "| a | b |\n|---|--:|\n",
        "| 1 | 2 |\n",
        "---\n",
        "===\n",
        "[x](http://a.b)\n",
        "<div>\n",
        "* star\n",
        "**not a list**\n",
        "\t tab\n",
        "word",
        " ",
        "日本語 ✅\n",
        "![i](u)\n",
        "* * *\n",
        "-\n",
        "1986\\. a\n",
        "line  \nbreak\n",
        "&amp; &lt;\n",
        "a\r\nb\r\n",
        "a\rb\n",
        "\x0c\x1b x\x00\n",
        "   - odd\n",
        "     deep\n",
        "````\n```\n",
        "-\ttab item\n",
    ]
)
SOURCES = st.lists(PIECES, max_size=14).map("".join)


def document(text: str, width: int = 40) -> MarkdownDocument:
    made = MarkdownDocument(PALETTE, width)
    made.feed(text)
    made.finish()
    return made


@pytest.mark.parametrize("text", [" ```\n\t tab\n```\n", "  ~~~\n \tx\n\t\n~~~\n", "   ```\n\t\ty\n  z\n```\n"])
def test_a_tab_in_an_indented_fence_is_drawn_alike_while_it_streams(text: str) -> None:
    for cut in range(len(text)):
        streamed = MarkdownDocument(PALETTE, 40)
        streamed.feed(text[:cut])
        streamed.feed(text)
        streamed.finish()
        assert texts(streamed.lines) == texts(document(text).lines)


@settings(max_examples=300, deadline=None)
@given(SOURCES, st.lists(st.integers(0, 200), max_size=8))
def test_streaming_equals_drawing_at_once(text: str, cuts: list[int]) -> None:
    streamed = MarkdownDocument(PALETTE, 40)
    for cut in sorted(cuts):
        streamed.feed(text[:cut])
    streamed.feed(text)
    streamed.finish()
    whole = document(text)
    assert texts(streamed.lines) == texts(whole.lines)
    assert [line.segments for line in streamed.lines] == [line.segments for line in whole.lines]
    assert copied(streamed.lines) == copied(whole.lines)


@settings(max_examples=150, deadline=None)
@given(SOURCES, st.integers(12, 60))
def test_markdown_is_never_too_wide_and_keeps_its_words(text: str, width: int) -> None:
    lines = document(text, width).lines
    assert all(cell_len(row) <= width for row in texts(lines))
    shown = "".join(texts(lines))
    for word in ("item", "quote", "nested", "lazy", "deep", "日本語"):
        assert shown.count(word) >= (text.count(word) if len(set(word)) > 1 and width > 40 else 0)


def test_settled_blocks_are_drawn_once() -> None:
    made = MarkdownDocument(PALETTE, 40)
    text = "para one\n\n- a\n- b\n- c\n\n```python\nx = 1\ny = 2\n"
    made.feed(text)
    before = made.lines
    made.feed(text + "z = 3\n```\n\nend")
    after = made.lines
    assert all(one is other for one, other in zip(before, after, strict=False))
    assert texts(after)[-4:] == ["│ y = 2", "│ z = 3", "", "end"]


def test_a_line_that_is_not_whole_settles_nothing() -> None:
    made = MarkdownDocument(PALETTE, 40)
    for text in ("- a\n*", "- a\n**b** c\n", "- a\n**b** c\n-", "- a\n**b** c\n--- \nd"):
        made.feed(text)
        assert texts(made.lines) == texts(document(text).lines)
    assert texts(made.lines) == ["• a", "  b c", "─" * 40, "d"]
    made = MarkdownDocument(PALETTE, 40)
    made.feed("- a\n- b\n-")
    made.feed("- a\n- b\n-x")
    assert texts(made.lines) == ["• a", "• b", "  -x"]


def test_the_unfinished_row_of_a_fence_is_inert() -> None:
    made = MarkdownDocument(PALETTE, 40)
    made.feed("```\n\x1b[2J")
    assert texts(made.lines) == ["│ \\x1b[2J"]


def test_a_lone_carriage_return_ends_no_line() -> None:
    assert texts(document("a\rb\n\nc\n\nd").lines) == ["a\\x0db", "", "c", "", "d"]


def test_a_text_that_does_not_continue_is_drawn_anew() -> None:
    made = document("first\n\nsecond")
    made.feed("other")
    assert texts(made.lines) == ["other"]


def test_references_defined_later_are_resolved_at_the_end() -> None:
    made = MarkdownDocument(PALETTE, 60)
    made.feed("see [the docs]\n\nmore\n\n")
    made.feed("see [the docs]\n\nmore\n\n[the docs]: http://x.y/z\n")
    made.finish()
    assert texts(made.lines) == ["see the docs (http://x.y/z)", "", "more"]


def test_markdown_as_drawn() -> None:
    assert texts(document(MARKDOWN, 46).lines) == [
        "What I found",
        "",
        "The login test fails because inactive users",
        "pass; see src/login.py and the docs",
        "(https://example.org/x).",
        "",
        "1. First, read the test",
        "   ◦ nested point",
        "   ◦ another with a long text that has to be",
        "     wrapped somewhere because it does not fit",
        "     on one line of a narrow screen",
        "2. Then fix it",
        "",
        "▎ A quotation",
        "▎ of two lines",
        "",
        "name   │ count │ what it is",
        "───────┼───────┼─────────────────────────",
        "alpha  │     1 │ the first of the letters",
        "日本語 │    23 │ wide ✅",
        "",
        "│ def login(user):",
        '│     """Log in."""',
        "│     return user is not None and user.active ",
        "│  # only active ones",
        "",
        "─" * 46,
        "",
        "Done.",
    ]


def test_a_table_gives_way_to_wrapped_cells_and_then_to_records() -> None:
    table = "| name | what it is for |\n|---|---|\n| alpha | the first of all the letters |\n"
    assert texts(document(table, 24).lines) == [
        "name  │ what it is for",
        "──────┼─────────────────",
        "alpha │ the first of all",
        "      │ the letters",
    ]
    assert texts(document(table, 12).lines)[:2] == ["name: alpha", "what it is"]


def test_code_is_plain_until_its_lexer_is_loaded_and_then_coloured() -> None:
    code._lexers.pop("python", None)
    lines = document("```python\nx = 'a'\n```\n").lines
    assert len(lines[0].segments) == 2
    assert code.wanted() == ["python"]
    code.load("python")
    assert [s.text for s in lines[0].segments if s.style == PALETTE.literal] == ["'", "a", "'"]
    code.load("no such language")
    assert len(document("```no\nx\n```").lines[0].segments) == 2


def test_an_open_fence_is_coloured_line_by_line_and_as_a_whole_when_it_ends() -> None:
    code.load("python")
    made = MarkdownDocument(PALETTE, 40)
    made.feed("```python\n'''one\ndef two\n'''\n")
    inside = made.lines[1]
    assert any(segment.style == PALETTE.keyword for segment in inside.segments)
    made.feed("```python\n'''one\ndef two\n'''\n```\n")
    assert made.lines[1] is inside
    assert all(segment.style in {PALETTE.literal, PALETTE.rule} for segment in inside.segments)


# items


def hostile_events() -> list[EventBase]:
    evil: list[JsonObject] = [{"type": "text", "text": f"# {HOSTILE}\n\n- {HOSTILE}\n\n```{HOSTILE}\n{HOSTILE}\n"}]
    return [
        prompt("r", HOSTILE),
        PromptQueued(prompt_id="p1", prompt=HOSTILE),
        PromptQueued(prompt_id="p2", prompt=HOSTILE),
        PromptWithdrawn(prompt_id="p2"),
        *answer("t1", f"{HOSTILE}\n\n| {HOSTILE} | b |\n|---|---|\n| {HOSTILE} | d |\n\n> {HOSTILE}", HOSTILE),
        TurnStarted(turn="t2", model=HOSTILE, number=1),
        TurnFailed(turn="t2", kind="overloaded", message=HOSTILE, partial=evil, retry_seconds=1.0),
        TurnStarted(turn="t3", model="m", number=2),
        TurnDelta(turn="t3", block=0, kind="tool_input", text="{", tool=HOSTILE),
        *step("s1", HOSTILE, HOSTILE, summary=HOSTILE, view=HOSTILE, diff=DIFF + f"+{HOSTILE}\n"),
        *step("s6", "bash", view=HOSTILE),
        planned("s7", "bash"),
        started("s7", "bash"),
        StepOutput(step="s7", text=HOSTILE),
        planned("s2", "bash", HOSTILE),
        started("s2", "bash"),
        StepRecovered(step="s2", finding="uncertain", action="ask", evidence=HOSTILE),
        planned("s3", "ask", HOSTILE),
        QuestionAsked(step="s3", question="q", text=HOSTILE),
        QuestionAnswered(step="s3", question="q", answer=HOSTILE),
        planned("s4", "todo", "todo"),
        TodoChanged(step="s4", items=[TodoItem(text=HOSTILE)]),
        planned("s5", "bash", "bash"),
        PermissionDecided(step="s5", tool="bash", call_hash="", verdict="deny", by="person", comment=HOSTILE),
        ContextCompacted(
            messages=[], summary=HOSTILE,
            receipt=Receipt(
                until=1, kept=[ReceiptLine(kind=HOSTILE, text=HOSTILE)], doubts=[HOSTILE], unresolved=[HOSTILE],
                dropped=[ReceiptLine(kind="step", text=HOSTILE, seq=1)], tokens_before=5, tokens_after=1,
            ),
        ),
        Crash(boot=1, reason=HOSTILE, last_seq=1),
        BudgetStopped(limit=HOSTILE, used=1, projected=1, maximum=1, hint=HOSTILE),
        Notice(level="error", code="x", message=HOSTILE),
        RunFinished(run="r", outcome="failed", reason=HOSTILE),
    ]  # fmt: skip


@pytest.mark.parametrize("unfolded", [False, True])
@pytest.mark.parametrize("width", [12, 40, 120])
def test_nothing_from_outside_acts_on_the_terminal(width: int, unfolded: bool) -> None:
    session = Session()
    session.add(*hostile_events())
    for item in session.all_items.values():
        drawing = Drawing(PALETTE, width)
        drawing.update(item, unfolded)
        for row in texts(drawing.lines):
            assert row == inert(row)
            assert "\n" not in row
            assert "\t" not in row
            assert cell_len(row) <= width
    for entry in session.all_entries.values():
        row = texts([entry_line(entry, 0, PALETTE, width)])[0]
        assert row == inert(row)
        assert "\n" not in row


@given(st.text(max_size=60), st.booleans())
@settings(max_examples=80, deadline=None)
def test_any_text_is_inert_in_an_answer(text: str, finish: bool) -> None:
    item = AnswerItem(0.0, "t", (AnswerBlock("text", text),), "finished" if finish else "streaming")
    drawing = Drawing(PALETTE, 30)
    drawing.update(item, True)
    for row in texts(drawing.lines):
        assert row == inert(row)


def drawn(*events: EventBase, unfolded: bool = False, width: int = 60) -> list[str]:
    session = Session()
    session.add(*events)
    drawing = Drawing(PALETTE, width)
    drawing.update(session.all_items[0], unfolded)
    return texts(drawing.lines)


def test_the_end_of_a_run_repeats_nothing_that_stands_above_it() -> None:
    end = RunFinished(run="r", outcome="truncated", reason="the answer was cut", hint="Say more.", told=True)
    (row,) = drawn(end, width=200)
    assert row.startswith("! cut off: Say more · 0 turns")
    (row,) = drawn(end.model_copy(update={"told": False}), width=200)
    assert row.startswith("! cut off: the answer was cut. Say more · 0 turns")
    (row,) = drawn(RunFinished(run="r", outcome="completed", seconds=65.0, waited=60.0), width=200)
    assert "5.00 s · waited 1 min 00 s for you" in row


def test_a_step_folded_and_unfolded() -> None:
    events = step("s", view="out\nput")
    assert drawn(*events) == ["▸ ✓ read src/login.py  84 lines"]
    assert drawn(*events, unfolded=True) == ["▾ ✓ read src/login.py  84 lines", "  │ out", "  │ put"]
    assert drawn(*step("s", "edit", "edit a.py", summary="", diff=DIFF), unfolded=True) == [
        "▾ ✓ edit a.py  +2 −1",
        "       @@ -10,3 +10,4 @@",
        "    10  def login(user):",
        "    11 -  if user:",
        "    11 +  if user and user.active:",
        "    12 +    log(user)",
        "    13    return user",
    ]


def test_a_long_head_is_cut_and_keeps_its_state() -> None:
    [head] = drawn(planned("s", "bash", "bash " + "x" * 200), width=50)
    assert cell_len(head) <= 50
    assert head.endswith("planned")


def test_the_state_of_a_step_is_told_in_words() -> None:
    heads = {
        drawn(*events)[0].partition("login.py  ")[2]
        for events in (
            [planned("s")],
            [planned("s"), started("s")],
            [planned("s"), started("s"), StepRecovered(step="s", finding="uncertain", action="ask", evidence="e")],
            [planned("s"), PermissionDecided(step="s", tool="read", call_hash="", verdict="deny", by="person")],
        )
    }
    assert heads == {"planned", "running", "uncertain after a crash", "denied"}


def test_a_head_says_nothing_twice() -> None:
    assert drawn(*step("s", "edit", "edit a.py", summary="+2 −1", diff=DIFF))[0] == "▸ ✓ edit a.py  +2 −1"
    denied = PermissionDecided(step="s", tool="read", call_hash="", verdict="deny", by="person", reason="denied")
    assert drawn(planned("s"), denied) == ["▸ ✗ read src/login.py  denied"]
    todo = TodoChanged(step="s", items=[TodoItem(text="dig")])
    events = [planned("s", "todo", "todo 0/1 done"), started("s"), todo, finished("s", summary="1 item, 0 done")]
    assert drawn(*events) == ["▸ ✓ todo 0/1 done"]


def test_an_answer_of_the_user_is_shown_once() -> None:
    asked = QuestionAsked(step="s", question="q", text="Which?")
    events = [planned("s", "ask", "ask"), asked, QuestionAnswered(step="s", question="q", answer="blue")]
    lines = drawn(*events, finished("s", "ask", summary="", view="blue"), unfolded=True)
    assert lines == ["▾ ✓ ask", "  │ ? Which?", "  │ → blue"]


def test_an_interrupted_answer_says_so_once() -> None:
    begun = TurnStarted(turn="t", model="m", number=1)
    assert drawn(begun, TurnFailed(turn="t", kind="interrupted", message="Interrupted.")) == ["", "■ interrupted"]


def test_what_was_found_on_reopening_is_told_as_past_and_output_begins_anew() -> None:
    found = StepRecovered(step="s", finding="running", action="attach", evidence="still running as process 7")
    events = [
        planned("s", "bash", "bash x"),
        started("s", "bash"),
        StepOutput(step="s", text="one\n"),
        found,
        StepOutput(step="s", text="one\ntwo\n"),
    ]
    lines = drawn(*events, unfolded=True)
    assert lines[1] == "  │ when reopened: still running as process 7"
    assert lines[-2:] == ["  │ one", "  │ two"]
    assert "  │ one" not in lines[:-2]


def test_a_long_prompt_shows_its_begin_until_it_is_unfolded() -> None:
    long = prompt("r", "\n".join(f"line {n}" for n in range(1000)))
    lines = drawn(long)
    assert lines[1] == "> line 0"
    assert len(lines) == 12
    assert lines[-1] == "  ▸ … 990 lines and 8,820 characters more"
    assert len(drawn(long, unfolded=True)) == 1001
    assert len(drawn(prompt("r", "word " * 100_000))) < 40


def test_thinking_is_folded() -> None:
    assert drawn(*answer("t", "Hi", "let me think")) == ["", "▸ thinking · 3 words", "", "Hi"]
    assert drawn(*answer("t", "Hi", "let me think"), unfolded=True)[1:3] == ["▾ thinking · 3 words", "│ let me think"]


def test_an_answer_that_only_calls_tools_takes_no_room() -> None:
    assert answer_blocks([{"type": "tool_use"}]) == ()
    assert drawn(*answer("t", "")) == []


def test_item_text_is_the_source() -> None:
    session = Session()
    session.add(*sample())
    assert item_text(session.all_items[0]) == "fix the failing login test\nand [bold]tell me[/] why"
    assert MARKDOWN in [item_text(item) for item in session.all_items.values()]


def test_a_timeline_entry() -> None:
    entry = TimelineEntry(43263.0, "ok", "read", "read src/login.py", 0.004)
    assert texts([entry_line(entry, 0, PALETTE, 50)]) == ["12:01:03 ✓ read     src/login.py              4 ms"]
    waiting = TimelineEntry(43263.0, "waiting", "edit", "edit " + "x" * 90, agent="explore")
    [row] = texts([entry_line(waiting, 0, PALETTE, 50)])
    assert row.endswith("… waiting")
    assert "explore · " in row
    assert texts([entry_line(TimelineEntry(0.0, "running", "bash", "x"), 3, PALETTE, 20)])[0].endswith("3 s")


def test_no_part_of_a_timeline_entry_acts_on_the_terminal() -> None:
    evil = "\x1b[2J"
    row = texts([entry_line(TimelineEntry(0.0, "error", evil, evil, agent=evil), 0, PALETTE, 80)])[0]
    assert row.count("\\x1b[2J") == 3


def test_finishing_a_step_redraws_only_what_changed() -> None:
    session = Session()
    session.add(planned("s"), started("s"))
    drawing = Drawing(PALETTE, 40)
    drawing.update(session.all_items[0], False)
    before = drawing.lines
    drawing.update(session.all_items[0], False)
    assert drawing.lines is before
    session.add(finished("s"))
    drawing.update(session.all_items[0], False)
    assert drawing.lines is not before


def test_a_todo_list_is_shown_once() -> None:
    events = [
        planned("s1", "todo"),
        started("s1", "todo"),
        TodoChanged(step="s1", items=[TodoItem(text="dig the garden")]),
        finished("s1", "todo", view="[ ] dig the garden"),
    ]
    assert sum("dig the garden" in line for line in drawn(*events, unfolded=True)) == 1
