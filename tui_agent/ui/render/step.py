"""A step as lines: one for its head, and what it did when it is unfolded."""

from __future__ import annotations

import re

from rich.cells import cell_len

from tui_agent.session import StepItem
from tui_agent.terminal_output import rendered
from tui_agent.text import inert, inert_line
from tui_agent.ui.render.diff import changed_lines, diff_lines, is_diff
from tui_agent.ui.render.lines import Line, Prefix, clip, plain, wrap
from tui_agent.ui.render.palette import Palette, all_dim
from tui_agent.ui.render.words import duration

BODY_ROWS = 1_000
"""Rows of output or diff that an unfolded step shows; the rest is counted."""

LIVE_ROWS = 5
"""Last rows of output that a folded step shows when it runs, failed, or was asked about."""

LIVE_CHARACTERS = 8_000
"""Characters of the end of an output that those rows are made from."""

OPEN_DIFF = 40
"""Changed lines up to which a step's diff is shown without being asked for."""

OPEN_OUTPUT = 20
"""Rows up to which the output of a command that the user approved is shown without being asked for."""

INDENT = "  "

_STATES = {
    "planned": ("·", "planned"),
    "waiting": ("▲", "waiting for permission"),
    "running": ("●", "running"),
    "uncertain": ("?", "uncertain after a crash"),
    "ok": ("✓", ""),
    "error": ("✗", "failed"),
    "denied": ("✗", "denied"),
    "cancelled": ("■", "cancelled"),
    "skipped": ("–", "skipped"),
}


_UNDECIDED = frozenset({"planned", "waiting", "running", "uncertain"})
"""States of a step that may still do what its preview shows."""


def step_lines(item: StepItem, palette: Palette, width: int, unfolded: bool) -> list[Line]:
    """Return the step's head, and its body if it is unfolded."""
    lines = [_head(item, palette, width, unfolded)]
    if unfolded:
        lines.extend(_body(item, palette, width))
    elif item.view and _shows_tail(item):
        rows = inert(output(item, LIVE_CHARACTERS)).removesuffix("\n").split("\n")[-LIVE_ROWS:]
        for row in rows:
            lines.extend(wrap([(clip(row, width - 4), palette.dim)], width, [Prefix("  │ ", palette.rule)]))
    return lines


def output(item: StepItem, characters: int = 0) -> str:
    """Return the step's output, that of a command as a terminal shows it; `characters` of its end, 0 for all."""
    view = item.view[-characters:]
    if item.tool not in {"bash", "bash_output"}:
        return view
    if len(view) < len(item.view):
        view = re.sub(r"\A[^\r\n]*[\r\n]", "", view, count=1)  # it may begin in the midst of an escape sequence
    return rendered(view)


def change(item: StepItem) -> str:
    """Return the unified diff of what the step changed, or of what it is about to change; empty if there is none."""
    if item.diff:
        return item.diff
    return item.preview if item.state in _UNDECIDED and is_diff(item.preview) else ""


def opens_by_itself(item: StepItem) -> bool:
    """Return whether the step is unfolded until the user folds it.

    That is so for what asks for attention, for short changes that are made or about to be, and for the short
    output of a command that the user approved.
    """
    if item.state in {"uncertain", "waiting"} or item.question or item.todo:
        return True
    if diff := change(item):
        return sum(changed_lines(diff)) <= OPEN_DIFF
    return bool(item.preview and item.view) and item.state == "ok" and item.view.count("\n") <= OPEN_OUTPUT


def step_text(item: StepItem) -> str:
    """Return all that the unfolded step shows, as text: for the clipboard and for searching."""
    parts = [item.title, item.evidence, item.question, item.answer, *(todo.text for todo in item.todo)]
    if item.diff or is_diff(item.preview) or item.state == "waiting":
        parts.append(item.diff or item.preview)
    elif not (item.question or item.todo):
        parts += [value for value in item.input.values() if isinstance(value, str) and value not in item.title]
    if not _is_shown_otherwise(item):
        parts.append(output(item))
    if not (item.view or item.diff or item.answer or item.todo):
        parts.append(item.summary)
    return "\n".join(part.removesuffix("\n") for part in parts if part)


def _shows_tail(item: StepItem) -> bool:
    """Return whether the last rows of the output show while the step is folded."""
    return item.state in {"running", "error"} or (item.state == "ok" and bool(item.preview) and not item.diff)


def _is_shown_otherwise(item: StepItem) -> bool:
    """Return whether the output only repeats what the body shows as a diff, a list or an answer."""
    return bool(item.diff or item.todo or item.answer) and item.state == "ok"


def _head(item: StepItem, palette: Palette, width: int, unfolded: bool) -> Line:
    glyph, words = _STATES[item.state]
    if item.state == "running" and item.question and not item.answer:
        glyph, words = "▲", "waits for your answer"
    style = {
        "ok": palette.ok,
        "error": palette.error,
        "denied": palette.error,
        "waiting": palette.warning,
        "uncertain": palette.warning,
        "cancelled": palette.warning,
        "running": palette.name,
    }.get(item.state, palette.dim)
    if glyph == "▲":
        style = palette.warning
    title = inert_line(item.title or item.tool)
    if not title.startswith(item.tool):
        title = f"{inert_line(item.tool)} {title}"
    added, removed = changed_lines(change(item))
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
        answer = inert(item.answer) or ("(waits for your answer)" if item.state in _UNDECIDED else "(not answered)")
        lines.extend(plain(f"→ {answer}", palette.base, width, bar))
    for todo in item.todo:
        glyph = {"pending": "·", "active": "▸", "done": "✓"}[todo.state]
        style = {"pending": palette.base, "active": palette.strong, "done": palette.dim}[todo.state]
        lines.extend(plain(f"{glyph} {inert_line(todo.text)}", style, width, bar))
    diff = change(item)
    if diff:
        lines.extend(diff_lines(diff, palette, width, INDENT, BODY_ROWS))
    elif item.state in {"denied", "cancelled", "skipped"} and is_diff(item.preview):
        lines.extend(plain("not made:", palette.dim, width, [Prefix(INDENT, palette.base)]))
        lines.extend(diff_lines(item.preview, all_dim(palette), width, INDENT, BODY_ROWS))
    elif item.state == "waiting" and item.preview:
        lines.extend(plain(inert(item.preview), palette.base, width, bar))
    elif not (item.question or item.todo):
        lines.extend(_input(item, palette, width))
    if item.view and not _is_shown_otherwise(item):
        lines.extend(_output(output(item), palette, width, bar))
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
