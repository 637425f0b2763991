"""What the tests of the long panes share: a session in memory made of real events, and an app around a pane."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textual.app import App, ComposeResult

from tui_agent.context.items import fold_entry, fold_item
from tui_agent.events import (
    EventBase,
    Notice,
    PermissionRequested,
    QuestionAsked,
    RunFinished,
    RunStarted,
    StepFinished,
    StepOutput,
    StepPlanned,
    StepStarted,
    TodoChanged,
    TodoItem,
    TurnDelta,
    TurnFinished,
    TurnStarted,
    Usage,
)
from tui_agent.events.types import Intent
from tui_agent.session import Item, TimelineEntry
from tui_agent.ui.conversation import ConversationView
from tui_agent.ui.timeline import TimelineView

DIFF = """--- a/src/login.py
+++ b/src/login.py
@@ -10,3 +10,4 @@
 def login(user):
-  if user:
+  if user and user.active:
+    log(user)
   return user
"""

MARKDOWN = """# What I found

The login test fails because **inactive** users pass; see `src/login.py` and the [docs](https://example.org/x).

1. First, *read* the test
   - nested point
   - another with a long text that has to be wrapped somewhere because it does not fit on one line of a narrow screen
2. Then fix it

> A quotation
> of two lines

| name | count | what it is |
|:-----|------:|:-----------|
| alpha | 1 | the first of the letters |
| 日本語 | 23 | wide ✅ |

```python
def login(user):
    \"\"\"Log in.\"\"\"
    return user is not None and user.active  # only active ones
```

---

Done.
"""


class Session:
    """A source of items and entries, folded from events by subject as the journal does it."""

    def __init__(self) -> None:
        self.all_items: dict[int, Item] = {}
        self.all_entries: dict[int, TimelineEntry] = {}
        self._places: dict[str, int] = {}
        self._entry_places: dict[str, int] = {}
        self.fetches = 0

    @property
    def item_count(self) -> int:
        return len(self.all_items)

    @property
    def entry_count(self) -> int:
        return len(self.all_entries)

    async def items(self, start: int, stop: int) -> Mapping[int, Item]:
        self.fetches += 1
        return {n: self.all_items[n] for n in range(start, stop) if n in self.all_items}

    async def entries(self, start: int, stop: int) -> Mapping[int, TimelineEntry]:
        return {n: self.all_entries[n] for n in range(start, stop) if n in self.all_entries}

    def add(self, *events: EventBase) -> tuple[dict[int, Item], dict[int, TimelineEntry]]:
        """Fold events in; return the items and entries that changed."""
        items: dict[int, Item] = {}
        entries: dict[int, TimelineEntry] = {}
        for event in events:
            if event.in_conversation:
                place = _place(self._places, event, len(self.all_items))
                items[place] = self.all_items[place] = fold_item(self.all_items.get(place), event)
            if event.in_timeline:
                place = _place(self._entry_places, event, len(self.all_entries))
                entries[place] = self.all_entries[place] = fold_entry(self.all_entries.get(place), event)
        return items, entries


def _place(places: dict[str, int], event: EventBase, new: int) -> int:
    return places.setdefault(event.subject, new) if event.subject else new


def prompt(run: str, text: str, time: float = 0.0) -> RunStarted:
    return RunStarted(run=run, prompt=text, time=time)


def answer(turn: str, text: str, thinking: str = "") -> list[EventBase]:
    content = [{"type": "thinking", "thinking": thinking}] if thinking else []
    return [
        TurnStarted(turn=turn, model="m", number=1),
        TurnFinished(
            turn=turn,
            model="m",
            content=[*content, {"type": "text", "text": text}],
            stop_reason="end_turn",
            usage=Usage(input_tokens=10, output_tokens=5),
            seconds=1.5,
        ),
    ]


def delta(turn: str, text: str, block: int = 0) -> TurnDelta:
    return TurnDelta(turn=turn, block=block, kind="text", text=text)


def planned(step: str, tool: str = "read", title: str = "read src/login.py") -> StepPlanned:
    return StepPlanned(
        step=step,
        turn="t",
        call_id=f"call_{step}",
        tool=tool,
        input={"path": "src/login.py"},
        effect="pure",
        title=title,
    )


def started(step: str, tool: str = "read") -> StepStarted:
    return StepStarted(step=step, tool=tool, intent=Intent(effect="pure", key=step))


def finished(
    step: str, tool: str = "read", summary: str = "84 lines", view: str = "", diff: str = ""
) -> StepFinished:
    return StepFinished(
        step=step, tool=tool, outcome="ok", result=[], summary=summary, view=view, diff=diff, seconds=0.004
    )


def step(name: str, tool: str = "read", title: str = "read src/login.py", **end: str) -> list[EventBase]:
    return [planned(name, tool, title), started(name, tool), finished(name, tool, **end)]


def sample() -> list[EventBase]:
    """A session with something of everything."""
    return [
        prompt("r1", "fix the failing login test\nand [bold]tell me[/] why"),
        *answer("t1", "I'll look at the test first.", "The person wants the test fixed. " * 12),
        *step("s1", view="\n".join(f"{n} line" for n in range(84))),
        *step("s2", "edit", "edit src/login.py", summary="", diff=DIFF),
        planned("s3", "bash", "bash pytest -q"),
        started("s3", "bash"),
        StepOutput(step="s3", text="\n".join(f"tests/test_{n}.py ....." for n in range(9))),
        *answer("t2", MARKDOWN),
        planned("s4", "edit", "edit src/other.py"),
        PermissionRequested(
            step="s4",
            request="q",
            tool="edit",
            tier="built-in",
            effect="checkable",
            input={},
            call_hash="x",
            title="edit src/other.py",
            why="mode is ask",
            preview=DIFF,
        ),
        planned("s5", "todo", "todo list"),
        TodoChanged(
            step="s5",
            items=[TodoItem(text="read", state="done"), TodoItem(text="fix", state="active"), TodoItem(text="test")],
        ),
        planned("s6", "ask", "ask"),
        QuestionAsked(step="s6", question="q1", text="Which one?"),
        Notice(level="warning", code="x", message="the server is slow"),
        Notice(level="error", code="x", message="the server is gone: [/] \x1b[2J"),
        RunFinished(
            run="r1", outcome="completed", turns=2, seconds=12.5, usage=Usage(input_tokens=12345), cost=0.0123
        ),
    ]


def long_session(prompts: int, steps: int = 8) -> Session:
    """A session of `prompts` runs of `steps` steps each."""
    session = Session()
    for n in range(prompts):
        session.add(prompt(f"r{n}", f"prompt number {n}"), *answer(f"t{n}", MARKDOWN))
        for m in range(steps):
            session.add(*step(f"s{n}.{m}", title=f"read file{n}_{m}.py", view="some\noutput"))
    return session


class PaneApp(App[None]):
    """One pane, full screen, and what it said."""

    def __init__(self, pane: ConversationView | TimelineView) -> None:
        super().__init__()
        self.pane = pane
        self.said: list[object] = []

    def compose(self) -> ComposeResult:
        yield self.pane

    def on_conversation_view_copy_requested(self, message: ConversationView.CopyRequested) -> None:
        self.said.append(message)

    def on_conversation_view_step_selected(self, message: ConversationView.StepSelected) -> None:
        self.said.append(message)

    def on_timeline_view_entry_selected(self, message: TimelineView.EntrySelected) -> None:
        self.said.append(message)

    def on_paged_view_follow_changed(self, message: ConversationView.FollowChanged) -> None:
        self.said.append(message)

    def on_paged_view_fetch_failed(self, message: ConversationView.FetchFailed) -> None:
        self.said.append(message)


def screen_text(pane: ConversationView | TimelineView) -> list[str]:
    """What the pane shows, row by row, without the column of the cursor's mark."""
    return [pane.render_line(y).text[1:].rstrip() for y in range(pane.size.height)]


def feed(session: Session, pane: ConversationView, events: Iterable[EventBase]) -> None:
    items, _ = session.add(*events)
    pane.update(items, session.item_count)


if __name__ == "__main__":
    view = ConversationView()
    the_session = Session()
    the_session.add(*sample())

    class Demo(PaneApp):
        def on_mount(self) -> None:
            view.show(the_session)

    Demo(view).run()
