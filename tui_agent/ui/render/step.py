"""A step as lines: one for its head, and what it did when it is unfolded."""

from __future__ import annotations

from rich.cells import cell_len

from tui_agent.session import StepItem
from tui_agent.text import inert, inert_line
from tui_agent.ui.render.diff import changed_lines, diff_lines
from tui_agent.ui.render.lines import Line, Prefix, clip, plain, wrap
from tui_agent.ui.render.palette import Palette
from tui_agent.ui.render.words import duration

BODY_ROWS = 1_000
"""Rows of output or diff that an unfolded step shows; the rest is counted."""

LIVE_ROWS = 5
"""Last rows of a running command's output that show even while it is folded."""

INDENT = "  "

_STATES = {
    "planned": ("·", "planned"),
    "waiting": ("⧗", "waiting for permission"),
    "running": ("●", "running"),
    "uncertain": ("?", "uncertain after a crash"),
    "ok": ("✓", ""),
    "error": ("✗", "failed"),
    "denied": ("⊘", "denied"),
    "cancelled": ("■", "cancelled"),
    "skipped": ("–", "skipped"),
}


def step_lines(item: StepItem, palette: Palette, width: int, unfolded: bool) -> list[Line]:
    """Return the step's head, and its body if it is unfolded."""
    lines = [_head(item, palette, width, unfolded)]
    if unfolded:
        lines.extend(_body(item, palette, width))
    elif item.state == "running" and item.view:
        rows = inert(item.view[-4_000:]).removesuffix("\n").split("\n")[-LIVE_ROWS:]
        for row in rows:
            lines.extend(wrap([(clip(row, width - 4), palette.dim)], width, [Prefix("  │ ", palette.rule)]))
    return lines


def _head(item: StepItem, palette: Palette, width: int, unfolded: bool) -> Line:
    glyph, words = _STATES[item.state]
    style = {
        "ok": palette.ok,
        "error": palette.error,
        "denied": palette.error,
        "waiting": palette.warning,
        "uncertain": palette.warning,
        "cancelled": palette.warning,
        "running": palette.name,
    }.get(item.state, palette.dim)
    title = inert_line(item.title or item.tool)
    if not title.startswith(item.tool):
        title = f"{inert_line(item.tool)} {title}"
    added, removed = changed_lines(item.diff)
    facts = []
    if added or removed:
        facts.append(f"+{added} −{removed}")
    if words:
        facts.append(words)
    summary = inert_line(item.summary)
    if summary and not item.todo and summary not in title and summary not in facts:
        facts.append(summary)
    if item.seconds >= 1:
        facts.append(duration(item.seconds))
    marks = f"{'▾' if unfolded else '▸'} {glyph} "
    tail = "  " + " · ".join(facts) if facts else ""
    room = width - len(marks)
    shown = clip(title, max(room - min(cell_len(tail), room // 2), room // 2))
    tail = clip(tail, room - cell_len(shown))
    tool, rest = shown[: len(item.tool)], shown[len(item.tool) :]
    spans = [(tool, palette.strong), (rest, palette.base), (tail, style if words else palette.dim)]
    return wrap(spans, width, [Prefix(marks, style)])[0]


def _body(item: StepItem, palette: Palette, width: int) -> list[Line]:
    lines: list[Line] = []
    bar = [Prefix("  │ ", palette.rule)]
    if item.evidence:
        lines.extend(plain(f"when reopened: {inert(item.evidence)}", palette.warning, width, bar))
    if item.question:
        lines.extend(plain(f"? {inert(item.question)}", palette.strong, width, bar))
        answer = inert(item.answer) or "(waits for your answer)"
        lines.extend(plain(f"→ {answer}", palette.base, width, bar))
    for todo in item.todo:
        glyph = {"pending": "☐", "active": "▶", "done": "☑"}[todo.state]
        style = {"pending": palette.base, "active": palette.strong, "done": palette.dim}[todo.state]
        lines.extend(plain(f"{glyph} {inert_line(todo.text)}", style, width, bar))
    if item.diff:
        lines.extend(diff_lines(item.diff, palette, width, INDENT, BODY_ROWS))
    if not (item.diff or item.question or item.todo):
        lines.extend(_input(item, palette, width))
    shown_otherwise = (item.diff or item.todo or item.answer) and item.state == "ok"
    if item.view and not shown_otherwise:
        lines.extend(_output(item.view, palette, width, bar))
    return lines


def _input(item: StepItem, palette: Palette, width: int) -> list[Line]:
    lines: list[Line] = []
    title = item.title
    for name, value in item.input.items():
        text = value if isinstance(value, str) else repr(value)
        if "\n" not in text and text in title:
            continue
        rows = inert(text).split("\n")
        if len(rows) > BODY_ROWS:
            rows = [*rows[:BODY_ROWS], f"… {len(rows) - BODY_ROWS:,} more lines"]
        indent = [Prefix("    ", palette.base)]
        head = [Prefix(INDENT, palette.base)]
        lines.extend(plain(f"{inert_line(name)}: " + "\n".join(rows), palette.dim, width, head, indent))
    return lines


def _output(view: str, palette: Palette, width: int, bar: list[Prefix]) -> list[Line]:
    rows = inert(view).removesuffix("\n").split("\n")
    lines: list[Line] = []
    if len(rows) > BODY_ROWS:
        lines.extend(plain(f"… {len(rows) - BODY_ROWS:,} lines before these", palette.dim, width, bar))
        rows = rows[-BODY_ROWS:]
    lines.extend(plain("\n".join(rows), palette.base, width, bar))
    return lines
