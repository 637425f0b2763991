"""The items of the conversation as lines. Imported when the first item is drawn: it needs the events."""

from __future__ import annotations

from rich.style import Style

from tui_agent.events import Receipt
from tui_agent.session import (
    AnswerItem,
    CompactionItem,
    Item,
    NoticeItem,
    PromptItem,
    RunEndItem,
    StepItem,
)
from tui_agent.text import inert, inert_line
from tui_agent.ui.budget import dollars
from tui_agent.ui.render.answer import AnswerDrawing
from tui_agent.ui.render.lines import Line, Prefix, plain, wrap
from tui_agent.ui.render.palette import Palette
from tui_agent.ui.render.step import opens_by_itself, step_lines, step_text
from tui_agent.ui.render.words import count, duration

LONG_PROMPT = 50
"""Lines, or hundreds of characters, above which only the begin of a prompt is shown."""

PROMPT_BEGIN = 10
"""Lines, or hundreds of characters, that are shown of a long prompt."""


class Drawing:
    """One item as lines at a width. Keeps what it drew, so that an answer that grows is drawn once."""

    def __init__(self, palette: Palette, width: int) -> None:
        self._palette = palette
        self._width = width
        self._answer: AnswerDrawing | None = None
        self._drawn: tuple[Item, bool] | None = None
        self.lines: list[Line] = []

    def update(self, item: Item, unfolded: bool) -> None:
        """Draw the item as it is now, unless that is what was drawn last."""
        if self._drawn is not None and self._drawn[0] is item and self._drawn[1] == unfolded:
            return
        self._drawn = (item, unfolded)
        if isinstance(item, AnswerItem):
            if self._answer is None:
                self._answer = AnswerDrawing(self._palette, self._width)
            lines = self._answer.update(item, unfolded)
        else:
            lines = _lines(item, self._palette, self._width, unfolded)
        if lines and not isinstance(item, StepItem | RunEndItem):
            lines = [Line([]), *lines]
        self.lines = lines


def _lines(item: Item, palette: Palette, width: int, unfolded: bool) -> list[Line]:
    match item:
        case PromptItem():
            return _prompt(item, palette, width, unfolded)
        case StepItem():
            return step_lines(item, palette, width, unfolded)
        case RunEndItem():
            return _run_end(item, palette, width)
        case CompactionItem():
            return _compaction(item, palette, width, unfolded)
        case NoticeItem():
            return _notice(item, palette, width)
        case AnswerItem():
            return AnswerDrawing(palette, width).update(item, unfolded)


def _is_long(item: PromptItem) -> bool:
    return item.text.count("\n") > LONG_PROMPT or len(item.text) > LONG_PROMPT * 100


def _prompt(item: PromptItem, palette: Palette, width: int, unfolded: bool) -> list[Line]:
    style = palette.strong
    if item.state == "withdrawn":
        style = palette.dim + Style(strike=True)
    elif item.state == "queued":
        style = palette.dim
    first, rest = [Prefix("> ", palette.prompt)], [Prefix("  ", palette.base)]
    if unfolded or not _is_long(item):
        lines = plain(inert(item.text), style, width, first, rest)
    else:
        begin = "\n".join(item.text[: PROMPT_BEGIN * 100].split("\n")[:PROMPT_BEGIN])
        lines = plain(inert(begin), style, width, first, rest)
        more = count(item.text.count("\n") - begin.count("\n"), "line")
        lines.extend(
            plain(f"▸ … {more} and {len(item.text) - len(begin):,} characters more", palette.dim, width, rest)
        )
    for mention in item.mentions:
        shown = f"@{mention.path}: {mention.detail or mention.state}"
        if mention.state == "cut":
            shown += ", cut"
        style = palette.dim if mention.state == "read" else palette.warning
        lines.extend(plain(inert(shown), style, width, rest))
    if item.state != "sent":
        words = {"queued": "queued: sent with the next turn", "withdrawn": "withdrawn"}[item.state]
        lines.extend(plain(f"({words})", palette.dim, width, rest))
    return lines


def _run_end(item: RunEndItem, palette: Palette, width: int) -> list[Line]:
    glyph, style = {
        "completed": ("✓ done", palette.dim),
        "truncated": ("! cut off", palette.warning),
        "refused": ("! declined", palette.warning),
        "window_full": ("! context window full", palette.warning),
        "interrupted": ("■ interrupted", palette.warning),
        "failed": ("✗ failed", palette.error),
        "stopped": ("■ stopped", palette.warning),
    }[item.outcome]
    about = "≈ " if item.estimated else ""
    facts = [count(item.turns, "turn"), duration(item.seconds - item.waited), about + count(item.tokens, "token")]
    if item.waited >= 1:
        facts.insert(2, f"waited {duration(item.waited)} for you")
    if item.cost is not None:
        facts.append(f"{about}{dollars(item.cost)}" + (" simulated" if item.simulated else ""))
    # What the item above says needs no second telling; a stop's item has its hint too.
    reason = "" if item.told else item.reason
    hint = "" if item.told and item.outcome == "stopped" else item.hint
    words = ". ".join(inert_line(part).rstrip(".") for part in (reason, hint) if part)
    spans = [(glyph + (f": {words}" if words else ""), style), (" · " + " · ".join(facts), palette.dim)]
    return wrap(spans, width, (), [Prefix("  ", palette.base)])


def _compaction(item: CompactionItem, palette: Palette, width: int, unfolded: bool) -> list[Line]:
    receipt = item.receipt
    head = f"{'▾' if unfolded else '▸'} compacted: {receipt.tokens_before:,} → {receipt.tokens_after:,} tokens"
    facts = f" · {len(receipt.kept)} kept, {len(receipt.dropped)} dropped"
    if receipt.doubts:
        facts += f" · {count(len(receipt.doubts), 'claim')} without a fact"
    indent = [Prefix("  ", palette.base)]
    lines = wrap([(head, palette.strong), (facts, palette.dim)], width, (), indent)
    if not unfolded:
        return lines
    deeper = [Prefix("    ", palette.base)]
    for row in receipt_rows(receipt):
        lines.extend(plain(row, palette.dim, width, indent, deeper))
    lines.extend(plain(inert(item.summary), palette.base, width, indent))
    return lines


def receipt_rows(receipt: Receipt) -> list[str]:
    """Return the lines of a receipt as plain text, what needs attention first."""
    rows = [f"doubt: {inert_line(doubt)}" for doubt in receipt.doubts]
    rows += [f"open: {inert_line(line)}" for line in receipt.unresolved]
    for title, lines in (("kept", receipt.kept), ("dropped", receipt.dropped)):
        for line in lines:
            where = f" (event {line.seq})" if line.seq else ""
            rows.append(f"{title}: {inert_line(line.kind)}{where}: {inert_line(line.text)}")
    return rows


def _notice(item: NoticeItem, palette: Palette, width: int) -> list[Line]:
    glyph, style = {
        "info": ("i ", palette.dim),
        "warning": ("! warning: ", palette.warning),
        "error": ("✗ error: ", palette.error),
    }[item.level]
    return plain(glyph + inert(item.message), style, width, (), [Prefix("  ", style)])


def unfolds(item: Item) -> bool:
    """Return whether the item has something to unfold."""
    match item:
        case PromptItem():
            return _is_long(item)
        case AnswerItem():
            return any(block.kind == "thinking" and block.text for block in item.blocks)
        case StepItem() | CompactionItem():
            return True
    return False


def unfolded_by_itself(item: Item) -> bool:
    """Return whether the item is open until the user folds it."""
    return isinstance(item, StepItem) and opens_by_itself(item)


def is_prompt(item: Item) -> bool:
    """Return whether a user typed the item."""
    return isinstance(item, PromptItem)


def item_text(item: Item) -> str:
    """Return the item as text for the clipboard: its source, not its rows."""
    match item:
        case PromptItem():
            return item.text
        case AnswerItem():
            texts = [block.text for block in item.blocks if block.kind == "text"]
            return "\n\n".join(texts) or item.note
        case StepItem():
            return step_text(item)
        case RunEndItem():
            return ". ".join(part for part in (item.reason, item.hint) if part) or item.outcome.replace("_", " ")
        case CompactionItem():
            return item.summary
        case NoticeItem():
            return item.message
